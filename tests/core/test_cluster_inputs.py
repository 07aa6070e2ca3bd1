"""What a relay of a cluster makes of nonsense, of itself, and of very much; and what it tells its peers of itself."""

from __future__ import annotations

from makima_relay.core.cluster_effects import AcknowledgeEntries, AnnouncePresence, RecordHolder, RecordMore
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.entries import Ended, Inquiry, Placed, Reported
from makima_relay.core.peers import MOST_BYTES
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.snapshot import Snapshot, StoredDaemon, StoredTask
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, NOW, events, hello, of_kind, presence, task, wire
from tests.core.cases import RelayTestCase
from tests.core.peer_case import ME, PEER_GRACE, SPAWN, P, PeerTestCase, Q, entries, for_daemons, for_server


class NonsenseTests(PeerTestCase):
    """Whatever comes from Redis is checked."""

    def test_what_is_no_entry_is_logged_and_acknowledged(self) -> None:
        """It would come again and again."""
        decided = self.relay.entries_received(P, [(1, bytes(8) + b"nonsense")], NOW)
        self.assertEqual(events(decided), ["invalid_message"])
        self.assertEqual(of_kind(decided, AcknowledgeEntries), [AcknowledgeEntries(P, 1)])

    def test_it_is_logged_every_ten_seconds_at_most(self) -> None:
        """A relay of another version may send very much that cannot be read here."""
        self.comes()
        decided = [*self.says(1), *self.says(2), *self.says(3, now=NOW + 10)]
        self.assertEqual(events(decided), ["invalid_message"] * 2)

    def test_a_relay_is_not_its_own_peer(self) -> None:
        """It hears its own presence too."""
        self.assertEqual(self.relay.peer_present(presence(ME, 5), NOW), [])
        self.command(SPAWN)
        self.assertEqual(self.known().status, TaskStatus.PENDING)

    def test_who_was_never_heard_of_cannot_leave(self) -> None:
        """Nothing happens, as when Redis is lost that was not there."""
        self.assertEqual(self.relay.peer_left("nobody", NOW), [])
        self.relay.cluster_lost(NOW, "gone")
        self.assertEqual(self.relay.cluster_lost(NOW, "gone"), [])


class PresenceTests(PeerTestCase):
    """What peers are told at once."""

    def test_it_is_told_when_the_last_slot_goes_and_when_the_first_comes(self) -> None:
        """And not in between."""
        told = [self.relay.daemon_joined(1, hello(capacity=2), "a", NOW)]
        told += [self.command(wire("spawnTask", taskId=task_id)) for task_id in ("t1", "t2")]
        told += [self.report(1, wire("taskComplete", taskId=task_id, success=True)) for task_id in ("t1", "t2")]
        self.assertEqual([len(of_kind(each, AnnouncePresence)) for each in told], [1, 0, 1, 1, 0])

    def test_it_says_how_the_relay_is(self) -> None:
        """Tasks of its own, and those of peers apart."""
        self.host()
        self.spawn("t2")
        told = self.relay.presence(NOW, "1.2.3", upstream_connected=True)
        self.assertEqual((told.relay_id, told.agent_name, told.version), (ME, "edge-me", "1.2.3"))
        self.assertEqual((told.connected_daemons, told.free_slots, told.busy_slots), (1, 0, 1))
        self.assertEqual((told.active_tasks, told.pending_tasks, told.foreign_tasks), (1, 0, 1))

    def test_no_slot_is_free_for_peers_while_nothing_can_be_stored(self) -> None:
        """Their tasks would wait here, and could not even be returned."""
        self.join(capacity=3)
        self.relay.suspended(NOW)
        self.assertEqual(self.relay.presence(NOW, "1", upstream_connected=True).free_slots, 0)
        self.relay.resumed(NOW)
        self.assertEqual(self.relay.presence(NOW, "1", upstream_connected=True).free_slots, 3)

    def test_a_peer_has_a_name(self) -> None:
        """As it says itself."""
        self.comes()
        self.assertEqual(self.relay.agent_name_of(P), "name-relay-p")
        self.assertIsNone(self.relay.agent_name_of("nobody"))


class AloneTests(RelayTestCase):
    """Without a cluster."""

    def test_nothing_is_done_for_one(self) -> None:
        """No directory, no presence, no entries."""
        self.connect_server()
        self.join(capacity=1)
        decided = [*self.command(SPAWN), *self.report(1, wire("taskComplete", taskId="t1", success=True))]
        decided += self.relay.time_passed(NOW + 100, NOW + 100)
        self.assertEqual({type(each).__module__.rpartition(".")[2] for each in decided}, {"effects"})


