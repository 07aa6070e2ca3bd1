"""The tasks that the relay keeps in mind."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.ledger import MOST_FINISHED, Ledger
from makima_relay.core.tasks import Task, TaskStatus
from tests.core.builders import AT, task


def done(task_id: str, key: int) -> Task:
    """A task that has finished."""
    return task(task_id, key, status=TaskStatus.COMPLETED)


class LedgerTests(SynchronousTestCase):
    """By id, by kind and in order."""

    def setUp(self) -> None:
        self.ledger = Ledger()

    def test_numbers_increase_from_the_first_free_one(self) -> None:
        """Keys and positions come from one row of numbers."""
        self.assertEqual([self.ledger.number() for _ in range(3)], [1, 2, 3])
        self.assertEqual(Ledger(next_key=41).number(), 41)

    def test_a_task_is_as_it_was_last_put(self) -> None:
        """Unfinished or finished, it is in mind."""
        self.assertIsNone(self.ledger.get("t1"))
        self.assertNotIn("t1", self.ledger)
        before = task()
        for after in (before, before.dispatched("d", AT), before.to(TaskStatus.CANCELLED), before):
            self.ledger.put(after)
            self.assertIs(self.ledger.get("t1"), after)
            self.assertIn("t1", self.ledger)

    def test_what_is_at_work_is_listed_in_order_of_dispatch(self) -> None:
        """Whatever it does meanwhile; pending and finished tasks are not."""
        one, two, three = (task(f"t{n}", n).dispatched("d", AT) for n in (1, 2, 3))
        for each in (three, one, two, task("t4", 4), one.to(TaskStatus.ORPHANED), three.running("d", AT)):
            self.ledger.put(each)
        self.assertEqual(self.ledger.at_work(), ["t3", "t1", "t2"])
        self.ledger.put(three.ended(TaskStatus.FAILED, AT, None))
        self.ledger.put(one.to(TaskStatus.ORPHANED).to(TaskStatus.PENDING))
        self.assertEqual(self.ledger.at_work(), ["t2"])

    def test_unfinished_tasks_are_counted_by_status(self) -> None:
        """Each change moves the count."""
        one = task("t1", 1)
        self.ledger.put(one)
        self.ledger.put(task("t2", 2))
        self.ledger.put(one.dispatched("d", AT))
        self.assertEqual(+self.ledger.counts, Counter({TaskStatus.PENDING: 1, TaskStatus.DISPATCHED: 1}))
        self.ledger.put(one.dispatched("d", AT).ended(TaskStatus.COMPLETED, AT, None))
        self.assertEqual(+self.ledger.counts, Counter({TaskStatus.PENDING: 1}))

    def test_every_finish_is_counted_once(self) -> None:
        """Going on from an earlier run's count; a new attempt's finish is another."""
        ledger = Ledger(total_finished=7)
        for status in (TaskStatus.PENDING, TaskStatus.CANCELLED, TaskStatus.PENDING, TaskStatus.CANCELLED):
            ledger.put(task(status=status))
        self.assertEqual(ledger.total_finished, 9)


class PendingTests(SynchronousTestCase):
    """The queue of those that wait."""

    def setUp(self) -> None:
        self.ledger = Ledger()

    def oldest(self) -> str | None:
        """The id of the task that is next."""
        found = self.ledger.oldest_pending()
        return None if found is None else found.task_id

    def test_the_oldest_goes_first(self) -> None:
        """By position, not by the order in which they were put."""
        for key in (3, 1, 2):
            self.ledger.put(task(f"t{key}", key))
        order = []
        while (found := self.ledger.oldest_pending()) is not None:
            order.append(found.task_id)
            self.ledger.put(found.dispatched("d", AT))
        self.assertEqual(order, ["t1", "t2", "t3"])

    def test_asking_takes_nothing_away(self) -> None:
        """The same task is next until it is put as something else."""
        self.ledger.put(task())
        self.assertEqual([self.oldest(), self.oldest()], ["t1", "t1"])

    def test_a_task_that_is_pending_again_has_its_old_place(self) -> None:
        """A requeued task goes before those that came after it."""
        for key in (1, 2):
            self.ledger.put(task(f"t{key}", key))
        at_work = task("t1", 1).dispatched("d", AT)
        self.ledger.put(at_work)
        self.assertEqual(self.oldest(), "t2")
        self.ledger.put(at_work.to(TaskStatus.ORPHANED).to(TaskStatus.PENDING))
        self.assertEqual(self.oldest(), "t1")

    def test_a_new_attempt_goes_behind(self) -> None:
        """It arrives anew; its former place in the queue counts no more."""
        first = task("t1", 1)
        for each in (first, task("t2", 2), first.to(TaskStatus.CANCELLED).asked_again(3, None, AT)):
            self.ledger.put(each)
        self.assertEqual(self.oldest(), "t2")
        self.ledger.put(task("t2", 2).to(TaskStatus.CANCELLED))
        self.assertEqual(self.oldest(), "t1")

    def test_tasks_that_are_pending_again_go_by_their_age(self) -> None:
        """In whichever order they came back, and before those that came later."""
        tasks = [task(f"t{key}", key) for key in range(1, 8)]
        for each in tasks:
            self.ledger.put(each)
        for key in (5, 1, 3):
            self.ledger.put(tasks[key - 1].dispatched("d", AT))
        for key in (5, 1, 3):
            self.ledger.put(tasks[key - 1].dispatched("d", AT).to(TaskStatus.ORPHANED).to(TaskStatus.PENDING))
        order = []
        while (found := self.ledger.oldest_pending()) is not None:
            order.append(found.position)
            self.ledger.put(found.to(TaskStatus.CANCELLED))
        self.assertEqual(order, [1, 2, 3, 4, 5, 6, 7])

    def test_a_withdrawn_task_is_passed_over(self) -> None:
        """Nothing is left then."""
        self.ledger.put(task())
        self.ledger.put(task().to(TaskStatus.CANCELLED))
        self.assertIsNone(self.oldest())


class FinishedTests(SynchronousTestCase):
    """The latest finished tasks stay in mind."""

    def test_the_latest_ten_thousand_are_kept(self) -> None:
        """The one that finished first is the first to go; unfinished ones never go."""
        ledger = Ledger()
        ledger.put(task("waits", 1))
        for key in range(MOST_FINISHED + 1):
            ledger.put(done(f"t{key}", key + 2))
        self.assertNotIn("t0", ledger)
        self.assertIn("t1", ledger)
        self.assertIn("waits", ledger)

    def test_a_recalled_task_is_in_mind_and_not_counted_again(self) -> None:
        """It finished long ago."""
        ledger = Ledger(total_finished=5)
        ledger.recall(done("t1", 1))
        self.assertEqual(ledger.get("t1"), done("t1", 1))
        self.assertEqual(ledger.total_finished, 5)
        self.assertEqual(+ledger.counts, Counter())

    def test_what_is_known_is_newer_than_what_is_recalled(self) -> None:
        """The store's answer may be old."""
        for known in (task(), task(status=TaskStatus.FAILED)):
            ledger = Ledger()
            ledger.put(known)
            ledger.recall(done("t1", 1))
            self.assertIs(ledger.get("t1"), known)

    def test_a_recalled_task_may_be_asked_for_again(self) -> None:
        """Then it is unfinished, and its finish counts."""
        ledger = Ledger(total_finished=5)
        ledger.recall(done("t1", 1))
        ledger.put(done("t1", 1).asked_again(9, None, AT))
        self.assertEqual(+ledger.counts, Counter({TaskStatus.PENDING: 1}))
        ledger.put(done("t1", 1))
        self.assertEqual(ledger.total_finished, 6)
