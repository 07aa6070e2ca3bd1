"""Holders of this relay's tasks that are away and return (``cluster.md``, *Rules*), and a restart of this relay."""

from __future__ import annotations

import msgspec

from makima_relay.core.cluster_effects import KeepEntry, SendEntry, TakeBack
from makima_relay.core.entries import Holding, Inquiry, Interrupt, Offer, Reported
from makima_relay.core.policy import LossPolicy
from makima_relay.core.snapshot import Snapshot, StoredPeer, StoredTask
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D2, NOW, events, of_kind, task, wire
from tests.core.peer_case import (
    DONE,
    PEER_GRACE,
    POLICY,
    SPAWN,
    P,
    PeerTestCase,
    Q,
    entries,
    for_daemons,
    for_server,
    placed,
)


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

    def test_a_task_that_it_claims_to_run_without_having_read_it_is_lost(self) -> None:
        """Whoever says so is no relay, but what it says breaks nothing."""
        self.policy = msgspec.structs.replace(POLICY, on_loss=LossPolicy.REQUEUE)
        self.begin()
        self.comes()
        self.command(SPAWN)
        self.relay.peer_left(P, NOW)
        self.says(placed(status=TaskStatus.RUNNING))
        self.relay.taken_back(P, [2], NOW)
        self.assertEqual((self.known().status, self.known().tries), (TaskStatus.PENDING, 1))

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
