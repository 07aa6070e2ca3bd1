"""What both ends of the relay's WebSockets share: sending, closing, and noticing who does not take what is sent.

Autobahn speaks RFC 6455. Its own timers are off, because they ask the global reactor for the time and know nothing
of paused connections; the few that are needed are here, on an injected clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import txaio
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from makima_relay.alarms import Alarm
from makima_relay.core.journal import printable
from makima_relay.pieces import CompactPieces
from makima_relay.pings import Pings
from makima_relay.reasons import describe
from makima_relay.sockets import socket_of

CLOSE_NORMAL: Final = 1000
CLOSE_GOING_AWAY: Final = 1001
CLOSE_UNSUPPORTED: Final = 1003
CLOSE_TRY_AGAIN_LATER: Final = 1013

CLOSE_REPLACED: Final = 4409
#: Close codes that hold nothing against the peer: what it had sent before it learnt of the close still counts.
_POLITE: Final = frozenset({CLOSE_NORMAL, CLOSE_GOING_AWAY, CLOSE_REPLACED})

#: How long a peer has to take part in the closing handshake, in seconds.
CLOSE_TIMEOUT: Final = 1.0
_TEXT: Final = 1
#: The bit that marks a compressed message: RFC 7692, section 7.2.1.
_RSV_COMPRESSED: Final = 4
_LONGEST_CLOSE_REASON: Final = 123


@implementer(IPushProducer)
@attrs.frozen
class _Congestion:
    """What a transport takes for the producer of all that is written to it."""

    pauseProducing: Callable[[], None]
    resumeProducing: Callable[[], None]

    def stopProducing(self) -> None:
        """The connection is gone, which is told elsewhere."""


class WebSocketEnd(Pings, CompactPieces):
    """Mixed into Autobahn's protocol classes, before them."""

    #: Autobahn's own option of this name does nothing on Twisted.
    tcpNoDelay = True
    #: Autobahn's log: what matters of it the relay says in its own words.
    log = txaio.make_logger(level="critical")

    _close_timer: Alarm | IDelayedCall | None = None
    _closed_politely = False
    _tell_congested: Callable[[], None] | None = None
    _tell_drained: Callable[[], None] | None = None

    # -------------------------------------------------------------------------------------------------- sending

    @property
    def hearing(self) -> bool:
        """Whether messages that come count: also those that the peer sent before it learnt of a polite close."""
        return self.speaking or self._closed_politely

    def send_text(self, payload: bytes) -> None:
        """Send one text message; when the connection is closing, nothing."""
        self.send_texts((payload,))

    def send_texts(self, payloads: Sequence[bytes]) -> None:
        """Send text messages, in one write if that can be; when the connection is closing, nothing."""
        if self.is_fast:
            super().send_texts(payloads)
        elif self.speaking:
            for payload in payloads:
                self._send_slowly(payload)

    def _send_slowly(self, payload: bytes) -> None:
        # Autobahn's sendMessage holds what goes out to the limit of what may come in; so this goes around it.
        compressor = self._perMessageCompress
        if compressor is None:
            self.sendFrame(opcode=_TEXT, payload=payload)  # type: ignore[attr-defined]
        else:
            compressor.start_compress_message()
            packed = compressor.compress_message_data(payload) + compressor.end_compress_message()
            self.sendFrame(opcode=_TEXT, payload=packed, rsv=_RSV_COMPRESSED)  # type: ignore[attr-defined]

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection, and cut it when the peer does not take part in time.

        :param code: RFC 6455, section 7.4; unlike Autobahn's ``sendClose`` it takes all of them.
        """
        encoded = reason.encode()[:_LONGEST_CLOSE_REASON].decode(errors="ignore").encode()
        if self.speaking:
            self.sendCloseFrame(code=code, reasonUtf8=encoded or None)
        else:
            self.drop()

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Begin or answer the closing handshake; whoever began it, it has to end soon."""
        super().sendCloseFrame(code, reasonUtf8, isReply)  # type: ignore[misc]
        if self._close_timer is None:
            self._closed_politely = code in _POLITE and not isReply
            self._close_timer = self.clock.callLater(CLOSE_TIMEOUT, self._close_overdue)
        if not isReply:
            self.closing(f"closed with {code}" + (f" ({printable(reasonUtf8.decode())})" if reasonUtf8 else ""))

    def closing(self, reason: str) -> None:
        """This end has begun to close: nothing can be sent any more; for subclasses."""

    def _close_overdue(self) -> None:
        self._close_timer = None
        self.drop()

    def onOpen(self) -> None:
        """The handshake is done: see from now on whether the peer takes what it is sent."""
        congestion = _Congestion(self._now_congested, self._now_drained)
        self.registerProducer(congestion, streaming=True)  # type: ignore[attr-defined]
        self.opened()

    def opened(self) -> None:
        """The connection is open; for subclasses."""

    def report_congestion(self, congested: Callable[[], None], drained: Callable[[], None]) -> None:
        """Tell from now on when the peer does not take what it is sent, and when it does again."""
        self._tell_congested, self._tell_drained = congested, drained

    def set_buffer(self, size: int) -> None:
        """Say what counts as congestion.

        :param size: bytes that may wait in the transport before that; it is also what is read at a time.
        """
        socket = socket_of(self.transport)
        socket.bufferSize = size
        # Bytes that Twisted sends in one turn of the reactor, in which many daemons may have brought more.
        socket.SEND_LIMIT = max(size, FileDescriptor.SEND_LIMIT)

    def _now_congested(self) -> None:
        self._congested = True
        if self._tell_congested is not None:
            self._tell_congested()

    def _now_drained(self) -> None:
        self._congested = False
        if self._tell_drained is not None:
            self._tell_drained()
        held, self._pong_held = self._pong_held, None
        if held is not None:
            self._answer_ping(None, held)

    # ------------------------------------------------------------------------------------------------------- end

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Stop the timers and tell :meth:`ended` why."""
        for timer in (self._ping_timer, self._close_timer):
            if timer is not None and timer.active():
                timer.cancel()
        self._ping_timer = self._close_timer = None
        if wasClean and code is not None:
            self.lost_because = f"closed with {code}" + (f" ({printable(reason)})" if reason else "")
        self.ended(self.lost_because)

    def ended(self, reason: str) -> None:
        """The connection is gone; for subclasses."""

    def connectionLost(self, reason: Failure) -> None:
        """Note what Twisted knows, unless more is known, before Autobahn makes a sentence of its own of it."""
        if self.lost_because is type(self).lost_because:
            self.lost_because = self._why_lost(reason)
        super().connectionLost(reason)  # type: ignore[misc]

    def _why_lost(self, reason: Failure) -> str:
        if not reason.check(ConnectionDone, ConnectionLost):
            return describe(reason)
        if self.wasNotCleanReason and not self.wasClean:  # type: ignore[attr-defined]
            return printable(self.wasNotCleanReason)  # type: ignore[attr-defined]
        return self.lost_because
