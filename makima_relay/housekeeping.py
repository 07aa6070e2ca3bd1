"""Keeps the database small: old tasks and daemons are pruned, freed pages given back, the write-ahead log cut short."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.rounds import Rounds

#: Seconds between two rounds; the first is at the start.
INTERVAL: Final = 3600.0
#: Tasks that are pruned, daemons that are looked at, and pages that are given back, in one slice; and the pause after
#: it, in seconds.
TASKS_AT_A_TIME: Final = 100
DAEMONS_AT_A_TIME: Final = 2_000
PAGES_AT_A_TIME: Final = 500
PAUSE: Final = 0.05


class PrunedStore(Protocol):
    """What a housekeeper needs of the store."""

    def prune(self, finished_before: float, most: int) -> Deferred[int]:
        """Delete the oldest tasks that finished before a time in seconds since the epoch.

        :param most: how many at most.
        :return: how many it were.
        """

    def prune_daemons(
        self, seen_before: float, connected: Sequence[str], after: str, most: int
    ) -> Deferred[tuple[int, str | None]]:
        """Delete the daemons that no stored task was with, and that are not being drained.

        :param seen_before: of those that came before this time only, in seconds since the epoch.
        :param connected: the ids of those that are connected, and stay.
        :param after: the id above which daemons are looked at, in their order.
        :param most: how many are looked at, at most.
        :return: how many were deleted, and the last that was looked at; none when there was none.
        """

    def give_back_pages(self, most: int) -> Deferred[bool]:
        """Give freed pages back to the file system.

        :param most: how many at most.
        :return: whether there are more.
        """

    def cut_log(self) -> Deferred[None]:
        """Bring the write-ahead log into the database and cut it."""


class Housekeeper(Rounds):
    """Prunes at the start and then every hour.

    :param store: what is kept small.
    :param retention: how long a finished task is kept, in seconds; a daemon without tasks likewise.
    :param connected: tells the ids of the daemons that are connected.
    """

    interval = INTERVAL
    subject = "housekeeping"

    def __init__(
        self, store: PrunedStore, clock: Clock, retention: float, connected: Callable[[], Sequence[str]]
    ) -> None:
        super().__init__(clock)
        self._store = store
        self._retention = retention
        self._connected = connected

    def make_round(self) -> Any:
        """See :meth:`makima_relay.rounds.Rounds.make_round`."""
        pruned = 0
        while (some := (yield self._store.prune(self._clock.wall() - self._retention, TASKS_AT_A_TIME))) > 0:
            pruned += some
            yield self.pause(PAUSE)
        daemons = yield from self._prune_daemons()
        while (yield self._store.give_back_pages(PAGES_AT_A_TIME)):
            yield self.pause(PAUSE)
        yield self._store.cut_log()
        if pruned or daemons:
            self._log.info("{pruned} old tasks and {daemons} old daemons pruned", pruned=pruned, daemons=daemons)
        return True

    def _prune_daemons(self) -> Generator[Deferred[Any], Any, int]:
        pruned, after = 0, ""
        while True:
            seen_before = self._clock.wall() - self._retention
            some, after = yield self._store.prune_daemons(seen_before, self._connected(), after, DAEMONS_AT_A_TIME)
            if after is None:
                return pruned
            pruned += some
            yield self.pause(PAUSE)
