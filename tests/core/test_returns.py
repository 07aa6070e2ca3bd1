"""A daemon returns after a loss, or connects twice (``protocol.md``, *A daemon is lost*)."""

from __future__ import annotations

from makima_relay.core.effects import (
    CloseDaemon,
    ForgetCommands,
    SaveDaemon,
    SaveTask,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.from_daemons import read_report
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, D2, NOW, RUNNING, events, hello, logged, of_kind, relayed, shown, task, wire
from tests.core.cases import GRACE, ORPHANED, LossTestCase, failed_as_lost


class ReturnTests(LossTestCase):
    """The same machine connects again in time."""

    def test_it_keeps_its_tasks(self) -> None:
        """Nothing is dispatched to it again, and what it holds takes slots."""
        self.lose()
        waiting = self.spawn("t2")
        decided = self.relay.daemon_joined(2, hello(capacity=1), "a", NOW + 5)
        self.assertEqual(of_kind(decided, SaveTask, SendToDaemon)[1:], [])
        decided = self.relay.daemon_joined(3, hello(capacity=2), "a", NOW + 5)
        self.assertEqual(decided[-1], SendToDaemon(3, waiting))

    def test_what_its_first_list_names_goes_on_as_running(self) -> None:
        """Whether it was running before or only dispatched; the grace is over."""
        self.lose()
        again = self.join(now=NOW + 5)
        self.assertEqual(
            self.heartbeat(again, "t1", now=NOW + 5),
            [SaveTask(ORPHANED.running(D1, AT + 5), AT + 5, before=TaskStatus.ORPHANED)],
        )
        self.assertEqual(of_kind(self.pass_time(GRACE + 100), SaveTask), [])
        self.assertEqual(self.known().status, TaskStatus.RUNNING)

    def test_what_its_first_list_does_not_name_is_lost(self) -> None:
        """At once, and the slot is free for what waits."""
        self.lose()
        waiting = self.spawn("t2")
        again = self.join(capacity=1, now=NOW + 5)
        decided = self.heartbeat(again, "other", now=NOW + 5)
        dispatched = SaveTask(task("t2", 2).dispatched(D1, AT + 5), AT + 5, before=TaskStatus.PENDING)
        self.assertEqual(shown(decided), [*failed_as_lost(5), dispatched, SendToDaemon(again, waiting)])

    def test_a_task_dispatched_on_the_new_connection_does_not_count(self) -> None:
        """The list may have been written before the task arrived."""
        self.lose()
        again = self.join(capacity=2)
        self.spawn("t2")
        self.heartbeat(again, "t1")
        self.assertEqual((self.known("t1").status, self.known("t2").status), ("running", "dispatched"))

    def test_a_heartbeat_without_a_list_decides_nothing(self) -> None:
        """The first one with a list does."""
        self.lose()
        again = self.join()
        self.assertEqual(self.report(again, wire("heartbeat")), [])
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)
        self.heartbeat(again)
        self.assertEqual(self.known().status, TaskStatus.FAILED)

    def test_a_later_list_loses_nothing(self) -> None:
        """Only the first of a connection is compared with what the daemon held."""
        self.lose()
        again = self.join()
        self.heartbeat(again, "t1")
        self.assertEqual(self.heartbeat(again), [])
        self.assertEqual(self.known().status, TaskStatus.RUNNING)

    def test_any_report_shows_that_it_has_the_task_still(self) -> None:
        """It is running again and the report is relayed; the grace is over."""
        for kind in ("taskOutput", "taskStatusChange"):
            self.start_with_task()
            self.lose()
            again = self.join(now=NOW + 5)
            payload = wire(kind, taskId="t1", newStatus="running")
            expected = [SaveTask(ORPHANED.running(D1, AT + 5), AT + 5, before=TaskStatus.ORPHANED), *relayed(payload)]
            self.assertEqual(self.report(again, payload, NOW + 5), expected)
            self.assertEqual(of_kind(self.pass_time(GRACE + 1), SaveTask), [])

    def test_it_may_report_the_end_at_once(self) -> None:
        """A task that ended while its daemon was away."""
        self.lose()
        again = self.join()
        self.report(again, wire("taskComplete", taskId="t1", success=True))
        self.assertEqual(self.known().status, TaskStatus.COMPLETED)
        self.heartbeat(again)
        self.assertEqual(self.known().status, TaskStatus.COMPLETED)

    def test_a_report_about_one_task_says_nothing_of_the_others(self) -> None:
        """They wait for the list or for the end of their grace."""
        self.start()
        self.join()
        self.spawn("t1")
        self.spawn("t2")
        self.lose()
        again = self.join()
        self.report(again, wire("taskOutput", taskId="t1"))
        self.assertEqual((self.known("t1").status, self.known("t2").status), ("running", "orphaned"))

    def test_without_list_and_report_the_grace_runs_out(self) -> None:
        """Though the daemon is there."""
        self.lose()
        self.join(now=NOW + 5)
        self.assertEqual(shown(self.pass_time(GRACE)), failed_as_lost(GRACE))

    def test_lost_again_before_it_showed_anything_a_task_keeps_its_grace(self) -> None:
        """It does not begin anew with every visit."""
        self.lose()
        again = self.join(now=NOW + 50)
        self.lose(again, NOW + 55)
        self.assertEqual(shown(self.pass_time(GRACE)), failed_as_lost(GRACE))

    def test_shown_and_lost_again_it_has_a_fresh_grace(self) -> None:
        """The old deadline does not count any more."""
        self.lose()
        again = self.join(now=NOW + 50)
        self.heartbeat(again, "t1", now=NOW + 50)
        self.lose(again, NOW + 55)
        self.assertEqual(of_kind(self.pass_time(GRACE), SaveTask), [])
        self.assertEqual(events(self.pass_time(55 + GRACE)), ["task_lost"])

    def test_it_gets_the_commands_that_waited_in_order(self) -> None:
        """As soon as it has returned, after its own answer."""
        self.lose()
        first, second = wire("sendInput", taskId="t1", n=1), wire("interruptTask", taskId="t1")
        self.command(first)
        self.command(second)
        decided = self.relay.daemon_joined(2, hello(), "a", NOW)
        sent = [SendToDaemon(2, payload) for payload in (wire("authenticated", daemonId=D1), first, second)]
        self.assertEqual(of_kind(decided, SendToDaemon, ForgetCommands), [sent[0], ForgetCommands(1), *sent[1:]])
        third = wire("sendInput", taskId="t1", n=3)
        self.assertEqual(self.command(third), [SendToDaemon(2, third)])

    def test_a_report_of_the_lost_connection_shows_nothing_on_the_new_one(self) -> None:
        """It had to wait for the store; what the daemon said before it was lost is no word of today."""
        self.relay.reports_received(1, [read_report(wire("taskOutput", taskId="new"))], NOW)
        late = wire("taskOutput", taskId="t1")
        self.relay.reports_received(1, [read_report(late)], NOW)
        self.lose()
        again = self.join()
        decided = self.relay.tasks_recalled(("new",), [], NOW)
        self.assertEqual([each.payload for each in decided if isinstance(each, SendUpstream)][-1], late)
        self.heartbeat(again, "new")
        self.assertEqual((self.known("t1").status, self.known("new").status), ("failed", "running"))

    def test_reports_keep_their_order_over_a_return(self) -> None:
        """One that waits for the store on the lost connection goes before one that comes on the new connection."""
        unknown, first, second = wire("taskOutput", taskId="new"), wire("news", n=1), wire("news", n=2)
        self.relay.reports_received(1, [read_report(unknown)], NOW)
        self.relay.reports_received(1, [read_report(first)], NOW)
        self.lose()
        again = self.join()
        decided = self.relay.reports_received(again, [read_report(second)], NOW)
        decided += self.relay.tasks_recalled(("new",), [], NOW)
        sent = [each.payload for each in decided if isinstance(each, SendUpstream)]
        self.assertEqual(sent, [unknown, first, second])


