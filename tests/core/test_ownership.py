"""Whose task is it: reports on others' tasks, on tasks that were given up, and on tasks that nobody knows."""

from __future__ import annotations

import json

from makima_relay.core.effects import (
    ForgetCommands,
    RecallTasks,
    SaveTask,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.from_daemons import read_report
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.rejections import Rejection
from makima_relay.core.reports import MOST_HELD
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import Task, TaskStatus
from tests.core.builders import (
    AT,
    D1,
    D2,
    NOW,
    ended,
    events,
    hello,
    logged,
    of_kind,
    refusal,
    relayed,
    shown,
    task,
    wire,
)
from tests.core.cases import ReportTestCase
from tests.untraced import untraced


class ForeignReportTests(ReportTestCase):
    """A report about a task that another daemon holds."""

    def test_it_is_refused_and_the_reporter_interrupted(self) -> None:
        """No task runs twice for long; nothing is relayed and nothing changes."""
        other = self.join("m2")
        before = self.known()
        for payload in (
            wire("taskOutput", taskId="t1"),
            wire("taskComplete", taskId="t1", success=True),
            wire("taskStatusChange", taskId="t1", newStatus="done"),
        ):
            self.relay.daemon_lost(other, "gone", NOW)
            other = self.join("m2")
            expected = [
                refusal(other),
                logged("not_your_task", taskId="t1", daemonId=D2, hostname="host-m2"),
                SendToDaemon(other, wire("interruptTask", taskId="t1")),
            ]
            self.assertEqual(shown(self.report(other, payload)), expected)
        self.assertEqual((self.known(), self.relay.reports_waiting), (before, 0))
        self.assertEqual(self.relay.rejected[Rejection.NOT_YOUR_TASK], 3)

    def test_each_one_is_answered_but_one_interrupt_is_enough(self) -> None:
        """Nor is the journal filled."""
        other = self.join("m2")
        payload = wire("taskOutput", taskId="t1")
        self.report(other, payload)
        self.assertEqual(self.report(other, payload), [refusal(other)])

    def test_all_is_said_in_the_reporters_own_spelling(self) -> None:
        """Error and interrupt."""
        other = self.join("m2", case=WireCase.PASCAL)
        decided = self.report(other, wire("TaskOutput", taskId="t1"))
        expected = [refusal(other, kind="Error"), SendToDaemon(other, wire("InterruptTask", taskId="t1"))]
        self.assertEqual(of_kind(decided, SendToDaemon), expected)

    def test_an_orphaned_task_is_at_work_elsewhere(self) -> None:
        """Its daemon may return for it."""
        other = self.join("m2")
        self.relay.daemon_lost(1, "gone", NOW)
        decided = self.report(other, wire("taskOutput", taskId="t1"))
        self.assertIn(SendToDaemon(other, wire("interruptTask", taskId="t1")), decided)
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)

    def test_a_requeued_task_is_its_last_holders(self) -> None:
        """Others are refused; it is not at work, so there is nothing to interrupt."""
        self.start_with_task(Policy(on_loss=LossPolicy.REQUEUE, daemon_grace=5))
        self.relay.daemon_lost(1, "gone", NOW)
        self.relay.time_passed(NOW + 5, AT + 5)
        other = self.join("m2", capacity=0)
        decided = self.report(other, wire("taskComplete", taskId="t1", success=True))
        self.assertEqual((of_kind(decided, SendToDaemon), len(decided)), ([refusal(other)], 2))
        self.assertEqual(self.known().status, TaskStatus.PENDING)

    def test_a_new_attempt_that_waits_is_the_former_holders(self) -> None:
        """Who last held the task may still report on it, which is relayed and changes nothing; others are refused."""
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.relay.drain_requested(D1, draining=True, now=NOW)
        other = self.join("m2", capacity=0)
        self.spawn()
        pending = self.known()
        self.assertEqual(pending.status, TaskStatus.PENDING)
        for number, kind in ((2, "taskOutput"), (3, "taskComplete")):
            payload = wire(kind, taskId="t1", success=True)
            self.assertEqual(self.report(1, payload), relayed(payload, number))
        self.assertEqual(self.known(), pending)
        decided = self.report(other, wire("taskOutput", taskId="t1"))
        self.assertEqual(decided[:1], [refusal(other)])


