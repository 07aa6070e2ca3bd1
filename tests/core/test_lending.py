"""Tasks of this relay's own at peers (``cluster.md``, *Rules*): overflow, what comes back, and who is away."""

from __future__ import annotations

from makima_relay.core.cluster_effects import ForgetTasks, KeepEntry, RecordHolder, SaveReceived, SendEntry, TakeBack
from makima_relay.core.directory import ENDED_FOR
from makima_relay.core.effects import SaveTask
from makima_relay.core.entries import Ended, Holding, Inquiry, Interrupt, Offer, Relayed, Reported, Returned
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.snapshot import Snapshot, StoredPeer, StoredTask
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D2, NOW, events, of_kind, task, wire
from tests.core.peer_case import (
    ME,
    PEER_GRACE,
    POLICY,
    P,
    PeerTestCase,
    Q,
    ended,
    entries,
    for_daemons,
    for_server,
)

SPAWN = wire("spawnTask", taskId="t1")
DONE = wire("taskComplete", taskId="t1", success=True)
OUTPUT = wire("taskOutput", taskId="t1", text="x")


class OverflowTests(PeerTestCase):
    """Where a pending task goes."""

    def test_own_daemons_go_first(self) -> None:
        """However many slots a peer has."""
        self.comes(free=10)
        connection = self.join(capacity=1)
        decided = self.command(SPAWN)
        self.assertEqual(for_daemons(decided), [(connection, SPAWN)])
        self.assertEqual(entries(decided), [])

    def test_a_task_without_a_slot_at_home_goes_to_the_peer_with_the_most_free_slots(self) -> None:
        """As this relay counts: what it has handed out since is not free any more."""
        self.comes(P, 2)
        self.comes(Q, 4)
        decided = [each for task_id in ("t1", "t2", "t3") for each in self.command(wire("spawnTask", taskId=task_id))]
        self.assertEqual([each.task_id for each in entries(decided, Q)], ["t1", "t2"])
        self.assertEqual([each.task_id for each in entries(decided, P)], ["t3"])

    def test_what_is_offered_is_stored_first_and_written_into_the_directory(self) -> None:
        """With its number of attempts."""
        self.comes()
        decided = self.command(SPAWN)
        saved, kept, sent = (of_kind(decided, each) for each in (SaveTask, KeepEntry, RecordHolder))
        self.assertEqual(entries(decided), [Offer("t1", 1, None, None, SPAWN)])
        self.assertEqual([each.task.status for each in saved], [TaskStatus.PENDING, TaskStatus.DISPATCHED])
        self.assertEqual(saved[1].task.relay, P)
        self.assertEqual([each.number for each in kept], [2])
        self.assertEqual(sent, [RecordHolder("t1", 1, ME, P)])

    def test_a_task_waits_while_no_peer_has_a_slot_and_goes_when_one_has(self) -> None:
        """As soon as that peer says so."""
        self.comes(free=0)
        self.assertEqual(entries(self.command(SPAWN)), [])
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        self.assertEqual(entries(self.comes(free=1)), [Offer("t1", 1, None, None, SPAWN)])

    def test_no_task_goes_to_a_peer_while_redis_is_away(self) -> None:
        """Nor before the peer was seen again."""
        self.comes()
        self.relay.cluster_lost(NOW, "gone")
        self.command(SPAWN)
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        self.relay.cluster_ready(NOW, {})
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        self.comes()
        self.assertEqual(self.known().relay, P)

    def test_what_a_peer_returns_is_not_offered_to_it_again_before_its_presence_is_renewed(self) -> None:
        """It does not count as a try, but the next offer has another number."""
        self.comes(free=2)
        self.command(SPAWN)
        decided = self.says(Returned("t1", 1, lost=False, hostname=None))
        self.assertEqual(entries(decided), [])
        self.assertEqual((self.known().status, self.known().tries), (TaskStatus.PENDING, 0))
        self.assertEqual(entries(self.comes(free=1)), [Offer("t1", 2, None, None, SPAWN)])

    def test_what_a_peer_returns_goes_to_another(self) -> None:
        """At once."""
        self.comes(P, 3)
        self.comes(Q, 1)
        self.command(SPAWN)
        self.assertEqual(entries(self.says(Returned("t1", 1, lost=False, hostname=None)), Q), [self.offer(2)])