class ReplacementTests(LossTestCase):
    """The same machine connects again while its older connection stands."""

    def test_the_older_connection_is_closed_and_its_tasks_pass_to_the_newer(self) -> None:
        """It is a lost one that has already returned."""
        self.report(1, wire("taskOutput", taskId="t1"))
        decided = self.relay.daemon_joined(2, hello(), "10.0.0.2:1", NOW)
        expected = [
            CloseDaemon(1, 4409, "replaced by a newer connection"),
            logged("daemon_replaced", daemonId=D1, hostname="host-m1"),
            SaveTask(RUNNING.to(TaskStatus.ORPHANED), AT, before=TaskStatus.RUNNING),
            SaveDaemon(D1, "m1", "host-m1", draining=False, seen_at=AT),
            logged("daemon_connected", daemonId=D1, hostname="host-m1", machineId="m1", address="10.0.0.2:1"),
            SendToDaemon(2, wire("authenticated", daemonId=D1)),
        ]
        self.assertEqual(shown(decided), expected)
        self.assertEqual([each.connection for each in self.relay.daemons()], [2])

    def test_its_end_changes_nothing(self) -> None:
        """The close that follows is expected."""
        self.join()
        self.assertEqual(self.lose(1), [])
        self.assertEqual(len(self.relay.daemons()), 1)

    def test_what_the_newer_one_lists_goes_on_and_the_rest_is_lost(self) -> None:
        """As after any return."""
        self.start()
        self.connect_server()
        self.join()
        self.spawn("t1")
        self.spawn("t2")
        again = self.join()
        self.heartbeat(again, "t2")
        self.assertEqual((self.known("t1").status, self.known("t2").status), ("orphaned", "running"))
        self.lose(again - 1)
        self.assertEqual((self.known("t1").status, self.known("t2").status), ("failed", "running"))

    def test_an_end_that_comes_on_the_older_one_goes_before_the_newer_ones_list(self) -> None:
        """It was said before; the list has the task no more because it ended."""
        again = self.join()
        self.heartbeat(again)
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.lose(1)
        self.assertEqual(self.known("t1").status, TaskStatus.COMPLETED)

    def test_what_comes_on_a_connection_that_is_being_closed_still_counts(self) -> None:
        """The relay says good-bye, and the daemon has not heard it yet; then it is gone, and nothing counts."""
        self.relay.daemon_parting(1, "the relay stops", NOW)
        self.assertEqual(self.known("t1").status, TaskStatus.ORPHANED)
        payload = wire("taskComplete", taskId="t1", success=True)
        self.assertEqual(of_kind(self.report(1, payload), SendUpstream), relayed(payload))
        self.assertEqual(self.known("t1").status, TaskStatus.COMPLETED)
        self.lose(1)
        self.assertEqual(self.report(1, wire("taskOutput", taskId="t1")), [])

    def test_the_newer_one_is_the_daemon_with_its_own_capacity_and_spelling(self) -> None:
        """Commands go there."""
        again = self.join(capacity=2)
        command = wire("sendInput", taskId="t1")
        self.report(again, wire("taskOutput", taskId="t1"))
        self.assertEqual(self.command(command), [SendToDaemon(again, command)])
        self.spawn("t2")
        self.assertEqual(self.known("t2").status, TaskStatus.DISPATCHED)

    def test_a_daemon_that_held_nothing_is_replaced_too(self) -> None:
        """It is not forgotten on the way."""
        self.join("m2")
        again = self.join("m2")
        self.spawn("t2")
        self.assertEqual(self.lose(again)[1:], [SaveTask(self.known("t2"), AT, before=TaskStatus.DISPATCHED)])

    def test_reports_that_were_read_before_the_close_are_relayed(self) -> None:
        """Every report that the relay has read is delivered, also from a connection that is about to be closed."""
        again = self.join()
        payload = wire("taskOutput", taskId="t1")
        self.assertEqual(of_kind(self.report(1, payload), SendUpstream), relayed(payload))
        self.assertEqual([each.connection for each in self.relay.daemons()], [again])