class LeftTests(RelayTestCase):
    """A relay that was in a cluster starts without one."""

    def test_its_tasks_at_peers_are_lost_after_a_while(self) -> None:
        """Nobody will say what becomes of them."""
        lent = task().dispatched(None, AT, P).placed("d", "host-d")
        self.start(snapshot=Snapshot(next_key=2, tasks=(StoredTask(task=lent, message=SPAWN),)))
        self.connect_server()
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)
        self.relay.time_passed(NOW + PEER_GRACE, AT + PEER_GRACE)
        self.assertEqual((self.known().status, self.known().error), (TaskStatus.FAILED, "daemon host-d lost"))

    def test_tasks_of_peers_are_reported_to_its_own_server(self) -> None:
        """Their origins cannot be reached any more."""
        held = task(origin=P).dispatched(D1, AT)
        daemon = StoredDaemon(daemon_id=D1, machine_id="m1", hostname="host-m1")
        self.start(snapshot=Snapshot(next_key=2, tasks=(StoredTask(task=held),), daemons=(daemon,)))
        self.connect_server()
        done = wire("taskComplete", taskId="t1", success=True)
        self.assertEqual(for_server(self.report(self.join(), done)), [done])


class MuchTests(PeerTestCase):
    """Very many tasks."""

    def test_the_directory_is_written_again_in_pieces(self) -> None:
        """Others have their turn in between."""
        for number in range(2_001):
            self.command(wire("spawnTask", taskId=f"t{number}"))
        self.relay.cluster_lost(NOW, "gone")
        decided = self.relay.cluster_ready(NOW, {})
        self.assertEqual((len(of_kind(decided, RecordHolder)), decided[-1]), (2_000, RecordMore()))
        decided = self.relay.record_wanted()
        self.assertEqual(decided, [RecordHolder("t2000", 0, ME, ME)])

    def test_what_waits_for_a_relay_that_may_never_be_back_holds_nobody_up(self) -> None:
        """However many ends it is still to be told."""
        self.comes()
        peers = self.relay._state.peers
        (peer,) = peers
        self.relay.peer_left(P, NOW)
        for number in range(MOST_BYTES // 8_000):
            peer.box.put(Ended(f"t{number}", 1, TaskStatus.FAILED, "x" * 8_000))
        self.assertTrue(peers.are_full)
        self.pass_time(PEER_GRACE)
        self.assertFalse(peers.are_full)


class LateTests(PeerTestCase):
    """What is late, or comes where it was not expected."""

    policy = Policy(relay_id=ME, agent_name="edge-me", on_loss=LossPolicy.REQUEUE)

    def test_a_daemon_that_comes_with_a_task_of_a_deserted_origin_is_heard(self) -> None:
        """By this relay's own server, as for those that were here."""
        self.comes()
        self.relay.peer_left(P, NOW)
        self.pass_time(PEER_GRACE)
        self.directory["t1"] = DirectoryEntry(P, Q, 1)
        output = wire("taskOutput", taskId="t1", text="x")
        decided = self.report(self.join(), output, NOW + PEER_GRACE)
        self.assertEqual(for_server(decided), [output])
        self.assertEqual([type(each) for each in entries(self.comes())][-2:], [Placed, Inquiry])

    def test_an_orphaned_task_of_a_peers_that_this_relay_takes_over_waits_for_its_daemon(self) -> None:
        """With a fresh grace."""
        connection = self.host()
        self.relay.peer_left(P, NOW)
        self.relay.daemon_lost(connection, "gone", NOW)
        self.assertEqual(for_daemons(self.command(SPAWN)), [])
        self.assertEqual((self.known().status, self.known().daemon_id), (TaskStatus.ORPHANED, D1))
        again = self.join()
        self.report(again, wire("heartbeat", activeTasks=["t1"]))
        self.assertEqual(self.known().status, TaskStatus.RUNNING)

    def test_a_finished_task_that_a_peer_has_begun_anew_is_that_peers(self) -> None:
        """Though a daemon here had it before."""
        connection = self.join()
        self.comes()
        self.spawn()
        self.report(connection, wire("taskComplete", taskId="t1", success=True))
        self.directory["t1"] = DirectoryEntry(P, P, 1)
        output = wire("taskOutput", taskId="t1", text="x")
        decided = self.report(connection, output)
        self.assertEqual(for_server(decided), [])
        self.assertIn(Reported("t1", 1, D1, (output,)), entries(decided))
