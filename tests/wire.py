"""Connections in memory: a protocol's transport and the peer at its other end, who speaks raw frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet import error as errors
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint, ISystemHandle
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.frames import CLOSE, TEXT, Frame, decode_frames, encode_frame, upgrade_answer, upgrade_request

#: Where every peer is.
ADDRESS: IAddress = IPv4Address("TCP", "192.168.1.1", 54321)


@implementer(ISystemHandle)
class MemoryTransport(StringTransport):
    """A transport that ends its connection when told to, as real ones do: soon, not at once.

    :param reactor: says when soon is.
    """

    def __init__(self, reactor: Clock, protocol: IProtocol) -> None:
        super().__init__(lenient=True)
        self._reactor = reactor
        self._protocol = protocol
        self._unread: list[bytes] = []
        self.lost = False
        self.socket_options: dict[tuple[int, int], int] = {}

    def getHandle(self) -> Any:
        """What stands for the system's socket."""
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Remember an option of the socket."""
        self.socket_options[level, option] = value

    #: As Twisted's own transports have them: what was written and not taken yet.
    offset = 0
    _tempDataLen = 0

    @property
    def dataBuffer(self) -> bytes:
        """What the peer has not taken."""
        return self.value()

    def deliver(self, data: bytes) -> None:
        """Let data arrive; what is not read any more is thrown away, what is not read now waits."""
        if self.lost or self.disconnecting:
            return
        if self.producerState == "paused":
            self._unread.append(data)
        else:
            self._protocol.dataReceived(data)

    def resumeProducing(self) -> None:
        """Read what arrived meanwhile, soon."""
        super().resumeProducing()
        self._reactor.callLater(0, self._deliver_unread)

    def _deliver_unread(self) -> None:
        unread, self._unread = self._unread, []
        for data in unread:
            self.deliver(data)

    def loseConnection(self) -> None:
        """Close."""
        if not self.disconnecting:
            super().loseConnection()
            self._reactor.callLater(0, self.cut, errors.ConnectionDone())

    def abortConnection(self) -> None:
        """Cut."""
        if not self.disconnected:
            self.disconnected = self.disconnecting = True
            self._reactor.callLater(0, self.cut, errors.ConnectionAborted())

    def unregisterProducer(self) -> None:
        """Forget the producer, if there is one: real transports do not mind."""
        self.producer = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing dies here."""

    def cut(self, error: Exception) -> None:
        """End the connection, from whichever side."""
        if not self.lost:
            self.lost = self.disconnecting = True
            self._protocol.connectionLost(Failure(error))


class Peer:
    """The other end of a protocol's connection: sends and reads raw frames.

    :ivar frames: all frames that came, except those that were taken.
    """

    def __init__(self, reactor: Clock, protocol: IProtocol, *, masks: bool, address: IAddress | None = None) -> None:
        self.reactor = reactor
        self.protocol = protocol
        self.transport = MemoryTransport(reactor, protocol)
        if address is not None:
            self.transport.peerAddr = address
        self._masks = masks
        self._unparsed = b""
        self._frames: list[Frame] = []
        protocol.makeConnection(self.transport)

    # ------------------------------------------------------------------------------------------------ sending

    def deliver(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.deliver(data)
        self.reactor.advance(0)

    def send_frame(self, opcode: int, payload: bytes = b"") -> None:
        """Send a frame."""
        self.deliver(encode_frame(opcode, payload, masked=self._masks))

    def send_text(self, payload: bytes) -> None:
        """Send a text message."""
        self.send_frame(TEXT, payload)

    def send(self, type_: str, **members: Any) -> bytes:
        """Send a JSON message.

        :return: its bytes.
        """
        payload = json.dumps({"type": type_, **members}).encode()
        self.send_text(payload)
        return payload

    def send_close(self, code: int, reason: bytes = b"") -> None:
        """Begin or answer the closing handshake."""
        self.send_frame(CLOSE, code.to_bytes(2, "big") + reason)

    def lose(self, error: Exception | None = None) -> None:
        """Cut the connection from this side."""
        self.transport.cut(error or errors.ConnectionDone())
        self.reactor.advance(0)

    # ------------------------------------------------------------------------------------------------ reading

    def take_head(self) -> bytes:
        """Take the head of the HTTP message that came first."""
        head, found, rest = self.transport.value().partition(b"\r\n\r\n")
        assert found, head
        self.transport.clear()
        self.transport.write(rest)
        return bytes(head + found)

    def take(self) -> list[Frame]:
        """Take all frames that came."""
        frames, self._unparsed = decode_frames(self._unparsed + self.transport.value())
        self.transport.clear()
        return frames

    def take_messages(self) -> list[Any]:
        """Take all frames, which must be text, as JSON."""
        return [frame.message for frame in self.take()]

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        return self.transport.lost


def connect_daemon(
    factory: IProtocolFactory, reactor: Clock, *, path: str = "/ws/daemon", headers: Mapping[str, str] | None = None
) -> Peer:
    """Connect as a daemon does, up to the accepted upgrade."""
    protocol = factory.buildProtocol(ADDRESS)
    assert protocol is not None
    peer = Peer(reactor, protocol, masks=True)
    peer.deliver(upgrade_request(path, headers))
    head = peer.take_head()
    assert head.startswith(b"HTTP/1.1 101 "), head
    return peer


class ServerPeer(Peer):
    """The server's end of a connection that the relay made."""

    def upgrade(self, more: bytes = b"") -> bytes:
        """Accept the upgrade request.

        :param more: bytes sent in the same segment.
        :return: the request's head.
        """
        request = self.take_head()
        self.deliver(upgrade_answer(request) + more)
        return request


@attrs.define(eq=False)
class Attempt:
    """One attempt to connect, which a test answers."""

    reactor: Clock
    factory: IProtocolFactory
    done: Deferred[IProtocol]
    cancelled: bool = False

    def accept(self) -> ServerPeer:
        """Let the connection come about."""
        protocol = self.factory.buildProtocol(ADDRESS)
        assert protocol is not None
        peer = ServerPeer(self.reactor, protocol, masks=False)
        self.done.callback(protocol)
        return peer

    def refuse(self, error: Exception | None = None) -> None:
        """Let it fail."""
        self.done.errback(error or errors.ConnectionRefusedError())


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Where the server is: nowhere, but attempts to connect to it are kept.

    :ivar attempts: all attempts, oldest first.
    """

    def __init__(self, reactor: Clock) -> None:
        self._reactor = reactor
        self.attempts: list[Attempt] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`~twisted.internet.interfaces.IStreamClientEndpoint`."""
        done: Deferred[IProtocol] = Deferred(self._cancel)
        self.attempts.append(Attempt(self._reactor, protocolFactory, done))
        return done

    def _cancel(self, done: Deferred[IProtocol]) -> None:
        next(each for each in self.attempts if each.done is done).cancelled = True
