"""Tasks of peers that daemons of this relay have (``cluster.md``, *Rules*)."""

from __future__ import annotations

from makima_relay.core.cluster_effects import SaveForeign, TakeBack
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.effects import HoldDaemon, KeepReport, ReleaseDaemon
from makima_relay.core.entries import (
    Ended,
    Holding,
    Inquiry,
    Interrupt,
    Offer,
    Placed,
    Relayed,
    Released,
    Reported,
    Returned,
)
from makima_relay.core.operators import UnknownTaskError
from makima_relay.core.peers import MOST_BYTES
from makima_relay.core.snapshot import Snapshot, StoredDaemon, StoredTask
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, NOW, hello, of_kind, task, wire
from tests.core.cases import GRACE
from tests.core.peer_case import DONE, ME, OUTPUT, PEER_GRACE, SPAWN, P, PeerTestCase, entries, for_daemons, for_server

FAILED = wire("taskComplete", taskId="t1", success=False, error="boom")


class OfferTests(PeerTestCase):
    """A peer offers a task."""

    def test_it_is_placed_at_once_or_returned(self) -> None:
        """It never waits here."""
        self.comes()
        connection = self.join(capacity=1)
        decided = self.says(self.offer())
        self.assertEqual(for_daemons(decided), [(connection, SPAWN)])
        self.assertEqual(entries(decided), [Placed("t1", 1, D1, "host-m1", TaskStatus.DISPATCHED)])
        decided = self.says(self.offer(task_id="t2"))
        self.assertEqual(entries(decided), [Returned("t2", 1, lost=False, hostname=None)])

    def test_a_task_that_came_from_a_peer_is_never_passed_on(self) -> None:
        """However many slots another has."""
        self.comes()
        self.comes("relay-q", 10)
        decided = self.says(self.offer())
        self.assertEqual(entries(decided, "relay-q"), [])
        self.assertEqual(entries(decided), [Returned("t1", 1, lost=False, hostname=None)])

    def test_it_is_stored_apart_and_counted_apart(self) -> None:
        """It takes a slot, and is in no heartbeat, no count and no page of this relay's."""
        self.comes()
        self.join(capacity=2)
        decided = self.says(self.offer())
        self.assertEqual([each.task.origin for each in of_kind(decided, SaveForeign)], [P])
        self.assertEqual((self.relay.foreign_tasks, self.relay.active_tasks(), self.relay.task("t1")), (1, [], None))
        self.assertEqual(self.relay.presence(NOW, "1", upstream_connected=True).free_slots, 1)

    def test_what_is_no_such_task_is_returned(self) -> None:
        """No daemon gets what is not checked."""
        self.comes()
        self.join()
        for entry in (
            Offer("t1", 1, None, None, b"nonsense"),
            Offer("t1", 1, None, None, wire("spawnTask", taskId="t2")),
            Offer("t1", 0, None, None, SPAWN),
        ):
            self.assertEqual(type(entries(self.says(entry))[0]), Returned)

    def test_no_task_is_taken_when_the_relay_stops(self) -> None:
        """Or that is this relay's own."""
        self.comes()
        self.join()
        self.spawn()
        self.assertEqual(type(entries(self.says(self.offer()))[0]), Returned)
        self.relay.stopping()
        self.assertEqual(type(entries(self.says(self.offer(task_id="t2")))[0]), Returned)

    def test_a_task_that_is_here_still_is_not_started_again(self) -> None:
        """Its origin had given it up; it goes on as the new attempt."""
        self.host()
        decided = self.says(self.offer(2))
        self.assertEqual(for_daemons(decided), [])
        self.assertEqual(entries(decided), [Placed("t1", 2, D1, "host-m1", TaskStatus.DISPATCHED)])


