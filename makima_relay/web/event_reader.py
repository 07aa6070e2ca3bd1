"""One reader of events: how far it has come, and whether it takes what it is sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from makima_relay.web.event_feed import EventFeed
from makima_relay.web.site import cut

#: Seconds without an event after which a reader is sent a comment, so that nobody on the way thinks it dead.
KEEP_ALIVE: Final = 15.0
#: Seconds that a reader may take nothing.
PATIENCE: Final = 10.0
#: Seconds between two times that a reader is told that it has missed events.
_RESET_INTERVAL: Final = 1.0
#: What a reader that was cut off is to wait before it comes back, in milliseconds.
_RETRY: Final = b"retry: 3000\n"


@attrs.frozen
class Wanted:
    """What somebody wants to read.

    :ivar events: whether it wants events at all.
    :ivar task_id: the task whose output it follows, if any.
    :ivar last_id: the id of what it has seen last, if it has been here before.
    """

    events: bool = True
    task_id: str | None = None
    last_id: str | None = None


@implementer(IPushProducer)
class Reader:
    """Somebody who reads ``GET /events``.

    :param feed: what there is to read.
    :param request: where it is written; the head of the answer is set already.
    :param now: monotonic seconds.
    :param on_ready: called when it has taken what it was sent, and may be sent more.
    :ivar done: fires when there is nothing more to be written.
    """

    def __init__(
        self, feed: EventFeed, request: Any, wanted: Wanted, now: float, on_ready: Callable[[Reader], object]
    ) -> None:
        self._feed = feed
        self._on_ready = on_ready
        self.request = request
        self.task_id = wanted.task_id
        self._wants_events = wanted.events
        with_output = wanted.task_id is not None
        known = None if wanted.last_id is None else feed.place_of(wanted.last_id, with_output=with_output)
        self._place = known or feed.end(with_output=with_output)
        self._is_lost = wanted.last_id is not None and known is None
        self._reset_at = -math.inf
        self._stalled = False
        self._sent_at = now
        self.done: Deferred[bytes] = Deferred()
        request.registerProducer(self, streaming=True)
        self._write(_RETRY + (b"" if self._is_lost else feed.id_line(self._place)), now)

    # ------------------------------------------------------------------------------------------------- producing

    def pauseProducing(self) -> None:
        """It does not take what it was sent: it gets nothing more for now."""
        self._stalled = True

    def resumeProducing(self) -> None:
        """It has taken all of it."""
        self._stalled = False
        self._on_ready(self)

    def stopProducing(self) -> None:
        """It is gone; who cancels :attr:`done` knows."""

    # --------------------------------------------------------------------------------------------------- reading

    def serve(self, now: float) -> bool:
        """Write the next piece of what it has not got.

        :return: whether there was anything; then there may be more.
        """
        if self._stalled:
            return False
        text = self._next(now)
        if text:
            self._write(text, now)
            return True
        if now - self._sent_at >= KEEP_ALIVE:
            self._write(b":\n\n", now)
        return False

    def _write(self, text: bytes, now: float) -> None:
        self._sent_at = now
        self.request.write(text)

    def _next(self, now: float) -> bytes:
        if self._has_missed:
            return self._reset(now)
        text = b""
        if self.task_id is not None:
            # All output of a task comes before the event that says that it has finished.
            self._place, text = self._feed.output(self.task_id, self._place)
        if self._wants_events and not text:
            self._place, text = self._feed.events(self._place)
        return text

    @property
    def _has_missed(self) -> bool:
        return self._is_lost or (self._wants_events and not self._feed.knows(self._place))

    def _reset(self, now: float) -> bytes:
        """Go on with what comes now; if events come faster than anybody could read them, only once in a while."""
        if now - self._reset_at < _RESET_INTERVAL:
            return b""
        self._reset_at = now
        self._is_lost = False
        end = self._feed.end(with_output=self.task_id is not None)
        self._place = attrs.evolve(self._place, number=end.number)
        return self._feed.reset(self._place)

    def is_too_slow(self, now: float) -> bool:
        """Whether it takes nothing any more."""
        return self._stalled and now - self._sent_at >= PATIENCE

    # ---------------------------------------------------------------------------------------------------- ending

    def end(self) -> None:
        """Write nothing more."""
        self.request.unregisterProducer()
        self.done.callback(b"")

    def drop(self) -> None:
        """Throw away what it does not take."""
        cut(self.request)
