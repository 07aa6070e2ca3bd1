"""What the daemons' reports do (``protocol.md``, *Downstream*)."""

from __future__ import annotations

from makima_relay.core.effects import (
    ForgetCommands,
    KeepReport,
    RecallTasks,
    SaveTask,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.from_daemons import read_report
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import (
    AT,
    D1,
    D2,
    NOW,
    RUNNING,
    SERVER,
    ended,
    events,
    hello,
    of_kind,
    refusal,
    relayed,
    task,
    wire,
)
from tests.core.cases import ReportTestCase
from tests.untraced import untraced


class PlainReportTests(ReportTestCase):
    """Anything else with a ``taskId``, and anything else."""

    def test_a_report_on_a_dispatched_task_marks_it_running_and_is_relayed(self) -> None:
        """Whatever its type; the next one is relayed alone."""
        for kind in ("taskOutput", "task_progress", "somethingNew"):
            self.start_with_task()
            payload = wire(kind, taskId="t1")
            self.assertEqual(
                self.report(1, payload), [SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED), *relayed(payload)]
            )
            self.assertEqual(self.report(1, payload), relayed(payload, 2))

    def test_a_report_on_no_task_is_relayed(self) -> None:
        """The relay need not understand it."""
        payload = wire("daemonNews", disk=5)
        self.assertEqual(self.report(1, payload), relayed(payload))
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)

    def test_while_the_server_is_away_reports_wait(self) -> None:
        """Nothing is lost and nothing is sent."""
        self.relay.upstream_lost(NOW, "gone")
        self.assertEqual(
            self.report(1, wire("taskOutput", taskId="t1")), [SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED)]
        )
        self.assertEqual(self.relay.reports_waiting, 1)

    def test_a_connection_that_is_not_there_says_nothing(self) -> None:
        """Such a number was never given, or its daemon is lost."""
        self.relay.daemon_lost(1, "gone", NOW)
        for connection in (1, 7):
            report = read_report(wire("taskOutput", taskId="t1"))
            self.assertEqual(self.relay.reports_received(connection, [report], NOW), [])
            self.assertEqual(self.relay.invalid_report_received(connection, "no", NOW), [])
            self.assertEqual(self.relay.daemon_seen(connection, NOW), [])


class CompletionTests(ReportTestCase):
    """``taskComplete``."""

    def test_success_completes_a_task(self) -> None:
        """Status and report are kept in one go, then it is relayed; the error of a success is none."""
        self.report(1, wire("taskOutput", taskId="t1"))
        self.relay.acknowledged(1)
        payload = wire("taskComplete", taskId="t1", success=True, error="none")
        expected = ended(TaskStatus.COMPLETED, payload)
        expected[1:] = [KeepReport(2, payload), SendUpstream(SERVER, payload, 2)]
        self.assertEqual(self.report(1, payload), expected)
        self.assertEqual(self.relay.total_finished, 1)

    def test_failure_fails_it_and_its_error_is_kept(self) -> None:
        """As first report on a dispatched task it also shows that it ran."""
        payload = wire("taskComplete", taskId="t1", success=False, error="boom")
        self.assertEqual(
            self.report(1, payload),
            [SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED), *ended(TaskStatus.FAILED, payload, "boom")],
        )

    def test_its_slot_is_free_at_once(self) -> None:
        """The oldest pending task gets it, after the report."""
        waiting = self.spawn("t2")
        self.spawn("t3")
        payload = wire("taskComplete", taskId="t1", success=True)
        dispatched = task("t2", 2).dispatched(D1, AT)
        expected = [
            SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED),
            *ended(TaskStatus.COMPLETED, payload),
            SaveTask(dispatched, AT, before=TaskStatus.PENDING),
            SendToDaemon(1, waiting),
        ]
        self.assertEqual(self.report(1, payload), expected)

    def test_while_the_server_is_away_the_end_is_kept(self) -> None:
        """It is sent when the server is back."""
        self.relay.upstream_lost(NOW, "gone")
        payload = wire("taskComplete", taskId="t1", success=True)
        self.assertEqual(self.report(1, payload)[1:], ended(TaskStatus.COMPLETED, payload)[:2])

    def test_commands_that_wait_for_an_orphaned_task_go_to_the_daemon_that_reports_its_end(self) -> None:
        """It has returned before, so they are sent on its return; none is left over when the task ends."""
        self.relay.daemon_lost(1, "gone", NOW)
        command = wire("sendInput", taskId="t1")
        self.command(command)
        joined = self.relay.daemon_joined(2, hello(), "a", NOW)
        self.assertEqual(joined[-2:], [ForgetCommands(1), SendToDaemon(2, command)])
        decided = self.report(2, wire("taskComplete", taskId="t1", success=True))
        self.assertEqual(of_kind(decided, ForgetCommands), [])