class ReportTests(PeerTestCase):
    """What comes back."""

    def setUp(self) -> None:
        super().setUp()
        self.lend()

    def test_the_row_shows_where_a_task_is(self) -> None:
        """The daemon, its hostname, and the peer."""
        known = self.known()
        self.assertEqual((known.daemon_id, known.hostname, known.relay), (D2, "host-m2", P))
        self.assertEqual(known.status, TaskStatus.DISPATCHED)

    def test_it_is_counted_here_wherever_it_runs(self) -> None:
        """In heartbeats too."""
        self.assertEqual(self.relay.active_tasks(), ["t1"])

    def test_reports_are_relayed_as_they_came_and_the_end_is_stored_with_its_report(self) -> None:
        """And what was acted on, in the same transaction."""
        decided = self.says(Reported("t1", 1, D2, (OUTPUT,)))
        self.assertEqual(for_server(decided), [OUTPUT])
        self.assertEqual(self.known().status, TaskStatus.RUNNING)
        decided = self.says(Reported("t1", 1, D2, (OUTPUT, DONE)))
        self.assertEqual(for_server(decided), [OUTPUT, DONE])
        self.assertEqual(ended(decided), [DONE])
        self.assertEqual(self.known().status, TaskStatus.COMPLETED)
        self.assertEqual(of_kind(decided, RecordHolder), [RecordHolder("t1", 1, ME, "ended")])
        self.assertEqual(of_kind(self.pass_time(ENDED_FOR, P), ForgetTasks), [ForgetTasks(("t1",))])
        self.assertEqual(of_kind(decided, SaveReceived), [SaveReceived(P, 3)])

    def test_output_is_kept_where_the_task_is_from(self) -> None:
        """For people to see."""
        self.says(Reported("t1", 1, D2, (OUTPUT,)))
        self.assertEqual([piece.payload for piece in self.relay.outputs.of("t1")], [OUTPUT])

    def test_reports_of_a_daemon_that_never_had_the_task_are_refused(self) -> None:
        """And that peer is told once to stop it."""
        stranger = Reported("t1", 1, "another", (DONE,))
        decided = [*self.says(stranger), *self.says(stranger)]
        self.assertEqual(for_server(decided), [])
        self.assertEqual(entries(decided), [Interrupt("t1", 1)])
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)

    def test_what_is_about_other_tasks_or_no_report_is_ignored(self) -> None:
        """Whatever a peer sends is looked at like a daemon's messages."""
        nonsense = (wire("taskOutput", taskId="t2"), wire("heartbeat", activeTasks=[]), b"{", wire("taskOutput"))
        self.assertEqual(for_server(self.says(Reported("t1", 1, D2, nonsense))), [])

    def test_a_late_report_is_relayed_though_the_task_is_not_in_mind_any_more(self) -> None:
        """The store is asked."""
        self.says(Reported("t1", 1, D2, (DONE,)))
        stored = self.known()
        self.begin()
        self.comes()
        self.stored["t1"] = stored
        self.assertEqual(for_server(self.says(Reported("t1", 1, D2, (OUTPUT,)))), [OUTPUT])
        self.assertEqual(self.known().status, TaskStatus.COMPLETED)

    def test_a_task_that_ended_elsewhere_is_not_reported_again(self) -> None:
        """The peer's own server knows."""
        decided = self.says(Ended("t1", 1, TaskStatus.FAILED, "boom"))
        self.assertEqual(for_server(decided), [])
        self.assertEqual((self.known().status, self.known().error), (TaskStatus.FAILED, "boom"))

    def test_entries_that_come_twice_are_acted_on_once(self) -> None:
        """And acknowledged again."""
        said = Reported("t1", 1, D2, (OUTPUT,))
        self.says(said)
        self._numbers[P] -= 1
        self.assertEqual(for_server(self.says(said)), [])


class CommandTests(PeerTestCase):
    """Commands are the origin's."""

    def test_a_command_follows_its_task(self) -> None:
        """In the same stream, so that it cannot overtake it."""
        self.comes()
        command = wire("sendInput", taskId="t1", text="x")
        decided = [*self.command(SPAWN), *self.command(command)]
        self.assertEqual(entries(decided), [Offer("t1", 1, None, None, SPAWN), Relayed("t1", 1, command)])

    def test_an_operators_cancel_goes_to_the_holder(self) -> None:
        """Which spells it as its daemon does."""
        self.lend()
        self.assertEqual(entries(self.relay.cancel_requested("t1", NOW)), [Relayed("t1", 1, None)])

    def test_while_the_holder_is_away_commands_wait(self) -> None:
        """As for a daemon that is gone."""
        self.lend()
        self.relay.peer_left(P, NOW)
        command = wire("sendInput", taskId="t1", text="x")
        self.assertEqual(entries(self.command(command)), [])
        self.comes()
        inquiry = Holding(3, (("t1", 1, D2, "host-m2"),))
        self.assertEqual(entries(self.says(inquiry)), [Relayed("t1", 1, command)])


