"""A TCP proxy between relay and server that can be made to fail."""

from __future__ import annotations

import enum
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

_RETRY: float = 0.1


class Mode(enum.Enum):
    """What the proxy does with its connections."""

    FORWARD = "forward"
    #: Reads nothing from the relay.
    STALL = "stall"
    #: Takes everything from both sides, and passes nothing on.
    SWALLOW = "swallow"


@implementer(IPushProducer)
class _Leg(Protocol):
    """One of the two connections of a pair.

    It is the producer of what its other leg writes: a slow reader there stops the reading here, and so does a stall.
    """

    other: _Leg | None = None
    _full = False
    _stalled = False

    def join(self, other: _Leg) -> None:
        """Pass on to another leg what comes here."""
        self.other = other
        other.transport.registerProducer(self, True)  # type: ignore[union-attr]  # noqa: FBT003 - Twisted's signature

    def stall(self, stalled: bool) -> None:
        """Read nothing for now, or read again."""
        self._stalled = stalled
        self._read_or_not()

    def pauseProducing(self) -> None:
        """The other leg takes no more for now."""
        self._full = True
        self._read_or_not()

    def resumeProducing(self) -> None:
        """The other leg takes more."""
        self._full = False
        self._read_or_not()

    def stopProducing(self) -> None:
        """The other leg is gone, which is told elsewhere."""

    def _read_or_not(self) -> None:
        transport: Any = self.transport
        if self._full or self._stalled:
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    def abort(self) -> None:
        """Reset the connection."""
        transport: Any = self.transport
        transport.abortConnection()


class _ServerLeg(_Leg):
    """To the server."""

    def __init__(self, relay_leg: _RelayLeg) -> None:
        self._relay_leg = relay_leg

    def connectionMade(self) -> None:
        """Both are there: pass on from now on."""
        self._relay_leg.joined(self)

    def dataReceived(self, data: bytes) -> None:
        """The server sent something."""
        self._relay_leg.pass_on(data, self._relay_leg)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server is gone."""
        self._relay_leg.abort()


class _RelayLeg(_Leg):
    """From the relay."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._swallowed = False

    def connectionMade(self) -> None:
        """Read nothing before the server is there."""
        self._proxy.pairs.add(self)
        self.stall(stalled=True)
        self._proxy.connect(self)

    def joined(self, server_leg: _ServerLeg) -> None:
        """The server is there."""
        if self not in self._proxy.pairs:
            server_leg.abort()
            return
        self.join(server_leg)
        server_leg.join(self)
        self.obey(self._proxy.mode)

    def obey(self, mode: Mode) -> None:
        """Behave from now on as the mode says. Of what was swallowed there is no going on."""
        if mode is not Mode.SWALLOW and self._swallowed:
            self.abort()
        elif self.other is not None:
            self.stall(stalled=mode is Mode.STALL)

    def dataReceived(self, data: bytes) -> None:
        """The relay sent something."""
        self.pass_on(data, self.other)

    def pass_on(self, data: bytes, to: _Leg | None) -> None:
        """Write to one of the two, unless all is swallowed."""
        if self._proxy.mode is Mode.SWALLOW:
            self._swallowed = True
        elif to is not None:
            transport: Any = to.transport
            transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The relay is gone."""
        self._proxy.pairs.discard(self)
        if self.other is not None:
            self.other.abort()


class Proxy(Factory):
    """Listens for the relay, and connects to the server.

    :param server_port: where the server listens, on loopback.
    :ivar port: where it listens, on loopback.
    :ivar pairs: the connections that there are.
    """

    noisy = False

    def __init__(self, reactor: Any, server_port: int) -> None:
        self._reactor = reactor
        self._server_port = server_port
        self._listening: IListeningPort | None = None
        self.port = 0
        self.mode = Mode.FORWARD
        self.pairs: set[_RelayLeg] = set()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make the leg of a connection that came."""
        return _RelayLeg(self)

    def connect(self, leg: _RelayLeg) -> None:
        """Connect to the server for a leg."""
        factory: Any = Factory.forProtocol(lambda: _ServerLeg(leg))
        factory.noisy = False
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._server_port)
        endpoint.connect(factory).addErrback(lambda _: leg.abort())

    async def listen(self, number: int) -> None:
        """Accept connections.

        :param number: the port; 0 for any.
        """
        while self._listening is None:
            try:
                self._listening = self._reactor.listenTCP(number, self, interface="127.0.0.1")
            except CannotListenError:
                # What a reset connection leaves behind may have it for a moment.
                await deferLater(self._reactor, _RETRY)
        self.port = self._listening.getHost().port  # type: ignore[attr-defined]

    async def refuse(self) -> None:
        """Reset all connections, and refuse new ones."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await maybeDeferred(listening.stopListening)
        self.cut()

    async def accept(self) -> None:
        """Accept connections again."""
        await self.listen(self.port)

    def cut(self) -> None:
        """Reset all connections."""
        for leg in list(self.pairs):
            leg.abort()

    def behave(self, mode: Mode) -> None:
        """Treat connections in another way from now on."""
        self.mode = mode
        for leg in list(self.pairs):
            leg.obey(mode)