class ReportTests(PeerTestCase):
    """What its daemon says."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.host()

    def test_reports_go_to_the_origin_and_not_to_the_own_server(self) -> None:
        """What came in one read goes together."""
        reports = [self.report(self.connection, each) for each in (OUTPUT, DONE)]
        decided = [effect for each in reports for effect in each]
        self.assertEqual(for_server(decided), [])
        self.assertEqual(entries(decided), [Reported("t1", 1, D1, (OUTPUT,)), Reported("t1", 1, D1, (DONE,))])
        self.assertEqual(self.relay.foreign_tasks, 0)

    def test_its_end_frees_the_slot(self) -> None:
        """For a task of this relay's own, too."""
        self.report(self.connection, DONE)
        self.assertEqual(for_daemons(self.command(wire("spawnTask", taskId="t2")))[0][0], self.connection)

    def test_a_late_report_goes_to_the_origin_too(self) -> None:
        """As one on an own task goes to the server."""
        self.report(self.connection, DONE)
        decided = self.report(self.connection, OUTPUT)
        self.assertEqual(entries(decided), [Reported("t1", 1, D1, (OUTPUT,))])

    def test_a_report_that_comes_late_begins_nothing_anew(self) -> None:
        """The origin may not have heard of the end yet, and the directory not either."""
        self.directory["t1"] = DirectoryEntry(P, ME, 1)
        self.report(self.connection, DONE)
        self.assertEqual(entries(self.report(self.connection, OUTPUT)), [Reported("t1", 1, D1, (OUTPUT,))])
        self.assertEqual(self.relay.foreign_tasks, 0)

    def test_another_daemon_may_not_report_on_it(self) -> None:
        """As on any task."""
        other = self.join("m3")
        decided = self.report(other, DONE)
        self.assertEqual(entries(decided), [])
        self.assertEqual(len(for_daemons(decided)), 2)

    def test_while_too_much_waits_for_peers_its_daemon_is_not_read(self) -> None:
        """Others are; it is read again when half of that has gone."""
        self.relay.cluster_lost(NOW, "gone")
        large = wire("taskOutput", taskId="t1", text="x" * (MOST_BYTES // 2))
        decided = [*self.report(self.connection, large), *self.report(self.connection, large)]
        decided += self.report(self.connection, OUTPUT)
        self.assertEqual(of_kind(decided, HoldDaemon), [HoldDaemon(self.connection)])
        self.relay.cluster_ready(NOW, {})
        decided = self.relay.entries_acknowledged(P, 100, NOW)
        self.assertEqual(of_kind(decided, ReleaseDaemon), [ReleaseDaemon(self.connection)])


class CommandTests(PeerTestCase):
    """What the origin wants."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.host()

    def test_commands_are_handed_on(self) -> None:
        """Those of another attempt are not."""
        command = wire("sendInput", taskId="t1", text="x")
        decided = self.says(Relayed("t1", 1, command), Relayed("t1", 2, command), Relayed("t2", 1, command))
        self.assertEqual(for_daemons(decided), [(self.connection, command)])
        interrupt = wire("interruptTask", taskId="t1")
        self.assertEqual(for_daemons(self.says(Relayed("t1", 1, None))), [(self.connection, interrupt)])

    def test_commands_wait_for_a_daemon_that_is_gone(self) -> None:
        """They survive a restart."""
        self.relay.daemon_lost(self.connection, "gone", NOW)
        command = wire("sendInput", taskId="t1", text="x")
        self.assertEqual(for_daemons(self.says(Relayed("t1", 1, command))), [])
        decided = self.relay.daemon_joined(9, hello("m1", 1), "a", NOW)
        self.assertIn((9, command), for_daemons(decided))

    def test_the_own_server_and_operator_cannot_command_it(self) -> None:
        """Cancel and commands are the origin's."""
        self.assertEqual(for_daemons(self.command(wire("interruptTask", taskId="t1"))), [])
        self.assertRaises(UnknownTaskError, self.relay.cancel_requested, "t1", NOW)

    def test_an_interrupt_stops_it_and_its_slot_is_free(self) -> None:
        """That of another attempt does nothing."""
        self.assertEqual(for_daemons(self.says(Interrupt("t1", 2))), [])
        decided = self.says(Interrupt("t1", 1))
        self.assertEqual(for_daemons(decided), [(self.connection, wire("interruptTask", taskId="t1"))])
        self.assertEqual(self.relay.foreign_tasks, 0)

    def test_a_released_task_is_forgotten(self) -> None:
        """Its daemon is at another relay."""
        self.relay.daemon_lost(self.connection, "gone", NOW)
        self.says(Released("t1", 1, 2))
        self.assertEqual(self.relay.foreign_tasks, 0)
        self.assertEqual(entries(self.pass_time(GRACE, P)), [])

    def test_of_a_task_that_has_ended_it_is_not_kept_in_mind_where_its_origin_was_told_it_is(self) -> None:
        """However many tasks come and go."""
        self.report(self.connection, DONE)
        self.assertEqual(self.relay._state.ledger.foreign.told, {})

    def test_a_release_is_ignored_when_the_daemon_is_back_and_the_origin_knows(self) -> None:
        """It was said before the origin heard of that."""
        self.says(Released("t1", 1, 1))
        self.assertEqual(self.relay.foreign_tasks, 1)

    def test_the_origin_is_told_what_is_here(self) -> None:
        """All of its own, and nothing else."""
        decided = self.says(Inquiry())
        self.assertEqual(entries(decided), [Holding(2, (("t1", 1, D1, "host-m1"),))])


class LossTests(PeerTestCase):
    """Its daemon is lost."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.host()
        self.relay.daemon_lost(self.connection, "gone", NOW)

    def test_it_is_returned_as_lost_when_the_daemons_grace_is_over(self) -> None:
        """The own server hears nothing of it."""
        decided = self.pass_time(GRACE, P)
        self.assertEqual(entries(decided), [Returned("t1", 1, lost=True, hostname="host-m1")])
        self.assertEqual(for_server(decided), [])

    def test_a_daemon_that_returns_keeps_it(self) -> None:
        """The origin is told once more where it is: it may have heard otherwise."""
        again = self.join(capacity=1)
        decided = self.report(again, wire("heartbeat", activeTasks=["t1"]))
        self.assertEqual(entries(decided), [Placed("t1", 1, D1, "host-m1", TaskStatus.RUNNING)])

    def test_what_a_returned_daemon_does_not_list_is_lost(self) -> None:
        """As any task."""
        again = self.join(capacity=1)
        decided = self.report(again, wire("heartbeat", activeTasks=[]))
        self.assertEqual(entries(decided), [Returned("t1", 1, lost=True, hostname="host-m1")])


class OriginAwayTests(PeerTestCase):
    """The origin is away."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.host()
        self.relay.peer_left(P, NOW)

    def test_the_holder_goes_on_and_reports_wait(self) -> None:
        """They are sent when it returns."""
        decided = self.report(self.connection, OUTPUT)
        self.assertEqual((entries(decided), for_server(decided)), ([], []))
        self.assertIn(Reported("t1", 1, D1, (OUTPUT,)), entries(self.comes()))

    def test_after_the_grace_they_go_to_the_own_server(self) -> None:
        """Those that wait, and all further ones; the origin is told the end without the report."""
        self.report(self.connection, OUTPUT)
        decided = self.pass_time(PEER_GRACE)
        self.assertEqual(for_server(decided), [OUTPUT])
        decided = self.report(self.connection, FAILED, NOW + PEER_GRACE)
        self.assertEqual(for_server(decided), [FAILED])
        self.assertEqual(len(of_kind(decided, KeepReport)), 1)
        sent = entries(self.comes(now=NOW + PEER_GRACE))
        self.assertEqual(sent[-2:], [Ended("t1", 1, TaskStatus.FAILED, "boom"), Inquiry()])

    def test_an_end_that_waited_is_told_the_own_server_too(self) -> None:
        """And the origin that it ended."""
        self.report(self.connection, DONE)
        self.assertEqual(for_server(self.pass_time(PEER_GRACE)), [DONE])
        sent = entries(self.comes(now=NOW + PEER_GRACE))
        self.assertIn(Ended("t1", 1, TaskStatus.COMPLETED, None), sent)
        self.assertNotIn(Reported, list(map(type, sent)))

    def test_a_loss_after_the_grace_is_told_the_own_server(self) -> None:
        """And the origin."""
        self.pass_time(PEER_GRACE)
        self.relay.daemon_lost(self.connection, "gone", NOW + PEER_GRACE)
        decided = self.relay.time_passed(NOW + PEER_GRACE + GRACE, AT + PEER_GRACE + GRACE)
        error = "daemon host-m1 lost"
        self.assertEqual(for_server(decided), [wire("taskComplete", taskId="t1", success=False, error=error)])
        sent = entries(self.comes(now=NOW + PEER_GRACE + GRACE))
        self.assertIn(Ended("t1", 1, TaskStatus.FAILED, error), sent)

    def test_no_grace_goes_by_while_redis_is_away(self) -> None:
        """Perhaps it is there."""
        self.relay.cluster_lost(NOW, "gone")
        self.report(self.connection, OUTPUT)
        self.assertEqual(for_server(self.pass_time(2 * PEER_GRACE)), [])
        decided = self.relay.cluster_ready(NOW + 2 * PEER_GRACE, {})
        self.assertEqual(of_kind(decided, TakeBack), [TakeBack(P, 2)])
        later = 2 * PEER_GRACE + 1
        self.assertEqual(for_server(self.relay.time_passed(NOW + later, AT + later)), [])


class RestartTests(PeerTestCase):
    """This relay starts again."""

    def test_it_waits_for_the_daemon_and_reports_to_the_origin(self) -> None:
        """As before."""
        held = task(origin=P).dispatched(D1, AT)
        daemon = StoredDaemon(daemon_id=D1, machine_id="m1", hostname="host-m1")
        self.begin(Snapshot(next_key=2, tasks=(StoredTask(task=held),), daemons=(daemon,)))
        self.assertEqual((self.relay.foreign_tasks, self.relay.active_tasks()), (1, []))
        self.comes()
        decided = self.report(self.join(), DONE)
        self.assertEqual([type(each) for each in entries(decided)], [Placed, Reported])