class LossTests(PeerTestCase):
    """A holder's daemon is lost."""

    def test_the_origins_rule_decides_when_a_daemon_is_lost_at_a_holder(self) -> None:
        """``fail``: the server is told which daemon it was."""
        self.lend()
        decided = self.says(Returned("t1", 1, lost=True, hostname="host-m2"))
        error = "daemon host-m2 lost"
        self.assertEqual(for_server(decided), [wire("taskComplete", taskId="t1", success=False, error=error)])

    def test_an_older_attempt_that_is_returned_changes_nothing(self) -> None:
        """It was handed out anew since."""
        self.lend()
        self.says(Returned("t1", 0, lost=True, hostname="host-m2"))
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)


class RequeueTests(PeerTestCase):
    """``--on-daemon-loss requeue``."""

    policy = Policy(relay_id=ME, agent_name="edge-me", on_loss=LossPolicy.REQUEUE)

    def test_it_is_queued_again(self) -> None:
        """And goes to whoever has a slot."""
        self.lend()
        decided = self.says(Returned("t1", 1, lost=True, hostname="host-m2"))
        self.assertEqual(entries(decided), [Offer("t1", 2, None, None, SPAWN)])

    def test_a_holder_that_shows_to_have_it_still_keeps_it(self) -> None:
        """While nobody else was given it."""
        self.lend()
        self.relay.peer_left(P, NOW)
        self.pass_time(PEER_GRACE)
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        self.comes(free=0, now=NOW + PEER_GRACE)
        self.says(Holding(3, (("t1", 1, D2, "host-m2"),)), now=NOW + PEER_GRACE)
        self.assertEqual((self.known().status, self.known().relay), (TaskStatus.RUNNING, P))


class AwayTests(PeerTestCase):
    """A holder is away."""

    def test_who_is_not_seen_for_fifteen_seconds_is_away(self) -> None:
        """Its tasks are orphaned, and what it has not read is taken back."""
        self.lend()
        self.assertEqual(of_kind(self.pass_time(14), TakeBack), [])
        decided = self.relay.time_passed(NOW + 15, AT + 15)
        self.assertEqual(of_kind(decided, TakeBack), [TakeBack(P, 1)])
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)
        self.assertIn("peer_disconnected", events(decided))

    def test_nobody_is_away_because_redis_is(self) -> None:
        """Then all have a fresh fifteen seconds."""
        self.lend()
        self.relay.cluster_lost(NOW + 1, "gone")
        self.pass_time(100)
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)
        self.relay.cluster_ready(NOW + 100, {})
        self.relay.time_passed(NOW + 114, AT + 114)
        self.assertEqual(self.known().status, TaskStatus.DISPATCHED)
        self.relay.time_passed(NOW + 115, AT + 115)
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)

    def test_what_it_has_not_read_is_pending_at_once(self) -> None:
        """With the commands that were under way, and without counting as a try."""
        self.comes()
        command = wire("sendInput", taskId="t1", text="x")
        self.command(SPAWN)
        self.command(command)
        self.relay.peer_left(P, NOW)
        connection = self.join()
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)
        decided = self.relay.taken_back(P, [2, 3], NOW)
        self.assertEqual(for_daemons(decided), [(connection, SPAWN), (connection, command)])
        self.assertEqual((self.known().relay, self.known().tries), (None, 1))

    def test_a_cancel_that_it_has_not_read_ends_the_task_here(self) -> None:
        """No daemon ever had it."""
        self.comes()
        self.command(SPAWN)
        self.command(wire("interruptTask", taskId="t1"))
        self.relay.peer_left(P, NOW)
        decided = self.relay.taken_back(P, [2, 3], NOW)
        error = "cancelled before dispatch"
        self.assertEqual(for_server(decided), [wire("taskComplete", taskId="t1", success=False, error=error)])

    def test_what_it_has_read_waits_for_its_return(self) -> None:
        """For ``--peer-grace``, then it is lost."""
        self.lend()
        self.relay.peer_left(P, NOW)
        self.relay.taken_back(P, [], NOW)
        self.assertEqual(for_server(self.pass_time(PEER_GRACE - 1)), [])
        decided = self.relay.time_passed(NOW + PEER_GRACE, AT + PEER_GRACE)
        error = "daemon host-m2 lost"
        self.assertEqual(for_server(decided), [wire("taskComplete", taskId="t1", success=False, error=error)])

    def test_no_grace_goes_by_while_redis_is_away(self) -> None:
        """Nobody could be heard."""
        self.lend()
        self.relay.peer_left(P, NOW)
        self.relay.cluster_lost(NOW, "gone")
        self.pass_time(2 * PEER_GRACE)
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)

    def test_an_answer_about_what_was_sent_again_meanwhile_is_ignored(self) -> None:
        """The peer is present again, and may have read it."""
        self.comes()
        self.command(SPAWN)
        self.relay.peer_left(P, NOW)
        self.comes()
        self.relay.taken_back(P, [2], NOW)
        self.assertEqual((self.known().relay, self.known().attempts), (P, 1))


