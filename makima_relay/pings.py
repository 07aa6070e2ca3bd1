"""Pings and pongs of both ends of the relay's WebSockets, and the pauses in which none can be read."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from makima_relay.alarms import Alarm, Alarms
from makima_relay.frames import FastFrames

_KEEPALIVE: Final = b"alive?"


class Pings(FastFrames):
    """Sends pings while the connection is to be kept, and answers those of the peer.

    :cvar keepalive: seconds between pings, and for a pong; pings start with :meth:`keep_alive`.
    :ivar lost_because: why the connection ended, once it has.
    """

    clock: Alarms | IReactorTime
    keepalive: tuple[float, float]

    _ping_timer: Alarm | IDelayedCall | None = None
    _unanswered = False
    _paused = False
    _congested = False
    _pong_waits = False
    _pong_held: bytes | None = None
    _ping_behind: bytes | None = None
    _last_ping = _KEEPALIVE
    lost_because: str = "connection closed"

    @property
    def speaking(self) -> bool:
        """Whether messages can be sent."""
        return bool(self.state == self.STATE_OPEN)

    def drop(self) -> None:
        """Cut the connection at once."""
        self.transport.abortConnection()

    # --------------------------------------------------------------------------------------------------- reading

    def pause(self) -> None:
        """Stop reading."""
        self._paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again; a pong that could not be read meanwhile is not held against the peer."""
        self._paused = False
        if self._unanswered and self._ping_timer is not None:
            self._ping_timer.reset(self.keepalive[1])
        self.transport.resumeProducing()

    # ----------------------------------------------------------------------------------------------------- pings

    def keep_alive(self, first: float | None = None) -> None:
        """Send pings from now on, and drop the connection when one stays unanswered.

        :param first: seconds until the first, where not all connections should ping at once.
        """
        self._ping_timer = self.clock.callLater(self.keepalive[0] if first is None else first, self._ping)

    def sendPing(self, payload: bytes | None = None) -> None:
        """Send a ping; those that keep the connection alive ask again what the last one asked.

        A peer may answer only its latest ping (RFC 6455, 5.5.3), and what an earlier one asked would be left open.
        """
        self._last_ping = payload or self._last_ping
        super().sendPing(payload)

    def _ping(self) -> None:
        self._unanswered = True
        self.sendPing(self._last_ping)
        self._ping_timer = self.clock.callLater(self.keepalive[1], self._pong_overdue)

    def _pong_overdue(self) -> None:
        self._ping_timer = None
        if self._unanswered and not self._paused:
            self.lost_because = "no pong in time"
            self.drop()
        else:
            self._ping_again()

    def _ping_again(self) -> None:
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self._ping_timer = self.clock.callLater(self.keepalive[0], self._ping)

    def onPing(self, payload: bytes) -> None:
        """Answer a ping when all that the peer sent before it is safe.

        So a pong tells a peer that it need not keep that any longer. Of several pings that wait the latest is
        answered (RFC 6455, 5.5.3).
        """
        if self._pong_waits:
            self._ping_behind = payload
        else:
            self._pong_waits = True
            self.safe().addCallback(self._answer_ping, payload)

    def _answer_ping(self, _: object, payload: bytes) -> None:
        if self._congested:
            # Or a peer that only sends pings, and takes no pong, would fill the memory with them.
            self._pong_held = payload
            return
        if self.speaking:
            self.sendPong(payload)  # type: ignore[attr-defined]
        behind, self._ping_behind = self._ping_behind, None
        if behind is None:
            self._pong_waits = False
        else:
            self.safe().addCallback(self._answer_ping, behind)

    def safe(self) -> Deferred[None]:
        """Fires when what the peer has sent so far cannot be lost any more; for subclasses."""
        return succeed(None)

    def onPong(self, payload: bytes) -> None:
        """Note a sign of life. Any pong is one: a peer may answer only the latest ping (RFC 6455, 5.5.3)."""
        if self._unanswered:
            self._unanswered = False
            self._ping_again()
        self.pong_received(payload)

    def pong_received(self, payload: bytes) -> None:
        """A pong came; for subclasses."""
