"""Daemons that move between relays, and tasks that two servers hand out (``cluster.md``, *Rules*)."""

from __future__ import annotations

from makima_relay.core.cluster import AWAY_AFTER
from makima_relay.core.cluster_effects import ForgetTasks, RecordHolder
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.entries import Adopted, Interrupt, Moved, Offer, Placed, Released, Reported, Returned
from makima_relay.core.from_server import read_command
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, D2, NOW, hello, of_kind, task, wire
from tests.core.peer_case import DONE, ME, OUTPUT, SPAWN, P, PeerTestCase, Q, entries, for_daemons, for_server, placed

RUNNING = TaskStatus.RUNNING


class HolderTests(PeerTestCase):
    """A daemon comes to this relay with a task of a peer's."""

    def setUp(self) -> None:
        super().setUp()
        self.comes()
        self.directory["t1"] = DirectoryEntry(P, Q, 3)
        self.connection = self.join()

    def test_the_directory_says_whose_it_is_and_reports_go_there(self) -> None:
        """This relay becomes the holder."""
        decided = self.report(self.connection, OUTPUT)
        expected = [Placed("t1", 3, D1, "host-m1", RUNNING), Reported("t1", 3, D1, (OUTPUT,))]
        self.assertEqual(entries(decided), expected)
        self.assertEqual(for_server(decided), [])
        self.assertEqual(self.relay.foreign_tasks, 1)

    def test_what_comes_from_its_origins_own_daemon_is_the_first_attempt(self) -> None:
        """The origin wrote of it when it got it, and nothing new when a daemon there did."""
        self.directory["t1"] = DirectoryEntry(P, P, 0)
        decided = self.report(1, OUTPUT)
        self.assertIn(Placed("t1", 1, D1, "host-m1", RUNNING), entries(decided))

    def test_its_first_list_is_enough(self) -> None:
        """A task may be quiet for long; what the directory has no entry of is left alone."""
        decided = self.report(self.connection, wire("heartbeat", activeTasks=["t1", "t2"]))
        self.assertEqual(entries(decided), [Placed("t1", 3, D1, "host-m1", RUNNING)])
        self.assertEqual(of_kind(decided, ForgetTasks), [ForgetTasks(("t2",))])
        self.assertEqual((self.relay.foreign_tasks, self.relay.active_tasks()), (1, []))

    def test_a_task_without_an_entry_is_adopted(self) -> None:
        """As without a cluster."""
        del self.directory["t1"]
        decided = self.report(self.connection, OUTPUT)
        self.assertEqual(for_server(decided), [OUTPUT])
        self.assertEqual(self.relay.active_tasks(), ["t1"])
        self.assertEqual(of_kind(decided, ForgetTasks), [])

    def test_a_report_on_a_task_that_ended_goes_to_whose_it_was(self) -> None:
        """The entry stays for a while."""
        self.directory["t1"] = DirectoryEntry(P, "ended", 3)
        self.assertIn(Reported("t1", 3, D1, (OUTPUT,)), entries(self.report(self.connection, OUTPUT)))


class OriginTests(PeerTestCase):
    """A daemon goes elsewhere with a task of this relay's."""

    def test_a_task_goes_along_with_its_daemon_from_here(self) -> None:
        """The directory is told."""
        connection = self.join("m2", capacity=1)
        self.comes()
        self.spawn()
        self.relay.daemon_lost(connection, "gone", NOW)
        decided = self.says(placed(1, RUNNING))
        self.assertEqual((self.known().relay, self.known().status), (P, RUNNING))
        self.assertEqual(of_kind(decided, RecordHolder), [RecordHolder("t1", 1, ME, P)])

    def test_the_former_holder_is_told_to_forget_it(self) -> None:
        """And up to where it was heard."""
        self.lend()
        self.comes(Q)
        decided = self.says(placed(1, RUNNING), peer=Q)
        self.assertEqual(entries(decided), [Released("t1", 1, 1)])
        self.assertEqual(self.known().relay, Q)

    def test_it_comes_home_with_its_daemon(self) -> None:
        """A report is enough, or its first list."""
        for message in (OUTPUT, wire("heartbeat", activeTasks=["t1"])):
            self.begin()
            self.lend()
            decided = self.report(self.join("m2"), message)
            self.assertEqual(entries(decided), [Released("t1", 1, 1)])
            self.assertEqual((self.known().relay, self.known().status), (None, RUNNING))

    def test_another_daemon_that_claims_it_is_interrupted(self) -> None:
        """Only who has it, or last had it, may bring it along."""
        self.lend()
        self.comes(Q)
        decided = self.says(Placed("t1", 1, D1, "host-m1", RUNNING), peer=Q)
        self.assertEqual(entries(decided, Q), [Interrupt("t1", 1)])
        self.assertEqual(self.known().relay, P)

    def test_a_task_that_is_not_known_is_interrupted(self) -> None:
        """It may have been given up long ago."""
        self.comes()
        self.assertEqual(entries(self.says(placed())), [Interrupt("t1", 1)])


