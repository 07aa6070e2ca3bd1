"""Keeps the database small: old tasks are pruned, freed pages given back, the write-ahead log cut short.

Everything is done in small slices with pauses between them, so that no commit waits long behind one.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.ports import StoreUnavailableError

#: Seconds between two rounds; the first is at the start.
INTERVAL: Final = 3600.0
#: Tasks that are pruned, and pages that are given back, in one slice; and the pause after it, in seconds.
TASKS_AT_A_TIME: Final = 100
PAGES_AT_A_TIME: Final = 500
PAUSE: Final = 0.05


class PrunedStore(Protocol):
    """What a housekeeper needs of the store."""

    def prune(self, finished_before: float, most: int) -> Deferred[int]:
        """Delete the oldest tasks that finished before a time in seconds since the epoch.

        :param most: how many at most.
        :return: how many it were.
        """

    def give_back_pages(self, most: int) -> Deferred[bool]:
        """Give freed pages back to the file system.

        :param most: how many at most.
        :return: whether there are more.
        """

    def cut_log(self) -> Deferred[None]:
        """Bring the write-ahead log into the database and cut it."""


class Housekeeper:
    """Prunes at the start and then every hour.

    :param store: what is kept small.
    :param retention: how long a finished task is kept, in seconds.
    """

    _log = Logger()

    def __init__(self, store: PrunedStore, clock: Clock, retention: float) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._timer: IDelayedCall | None = None
        self._round: Deferred[None] | None = None

    def start(self) -> None:
        """Begin with a round."""
        self._timer = None
        self._round = self._tidy_up().addErrback(self._failed)
        self._round.addCallback(self._wait)

    def stop(self) -> None:
        """End after the slice that is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        under_way, self._round = self._round, None
        if under_way is not None:
            under_way.cancel()

    def _wait(self, _: object) -> None:
        if self._round is not None:
            self._round = None
            self._timer = self._clock.reactor.callLater(INTERVAL, self.start)

    @inlineCallbacks
    def _tidy_up(self) -> Any:
        pruned = 0
        while (some := (yield self._store.prune(self._clock.wall() - self._retention, TASKS_AT_A_TIME))) > 0:
            pruned += some
            yield deferLater(self._clock.reactor, PAUSE)
        while (yield self._store.give_back_pages(PAGES_AT_A_TIME)):
            yield deferLater(self._clock.reactor, PAUSE)
        yield self._store.cut_log()
        if pruned:
            self._log.info("{pruned} old tasks pruned", pruned=pruned)

    def _failed(self, failure: Failure) -> None:
        """Leave it for the next round: whatever it is, the engine's own commits will meet it, and say so."""
        if self._round is not None:
            reason = failure.getErrorMessage()
            level = self._log.info if failure.check(StoreUnavailableError) else self._log.error
            level("housekeeping is put off: {reason}", reason=reason)
