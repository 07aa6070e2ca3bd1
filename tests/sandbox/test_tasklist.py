"""The stand-in server's book-keeping, above all when reports come again."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.members import InvalidMessageError
from makima_relay.sandbox.programs import Ending
from makima_relay.sandbox.reports import RunReports
from makima_relay.sandbox.tasklist import KEPT_OUTPUT, SandboxTask, Stage, TaskList


def view(task: SandboxTask) -> tuple[Any, ...]:
    """All that people see of a task."""
    members = (task.stage, task.success, task.error, task.exit_status, task.percent, task.lines)
    return (*members, list(task.output))


class TaskListTestCase(SynchronousTestCase):
    """Has a list with one task, which was sent."""

    def setUp(self) -> None:
        """Make it."""
        self.moves: list[Stage] = []
        self.tasks = TaskList(lambda task: self.moves.append(task.stage))
        self.task = self.sent_task()
        self.moves.clear()

    def sent_task(self) -> SandboxTask:
        """Make a task and send it to a machine."""
        task = self.tasks.add("a task", "make")
        self.tasks.sent(task, "m")
        return task

    def report(self, kind: str, **members: Any) -> SandboxTask | None:
        """Take a report on the task."""
        return self.tasks.reported(json.dumps({"type": kind, "taskId": self.task.task_id, **members}).encode(), "m")


class ReportTests(TaskListTestCase):
    """What reports do, spelled in whatever way."""

    def test_output_makes_it_run_and_is_kept(self) -> None:
        """Also without a status before it."""
        self.report("task_output", output="a")
        self.report("TaskOutput", output="b")
        self.assertEqual(view(self.task), (Stage.RUNNING, None, None, None, None, 2, ["a", "b"]))
        self.assertEqual(self.moves, [Stage.RUNNING])

    def test_progress_is_a_number_of_percent(self) -> None:
        """Anything else says nothing new."""
        for percent in (10, 40.5, None, "50", True, [60]):
            self.report("taskProgress", percent=percent)
        self.assertEqual(self.task.percent, 40.5)

    def test_a_completion_ends_it(self) -> None:
        """With all that it says."""
        self.report("taskComplete", success=False, error="exit status 3", exitStatus=3)
        self.assertEqual(view(self.task), (Stage.FAILED, False, "exit status 3", 3, None, 0, []))

    def test_a_completion_of_another_daemon_is_enough(self) -> None:
        """``exitStatus`` is our daemon's own; a relay's own completion has none either."""
        self.report("taskComplete", success=True, exitStatus="0")
        self.assertEqual(view(self.task), (Stage.COMPLETED, True, None, None, None, 0, []))

    def test_an_interrupted_task_is_cancelled_and_gets_the_words_later(self) -> None:
        """The completion that follows has them."""
        self.report("taskStatusChange", newStatus="Interrupted")
        self.report("taskComplete", success=False, error="interrupted", exitStatus=None)
        self.assertEqual(view(self.task), (Stage.CANCELLED, False, "interrupted", None, None, 0, []))
        self.assertEqual(self.moves, [Stage.CANCELLED])

    def test_what_is_about_no_task_here_changes_nothing(self) -> None:
        """Heartbeats, unknown tasks, reports on no task."""
        for payload in (
            {"type": "heartbeat", "activeTasks": [self.task.task_id]},
            {"type": "taskComplete", "taskId": "x", "success": True},
            {"type": "hello"},
        ):
            self.assertIsNone(self.tasks.reported(json.dumps(payload).encode(), "m"))
        self.assertEqual((self.task.stage, self.moves), (Stage.SENT, []))

    def test_what_is_no_report_is_refused(self) -> None:
        """As ``protocol.md`` has it."""
        for payload in (b"{", b"[]", b'{"type":"taskComplete"}', b'{"type":""}'):
            with self.assertRaises(InvalidMessageError):
                self.tasks.reported(payload, "m")

    def test_text_that_utf_8_does_not_have_is_replaced(self) -> None:
        """Half a surrogate pair could not be answered by HTTP."""
        self.report("taskOutput", output="a\ud83d")
        self.report("taskOutput", output=["b"])
        self.assertEqual(list(self.task.output), ["a?", ""])

    def test_only_the_latest_output_is_kept(self) -> None:
        """All of it is counted."""
        line = "x" * 1_000
        for number in range(KEPT_OUTPUT // 1_000 + 10):
            self.report("taskOutput", output=f"{number:04}{line}")
        self.assertLessEqual(sum(map(len, self.task.output)), KEPT_OUTPUT)
        self.assertEqual(self.task.lines, KEPT_OUTPUT // 1_000 + 10)
        self.assertTrue(self.task.output[-1].startswith(f"{self.task.lines - 1:04}"))

    def test_a_line_longer_than_all_that_is_kept_is_kept_alone(self) -> None:
        """There is always a last line."""
        self.report("taskOutput", output="x" * (KEPT_OUTPUT + 1))
        self.assertEqual(len(self.task.output), 1)


class DuplicateTests(TaskListTestCase):
    """Reports come at least once, in order."""

    def told(self) -> list[bytes]:
        """All reports of a run."""
        run = RunReports(self.task.task_id)
        return [
            run.status("running"),
            run.output("stdout", "a"),
            run.progress(50, 1, 0.1),
            run.output("stdout", "b"),
            run.output("stderr", "b"),
            run.complete(Ending(3)),
        ]

    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=5))
    def test_what_lost_connections_repeat_changes_nothing(self, connections: list[tuple[int, int]]) -> None:
        """Each sends what is not proven, oldest first, gets so far with that, and so much of it is proven."""
        self.setUp()
        reports = self.told()
        proven = 0
        for sent, newly_proven in connections:
            for report in reports[proven : proven + sent]:
                self.tasks.reported(report, "m")
            proven += min(sent, newly_proven)
        for report in reports[proven:]:
            self.tasks.reported(report, "m")
        self.assertEqual(view(self.task), (Stage.FAILED, False, "exit status 3", 3, 50, 3, ["a", "b", "b"]))

    def test_a_task_that_has_ended_stays_as_it_ended(self) -> None:
        """A late report of a daemon that was thought lost changes nothing."""
        self.report("taskComplete", success=False, error="daemon d lost")
        self.report("taskOutput", output="still here", sequence=1, runId="r")
        self.report("taskOutput", output="still here")
        self.report("taskProgress", percent=99)
        self.report("taskStatusChange", newStatus="running")
        self.report("taskComplete", success=True, exitStatus=0)
        stage, success, error, _, percent, _, output = view(self.task)
        self.assertEqual((stage, success, error, percent), (Stage.FAILED, False, "daemon d lost", None))
        self.assertEqual((output, self.task.duplicates), (["still here"], 1))
        self.assertEqual(self.moves, [Stage.FAILED])

    def test_a_second_run_counts_its_outputs_anew(self) -> None:
        """A requeued task prints again what it printed, and that is no duplicate."""
        for _ in range(2):
            run = RunReports(self.task.task_id)
            output = run.output("stdout", "a")
            for report in (output, output):
                self.tasks.reported(report, "m")
        self.assertEqual((list(self.task.output), self.task.duplicates), (["a", "a"], 2))


class QueueTests(TaskListTestCase):
    """Who has which task."""

    def test_the_oldest_waits_first(self) -> None:
        """Nothing overtakes."""
        first, second = self.tasks.add("1", "make"), self.tasks.add("2", "make")
        self.assertIs(self.tasks.oldest_waiting(), first)
        self.tasks.sent(first, "m")
        self.assertIs(self.tasks.oldest_waiting(), second)

    def test_a_machine_holds_what_it_was_sent_until_that_has_ended(self) -> None:
        """So its slots can be counted."""
        other = self.sent_task()
        self.assertEqual((self.tasks.load("m"), self.tasks.held_by("m")), (2, [self.task, other]))
        self.report("taskComplete", success=True)
        self.assertEqual((self.tasks.load("m"), self.tasks.held_by("m")), (1, [other]))
        self.assertEqual(self.tasks.load("n"), 0)

    def test_what_was_not_delivered_waits_again_before_all_others(self) -> None:
        """In its order, and without what turned out to have been delivered."""
        second, third = self.sent_task(), self.sent_task()
        self.tasks.add("later", "make")
        self.tasks.reported(RunReports(second.task_id).status("running"), "m")
        self.tasks.not_delivered([self.task, second, third])
        self.assertEqual(self.tasks.load("m"), 1)
        for expected in (self.task, third):
            self.assertIs(self.tasks.oldest_waiting(), expected)
            self.tasks.sent(expected, "m")

    def test_a_report_on_a_task_that_waits_again_shows_who_has_it(self) -> None:
        """It was delivered after all, and is not sent again."""
        self.tasks.not_delivered([self.task])
        self.report("taskStatusChange", newStatus="running")
        self.assertIsNone(self.tasks.oldest_waiting())
        self.assertEqual((self.task.holder, self.tasks.held_by("m")), ("m", [self.task]))

    def test_an_interrupt_ends_a_task_that_waits(self) -> None:
        """One that was sent ends when its daemon says so."""
        waiting = self.tasks.add("waits", "make")
        self.tasks.interrupted(waiting)
        self.tasks.interrupted(self.task)
        self.assertEqual((waiting.stage, waiting.error), (Stage.CANCELLED, "cancelled before it was sent"))
        self.assertIsNone(self.tasks.oldest_waiting())
        self.assertEqual((self.task.stage, self.task.interrupted), (Stage.SENT, True))