class SecondServerTests(PeerTestCase):
    """This relay's server hands out a task that is a peer's."""

    def setUp(self) -> None:
        super().setUp()
        self.comes()
        self.comes(Q, 0)
        self.directory["t1"] = DirectoryEntry(P, Q, 3)

    def test_it_is_refused_while_the_origin_is_present(self) -> None:
        """With ``error`` ``duplicate_task``."""
        self.join()
        decided = self.command(SPAWN)
        reason = "another relay has this task, which is not finished"
        error = wire("error", code="duplicate_task", message=reason, taskId="t1")
        self.assertEqual((for_server(decided), for_daemons(decided)), ([error], []))
        self.assertIsNone(self.relay.task("t1"))

    def test_an_origin_that_was_never_heard_of_has_time_to_be_seen(self) -> None:
        """A relay that is new here may find what one has left that is gone for good."""
        self.directory["t1"] = DirectoryEntry("relay-gone", "relay-gone", 1)
        connection = self.join()
        self.assertIn(b"duplicate_task", for_server(self.command(SPAWN))[0])
        self.pass_time(AWAY_AFTER, P, Q)
        decided = self.command(SPAWN, NOW + AWAY_AFTER)
        self.assertEqual(for_daemons(decided), [(connection, SPAWN)])
        self.assertIn(RecordHolder("t1", 0, ME, ME, "relay-gone"), decided)

    def test_a_task_that_the_peer_has_ended_is_taken(self) -> None:
        """It is nobody's any more."""
        self.directory["t1"] = DirectoryEntry(P, "ended", 3)
        connection = self.join()
        decided = self.command(SPAWN)
        self.assertEqual(for_daemons(decided), [(connection, SPAWN)])
        self.assertIn(RecordHolder("t1", 0, ME, ME, P), decided)

    def test_when_the_origin_is_away_this_relay_becomes_the_origin(self) -> None:
        """The holder, who is present, is told, and the former origin when it returns."""
        self.relay.peer_left(P, NOW)
        decided = self.command(SPAWN)
        self.assertEqual(entries(decided, Q), [Adopted("t1", 3)])
        self.assertEqual((self.known().relay, self.known().status), (Q, TaskStatus.DISPATCHED))
        self.assertIn(RecordHolder("t1", 3, ME, Q, P), decided)
        self.assertIn(Moved("t1", "edge-me"), entries(self.comes()))

    def test_a_holder_that_has_it_no_more_returns_it(self) -> None:
        """Then it goes where there is a slot."""
        self.relay.peer_left(P, NOW)
        self.command(SPAWN)
        self.join()
        decided = self.says(Returned("t1", 3, lost=False, hostname=None), peer=Q)
        self.assertEqual([payload for _, payload in for_daemons(decided)], [SPAWN])

    def test_without_a_holder_it_starts_here(self) -> None:
        """The origin itself had it."""
        self.directory["t1"] = DirectoryEntry(P, P, 3)
        self.relay.peer_left(P, NOW)
        connection = self.join()
        self.assertEqual(for_daemons(self.command(SPAWN)), [(connection, SPAWN)])

    def test_with_a_holder_that_is_away_too_it_starts_here(self) -> None:
        """It goes where there is a slot."""
        self.relay.peer_left(P, NOW)
        self.relay.peer_left(Q, NOW)
        connection = self.join()
        self.assertEqual(for_daemons(self.command(SPAWN)), [(connection, SPAWN)])

    def test_a_finished_task_of_this_relays_own_may_be_a_peers_by_now(self) -> None:
        """The directory is asked for it again."""
        self.stored["t1"] = task(status=TaskStatus.COMPLETED, finished_at=AT)
        self.assertIn(b"duplicate_task", for_server(self.command(SPAWN))[0])
        self.assertEqual(self.known().status, TaskStatus.COMPLETED)