class StatusChangeTests(ReportTestCase):
    """``taskStatusChange``."""

    def test_running_marks_a_task_running(self) -> None:
        """Once; the report is relayed each time."""
        payload = wire("taskStatusChange", taskId="t1", newStatus="running")
        self.assertEqual(
            self.report(1, payload), [SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED), *relayed(payload)]
        )
        self.assertEqual(self.report(1, payload), relayed(payload, 2))

    def test_the_finishing_words_finish_it(self) -> None:
        """Like a completion, in one transaction with the report."""
        for word, status, error in (
            ("completed", TaskStatus.COMPLETED, None),
            ("done", TaskStatus.COMPLETED, None),
            ("failed", TaskStatus.FAILED, "boom"),
            ("cancelled", TaskStatus.CANCELLED, "boom"),
            ("Interrupted", TaskStatus.CANCELLED, "boom"),
        ):
            self.start_with_task()
            payload = wire("task_status_change", taskId="t1", newStatus=word, error="boom")
            expected = [SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED), *ended(status, payload, error)]
            self.assertEqual(self.report(1, payload), expected, word)

    def test_a_finish_frees_the_slot(self) -> None:
        """As a completion does."""
        self.spawn("t2")
        self.report(1, wire("taskStatusChange", taskId="t1", newStatus="cancelled"))
        self.assertEqual(self.known("t2").status, TaskStatus.DISPATCHED)

    def test_a_completion_after_the_change_is_a_late_report(self) -> None:
        """Daemons send both; the second is relayed, and the task is finished once."""
        self.report(1, wire("taskStatusChange", taskId="t1", newStatus="failed"))
        payload = wire("taskComplete", taskId="t1", success=True)
        self.assertEqual(self.report(1, payload), relayed(payload, 2))
        self.assertEqual((self.known().status, self.relay.total_finished), (TaskStatus.FAILED, 1))

    def test_a_word_that_the_relay_does_not_know_is_a_report_like_any_other(self) -> None:
        """It is relayed."""
        payload = wire("taskStatusChange", taskId="t1", newStatus="paused")
        self.assertEqual(
            self.report(1, payload), [SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED), *relayed(payload)]
        )


class LateReportTests(ReportTestCase):
    """A report on a finished task."""

    def test_one_by_its_last_holder_is_relayed_and_changes_nothing(self) -> None:
        """Whatever it says."""
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        before = self.known()
        for number, payload in enumerate(
            (
                wire("taskOutput", taskId="t1"),
                wire("taskComplete", taskId="t1", success=False),
                wire("taskStatusChange", taskId="t1", newStatus="running"),
            ),
            2,
        ):
            self.assertEqual(self.report(1, payload), relayed(payload, number))
        self.assertEqual(self.known(), before)

    def test_one_by_another_daemon_is_refused(self) -> None:
        """There is nothing to interrupt."""
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        other = self.join("m2")
        decided = self.report(other, wire("taskOutput", taskId="t1"))
        self.assertEqual(decided[0], refusal(other))
        self.assertEqual(events(decided), ["not_your_task"])
        self.assertEqual(len(decided), 2)

    def test_one_on_a_task_that_only_the_store_remembers(self) -> None:
        """The store is asked, and what was said goes on when it has answered, in order."""
        finished = task("old", 77, status=TaskStatus.FAILED, daemon_id=D1, attempts=3, finished_at=AT)
        late, other = wire("taskComplete", taskId="old", success=True), wire("taskOutput", taskId="t1")
        self.assertEqual(self.relay.reports_received(1, [read_report(late)], NOW), [RecallTasks(("old",))])
        self.assertEqual(self.relay.reports_received(1, [read_report(other)], NOW), [])
        decided = self.relay.tasks_recalled(("old",), [finished], NOW)
        self.assertEqual(
            decided, [*relayed(late), SaveTask(RUNNING, AT, before=TaskStatus.DISPATCHED), *relayed(other, 2)]
        )
        self.assertEqual((self.known("old"), self.relay.total_finished), (finished, 0))

    def test_one_by_another_daemon_on_a_task_that_only_the_store_remembers(self) -> None:
        """Refused, as if the relay had had it in mind."""
        self.stored["old"] = task("old", 77, status=TaskStatus.FAILED, daemon_id=D2)
        decided = self.report(1, wire("taskOutput", taskId="old"))
        self.assertEqual((decided[0], events(decided)), (refusal(1, "old"), ["not_your_task"]))

    @untraced
    def test_one_on_a_task_that_was_evicted(self) -> None:
        """Of very many finished tasks only the latest are in mind; a report on an older one is no adoption."""
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.stored["t1"] = self.known()
        for number in range(10_000):
            self.report(1, wire("taskComplete", taskId=f"adopted {number}", success=True))
        self.assertIsNone(self.relay.task("t1"))
        payload = wire("taskOutput", taskId="t1")
        self.assertEqual(self.report(1, payload), relayed(payload, 10_002))
        self.assertEqual(self.known(), self.stored["t1"])