class StillThereTests(ReportTestCase):
    """A daemon that reports on a task which it held before and which is pending again."""

    def lose_and_requeue(self) -> None:
        """Make t1 pending again, with the first daemon as its last holder; nobody is connected then."""
        self.start_with_task(Policy(on_loss=LossPolicy.REQUEUE, daemon_grace=5))
        self.relay.daemon_lost(1, "gone", NOW)
        self.relay.time_passed(NOW + 5, AT + 5)
        self.assertEqual((self.known().status, self.known().daemon_id), (TaskStatus.PENDING, D1))

    def test_it_has_it_still(self) -> None:
        """The task is running there, and is taken out of the queue."""
        self.lose_and_requeue()
        again = self.join(capacity=0, now=NOW + 5)
        payload = wire("taskOutput", taskId="t1")
        running = task(
            status=TaskStatus.RUNNING, daemon_id=D1, attempts=1, tries=1, dispatched_at=AT, started_at=AT + 5
        )
        expected = [SaveTask(running, AT + 5, before=TaskStatus.PENDING), *relayed(payload)]
        self.assertEqual(self.report(again, payload, NOW + 5), expected)
        self.assertEqual((self.relay.pending_tasks, self.relay.active_tasks()), (0, ["t1"]))

    def test_it_may_report_its_end(self) -> None:
        """Then it is finished, not dispatched again."""
        self.lose_and_requeue()
        again = self.join(capacity=0, now=NOW + 5)
        self.report(again, wire("taskComplete", taskId="t1", success=True), NOW + 5)
        self.assertEqual(self.known().status, TaskStatus.COMPLETED)
        self.relay.daemon_lost(again, "gone", NOW)
        self.assertEqual(of_kind(self.relay.daemon_joined(9, hello(capacity=5), "a", NOW + 5), SaveTask), [])

    def test_it_may_list_it(self) -> None:
        """A heartbeat shows it as well."""
        self.lose_and_requeue()
        again = self.join(capacity=0, now=NOW + 5)
        self.report(again, wire("heartbeat", activeTasks=["t1"]), NOW + 5)
        self.assertEqual(self.known().status, TaskStatus.RUNNING)

    def test_it_gets_the_commands_that_wait(self) -> None:
        """In order, as if it had never been away."""
        self.lose_and_requeue()
        command = wire("sendInput", taskId="t1")
        self.command(command)
        again = self.join(capacity=0, now=NOW + 5)
        decided = self.report(again, wire("taskOutput", taskId="t1"), NOW + 5)
        self.assertEqual(decided[1:3], [ForgetCommands(1), SendToDaemon(again, command)])