class HeldTests(PeerTestCase):
    """This relay's server hands out a peer's task that a daemon here has."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.host()

    def test_it_is_refused_while_the_origin_is_present(self) -> None:
        """It is known whose it is."""
        self.assertIn(b"duplicate_task", for_server(self.command(SPAWN))[0])

    def test_when_the_origin_is_away_it_becomes_this_relays_own(self) -> None:
        """It goes on where it is; what waited for the former origin goes to the server."""
        self.relay.peer_left(P, NOW)
        self.report(self.connection, OUTPUT)
        decided = self.command(SPAWN)
        self.assertEqual((for_server(decided), for_daemons(decided)), ([OUTPUT], []))
        self.assertEqual((self.known().status, self.known().daemon_id), (RUNNING, D1))
        self.assertEqual((self.relay.foreign_tasks, self.relay.active_tasks()), (0, ["t1"]))
        self.assertEqual(for_server(self.report(self.connection, DONE)), [DONE])


class FormerOriginTests(PeerTestCase):
    """A peer has got a task of this relay's from its own server."""

    def test_its_row_is_cancelled_and_the_server_is_told_nothing(self) -> None:
        """With the name of that relay; who runs it here stops."""
        connection = self.join()
        self.comes()
        self.spawn()
        decided = self.says(Moved("t1", "edge-p"))
        self.assertEqual((self.known().status, self.known().error), (TaskStatus.CANCELLED, "moved to edge-p"))
        self.assertEqual(for_server(decided), [])
        self.assertEqual(for_daemons(decided), [(connection, wire("interruptTask", taskId="t1"))])

    def test_one_that_has_finished_stays_as_it_is(self) -> None:
        """There is nothing to be cancelled."""
        connection = self.join()
        self.comes()
        self.spawn()
        self.report(connection, DONE)
        self.says(Moved("t1", "edge-p"))
        self.assertEqual(self.known().status, TaskStatus.COMPLETED)


class AdoptedTests(PeerTestCase):
    """A task that is here has another origin now."""

    def test_what_the_former_origin_has_not_read_goes_to_the_new_one(self) -> None:
        """And all that comes."""
        connection = self.host()
        self.relay.peer_left(P, NOW)
        self.report(connection, OUTPUT)
        self.comes(Q)
        decided = self.says(Adopted("t1", 1), peer=Q)
        expected = [Placed("t1", 1, D1, "host-m1", RUNNING), Reported("t1", 1, D1, (OUTPUT,))]
        self.assertEqual(entries(decided, Q), expected)
        self.assertEqual(entries(self.report(connection, DONE), Q), [Reported("t1", 1, D1, (DONE,))])
        self.assertNotIn(Reported, list(map(type, entries(self.comes()))))

    def test_one_that_is_not_here_is_returned(self) -> None:
        """It is for the new origin to start it."""
        self.comes()
        self.assertEqual(entries(self.says(Adopted("t1", 1))), [Returned("t1", 1, lost=False, hostname=None)])


class DirectoryTests(PeerTestCase):
    """What is written there."""

    def test_unfinished_tasks_are_written_again_whenever_redis_comes(self) -> None:
        """It may have lost them."""
        self.comes()
        self.spawn()
        self.relay.cluster_lost(NOW, "gone")
        self.spawn("t2")
        decided = self.relay.cluster_ready(NOW, {})
        expected = [RecordHolder("t1", 1, ME, P), RecordHolder("t2", 0, ME, ME)]
        self.assertEqual(of_kind(decided, RecordHolder), expected)

    def test_a_task_that_was_asked_for_before_redis_came_is_written_too(self) -> None:
        """The answer of the store may come later than Redis, which nobody has asked then."""
        self.join()
        self.relay.cluster_lost(NOW, "gone")
        asked = self.relay.command_received(read_command(SPAWN), NOW)
        self.relay.cluster_ready(NOW, {})
        self.assertIn(RecordHolder("t1", 1, ME, ME), self.with_answers(asked, NOW))

    def test_entries_that_are_left_over_are_dropped(self) -> None:
        """Of tasks that are no unfinished ones of this relay's."""
        self.spawn()
        self.assertEqual(self.relay.directory_listed(["t1", "t2"]), [ForgetTasks(("t2",))])

    def test_a_first_dispatch_at_home_tells_nothing_new(self) -> None:
        """Whose the task is was written when it was asked for; a later one is written with its attempt."""
        self.join(capacity=1)
        self.assertEqual(of_kind(self.command(SPAWN), RecordHolder), [])
        self.report(1, DONE)
        self.assertIn(RecordHolder("t1", 2, ME, ME), self.command(SPAWN))

    def test_a_task_that_a_peer_returned_is_written_when_it_starts_at_home(self) -> None:
        """The directory says that the peer has it."""
        self.comes(free=1)
        self.command(SPAWN)
        self.says(Returned("t1", 1, lost=False, hostname=None))
        decided = self.relay.daemon_joined(1, hello("m1", 1), "a", NOW)
        self.assertIn(RecordHolder("t1", 2, ME, ME), decided)

    def test_an_offer_is_no_claim(self) -> None:
        """Only the origin writes."""
        self.comes()
        self.join("m2")
        self.assertEqual(of_kind(self.says(Offer("t1", 1, None, None, SPAWN)), RecordHolder), [])
        self.assertEqual(self.relay.daemons()[0].daemon_id, D2)
