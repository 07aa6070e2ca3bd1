"""Messages that come in very many pieces: they take no more room than they hold."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.frames import TEXT, encode_frame
from tests.test_frames import CONTINUATION, client_end, server_end
from tests.wire import Peer

#: Makes the end that is spoken to, and whoever speaks to it.
_Ends = Callable[..., tuple[Peer, Any]]


class PiecesTests(SynchronousTestCase):
    """Fragments, at either end."""

    def room_of(self, ends: _Ends, piece: bytes, number: int) -> int:
        """How much room an unfinished message takes, in bytes; its end is seen to be right."""
        peer, end = ends(1 << 20, fast=True)
        masked = ends is server_end
        peer.deliver(encode_frame(TEXT, b"<", masked=masked, final=False))
        for _ in range(10):
            peer.deliver(encode_frame(CONTINUATION, piece, masked=masked, final=False) * (number // 10))
        pieces = end.message_data
        room = sys.getsizeof(pieces) + sum(map(sys.getsizeof, pieces))
        peer.deliver(encode_frame(CONTINUATION, b">", masked=masked))
        self.assertEqual([note[:2] for note in end.notes], [("message", b"<" + piece * number + b">")])
        return room

    def test_fragments_of_nothing_take_no_room(self) -> None:
        """However many there are: there is no end to them."""
        for ends in (server_end, client_end):
            self.assertLess(self.room_of(ends, b"", 5_000), 1_000)

    def test_small_fragments_take_the_room_that_they_hold(self) -> None:
        """Not that of an object each."""
        for ends in (server_end, client_end):
            self.assertLess(self.room_of(ends, b"ab", 5_000), 1.2 * 10_000 + 1_000)

    def test_large_fragments_are_kept_as_they_came(self) -> None:
        """To copy them would cost more than it saves."""
        for ends in (server_end, client_end):
            self.assertLess(self.room_of(ends, b"x" * 2_000, 50), 1.1 * 100_000)

    def test_a_frame_that_drips_takes_the_room_that_it_holds(self) -> None:
        """A byte at a time."""
        peer, end = server_end(1 << 20, fast=True)
        frame = encode_frame(TEXT, "é".encode() * 2_000, masked=True)
        for place in range(len(frame) - 1):
            peer.deliver(frame[place : place + 1])
        self.assertLess(sum(map(sys.getsizeof, end.frame_data)), 6_000)
        peer.deliver(frame[-1:])
        self.assertEqual([note[:2] for note in end.notes], [("message", "é".encode() * 2_000)])
