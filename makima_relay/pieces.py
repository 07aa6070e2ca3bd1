"""Keeps the pieces of a message while it comes, in not much more room than they hold.

The size of a message is bounded, the number of its pieces is not: fragments may be of one byte, or of none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Bytes from which on a piece is kept by itself: an object takes some fifty bytes besides what it holds.
_WORTH_ITS_ROOM: Final = 1_024


def _keep(pieces: list[bytes | bytearray], piece: bytes | bytearray) -> None:
    """Put a piece behind those before it, a small one together with them."""
    if len(piece) >= _WORTH_ITS_ROOM:
        pieces.append(piece)
    elif pieces and isinstance(pieces[-1], bytearray):
        pieces[-1] += piece
    elif piece:
        pieces.append(bytearray(piece))


class CompactPieces:
    """Mixed into Autobahn's protocol classes, before them."""

    # Autobahn's:
    failedByMe: bool
    frame_data: list[bytes | bytearray]
    message_data: list[bytes | bytearray]

    def onMessageFrameData(self, payload: bytes) -> None:
        """Keep a piece of a frame."""
        if not self.failedByMe:
            _keep(self.frame_data, payload)

    def onMessageFrame(self, payload: Sequence[bytes | bytearray]) -> None:
        """Keep the pieces of a whole frame."""
        if not self.failedByMe:
            for piece in payload:
                _keep(self.message_data, piece)
