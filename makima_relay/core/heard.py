"""An entry of a peer's on its way to be acted on."""

from __future__ import annotations

from makima_relay.core.entries import ToHolder, ToOrigin
from makima_relay.core.peers import Peer


class Heard:
    """What a peer said.

    :ivar number: its number among all entries from that peer.
    :ivar entry: what it says; none if it cannot be read.
    """

    __slots__ = ("entry", "number", "payload", "peer")

    def __init__(self, peer: Peer, number: int, payload: bytes) -> None:
        self.peer = peer
        self.number = number
        self.payload = payload
        self.entry: ToHolder | ToOrigin | None = None