class AdoptionTests(ReportTestCase):
    """A report about a task that the relay does not know."""

    def adopted(self, task_id: str, key: int) -> Task:
        """Such a task, as it is recorded."""
        return task(task_id, key, status=TaskStatus.RUNNING, daemon_id=D1, started_at=AT)

    def test_it_is_recorded_as_running_there_and_relayed(self) -> None:
        """Once the store does not know it either."""
        payload = wire("taskOutput", taskId="new")
        self.assertEqual(self.relay.reports_received(1, [read_report(payload)], NOW), [RecallTasks(("new",))])
        expected = [SaveTask(self.adopted("new", 2), AT), *relayed(payload)]
        self.assertEqual(self.relay.tasks_recalled(("new",), [], NOW), expected)

    def test_it_takes_a_slot(self) -> None:
        """The daemon has that many tasks, however it came by them."""
        free = self.join("m2", capacity=1)
        self.report(free, wire("taskOutput", taskId="new"))
        self.spawn("t2")
        self.assertEqual(self.known("t2").status, TaskStatus.PENDING)

    def test_it_may_have_ended_already(self) -> None:
        """Then it is recorded, and finished."""
        payload = wire("taskComplete", taskId="new", success=True)
        adopted = self.adopted("new", 2)
        expected = [SaveTask(adopted, AT), *ended(TaskStatus.COMPLETED, payload, before=adopted)]
        self.assertEqual(self.report(1, payload), expected)

    def test_a_change_of_its_status_adopts_it_too(self) -> None:
        """Every report about a task does."""
        payload = wire("taskStatusChange", taskId="new", newStatus="running")
        self.assertEqual(self.report(1, payload), [SaveTask(self.adopted("new", 2), AT), *relayed(payload)])

    def test_it_is_the_adopters_from_then_on(self) -> None:
        """Commands go there, others' reports are refused, and a spawnTask for it is a duplicate."""
        self.report(1, wire("taskOutput", taskId="new"))
        command = wire("sendInput", taskId="new")
        self.assertEqual(self.command(command), [SendToDaemon(1, command)])
        other = self.join("m2")
        self.assertEqual(self.report(other, wire("taskOutput", taskId="new"))[0], refusal(other, "new"))
        self.assertEqual(events(self.command(wire("spawnTask", taskId="new"))), ["duplicate_task"])

    def test_who_makes_up_too_many_is_refused(self) -> None:
        """Or one daemon would fill the memory, and the heartbeats to the server; what ends makes room."""
        self.start(Policy(most_pending=2))
        self.join()
        for task_id in ("a", "b"):
            self.report(1, wire("taskOutput", taskId=task_id))
        for payload in (wire("taskOutput", taskId="c"), wire("taskComplete", taskId="c", success=True)):
            decided = self.report(1, payload)
            self.assertEqual(json.loads(of_kind(decided, SendToDaemon)[0].payload)["code"], "overloaded")
            self.assertEqual(of_kind(decided, SaveTask), [])
        self.assertIsNone(self.relay.task("c"))
        self.assertEqual(self.relay.rejected[Rejection.OVERLOADED], 2)
        self.report(1, wire("taskComplete", taskId="a", success=True))
        self.report(1, wire("taskOutput", taskId="c"))
        self.assertIsNotNone(self.relay.task("c"))

    @untraced
    def test_no_daemon_takes_up_more_than_it_could_be_given(self) -> None:
        """10,000; others may take up theirs."""
        self.join("m2")
        for number in range(MOST_HELD):
            self.report(1, wire("taskOutput", taskId=f"made-up-{number}"))
        # It holds one that the server gave it, too.
        self.assertIsNone(self.relay.task(f"made-up-{MOST_HELD - 1}"))
        self.assertIsNotNone(self.relay.task(f"made-up-{MOST_HELD - 2}"))
        self.report(2, wire("taskOutput", taskId="another"))
        self.assertIsNotNone(self.relay.task("another"))

    def test_a_heartbeat_adopts_nothing(self) -> None:
        """It is no report about a task."""
        self.assertEqual(self.report(1, wire("heartbeat", activeTasks=["new"])), [])
        self.assertIsNone(self.relay.task("new"))

    def test_one_whose_daemon_left_before_the_store_answered_is_orphaned(self) -> None:
        """Its report is relayed all the same, and the daemon may return for it as for any other task."""
        payload = wire("taskOutput", taskId="new")
        self.relay.reports_received(1, [read_report(payload)], NOW)
        self.relay.daemon_lost(1, "gone", NOW)
        decided = self.relay.tasks_recalled(("new",), [], NOW)
        self.assertEqual(of_kind(decided, SendUpstream), relayed(payload))
        self.assertEqual(self.known("new").status, TaskStatus.ORPHANED)
        again = self.join()
        self.report(again, wire("heartbeat", activeTasks=["t1", "new"]))
        self.assertEqual(self.known("new").status, TaskStatus.RUNNING)

    def test_a_daemon_without_other_tasks_may_return_for_an_adopted_one(self) -> None:
        """Though nothing of it was remembered when it left; it holds the task as if it had never been away."""
        other = self.join("m2", capacity=1)
        payload = wire("taskOutput", taskId="new")
        self.relay.reports_received(other, [read_report(payload)], NOW)
        self.relay.daemon_lost(other, "gone", NOW)
        self.relay.tasks_recalled(("new",), [], NOW)
        again = self.join("m2", capacity=1)
        self.report(again, wire("heartbeat", activeTasks=["new"]))
        self.assertEqual(self.known("new").status, TaskStatus.RUNNING)
        self.spawn("t2")
        self.assertEqual(self.known("t2").status, TaskStatus.PENDING)
        self.relay.daemon_lost(again, "gone", NOW)
        self.assertEqual(self.known("new").status, TaskStatus.ORPHANED)
