"""A daemon is lost and does not return (``protocol.md``, *A daemon is lost*)."""

from __future__ import annotations

from makima_relay.core.effects import (
    Effect,
    ForgetCommands,
    KeepReport,
    SaveTask,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.from_daemons import read_report
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, NOW, SERVER, hello, logged, of_kind, relayed, shown, wire
from tests.core.cases import GRACE, ORPHANED, LossTestCase, failed_as_lost


class LossTests(LossTestCase):
    """The connection is gone."""

    def test_unfinished_tasks_are_orphaned(self) -> None:
        """Dispatched and running ones alike, while finished ones stay; it is logged why."""
        self.start()
        self.connect_server()
        self.join()
        for task_id in ("t1", "t2", "t3"):
            self.spawn(task_id)
        self.report(1, wire("taskOutput", taskId="t2"))
        self.report(1, wire("taskComplete", taskId="t3", success=True))
        second = self.known("t2").to(TaskStatus.ORPHANED)
        decided = self.relay.daemon_lost(1, "cable cut", NOW)
        expected = [
            logged("daemon_disconnected", daemonId=D1, hostname="host-m1"),
            SaveTask(ORPHANED, AT, before=TaskStatus.DISPATCHED),
            SaveTask(second, AT, before=TaskStatus.RUNNING),
        ]
        self.assertEqual(shown(decided), expected)
        self.assertEqual(self.relay.active_tasks(), ["t1", "t2"])
        self.assertEqual(self.relay.daemons(), [])

    def test_a_connection_is_lost_once(self) -> None:
        """Hearing of it again changes nothing."""
        self.lose()
        self.assertEqual(self.lose(), [])

    def test_an_orphaned_task_is_not_given_to_others(self) -> None:
        """Its daemon has a grace to return."""
        self.lose()
        self.assertEqual(of_kind(self.relay.daemon_joined(2, hello("m2"), "a", NOW), SaveTask), [])
        self.assertEqual(of_kind(self.pass_time(GRACE - 0.001), SaveTask), [])

    def test_the_next_deadline_is_the_end_of_the_earliest_grace(self) -> None:
        """None while no task is orphaned."""
        self.assertIsNone(self.relay.next_deadline())
        self.join("m2")
        self.spawn("t2")
        self.lose(1)
        self.lose(2, NOW + 5)
        self.assertEqual(self.relay.next_deadline(), NOW + GRACE)
        again = self.join("m1")
        self.heartbeat(again, "t1")
        self.assertEqual(self.relay.next_deadline(), NOW + 5 + GRACE)
        self.pass_time(5 + GRACE)
        self.relay.acknowledged(1)
        self.assertIsNone(self.relay.next_deadline())


class UnheardTests(LossTestCase):
    """Daemons that are not read cannot say what they have."""

    def test_no_grace_goes_by_while_nobody_is_read(self) -> None:
        """As long as the database cannot be written; what was left of it goes on afterwards, and a second more."""
        self.lose()
        self.pass_time(GRACE - 1)
        self.relay.suspended(NOW + GRACE - 1)
        self.assertIsNone(self.relay.next_deadline())
        self.relay.suspended(NOW + GRACE)
        self.assertEqual(of_kind(self.pass_time(9 * GRACE), SaveTask), [])
        self.relay.resumed(NOW + 9 * GRACE)
        self.assertEqual(self.relay.next_deadline(), NOW + 9 * GRACE + 2)
        self.relay.resumed(NOW + 9 * GRACE)
        self.assertEqual(of_kind(self.pass_time(9 * GRACE + 1.9), SaveTask), [])
        self.assertEqual(shown(self.pass_time(9 * GRACE + 2)), failed_as_lost(9 * GRACE + 2))

    def test_one_that_begins_meanwhile_is_whole_afterwards(self) -> None:
        """A daemon that is lost then has all of its grace to be heard."""
        self.relay.suspended(NOW)
        self.lose(1, NOW + 5)
        self.relay.resumed(NOW + 10)
        self.assertEqual(self.relay.next_deadline(), NOW + 11 + GRACE)

    def test_a_daemon_that_has_returned_and_is_held_keeps_its_tasks(self) -> None:
        """The server is slow, so what the daemon says of them waits in its socket."""
        self.start()
        self.connect_server()
        self.join()
        self.spawn()
        self.lose()
        again = self.join()
        self.relay.upstream_congested()
        self.report(again, wire("news"))
        self.assertEqual(of_kind(self.pass_time(GRACE), SaveTask), [])
        self.assertEqual(self.relay.next_deadline(), NOW + 2 * GRACE)
        self.relay.upstream_drained()
        self.report(again, wire("news"), NOW + GRACE + 1)
        self.assertEqual(shown(self.pass_time(2 * GRACE))[:2], failed_as_lost(2 * GRACE)[:2])

    def test_a_daemon_that_has_returned_and_said_what_has_to_wait_keeps_its_tasks(self) -> None:
        """What it says of them comes behind a report on a task that is looked up."""
        self.start()
        self.connect_server()
        self.join()
        self.spawn()
        self.lose()
        again = self.join()
        said = [wire("taskOutput", taskId="t9"), wire("heartbeat", activeTasks=["t1"])]
        self.relay.reports_received(again, [read_report(each) for each in said], NOW)
        self.assertEqual(of_kind(self.pass_time(GRACE), SaveTask), [])
        self.relay.tasks_recalled(("t9",), [], NOW + GRACE)
        self.assertEqual(self.known().status, TaskStatus.RUNNING)

    def test_a_daemon_that_was_held_and_is_gone_keeps_nothing(self) -> None:
        """Its grace ends as anybody's."""
        self.start()
        self.connect_server()
        self.join()
        self.spawn()
        self.relay.upstream_congested()
        self.report(1, wire("news"))
        self.lose()
        self.assertEqual(shown(self.pass_time(GRACE))[:2], failed_as_lost(GRACE)[:2])


class FailPolicyTests(LossTestCase):
    """``--on-daemon-loss fail``."""

    def test_after_the_grace_a_task_fails_and_the_server_is_told(self) -> None:
        """With the hostname, in one transaction."""
        self.lose()
        self.assertEqual(shown(self.pass_time(GRACE)), failed_as_lost(GRACE))
        self.assertEqual((self.relay.total_finished, self.relay.active_tasks()), (1, []))

    def test_while_the_server_is_away_the_report_waits(self) -> None:
        """And is kept."""
        self.relay.upstream_lost(NOW, "gone")
        self.lose()
        self.assertEqual(shown(self.pass_time(GRACE)), failed_as_lost(GRACE)[:-1])
        self.assertEqual(self.relay.reports_waiting, 1)

    def test_the_commands_that_wait_go_with_the_task(self) -> None:
        """Nobody wants them any more."""
        self.lose()
        self.command(wire("sendInput", taskId="t1"))
        self.assertEqual(of_kind(self.pass_time(GRACE), ForgetCommands), [ForgetCommands(1)])

    def test_late_reports_of_the_daemon_are_relayed(self) -> None:
        """It was the last holder; the task stays failed."""
        self.lose()
        self.pass_time(GRACE)
        again = self.join(now=NOW + GRACE)
        payload = wire("taskComplete", taskId="t1", success=True)
        self.assertEqual(self.report(again, payload, NOW + GRACE), relayed(payload, 2))
        self.assertEqual(self.known().status, TaskStatus.FAILED)

    def test_each_task_is_lost_for_itself(self) -> None:
        """All whose grace is over, in the order of their deadlines."""
        self.join("m2")
        self.spawn("t2")
        self.lose(2)
        self.lose(1, NOW + 5)
        lost = [
            each.fields["taskId"] for each in shown(self.pass_time(GRACE + 5)) if isinstance(each, type(logged("")))
        ]
        self.assertEqual(lost, ["t2", "t1"])


class RequeuePolicyTests(LossTestCase):
    """``--on-daemon-loss requeue``."""

    def setUp(self) -> None:
        super().setUp()
        self.start_with_task(Policy(on_loss=LossPolicy.REQUEUE))

    def test_after_the_grace_a_task_is_pending_again(self) -> None:
        """The server is not told; the attempt counts."""
        self.lose()
        decided = self.pass_time(GRACE)
        expected = [
            logged("task_lost", taskId="t1", daemonId=D1, hostname="host-m1"),
            SaveTask(ORPHANED.to(TaskStatus.PENDING), AT + GRACE, before=TaskStatus.ORPHANED),
        ]
        self.assertEqual(shown(decided), expected)
        self.assertEqual((self.known().attempts, self.relay.pending_tasks), (1, 1))

    def test_it_is_dispatched_at_once_where_there_is_room(self) -> None:
        """With the message that first asked for it, before those that came later."""
        self.spawn("t2")
        self.lose()
        other = self.join("m2", capacity=0)
        self.pass_time(GRACE)
        self.lose(other, NOW + GRACE)
        sent = of_kind(self.relay.daemon_joined(9, hello("m2", 1), "a", NOW + GRACE), SendToDaemon)
        self.assertEqual(sent[1:], [SendToDaemon(9, wire("spawnTask", taskId="t1"))])

    def test_a_task_that_is_not_listed_is_requeued_too(self) -> None:
        """Perhaps to the very daemon that lost it."""
        self.lose()
        again = self.join()
        decided = self.heartbeat(again)
        pending = ORPHANED.to(TaskStatus.PENDING)
        expected = [
            SaveTask(pending, AT, before=TaskStatus.ORPHANED),
            SaveTask(pending.dispatched(D1, AT), AT, before=TaskStatus.PENDING),
            SendToDaemon(again, wire("spawnTask", taskId="t1")),
        ]
        self.assertEqual(decided[1:], expected)

    def return_without_tasks(self, connection: int) -> list[Effect]:
        """Have the daemon on a connection go, come back, and list nothing."""
        self.lose(connection)
        return self.heartbeat(self.join())

    def test_after_the_third_attempt_it_fails(self) -> None:
        """``--max-task-attempts``; the server is told then."""
        for attempt in (1, 2, 3):
            self.assertEqual((self.known().status, self.known().attempts), ("dispatched", attempt))
            decided = self.return_without_tasks(attempt)
        self.assertEqual(self.known().status, TaskStatus.FAILED)
        report = wire("taskComplete", taskId="t1", success=False, error="daemon host-m1 lost")
        self.assertEqual(decided[2:], [KeepReport(1, report), SendUpstream(SERVER, report, 1)])

    def test_another_number_of_attempts(self) -> None:
        """One is none but the first."""
        self.start_with_task(Policy(on_loss=LossPolicy.REQUEUE, most_attempts=1))
        self.return_without_tasks(1)
        self.assertEqual(self.known().status, TaskStatus.FAILED)

    def test_when_the_server_asks_anew_the_attempts_that_may_be_lost_start_over(self) -> None:
        """While ``attempts`` counts on."""
        for connection in (1, 2, 3):
            self.return_without_tasks(connection)
        self.spawn()
        self.assertEqual((self.known().attempts, self.known().tries), (4, 1))
        self.return_without_tasks(4)
        self.assertEqual((self.known().status, self.known().attempts), ("dispatched", 5))

    def test_an_adopted_task_fails(self) -> None:
        """Nobody knows the message that asked for it."""
        self.report(1, wire("taskOutput", taskId="new"))
        self.lose()
        self.heartbeat(self.join(capacity=0), "t1")
        self.assertEqual(self.known("new").status, TaskStatus.FAILED)

    def test_one_that_is_to_be_stopped_fails(self) -> None:
        """Nobody wants it to run elsewhere: an operator's cancel waits for it, or the server's."""
        for stop in (
            lambda: self.relay.cancel_requested("t1", NOW),
            lambda: self.command(wire("killTask", taskId="t1")),
        ):
            self.start_with_task(Policy(on_loss=LossPolicy.REQUEUE))
            self.lose()
            stop()
            self.pass_time(GRACE)
            self.assertEqual(self.known().status, TaskStatus.FAILED)

    def test_commands_that_wait_go_with_it_to_its_next_daemon(self) -> None:
        """Right after its spawnTask."""
        self.lose()
        command = wire("sendInput", taskId="t1")
        self.command(command)
        self.pass_time(GRACE)
        sent = of_kind(self.relay.daemon_joined(9, hello("m2"), "a", NOW + GRACE), SendToDaemon)
        self.assertEqual(sent[1:], [SendToDaemon(9, wire("spawnTask", taskId="t1")), SendToDaemon(9, command)])

    def test_its_former_daemon_is_interrupted_when_it_returns(self) -> None:
        """The task is at work elsewhere now: once it reports on it or lists it."""
        for payload in (wire("taskOutput", taskId="t1"), wire("heartbeat", activeTasks=["t1"])):
            self.start_with_task(Policy(on_loss=LossPolicy.REQUEUE))
            self.lose()
            self.pass_time(GRACE)
            self.join("m2", now=NOW + GRACE)
            again = self.join("m1", now=NOW + GRACE)
            decided = self.report(again, payload, NOW + GRACE)
            self.assertIn(SendToDaemon(again, wire("interruptTask", taskId="t1")), decided)
