"""A task, its statuses and the moves between them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.tasks import AT_WORK, FINISHED, IllegalTransitionError, Task, TaskStatus
from tests.core.builders import AT, task

PENDING, DISPATCHED, RUNNING, ORPHANED = (
    TaskStatus.PENDING,
    TaskStatus.DISPATCHED,
    TaskStatus.RUNNING,
    TaskStatus.ORPHANED,
)
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED

#: Every move that a task may make, written down a second time.
LEGAL = {
    *[(PENDING, each) for each in (DISPATCHED, RUNNING, CANCELLED)],
    *[(DISPATCHED, each) for each in (RUNNING, ORPHANED, PENDING, COMPLETED, FAILED, CANCELLED)],
    *[(RUNNING, each) for each in (ORPHANED, COMPLETED, FAILED, CANCELLED)],
    *[(ORPHANED, each) for each in (RUNNING, PENDING, COMPLETED, FAILED, CANCELLED)],
    *[(each, PENDING) for each in (COMPLETED, FAILED, CANCELLED)],
}


class TaskStatusTests(SynchronousTestCase):
    """The statuses."""

    def test_the_words_are_those_of_the_contract(self) -> None:
        """``protocol.md``, *Dispatch*."""
        words = ["pending", "dispatched", "running", "orphaned", "completed", "failed", "cancelled"]
        self.assertEqual([status.value for status in TaskStatus], words)

    def test_each_status_is_of_one_kind(self) -> None:
        """Waiting, at work or finished."""
        for status in TaskStatus:
            each = task(status=status)
            self.assertEqual([status is PENDING, each.at_work, each.finished].count(True), 1, status)
        self.assertEqual(FINISHED, {COMPLETED, FAILED, CANCELLED})
        self.assertEqual(AT_WORK, {DISPATCHED, RUNNING, ORPHANED})


class TransitionTests(SynchronousTestCase):
    """The table of moves."""

    def test_every_legal_move_is_made(self) -> None:
        """The status changes and nothing else does."""
        for before, after in LEGAL:
            self.assertEqual(task(status=before, attempts=2).to(after), task(status=after, attempts=2))

    def test_every_other_move_is_a_bug(self) -> None:
        """The error names the task and the move."""
        for before in TaskStatus:
            for after in TaskStatus:
                if (before, after) not in LEGAL:
                    error = self.assertRaises(IllegalTransitionError, task(status=before).to, after)
                    self.assertEqual(str(error), f"task 't1': {before.value} -> {after.value}")

    def test_a_task_never_changes(self) -> None:
        """A move makes a new one."""
        before = task()
        after = before.dispatched("d", AT)
        self.assertEqual(before, task())
        self.assertRaises(AttributeError, setattr, after, "status", PENDING)


class MoveTests(SynchronousTestCase):
    """What each move sets."""

    def test_a_dispatch_counts_and_starts_over(self) -> None:
        """Attempts are for ever, tries since the server last asked; the former attempt's start is gone."""
        before = task(attempts=4, tries=1, started_at=AT, daemon_id="old")
        after = before.dispatched("d", AT + 1)
        expected = task(status=DISPATCHED, attempts=5, tries=2, daemon_id="d", dispatched_at=AT + 1)
        self.assertEqual(after, expected)

    def test_running_notes_the_first_start(self) -> None:
        """A second start, as after a daemon's return, does not move it."""
        first = task(status=DISPATCHED).running("d", AT + 1)
        self.assertEqual(first, task(status=RUNNING, daemon_id="d", started_at=AT + 1))
        again = first.to(ORPHANED).running("d", AT + 9)
        self.assertEqual(again, first)

    def test_an_end_has_a_time_and_perhaps_a_reason(self) -> None:
        """Who held the task last stays known."""
        before = task(status=RUNNING, daemon_id="d")
        self.assertEqual(
            before.ended(FAILED, AT + 1, "boom"),
            task(status=FAILED, daemon_id="d", finished_at=AT + 1, error="boom"),
        )
        self.assertEqual(
            before.ended(COMPLETED, AT + 1, None),
            task(status=COMPLETED, daemon_id="d", finished_at=AT + 1),
        )

    def test_a_new_attempt_keeps_key_attempts_and_last_holder_alone(self) -> None:
        """It arrives anew, at a new place, and whoever had it before has it no more."""
        before: Task = task(
            name="old",
            status=FAILED,
            daemon_id="d",
            attempts=3,
            tries=3,
            dispatched_at=AT,
            started_at=AT,
            finished_at=AT,
            error="boom",
        )
        after = before.asked_again(7, "new", AT + 5)
        self.assertEqual(after, task(name="new", position=7, daemon_id="d", attempts=3, received_at=AT + 5))
        self.assertTrue(after.is_new_attempt)

    def test_only_what_was_never_dispatched_since_it_was_asked_for_is_a_new_attempt(self) -> None:
        """A requeued task is none: its last holder may have it still."""
        self.assertTrue(task().is_new_attempt)
        self.assertFalse(task(attempts=1, tries=1).is_new_attempt)
        self.assertFalse(task(status=RUNNING).is_new_attempt)
