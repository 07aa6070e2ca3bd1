"""The books of several relays: what one that the others cannot reach is forgiven, and what it is not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.runs import Run

PATIENCE = 8.0


class ClusterLedgerTests(SynchronousTestCase):
    """Two relays with a daemon each; the second's runs a task of the first's server."""

    def setUp(self) -> None:
        """The task has one report, which its relay has read."""
        self.ledger = Ledger(3.0, 2, PATIENCE)
        for relay, name in enumerate(("a", "b")):
            self.ledger.relay_ready(0.0, relay)
            self.ledger.daemon_connected(name, 0.0, relay)
        self.ledger.task_spawned("t", 0)
        self.ledger.task_read("t", 0.0)
        self.run_b = self.ledger.run_begun("t", "b", 0.0)
        self.report(self.run_b)

    def report(self, run: Run, *, at: float = 1.0) -> None:
        """A daemon makes a report, and its relay reads it."""
        self.ledger.report_sent(run)
        self.ledger.reports_read(run, run.sent, at, 1)

    def cut_off(self, seconds: float, *, alone: bool = True, says_so: bool = True) -> float:
        """The second relay cannot reach the first for a while; when that is over."""
        self.ledger.relays_cut_off((1,), 2.0, alone=alone, says_so=says_so)
        self.ledger.relays_mended((1,), 2.0 + seconds)
        self.ledger.relay_linked(1, 2.0 + seconds)
        return 2.0 + seconds

    def test_a_task_runs_where_it_was_not_made(self) -> None:
        """That is counted."""
        self.assertEqual(self.ledger.tasks.moved, 1)
        self.assertEqual((self.ledger.unfinished_of(0), self.ledger.unfinished_of(1)), (1, 0))

    def test_a_relay_that_was_away_for_long_may_lose_what_is_not_its_own(self) -> None:
        """The task may be taken away, and its reports refused."""
        over = self.cut_off(PATIENCE)
        self.ledger.run_begun("t", "a", over)
        self.ledger.task_given_away("t", "b", over + 1.0)
        list(self.ledger.close(100.0))
        self.assertEqual((self.ledger.tasks.taken_away, self.ledger.reports.refused), (0, 1))

    def test_a_task_that_was_given_up_and_goes_on_loses_nothing(self) -> None:
        """Nobody else got it: what its daemon said meanwhile counts when its relay is back."""
        self.cut_off(PATIENCE)
        self.report(self.run_b, at=20.0)
        self.ledger.delivered(self.run_b.run_id, "t", 2, 0)
        list(self.ledger.close(100.0))
        self.assertEqual((self.ledger.reports.refused, self.ledger.reports.lost), (0, 1))

    def test_what_was_read_before_the_trouble_must_have_been_passed_on(self) -> None:
        """But for what was on its way."""
        for at, lost in ((2.0, 0), (0.9, 1)):
            self.setUp()
            self.report(self.run_b, at=at)
            self.ledger.delivered(self.run_b.run_id, "t", 1, 0)
            over = self.cut_off(PATIENCE)
            self.ledger.task_given_away("t", "b", over + 1.0)
            list(self.ledger.close(100.0))
            self.assertEqual((self.ledger.reports.refused, self.ledger.reports.lost), (1 - lost, lost))

    def test_a_task_that_is_begun_when_all_of_it_had_arrived_is_still_its_origins(self) -> None:
        """That may not have heard of the end, which went to another server."""
        self.ledger.run_ended(self.run_b, 1.0)
        self.ledger.delivered(self.run_b.run_id, "t", 1, 1)
        self.ledger.task_completed("t", self.run_b.run_id, 1)
        again = self.ledger.run_begun("t", "b", 1.5)
        self.report(again, at=2.0)
        self.cut_off(PATIENCE)
        list(self.ledger.close(100.0))
        self.assertEqual((self.ledger.reports.refused, self.ledger.reports.lost), (1, 0))

    def test_the_trouble_begins_when_it_first_reaches_nobody(self) -> None:
        """Though the others can miss it only when they reach each other."""
        self.ledger.relays_cut_off((0, 1), 1.0, alone=False)
        self.ledger.relays_cut_off((1,), 5.0, alone=True, says_so=True)
        self.ledger.relays_mended((0, 1), 6.0)
        self.ledger.task_given_away("t", "b", 5.0 + PATIENCE)
        list(self.ledger.close(100.0))
        self.assertEqual((self.ledger.tasks.taken_away, self.ledger.reports.refused), (0, 1))

    def test_what_could_not_be_passed_on_because_the_origin_was_away_is_forgiven_too(self) -> None:
        """That was there again when the holder was gone."""
        self.ledger.relays_cut_off((0,), 1.0, alone=True)
        self.ledger.relays_cut_off((1,), 5.0, alone=True, says_so=True)
        self.ledger.relays_mended((0,), 6.0)
        self.ledger.relay_linked(0, 7.0)
        self.ledger.task_given_away("t", "b", 5.0 + PATIENCE)
        list(self.ledger.close(100.0))
        self.assertEqual((self.ledger.tasks.taken_away, self.ledger.reports.refused), (0, 1))

    def test_what_a_daemon_left_at_a_relay_that_was_cut_off_may_come_too_late(self) -> None:
        """When the task is another's, and only then."""
        for given_away, lost in ((True, 0), (False, 1)):
            self.setUp()
            self.ledger.relays_cut_off((1,), 1.0, alone=True)
            self.ledger.daemon_disconnected("b", 1.0)
            self.ledger.daemon_connected("b", 1.5, 0)
            self.report(self.run_b, at=2.0)
            self.ledger.delivered(self.run_b.run_id, "t", 2, 0)
            if given_away:
                self.ledger.task_given_away("t", "b", 3.0)
            list(self.ledger.close(100.0))
            self.assertEqual((self.ledger.reports.refused, self.ledger.reports.lost), (1 - lost, lost))

    def test_a_relay_that_was_away_shortly_may_not(self) -> None:
        """Nor one that lacked Redis as all did: then nobody's absence counts; and without leave it is missed later."""
        for seconds, alone, says_so in (
            (PATIENCE - 1.0, True, True),
            (PATIENCE + 9.0, False, True),
            (PATIENCE + 8.9, True, False),
        ):
            self.setUp()
            over = self.cut_off(seconds, alone=alone, says_so=says_so)
            self.ledger.task_given_away("t", "b", over + 1.0)
            list(self.ledger.close(100.0))
            self.assertEqual((self.ledger.tasks.taken_away, self.ledger.reports.lost), (1, 1))

    def test_its_absence_lasts_until_it_says_that_it_has_the_others(self) -> None:
        """What is mended it has to notice; and a fault that lasts is not over because it says so."""
        self.ledger.relays_cut_off((1,), 2.0, alone=True, says_so=True)
        self.ledger.relay_linked(1, 3.0)
        self.ledger.relays_mended((1,), 4.0)
        self.ledger.relay_linked(1, 2.0 + PATIENCE)
        self.ledger.task_given_away("t", "b", 20.0)
        self.assertEqual(self.ledger.tasks.taken_away, 0)

    def test_a_kill_takes_only_what_that_relay_has_read(self) -> None:
        """The other one's death explains nothing."""
        for relay, lost in ((0, 1), (1, 0)):
            self.setUp()
            self.ledger.relay_killed(1.01, relay)
            list(self.ledger.close(100.0))
            self.assertEqual((self.ledger.reports.lost, self.ledger.reports.lost_in_window), (lost, 1 - lost))

    def test_two_runs_may_not_both_end_at_one_server(self) -> None:
        """Twice the same one may: that is a duplicate; and so may two at two servers."""
        second = self.ledger.run_begun("t", "b", 1.0)
        for run, relay in ((self.run_b, 0), (self.run_b, 0), (second, 1)):
            self.ledger.task_completed("t", run.run_id, relay)
        self.assertEqual(self.ledger.tasks.ended_twice, 0)
        self.ledger.task_completed("t", second.run_id, 0)
        self.assertEqual(self.ledger.tasks.ended_twice, 1)
        self.assertIn("ended twice at the server of relay 1: run 1 ", next(self.ledger.close(100.0)))

    def test_the_order_is_that_of_each_server(self) -> None:
        """What came to another server first is not late at the own one; within each it is."""
        for _ in range(4):
            self.report(self.run_b)
        for number, relay in ((1, 0), (4, 1), (5, 1), (2, 0), (3, 0)):
            self.ledger.delivered(self.run_b.run_id, "t", number, relay)
        self.assertEqual((self.ledger.reports.reordered, self.ledger.reports.elsewhere), (0, 2))
        self.setUp()
        self.report(self.run_b)
        for number in (2, 1):
            self.ledger.delivered(self.run_b.run_id, "t", number, 1)
        self.assertEqual(self.ledger.reports.reordered, 1)

    def test_what_a_daemon_left_at_a_relay_that_was_cut_off_may_be_overtaken(self) -> None:
        """Where all relays reach each other it may not."""
        for troubled, reordered in ((True, 0), (False, 1)):
            self.setUp()
            if troubled:
                self.ledger.relays_cut_off((1,), 1.0, alone=True)
            self.ledger.daemon_disconnected("b", 1.0)
            self.ledger.daemon_connected("b", 1.5, 0)
            self.report(self.run_b, at=2.0)
            for number in (2, 1):
                self.ledger.delivered(self.run_b.run_id, "t", number, 0)
            self.assertEqual((self.ledger.reports.reordered, self.ledger.reports.overtaken), (reordered, 1 - reordered))

    def test_an_overlap_counts_while_the_relays_reach_each_other(self) -> None:
        """From the first heartbeats of both daemons after that."""
        self.ledger.relays_cut_off((1,), 2.0, alone=True)
        self.ledger.run_begun("t", "a", 3.0)
        for name in ("a", "b"):
            self.ledger.heartbeat_read(name, 4.0)
        self.ledger.relays_mended((1,), 9.0)
        self.ledger.relay_linked(1, 10.0)
        for name in ("a", "b"):
            self.ledger.heartbeat_read(name, 11.0)
        self.ledger.task_given_away("t", "b", 13.0)
        list(self.ledger.close(100.0))
        self.assertEqual(self.ledger.tasks.longest_overlap, 2.0)
