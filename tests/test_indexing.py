"""Rounds of keeping the history quick to search."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock as ManualReactor
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.indexing import INTERVAL, PAUSE, Indexer
from tests.fakes import clock_on, elapse, unavailable


class Stretches:
    """A store with so many stretches, which notes from where it is asked to look."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked: list[int] = []
        self.fails = False

    def keep_texts(self, number: int) -> Deferred[int | None]:
        """Keep those of one."""
        self.asked.append(number)
        if self.fails:
            return fail(unavailable())
        return succeed(number + 1 if number < self.number else None)


class IndexerTests(SynchronousTestCase):
    """At the start and then every minute."""

    def setUp(self) -> None:
        """Have a store with two stretches."""
        self.reactor = ManualReactor()
        self.store = Stretches(2)
        self.indexer = Indexer(self.store, clock_on(self.reactor))

    def test_a_round_goes_through_all_with_pauses(self) -> None:
        """Commits have their turn between the slices."""
        self.indexer.start()
        self.assertEqual(self.store.asked, [0])
        elapse(self.reactor, PAUSE)
        self.assertEqual(self.store.asked, [0, 1])
        elapse(self.reactor, PAUSE)
        self.assertEqual(self.store.asked, [0, 1, 2])

    def test_the_next_round_comes_in_its_time(self) -> None:
        """It begins with the oldest again: their texts may have been thrown away."""
        self.indexer.start()
        elapse(self.reactor, INTERVAL - 1)
        self.assertEqual(self.store.asked, [0, 1, 2])
        elapse(self.reactor, 2)
        self.assertEqual(self.store.asked, [0, 1, 2] * 2)

    def test_a_round_that_fails_is_made_up_for_by_the_next(self) -> None:
        """The disk may be full."""
        self.store.fails = True
        self.indexer.start()
        self.store.fails = False
        elapse(self.reactor, INTERVAL + 1)
        self.assertEqual(self.store.asked, [0, 0, 1, 2])

    def test_nothing_is_done_after_a_stop(self) -> None:
        """Neither between two rounds nor in the middle of one."""
        for stretches in (0, 2):
            self.store.number = stretches
            self.indexer.start()
            self.indexer.stop()
            self.assertEqual(self.reactor.getDelayedCalls(), [])
