"""Work behind everything else: in rounds, each of them in small slices with pauses, so that no commit waits long."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.ports import StoreUnavailableError


class Rounds:
    """Makes a round at the start, and one whenever the time is up after the last.

    A round that fails is left to the next: whatever it is, the engine's own commits will meet it, and say so.

    :cvar interval: between two rounds, in seconds.
    :cvar subject: what is put off when a round fails, for the log.
    """

    interval: ClassVar[float]
    subject: ClassVar[str]
    _log = Logger()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._under_way: Deferred[Any] | None = None

    def make_round(self) -> Generator[Deferred[Any], Any, bool]:
        """Make a round, as a generator for :func:`~twisted.internet.defer.inlineCallbacks`.

        :return: whether there shall be another.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Begin with a round."""
        self._timer = None
        self._under_way = inlineCallbacks(self.make_round)().addErrback(self._failed)
        self._under_way.addCallback(self._wait)

    def stop(self) -> None:
        """End after the slice that is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.cancel()

    def pause(self, seconds: float) -> Deferred[None]:
        """Let others have their turn."""
        return deferLater(self._clock.reactor, seconds)

    def _wait(self, goes_on: bool) -> None:
        if self._under_way is not None:
            self._under_way = None
            if goes_on:
                self._timer = self._clock.reactor.callLater(self.interval, self.start)

    def _failed(self, failure: Failure) -> bool:
        if self._under_way is not None:
            reason = failure.getErrorMessage()
            level = self._log.info if failure.check(StoreUnavailableError) else self._log.error
            level("{subject} is put off: {reason}", subject=self.subject, reason=reason)
        return True
