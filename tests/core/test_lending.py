"""Tasks of this relay's own at peers (``cluster.md``, *Rules*): overflow, commands, and what comes back."""

from __future__ import annotations

import json

from makima_relay.core.cluster import AWAY_AFTER
from makima_relay.core.cluster_effects import ForgetTasks, KeepEntry, RecordHolder, SaveReceived
from makima_relay.core.directory import ENDED_FOR
from makima_relay.core.effects import KeepReports, SaveTask
from makima_relay.core.entries import Ended, Holding, Inquiry, Interrupt, Offer, Relayed, Reported, Returned
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D2, NOW, hello, of_kind, wire
from tests.core.cases import GRACE
from tests.core.peer_case import (
    DONE,
    ME,
    OUTPUT,
    PEER_GRACE,
    SPAWN,
    P,
    PeerTestCase,
    Q,
    ended,
    entries,
    for_daemons,
    for_server,
    placed,
)


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
        """As this relay counts: what it has handed out since is not free any more. Of several like it one is drawn."""
        self.comes(P, 2)
        self.comes(Q, 4)
        for task_id, drawn in (("t1", 0.0), ("t2", 0.0), ("t3", 0.6), ("t4", 0.0), ("t5", 0.4), ("t6", 0.0)):
            self.drawn = drawn
            self.command(wire("spawnTask", taskId=task_id))
        self.assertEqual([self.known(f"t{number}").relay for number in range(1, 7)], [Q, Q, Q, P, P, Q])

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

    def test_a_slot_is_free_as_soon_as_a_task_there_ends(self) -> None:
        """Unless that peer has returned one: then it has to say so."""
        self.comes(free=1)
        self.command(SPAWN)
        self.spawn("t2")
        self.spawn("t3")
        decided = self.says(placed(), Reported("t1", 1, D2, (DONE,)))
        self.assertEqual(entries(decided), [self.offer(task_id="t2")])
        self.comes(free=1)
        self.says(Returned("t3", 1, lost=False, hostname=None))
        done = wire("taskComplete", taskId="t2", success=True)
        self.assertEqual(entries(self.says(Reported("t2", 1, D2, (done,)))), [])
        self.assertEqual(entries(self.comes(free=1)), [self.offer(2, "t3")])

    def test_a_report_that_comes_twice_frees_one_slot(self) -> None:
        """What has ended cannot end again."""
        self.comes(free=1)
        self.command(SPAWN)
        self.says(placed(), Reported("t1", 1, D2, (DONE, DONE)))
        self.spawn("t2")
        self.spawn("t3")
        self.assertEqual([self.known(each).relay for each in ("t2", "t3")], [P, None])

    def test_a_slot_that_a_presence_and_an_end_tell_of_is_one(self) -> None:
        """The peer was faster to say that it is free than to say why."""
        self.comes(free=1, foreign=0)
        for task_id in ("t1", "t2", "t3"):
            self.spawn(task_id)
        self.says(placed())
        self.comes(free=1, foreign=0)
        self.assertEqual(entries(self.says(Reported("t1", 1, D2, (DONE,)))), [self.offer(task_id="t2")])
        self.assertEqual(self.known("t3").status, TaskStatus.PENDING)

    def test_a_presence_that_is_older_than_an_offer_does_not_make_its_slot_free(self) -> None:
        """It says nothing of what the peer had yet to read."""
        self.comes(free=1, foreign=3)
        self.spawn("t1")
        self.comes(free=1, foreign=0)
        self.spawn("t2")
        self.assertEqual([self.known(each).relay for each in ("t1", "t2")], [P, None])

    def test_what_a_peer_returns_goes_to_another(self) -> None:
        """At once."""
        self.comes(P, 3)
        self.comes(Q, 1)
        self.command(SPAWN)
        self.assertEqual(entries(self.says(Returned("t1", 1, lost=False, hostname=None)), Q), [self.offer(2)])

    def test_of_tasks_that_a_peer_has_no_more_nothing_is_kept_in_mind_about_it(self) -> None:
        """However many it is offered while it is there."""
        self.lend()
        self.says(Reported("t1", 1, D2, (DONE,)))
        (peer,) = self.relay._state.peers
        self.assertEqual((peer.tasks, peer.offered), (set(), set()))


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

    def test_a_report_is_kept_with_the_number_of_its_entry(self) -> None:
        """Its holder forgets it once that is acknowledged: a relay that is killed then must have it."""
        decided = self.says(Reported("t1", 1, D2, (OUTPUT,)))
        (kept,) = [each for each in decided if isinstance(each, KeepReports)]
        self.assertEqual([payload for _, payload in kept.reports], [OUTPUT])
        (received,) = [each for each in decided if isinstance(each, SaveReceived)]
        self.assertLess(decided.index(kept), decided.index(received))

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

    def test_commands_follow_their_task_when_a_daemon_has_it(self) -> None:
        """Those that came before the task went there, too; in the same stream, so that none overtakes it."""
        first, then, last = (wire("sendInput", taskId="t1", text=text) for text in "abc")
        self.command(SPAWN)
        self.command(first)
        decided = [*self.comes(), *self.command(then)]
        self.assertEqual(entries(decided), [Inquiry(), Offer("t1", 1, None, None, SPAWN)])
        self.assertEqual(entries(self.says(placed())), [Relayed("t1", 1, first), Relayed("t1", 1, then)])
        self.assertEqual(entries(self.command(last)), [Relayed("t1", 1, last)])

    def test_commands_go_along_with_a_task_that_is_returned(self) -> None:
        """Nobody had them."""
        self.comes()
        command = wire("sendInput", taskId="t1", text="x")
        self.command(SPAWN)
        self.command(command)
        self.says(Returned("t1", 1, lost=False, hostname=None))
        decided = self.relay.daemon_joined(1, hello("m1", 1), "a", NOW)
        self.assertEqual([each for _, each in for_daemons(decided)][-2:], [SPAWN, command])

    def test_a_task_that_is_cancelled_and_returned_is_cancelled(self) -> None:
        """By the server or by an operator: no daemon ever had it."""
        self.comes()
        self.command(SPAWN)
        self.command(wire("interruptTask", taskId="t1"))
        self.spawn("t2")
        self.relay.cancel_requested("t2", NOW)
        decided = [*self.says(*(Returned(each, 1, lost=False, hostname=None) for each in ("t1", "t2")))]
        self.assertEqual([json.loads(each)["error"] for each in ended(decided)], ["cancelled before dispatch"] * 2)
        self.assertEqual(entries(self.comes()), [])

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
        self.comes()
        self.says(Holding(1, ()))
        self.lend()
        decided = self.says(Returned("t1", 1, lost=True, hostname="host-m2"))
        self.assertEqual(entries(decided), [Offer("t1", 2, None, None, SPAWN)])

    def test_one_that_a_peer_returns_may_still_be_its_former_daemons(self) -> None:
        """Which comes back, says so, and goes on."""
        connection = self.join("m2", capacity=1)
        self.spawn()
        self.relay.daemon_lost(connection, "gone", NOW)
        self.relay.time_passed(self.later, AT + GRACE)
        self.comes(free=1, now=self.later)
        self.says(Holding(1, ()), now=self.later)
        self.assertEqual((self.known().relay, self.known().daemon_id), (P, None))
        self.says(Returned("t1", 2, lost=False, hostname=None), now=self.later)
        again = self.join("m2", capacity=1, now=self.later)
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        decided = self.report(again, OUTPUT, self.later)
        self.assertEqual((for_server(decided), self.known().status), ([OUTPUT], TaskStatus.RUNNING))
        self.report(again, DONE, self.later)
        self.assertEqual(self.relay._state.held_before, {})

    later = NOW + GRACE

    def lose_while_redis_is_away(self) -> int:
        """A daemon goes, and its grace is over when Redis, with two peers, is there again.

        :return: the number of the entry that asks them which tasks they have.
        """
        self.comes(P)
        self.comes(Q)
        connection = self.join("m2", capacity=1)
        self.spawn()
        self.relay.cluster_lost(NOW, "gone")
        self.relay.daemon_lost(connection, "gone", NOW)
        self.relay.time_passed(self.later, AT + GRACE)
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        decided = self.relay.cluster_ready(self.later, {})
        self.assertEqual([*entries(decided, P), *entries(decided, Q)], [Inquiry(), Inquiry(), Inquiry(), Inquiry()])
        decided = [*self.comes(P, now=self.later), *self.comes(Q, 0, now=self.later)]
        self.assertEqual([*entries(decided, P), *entries(decided, Q)], [])
        return 2

    def test_a_task_that_has_gone_to_a_peer_with_its_daemon_stays_there(self) -> None:
        """Nothing of what its daemon said is refused."""
        self.lose_while_redis_is_away()
        decided = self.says(placed(1, TaskStatus.RUNNING), Reported("t1", 1, D2, (OUTPUT,)), now=self.later)
        self.assertEqual((for_server(decided), entries(decided)), ([OUTPUT], []))
        self.assertEqual((self.known().status, self.known().attempts), (TaskStatus.RUNNING, 1))

    def test_a_lost_task_is_offered_when_all_have_said_that_they_do_not_have_it(self) -> None:
        """Of those that are there."""
        inquiry = self.lose_while_redis_is_away()
        self.assertEqual(entries(self.says(Holding(inquiry, ()), now=self.later)), [])
        decided = self.says(Holding(inquiry, ()), peer=Q, now=self.later)
        self.assertEqual(entries(decided), [Offer("t1", 2, None, None, SPAWN)])

    def test_a_peer_that_does_not_answer_is_not_waited_for_long(self) -> None:
        """Its database may be full."""
        self.lose_while_redis_is_away()
        later = self.later + AWAY_AFTER
        self.assertEqual(entries(self.comes(now=later - 0.1)), [])
        self.assertEqual(entries(self.comes(now=later)), [Offer("t1", 2, None, None, SPAWN)])

    def test_a_holder_that_shows_to_have_it_still_keeps_it(self) -> None:
        """While nobody else was given it."""
        self.lend()
        self.relay.peer_left(P, NOW)
        self.pass_time(PEER_GRACE)
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        self.comes(free=0, now=NOW + PEER_GRACE)
        self.says(Holding(3, (("t1", 1, D2, "host-m2"),)), now=NOW + PEER_GRACE)
        self.assertEqual((self.known().status, self.known().relay), (TaskStatus.RUNNING, P))
