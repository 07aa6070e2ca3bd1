"""Rounds, slices and pauses of keeping the database small."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock as ManualReactor
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.housekeeping import DAEMONS_AT_A_TIME, INTERVAL, PAGES_AT_A_TIME, PAUSE, TASKS_AT_A_TIME, Housekeeper
from tests.fakes import EPOCH, clock_on, elapse, unavailable

RETENTION = 1_000.0


class RecordingStore:
    """Has so many old tasks and free pages, and notes what is asked of it."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, float]] = []
        self.old_tasks = 0
        self.daemons: list[str] = []
        self.free_pages = 0
        self.fails = False

    def prune(self, finished_before: float, most: int) -> Deferred[int]:
        """Note it."""
        self.notes.append(("prune", finished_before))
        if self.fails:
            return fail(unavailable())
        some = min(most, self.old_tasks)
        self.old_tasks -= some
        return succeed(some)

    def prune_daemons(
        self, seen_before: float, connected: Sequence[str], after: str, most: int
    ) -> Deferred[tuple[int, str | None]]:
        """Note it."""
        self.notes.append(("daemons", seen_before))
        self.connected = connected
        looked_at = [daemon for daemon in self.daemons if daemon > after][:most]
        return succeed((len(looked_at), looked_at[-1] if looked_at else None))

    def give_back_pages(self, most: int) -> Deferred[bool]:
        """Note it."""
        self.notes.append(("pages", most))
        self.free_pages = max(0, self.free_pages - most)
        return succeed(self.free_pages > 0)

    def cut_log(self) -> Deferred[None]:
        """Note it."""
        self.notes.append(("log", 0))
        return succeed(None)


class HousekeepingTests(SynchronousTestCase):
    """At the start and then every hour."""

    def setUp(self) -> None:
        """Have a store and a housekeeper."""
        self.reactor = ManualReactor()
        self.store = RecordingStore()
        self.housekeeper = Housekeeper(self.store, clock_on(self.reactor), RETENTION, lambda: ["d1", "d2"])

    def done(self) -> list[str]:
        """What was asked of the store since the last time."""
        done = [what for what, _ in self.store.notes]
        self.store.notes.clear()
        return done

    def test_a_round_is_made_at_the_start_and_every_hour(self) -> None:
        """What is older than the retention goes."""
        self.housekeeper.start()
        self.assertEqual(self.store.notes[:2], [("prune", EPOCH - RETENTION), ("daemons", EPOCH - RETENTION)])
        self.assertEqual(self.store.connected, ["d1", "d2"])
        self.assertEqual(self.done(), ["prune", "daemons", "pages", "log"])
        elapse(self.reactor, INTERVAL - 1)
        self.assertEqual(self.done(), [])
        elapse(self.reactor, 1)
        self.assertEqual(self.store.notes[0], ("prune", EPOCH + INTERVAL - RETENTION))
        self.assertEqual(self.done(), ["prune", "daemons", "pages", "log"])

    def test_it_is_made_in_slices_with_pauses(self) -> None:
        """Commits have their turn between them."""
        self.store.old_tasks = 2 * TASKS_AT_A_TIME
        self.store.free_pages = PAGES_AT_A_TIME + 1
        self.housekeeper.start()
        self.assertEqual(self.done(), ["prune"])
        elapse(self.reactor, PAUSE)
        self.assertEqual(self.done(), ["prune"])
        elapse(self.reactor, PAUSE)
        self.assertEqual(self.done(), ["prune", "daemons", "pages"])
        elapse(self.reactor, PAUSE)
        self.assertEqual(self.done(), ["pages", "log"])

    def test_many_daemons_are_looked_at_in_slices_too(self) -> None:
        """All at once would take so long that commits seem to fail."""
        self.store.daemons = [f"d{number:05}" for number in range(DAEMONS_AT_A_TIME + 1)]
        self.housekeeper.start()
        self.assertEqual(self.done(), ["prune", "daemons"])
        elapse(self.reactor, PAUSE)
        self.assertEqual(self.done(), ["daemons"])
        elapse(self.reactor, PAUSE)
        self.assertEqual(self.done(), ["daemons", "pages", "log"])

    def test_a_round_that_fails_is_made_up_for_by_the_next(self) -> None:
        """The database may be locked, or the disk full."""
        self.store.fails = True
        self.housekeeper.start()
        self.assertEqual(self.done(), ["prune"])
        self.store.fails = False
        elapse(self.reactor, INTERVAL)
        self.assertEqual(self.done(), ["prune", "daemons", "pages", "log"])

    def test_nothing_is_done_after_a_stop(self) -> None:
        """Neither between two rounds nor in the middle of one."""
        for old_tasks in (0, TASKS_AT_A_TIME):
            self.store.old_tasks = old_tasks
            self.housekeeper.start()
            self.housekeeper.stop()
            self.done()
            self.assertEqual(self.reactor.getDelayedCalls(), [])
