"""The fast paths against Autobahn's parsers: whatever bytes come, in whatever pieces, both do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.fuzz.bytes_to_try import in_pieces
from tests.test_frames import CLOSE_TIMEOUT, LIMITS, client_end, server_end
from tests.test_handshake import Ends, ThriftyEnds, connect
from tests.wire import Peer

_Both = tuple[tuple[Peer, Any], tuple[Peer, Any]]
_LIMITS: Final = (1 << 20, *LIMITS[1:])


def _assert_same(both: _Both, data: bytes, written: Callable[[Peer], Any]) -> None:
    (fast_peer, fast), (slow_peer, slow) = both
    for piece in in_pieces(data):
        for peer in (fast_peer, slow_peer):
            peer.deliver(piece)
        assert fast.notes == slow.notes, (fast.notes, slow.notes)
        assert written(fast_peer) == written(slow_peer)
        assert (fast.state, fast_peer.lost) == (slow.state, slow_peer.lost)
    for peer in (fast_peer, slow_peer):
        peer.reactor.advance(CLOSE_TIMEOUT)
        peer.lose()
        assert peer.reactor.getDelayedCalls() == [], peer.reactor.getDelayedCalls()
    assert fast.notes == slow.notes, (fast.notes, slow.notes)
    assert written(fast_peer) == written(slow_peer)


def _frames(ends: Callable[..., tuple[Peer, Any]], data: bytes) -> None:
    limit = _LIMITS[data[0] % len(_LIMITS)] if data else 1
    _assert_same((ends(limit, fast=True), ends(limit, fast=False)), data[1:], Peer.take)


def client_frames(data: bytes) -> None:
    """Frames as a client may send them; the first byte chooses the limit of a message, the second the pieces."""
    _frames(server_end, data)


def server_frames(data: bytes) -> None:
    """Frames as a server may send them; likewise."""
    _frames(client_end, data)


def upgrades(data: bytes) -> None:
    """Upgrade requests; the first byte says whether there is compression, the second the pieces."""
    compression = bool(data and data[0] % 2)
    makers: tuple[tuple[Any, bool], ...] = ((ThriftyEnds, True), (Ends, False))
    fast, slow = (connect(make, fast=is_fast, compression=compression) for make, is_fast in makers)
    _assert_same((fast, slow), data[1:], lambda peer: peer.transport.value())
