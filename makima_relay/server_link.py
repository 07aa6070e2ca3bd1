"""One WebSocket connection to a server, as Autobahn's client."""

from __future__ import annotations

from typing import Any, Final, Protocol

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.connector_options import ConnectorOptions
from makima_relay.thrift import configured
from makima_relay.websocket import CLOSE_UNSUPPORTED, WebSocketEnd
from makima_relay.websocket_options import protocol_options

#: Bytes that the head of the server's answer to the upgrade request may have.
LONGEST_HEAD: Final = 64 << 10
_END_OF_HEAD: Final = b"\r\n\r\n"


class LinkOwner(Protocol):
    """Who made the attempt."""

    def opened(self, protocol: ServerProtocol) -> None:
        """The server accepted the upgrade."""

    def message(self, protocol: ServerProtocol, payload: bytes) -> None:
        """The server sent a text message."""

    def pong(self, protocol: ServerProtocol, payload: bytes) -> None:
        """The server answered a ping."""

    def safe(self) -> Deferred[None]:
        """Fires when what the server has sent so far cannot be lost any more."""

    def closed(self, protocol: ServerProtocol, reason: str) -> None:
        """The connection is gone."""


class ServerProtocol(WebSocketEnd, WebSocketClientProtocol):  # type: ignore[misc]
    """One connection to the server."""

    factory: ServerFactory

    def opened(self) -> None:
        """The upgrade was accepted."""
        self.keep_alive()
        self.factory.owner.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message came."""
        if not self.hearing:
            return
        if isBinary:
            self.close(CLOSE_UNSUPPORTED, "text messages only")
        else:
            self.factory.owner.message(self, payload)

    def processHandshake(self) -> None:
        """Read the server's answer to the upgrade request; one that is no HTTP at all is a failed attempt."""
        if self.data.find(_END_OF_HEAD, 0, LONGEST_HEAD) < 0:
            if len(self.data) >= LONGEST_HEAD:
                self._give_up("the server's answer to the upgrade request is too long")
            return
        try:
            super().processHandshake()
        except (ValueError, IndexError, KeyError):
            self._give_up("the server's answer to the upgrade request is no HTTP")

    def _give_up(self, reason: str) -> None:
        self.lost_because = reason
        self.drop()

    def pong_received(self, payload: bytes) -> None:
        """A pong came."""
        self.factory.owner.pong(self, payload)

    def safe(self) -> Deferred[None]:
        """It is for the owner to say when that is."""
        return self.factory.owner.safe()

    def ended(self, reason: str) -> None:
        """The connection is gone."""
        self.factory.owner.closed(self, reason)


class ServerFactory(WebSocketClientFactory):  # type: ignore[misc]
    """Makes the protocol of each attempt.

    :param owner: told what happens on it.
    :ivar hello: the first message of each.
    """

    protocol = ServerProtocol
    noisy = False

    def __init__(self, owner: LinkOwner, options: ConnectorOptions, clock: Clock) -> None:
        super().__init__(options.url, headers=dict(options.headers), useragent="makima-relay", reactor=clock.reactor)
        self.setProtocolOptions(
            **protocol_options(options.max_message_size, compression=options.compression, is_server=False)
        )
        self.owner = owner
        self.hello = options.hello
        self._link = configured(
            ServerProtocol, self, fast_frames=options.fast_frames, clock=clock.reactor, keepalive=options.keepalive
        )

    def buildProtocol(self, addr: Any) -> ServerProtocol:
        """Make the protocol of one attempt."""
        return self._link()