class ReturnTests(PeerTestCase):
    """A holder returns."""

    def setUp(self) -> None:
        super().setUp()
        self.lend()
        self.relay.peer_left(P, NOW)

    def test_it_is_sent_all_that_it_may_not_have_and_asked_what_it_has(self) -> None:
        """The oldest first."""
        kinds = [type(each) for each in entries(self.comes())]
        self.assertEqual(kinds, [Inquiry, Offer, Inquiry])

    def test_what_it_lists_goes_on(self) -> None:
        """As with a daemon."""
        self.comes()
        self.says(Holding(3, (("t1", 1, D2, "host-m2"),)))
        self.assertEqual(self.known().status, TaskStatus.RUNNING)

    def test_what_it_does_not_list_is_lost(self) -> None:
        """At once."""
        self.comes()
        decided = self.says(Holding(3, ()))
        error = "daemon host-m2 lost"
        self.assertEqual(for_server(decided), [wire("taskComplete", taskId="t1", success=False, error=error)])

    def test_an_answer_to_an_older_question_says_nothing(self) -> None:
        """It was asked again since."""
        self.comes()
        self.says(Holding(1, ()))
        self.assertEqual(self.known().status, TaskStatus.ORPHANED)

    def test_what_it_was_offered_since_does_not_count_as_unlisted(self) -> None:
        """It could not list that."""
        self.comes()
        self.spawn("t2")
        self.says(Holding(3, ()))
        self.assertEqual(self.known("t2").status, TaskStatus.DISPATCHED)

    def test_what_was_given_up_is_interrupted(self) -> None:
        """A holder that returns too late."""
        self.pass_time(PEER_GRACE)
        self.comes(now=NOW + PEER_GRACE)
        decided = self.says(Holding(3, (("t1", 1, D2, "host-m2"),)), now=NOW + PEER_GRACE)
        self.assertEqual(entries(decided), [Interrupt("t1", 1)])


class RestartTests(PeerTestCase):
    """This relay starts again."""

    def test_a_task_at_a_peer_goes_on(self) -> None:
        """It is not orphaned as long as the peer is not known to be away; the peer is asked when it is seen."""
        lent = task().dispatched(None, AT, P).placed(D2, "host-m2")
        peer = StoredPeer(relay_id=P, agent_name="p", received=1, next_number=3)
        self.begin(Snapshot(next_key=2, tasks=(StoredTask(task=lent, message=SPAWN),), peers=(peer,)))
        self.assertEqual(self.known(), lent)
        self._numbers[P] = 1
        self.assertEqual(entries(self.comes()), [Inquiry()])
        self.assertEqual(for_server(self.says(Reported("t1", 1, D2, (DONE,)))), [DONE])

    def test_entries_that_the_peer_may_not_have_are_sent_again(self) -> None:
        """With their numbers; new ones are above all that Redis knows of."""
        payload = b"x"
        peer = StoredPeer(relay_id=P, agent_name="p", next_number=8, entries=((7, payload),))
        self.start(POLICY, Snapshot(peers=(peer,)))
        self.relay.cluster_ready(NOW, {P: 6, Q: 41})
        sent = [(each.number, each.payload) for each in self.comes() if isinstance(each, SendEntry)]
        self.assertEqual(sent[0], (7, bytes(8) + payload))
        self.assertEqual(sent[1][0], 8)
        kept = of_kind(self.comes(Q), KeepEntry)
        self.assertEqual([each.number for each in kept], [42])
