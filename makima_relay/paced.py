"""A connection that is read no faster than its peer may send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from makima_relay.limits.guard import Limits
from makima_relay.limits.throttle import Throttle
from makima_relay.websocket import WebSocketEnd

#: What a fragment, a ping or a pong counts as: a message of nothing.
_ONE: Final = (b"",)


class Paced(WebSocketEnd):
    """Mixed into Autobahn's protocol classes, before them. It counts from :meth:`pace` on."""

    _held = False
    _slowed = False
    _throttle: Throttle | None = None
    #: Has the monotonic clock: ``now``, in seconds.
    factory: Any

    def pace(self, limits: Limits) -> None:
        """Begin to count."""
        self._throttle = Throttle(limits, self.factory.now())

    def spend(self, payloads: Sequence[bytes] = _ONE) -> None:
        """Count messages that came; when they are too many, no more are read for a while."""
        if self._throttle is None:
            return
        wait = self._throttle.spend(payloads, self.factory.now())
        if wait and not self._slowed:
            self._slowed = True
            super().pause()
            self.clock.callLater(wait, self._speed_up)

    def _speed_up(self) -> None:
        self._slowed = False
        if not self._held and self.hearing:
            super().resume()

    def pause(self) -> None:
        """Stop reading: somebody holds the peer back."""
        self._held = True
        super().pause()

    def resume(self) -> None:
        """Read again, unless the peer is over its rate."""
        self._held = False
        if not self._slowed:
            super().resume()

    def onMessageFrame(self, payload: Sequence[bytes | bytearray]) -> None:
        """A fragment takes as long to read as a message."""
        self.spend()
        super().onMessageFrame(payload)

    def onPing(self, payload: bytes) -> None:
        """So does a ping."""
        self.spend()
        super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """So does a pong."""
        self.spend()
        super().onPong(payload)
