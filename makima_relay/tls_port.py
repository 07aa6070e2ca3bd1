"""TLS on a port: Twisted's, but a connection that is refused or closed is gone soon, whatever the other end does."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

#: How long a peer has to take what is left for it, and to say good-bye, before its connection is cut, in seconds.
FAREWELL: Final = 5.0


class BoundedTLS(BufferingTLSTransport):
    """One connection. Twisted's waits for the peer's good-bye, for ever, once it has said its own."""

    factory: BoundedTLSFactory
    _farewell: IDelayedCall | None = None

    def loseConnection(self) -> None:
        """Close, and cut the connection if the peer does not take part in time."""
        super().loseConnection()
        if self.connected and self._farewell is None:
            self._farewell = self.factory.clock.callLater(FAREWELL, self._cut)

    def _cut(self) -> None:
        self._farewell = None
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        super().connectionLost(reason)


class BoundedTLSFactory(TLSMemoryBIOFactory):
    """Makes the connections of a port.

    :param certificate: what the port shows.
    :param wrapped: makes the protocols inside.
    """

    protocol = BoundedTLS

    def __init__(self, certificate: Any, wrapped: Any, clock: IReactorTime) -> None:
        super().__init__(certificate, False, wrapped, clock)  # noqa: FBT003 - Twisted's signature
        self.clock = clock

    def buildProtocol(self, addr: IAddress | None) -> BoundedTLS | None:  # type: ignore[override]
        """Make one connection; none if the factory inside wants none, of which Twisted's knows nothing."""
        inside = self.wrappedFactory.buildProtocol(addr)
        return None if inside is None else BoundedTLS(self, inside)
