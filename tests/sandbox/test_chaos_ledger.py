"""The books of the chaos experiment: what counts as lost, and what may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox.chaos.kills import KILL_WINDOW, WINDOW_TOLERANCE
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.runs import Proof, Run

GRACE = 3.0


class LedgerTests(SynchronousTestCase):
    """One task and two daemons, unless said."""

    def setUp(self) -> None:
        """Two daemons are connected, and the first runs a task."""
        self.ledger = Ledger(GRACE)
        self.ledger.relay_ready(0.0)
        for name in ("a", "b"):
            self.ledger.daemon_connected(name, 0.0)
        self.ledger.task_spawned("t")
        self.ledger.task_read("t", 0.0)
        self.run_a = self.ledger.run_begun("t", "a", 0.0)

    def send(self, run: Run, count: int) -> None:
        """A daemon makes reports."""
        for _ in range(count):
            self.ledger.report_sent(run)

    def end(self, run: Run, now: float = 1.0) -> None:
        """A daemon makes the last report, and all of them are read."""
        self.send(run, 1)
        self.ledger.run_ended(run, now)
        self.ledger.reports_read(run, run.sent, now, 1)

    def deliver(self, run: Run, *numbers: int) -> None:
        """Reports arrive."""
        for number in numbers:
            self.ledger.delivered(run.run_id, run.task_id, number)

    def close(self) -> list[str]:
        """Close the books, much later."""
        return list(self.ledger.close(100.0))

    # ------------------------------------------------------------------------------------------------- reports

    def test_what_is_read_and_arrives_is_not_lost(self) -> None:
        """Then nothing more is to come, and nothing is kept."""
        self.send(self.run_a, 2)
        self.end(self.run_a)
        self.assertFalse(self.ledger.settled)
        self.deliver(self.run_a, 1, 2, 3)
        self.assertFalse(self.ledger.settled)
        self.ledger.task_completed("t")
        self.assertTrue(self.ledger.settled)
        self.assertEqual((self.ledger._runs, self.ledger._tasks, self.ledger._machines["a"].runs), ({}, {}, {}))
        self.assertEqual(self.close(), [])
        reports = self.ledger.reports
        self.assertEqual((reports.sent, reports.delivered, reports.duplicated, reports.lost), (3, 3, 0, 0))

    def test_what_arrives_again_is_a_duplicate(self) -> None:
        """Also when all of its run has arrived and is forgotten."""
        self.send(self.run_a, 1)
        self.end(self.run_a)
        self.deliver(self.run_a, 1, 1, 2)
        self.deliver(self.run_a, 1, 2)
        self.assertEqual((self.ledger.reports.delivered, self.ledger.reports.duplicated), (2, 3))
        self.assertEqual(self.ledger.reports.reordered, 0)

    def test_what_arrives_first_after_a_higher_number_is_out_of_order(self) -> None:
        """And no more lost."""
        self.send(self.run_a, 2)
        self.end(self.run_a)
        self.deliver(self.run_a, 1, 3, 2, 2)
        self.assertEqual((self.ledger.reports.reordered, self.ledger.reports.duplicated), (1, 1))
        self.close()
        self.assertEqual(self.ledger.reports.lost, 0)

    def test_what_a_kill_took_may_come_after_the_end(self) -> None:
        """The end was stored at once, and the daemon sends again what was not proven to be read; it, and no more."""
        self.send(self.run_a, 3)
        self.ledger.reports_read(self.run_a, 1, 0.5, 1)
        self.send(self.run_a, 1)
        self.ledger.run_ended(self.run_a, 1.0)
        self.deliver(self.run_a, 4)
        self.ledger.relay_killed(1.0)
        self.deliver(self.run_a, 2, 3, 4)
        self.assertEqual((self.ledger.reports.sent_again, self.ledger.reports.reordered), (2, 0))
        self.deliver(self.run_a, 1)
        self.assertEqual((self.ledger.reports.sent_again, self.ledger.reports.reordered), (2, 1))
        self.assertIn("late: report 1 after 4 of run 1 (t at a", self.close()[0])

    def test_what_was_read_and_does_not_arrive_is_lost(self) -> None:
        """In the midst of a run and at its end; a line says which."""
        self.send(self.run_a, 4)
        self.end(self.run_a)
        self.deliver(self.run_a, 1, 3, 4)
        self.ledger.task_completed("t")
        self.assertFalse(self.ledger.settled)
        (line,) = self.close()
        self.assertIn("reports 2 to 5 (2) of run 1 (t at a", line)
        self.assertEqual((self.ledger.reports.lost, self.ledger.reports.lost_in_window), (2, 0))

    def test_what_was_not_read_is_not_lost(self) -> None:
        """It is counted by itself: at the end there should be nothing of it."""
        self.send(self.run_a, 3)
        self.ledger.reports_read(self.run_a, 1, 1.0, 1)
        self.deliver(self.run_a, 1)
        self.assertFalse(self.ledger.settled)
        self.assertEqual(self.close(), [])
        self.assertEqual((self.ledger.reports.lost, self.ledger.reports.unproven), (0, 2))

    def test_what_was_read_shortly_before_a_kill_may_be_lost(self) -> None:
        """The documented time, a little for measuring, and no more."""
        killed_at = 10.0
        for before, lost in ((KILL_WINDOW, 0), (KILL_WINDOW + WINDOW_TOLERANCE + 0.01, 1), (-0.1, 0), (-1.0, 1)):
            self.setUp()
            self.ledger.relay_killed(killed_at)
            self.end(self.run_a, killed_at - before)
            self.ledger.task_completed("t")
            self.assertEqual(self.ledger.settled, not lost)
            self.close()
            self.assertEqual((self.ledger.reports.lost, self.ledger.reports.lost_in_window), (lost, 1 - lost))

    def test_the_oldest_that_was_lost_before_a_kill_is_told(self) -> None:
        """As the time between."""
        self.send(self.run_a, 2)
        self.ledger.reports_read(self.run_a, 1, 9.92, 1)
        self.ledger.reports_read(self.run_a, 2, 9.97, 1)
        self.ledger.relay_killed(10.0)
        self.close()
        self.assertAlmostEqual(self.ledger.reports.oldest_in_window, 0.08)

    # -------------------------------------------------------------------------------------------------- absences

    def stay_away(self, name: str, gone: float, back: float) -> None:
        """A daemon is away for some time."""
        self.ledger.daemon_disconnected(name, gone)
        self.ledger.daemon_connected(name, back)

    def test_what_comes_after_the_grace_may_be_refused(self) -> None:
        """The relay had given the task to another; that is known to the daemon when it is told so."""
        self.send(self.run_a, 2)
        self.ledger.reports_read(self.run_a, 1, 1.0, 1)
        self.deliver(self.run_a, 1)
        self.stay_away("a", 1.0, 1.0 + GRACE)
        self.ledger.reports_read(self.run_a, 2, 5.0, 2)
        self.ledger.task_given_away("t", "a", 5.0)
        self.assertEqual(self.close(), [])
        reports, tasks = self.ledger.reports, self.ledger.tasks
        self.assertEqual((reports.refused, reports.lost, tasks.taken_away), (1, 0, 0))

    def test_a_run_that_ended_while_its_daemon_was_away_may_be_refused_too(self) -> None:
        """Its reports come when the daemon is back."""
        self.ledger.daemon_disconnected("a", 1.0)
        self.send(self.run_a, 1)
        self.ledger.run_ended(self.run_a, 2.0)
        self.ledger.daemon_connected("a", 1.0 + GRACE)
        self.ledger.reports_read(self.run_a, 1, 5.0, 2)
        self.ledger.task_given_away("t", "a", 5.0)
        self.assertEqual(self.close(), [])
        self.assertEqual((self.ledger.reports.refused, self.ledger.tasks.taken_away), (1, 0))

    def test_a_short_absence_is_no_reason_to_refuse(self) -> None:
        """The task was wrongly taken away, and what was refused is lost."""
        self.send(self.run_a, 1)
        self.stay_away("a", 1.0, GRACE / 2)
        self.ledger.reports_read(self.run_a, 1, 5.0, 2)
        self.ledger.task_given_away("t", "a", 5.0)
        taken, lost = self.close()
        self.assertIn("wrongly taken away at 5.000: run 1 (t at a", taken)
        self.assertIn("lost: reports 1 to 1 (1) of run 1 (t at a", lost)
        self.assertEqual((self.ledger.reports.lost, self.ledger.tasks.taken_away), (1, 1))

    def test_what_was_read_before_the_absence_must_not_be_refused(self) -> None:
        """The relay had it while the task was this daemon's."""
        self.send(self.run_a, 1)
        self.ledger.reports_read(self.run_a, 1, 1.0, 1)
        self.stay_away("a", 1.0, 1.0 + GRACE)
        self.ledger.task_given_away("t", "a", 5.0)
        self.close()
        self.assertEqual((self.ledger.reports.refused, self.ledger.reports.lost), (0, 1))

    def test_a_gap_before_what_arrived_was_not_refused(self) -> None:
        """From the first that the relay turns away on it turns away all."""
        self.send(self.run_a, 2)
        self.stay_away("a", 1.0, 1.0 + GRACE)
        self.ledger.reports_read(self.run_a, 2, 5.0, 2)
        self.deliver(self.run_a, 2)
        self.ledger.task_given_away("t", "a", 5.0)
        self.close()
        self.assertEqual((self.ledger.reports.refused, self.ledger.reports.lost), (0, 1))

    def test_a_restart_of_the_relay_begins_the_grace_anew(self) -> None:
        """So an absence counts from there; but one that was too long before stays too long."""
        for gone, ended, taken_away in ((1.0, 2.0, 1), (1.0, 1.0 + GRACE, 0)):
            self.setUp()
            self.ledger.daemon_disconnected("a", gone)
            self.ledger.relay_ended(ended)
            self.ledger.relay_ready(ended + 1.0)
            self.ledger.daemon_connected("a", ended + 2.0)
            self.ledger.task_given_away("t", "a", ended + 3.0)
            self.assertEqual(self.ledger.tasks.taken_away, taken_away)

    # ----------------------------------------------------------------------------------------------------- tasks

    def test_a_task_whose_end_was_read_and_never_arrives_is_a_lost_completion(self) -> None:
        """Unless that was shortly before a SIGKILL: then another daemon runs it again."""
        self.end(self.run_a)
        self.assertEqual(self.ledger.unfinished, 1)
        self.close()
        self.assertEqual((self.ledger.tasks.completions_lost, self.ledger.tasks.unfinished), (1, 0))

    def test_a_task_without_an_end_is_told(self) -> None:
        """It was to end."""
        self.close()
        self.assertEqual((self.ledger.tasks.completions_lost, self.ledger.tasks.unfinished), (0, 1))

    def test_a_task_that_a_kill_may_have_taken_is_not_waited_for(self) -> None:
        """It was read, but perhaps not stored; if it runs all the same, it is a task like any other."""
        self.ledger.task_spawned("u")
        self.ledger.task_read("u", 9.99)
        self.assertEqual(self.ledger.unfinished, 2)
        self.ledger.relay_killed(10.0)
        self.assertEqual(self.ledger.unfinished, 1)
        self.ledger.run_begun("u", "b", 12.0)
        self.assertEqual(self.ledger.unfinished, 2)

    def test_a_task_that_a_kill_took_is_counted(self) -> None:
        """By itself."""
        self.ledger.task_spawned("u")
        self.ledger.task_read("u", 9.99)
        self.ledger.relay_killed(10.0)
        self.close()
        self.assertEqual((self.ledger.tasks.lost_in_window, self.ledger.tasks.unfinished), (1, 1))

    def test_a_task_may_fail_only_when_no_daemon_has_it(self) -> None:
        """Each daemon that had it was away for the grace, or none had it."""
        self.ledger.daemon_disconnected("a", 1.0)
        self.ledger.task_spawned("u")
        self.ledger.task_failed("t", 1.0 + GRACE)
        self.ledger.task_failed("u", 1.0)
        self.assertEqual((self.ledger.tasks.failed, self.ledger.tasks.wrongly_failed), (2, 0))

    def test_a_task_that_a_daemon_has_must_not_fail(self) -> None:
        """Whether it is connected, or away for a while, or has ended the task."""
        for gone, ended in ((False, False), (True, False), (False, True)):
            self.setUp()
            if ended:
                self.end(self.run_a)
            if gone:
                self.ledger.daemon_disconnected("a", 1.0)
            self.ledger.task_failed("t", 2.0)
            self.assertEqual(self.ledger.tasks.wrongly_failed, 1)

    def test_a_task_may_fail_when_its_end_was_read_shortly_before_a_kill(self) -> None:
        """The daemon need not keep it, and the relay does not know of it."""
        self.end(self.run_a, 9.99)
        self.ledger.relay_killed(10.0)
        self.ledger.task_failed("t", 14.0)
        self.assertEqual(self.ledger.tasks.wrongly_failed, 0)

    def test_a_failure_that_arrives_again_counts_once(self) -> None:
        """At least once, that is; but a completed task must not fail."""
        self.ledger.daemon_disconnected("a", 1.0)
        self.ledger.task_failed("t", 9.0)
        self.ledger.task_failed("t", 9.0)
        self.assertEqual((self.ledger.tasks.failed, self.ledger.tasks.wrongly_failed), (1, 0))
        self.ledger.task_spawned("u")
        self.ledger.task_completed("u")
        self.ledger.task_failed("u", 9.0)
        self.assertEqual((self.ledger.tasks.failed, self.ledger.tasks.wrongly_failed), (2, 1))

    # ---------------------------------------------------------------------------------------------------- overlaps

    def test_being_at_work_twice_counts_from_when_the_relay_can_know(self) -> None:
        """When it has read a heartbeat of both daemons, until one of them stops."""
        self.ledger.run_begun("t", "b", 1.0)
        self.ledger.heartbeat_read("a", 2.0)
        self.ledger.heartbeat_read("b", 3.0)
        self.ledger.heartbeat_read("a", 4.0)
        self.ledger.task_given_away("t", "a", 5.0)
        self.close()
        self.assertEqual((self.ledger.tasks.longest_overlap, self.ledger.tasks.requeued), (2.0, 1))

    def test_being_at_work_twice_without_a_connection_does_not_count(self) -> None:
        """Nobody can tell a daemon then that it should stop."""
        self.ledger.daemon_disconnected("a", 0.5)
        self.ledger.run_begun("t", "b", 1.0)
        for name in ("b", "a", "b"):
            self.ledger.heartbeat_read(name, 2.0)
        self.close()
        self.assertEqual(self.ledger.tasks.longest_overlap, 0.0)

    def test_being_at_work_twice_does_not_count_while_the_relay_cannot_act(self) -> None:
        """It begins anew with the next heartbeats."""
        self.ledger.run_begun("t", "b", 1.0)
        for name in ("a", "b"):
            self.ledger.heartbeat_read(name, 2.0)
        self.ledger.relay_suspended()
        self.ledger.heartbeat_read("a", 7.0)
        self.ledger.heartbeat_read("b", 8.0)
        self.ledger.run_ended(self.run_a, 8.5)
        self.close()
        self.assertEqual(self.ledger.tasks.longest_overlap, 0.5)


class RunTests(SynchronousTestCase):
    """One run, whatever arrives."""

    @given(st.lists(st.integers(1, 12)), st.lists(st.integers(1, 12)))
    def test_what_is_missing_is_what_was_read_and_has_not_arrived(self, arrived: list[int], read: list[int]) -> None:
        """Each with the first proof that covers it."""
        run = Run(1, "t", "a", 0.0, sent=12)
        read = sorted(set(read))
        for place, up_to in enumerate(read):
            run.read(Proof(up_to, float(place), 1))
        seen: set[int] = set()
        for number in arrived:
            first, late = run.arrived(number)
            self.assertEqual((first, late), (number not in seen, number not in seen and number < max(seen, default=0)))
            seen.add(number)
        proven = max(read, default=0)
        missing = {number: proof.up_to for number, proof in run.not_delivered()}
        expected = {n: min(up_to for up_to in read if up_to >= n) for n in range(1, proven + 1) if n not in seen}
        self.assertEqual(missing, expected)
        self.assertEqual(run.delivered, len(seen))
