"""The fast path under both ends of the relay's WebSockets: simple frames never reach Autobahn's parser.

All simple frames (:mod:`~makima_relay.simple_frames`) of one read are handed over together, and what is sent together
is one write. Pongs are taken too, one by one, and a server's pings are written. All else stays Autobahn's, frame by
frame and unchanged: fragments, other control frames, big frames, compression, whatever is invalid, and everything
before and after the time when the connection is open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from makima_relay.simple_frames import (
    LONGEST,
    frame_end,
    is_begun,
    join_masked,
    join_unmasked,
    split_masked,
    split_pong,
    split_unmasked,
)
from makima_relay.sockets import write_now

#: The first byte of a ping, and its longest payload, in bytes (RFC 6455, 5.5).
_PING: Final = 0x89
_LONGEST_PING: Final = 125


class FastFrames:
    """Mixed into Autobahn's protocol classes, before them.

    :cvar fast_frames: whether there is a fast path at all.
    :cvar longest_simple: the longest payload of a simple frame that may come, in bytes.
    """

    fast_frames = True
    longest_simple = LONGEST
    is_server: ClassVar[bool]
    # Autobahn's:
    transport: Any
    state: int
    STATE_OPEN: ClassVar[int]
    data: bytes
    current_frame: Any
    current_frame_masker: Any
    inside_message: bool
    _perMessageCompress: Any
    onMessage: Callable[[bytes, bool], None]
    onPong: Callable[[bytes], None]
    _dataReceived: Callable[[bytes], None]

    @property
    def is_fast(self) -> bool:
        """Whether simple frames go around Autobahn on this connection, at this time."""
        return self.fast_frames and self.state == self.STATE_OPEN and self._perMessageCompress is None

    def send_texts(self, payloads: Sequence[bytes]) -> None:
        """Send each payload as one text message, all in one write; only while :attr:`is_fast`."""
        write_now(self.transport, join_unmasked(payloads) if self.is_server else join_masked(payloads))

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Send what Autobahn has made: all at once, and without words for its log, which cost more than the rest."""
        if self.fast_frames:
            write_now(self.transport, data)
        else:
            self.transport.write(data)

    def sendPing(self, payload: bytes | None = None) -> None:
        """Send a ping."""
        if self.is_server and self.is_fast and len(payload or b"") <= _LONGEST_PING:
            write_now(self.transport, bytes((_PING, len(payload or b""))) + (payload or b""))
        else:
            super().sendPing(payload)  # type: ignore[misc]

    def texts_received(self, payloads: Sequence[bytes]) -> None:
        """Text messages came, in one read; what follows them is looked at when this returns."""
        for payload in payloads:
            self.onMessage(payload, False)  # noqa: FBT003 - Autobahn's signature

    def dataReceived(self, data: bytes) -> None:
        """Take the simple frames from what was read, and leave each of the others to Autobahn."""
        if not self.is_fast:
            self._dataReceived(data)
            return
        if self.data and self.current_frame is None:
            data, self.data = self.data + data, b""
        split, masked = (split_masked, True) if self.is_server else (split_unmasked, False)
        position, end = 0, len(data)
        while position < end:
            if self.current_frame is None and not self.inside_message and self.is_fast:
                payloads, position = split(data, position, self.longest_simple)
                if payloads:
                    self.texts_received(payloads)
                    continue
                pong = split_pong(data, position, masked=masked)
                if pong is not None:
                    payload, position = pong
                    self.onPong(payload)
                    continue
                if is_begun(data, position, self.longest_simple, masked=masked):
                    self.data = data[position:]
                    return
            position = self._leave(data, position)

    def _leave(self, data: bytes, position: int) -> int:
        """Leave Autobahn one frame, or the rest of one, or all when the connection is not open any more.

        :return: where the next begins.
        """
        if self.state != self.STATE_OPEN:
            stop = len(data)
        elif self.current_frame is None:
            stop = frame_end(data, position)
        else:
            stop = position + self.current_frame.length - self.current_frame_masker.pointer()
        self._dataReceived(data[position:stop])
        return stop