class LateReturnTests(LossTestCase):
    """It comes back when its task is pending again (``--on-daemon-loss requeue``)."""

    def setUp(self) -> None:
        super().setUp()
        self.start_with_task(Policy(on_loss=LossPolicy.REQUEUE))
        self.lose()
        self.pass_time(GRACE)
        self.again = self.join(now=NOW + GRACE)

    def test_it_is_not_given_what_it_may_have_still(self) -> None:
        """It may have ended the task, too: then nobody runs it again."""
        self.assertEqual((self.known().status, self.known().attempts), (TaskStatus.PENDING, 1))
        self.heartbeat(self.again, "t1", now=NOW + GRACE)
        self.report(self.again, wire("taskComplete", taskId="t1", success=True), NOW + GRACE)
        self.assertEqual((self.known().status, self.known().attempts), (TaskStatus.COMPLETED, 1))

    def test_it_is_given_what_it_does_not_list(self) -> None:
        """As a new attempt."""
        decided = self.heartbeat(self.again, now=NOW + GRACE)
        self.assertEqual(of_kind(decided, SendToDaemon), [SendToDaemon(self.again, wire("spawnTask", taskId="t1"))])

    def test_one_that_lists_nothing_is_not_waited_for_long(self) -> None:
        """A second."""
        self.assertEqual(of_kind(self.pass_time(GRACE + 0.9), SendToDaemon), [])
        self.assertEqual(len(of_kind(self.pass_time(GRACE + 1), SendToDaemon)), 1)

    def test_when_it_is_gone_again_another_gets_it(self) -> None:
        """At once."""
        self.join("m2", now=NOW + GRACE)
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        self.lose(self.again, NOW + GRACE)
        self.pass_time(GRACE)
        self.assertEqual(self.known().daemon_id, D2)

    def test_when_its_task_is_withdrawn_the_next_one_goes_to_it(self) -> None:
        """At once."""
        self.spawn("t2", NOW + GRACE)
        decided = self.command(wire("cancelTask", taskId="t1"), NOW + GRACE)
        self.assertEqual(of_kind(decided, SendToDaemon), [SendToDaemon(self.again, wire("spawnTask", taskId="t2"))])
