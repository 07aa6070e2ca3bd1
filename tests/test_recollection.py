"""The core is told which tasks the store knows."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock as ManualReactor
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.recollection import IDS_AT_A_TIME, INTERVAL, Recollection
from tests.fakes import clock_on, elapse, unavailable


class SortedIds:
    """A store that has so many tasks."""

    def __init__(self, number: int) -> None:
        self.ids = [f"t{index:06}" for index in range(number)]
        self.broken = False
        self.questions = 0

    def task_ids(self, after: str, most: int) -> Deferred[list[str]]:
        """Answer at once."""
        self.questions += 1
        return fail(unavailable()) if self.broken else succeed([each for each in self.ids if each > after][:most])


class RecollectionTests(SynchronousTestCase):
    """From the store to the core, slice by slice."""

    def setUp(self) -> None:
        """Have nothing told."""
        self.reactor = ManualReactor()
        self.told: list[str] = []
        self.ends = 0

    def past_learnt(self, task_ids: Sequence[str], *, is_all: bool) -> None:
        """Note what is told."""
        self.assertEqual(self.ends, 0)
        self.told += task_ids
        self.ends += is_all

    def begin(self, number: int) -> Recollection:
        """Have it tell so many tasks."""
        self.store = SortedIds(number)
        recollection = Recollection(self.store, self, clock_on(self.reactor))
        recollection.start()
        return recollection

    def test_all_ids_are_told(self) -> None:
        """Each once, and that these are all, whatever their number."""
        for number in (0, 1, IDS_AT_A_TIME - 1, IDS_AT_A_TIME, 2 * IDS_AT_A_TIME + 1):
            self.setUp()
            self.begin(number)
            elapse(self.reactor, 1)
            self.assertEqual((self.told, self.ends), (self.store.ids, 1), number)

    def test_others_have_their_turn_between_the_slices(self) -> None:
        """A slice is bounded."""
        self.begin(3 * IDS_AT_A_TIME)
        self.assertEqual((len(self.told), self.ends), (IDS_AT_A_TIME, 0))

    def test_it_ends_when_the_relay_stops(self) -> None:
        """Nothing is left on the clock."""
        self.begin(3 * IDS_AT_A_TIME).stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.ends, 0)

    def test_if_the_store_fails_it_goes_on_later(self) -> None:
        """Where it was; until then the core does not take its past for whole, and asks for every task."""
        self.begin(3 * IDS_AT_A_TIME)
        self.store.broken = True
        elapse(self.reactor, 1)
        self.assertEqual((len(self.told), self.ends), (IDS_AT_A_TIME, 0))
        self.store.broken = False
        elapse(self.reactor, INTERVAL)
        self.assertEqual((self.told, self.ends), (self.store.ids, 1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_stop_ends_the_waiting_too(self) -> None:
        """Nothing is left on the clock."""
        self.store = SortedIds(1)
        self.store.broken = True
        recollection = Recollection(self.store, self, clock_on(self.reactor))
        recollection.start()
        recollection.stop()
        self.assertEqual((self.store.questions, self.reactor.getDelayedCalls()), (1, []))
