"""Sockets that systemd has opened, lends the relay, and goes on with when the relay ends."""

from __future__ import annotations

import os
import socket
from typing import Any

import attrs
from twisted.internet import fdesc, tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


class SocketError(Exception):
    """A socket that was passed cannot be used; the text says why, and what to do."""


class KeptPort(unix.Port):
    """A port on a UNIX socket whose name, mode and queue are systemd's.

    Twisted takes such a socket for its own: it lets everybody connect, and when it closes its copy nobody can any more.

    :param kept: the socket.
    """

    # The others' copies of it stay open.
    _shouldShutdown = False

    def __init__(self, kept: socket.socket, factory: IProtocolFactory, reactor: Any) -> None:
        super().__init__(os.fsencode(kept.getsockname()), factory, reactor=reactor)
        self._kept = kept

    def startListening(self) -> None:
        """Accept connections."""
        # As every port does: it takes one descriptor to turn somebody away when there are none left.
        tcp._reservedFD.reserve()  # noqa: SLF001
        self.factory.doStart()  # type: ignore[union-attr]
        self.socket = self._kept
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close this copy, and leave the name."""
        tcp.Port.connectionLost(self, reason)


@implementer(IStreamServerEndpoint)
@attrs.frozen
class KeptUNIXEndpoint:
    """A ``systemd:`` endpoint in the file system."""

    _reactor: Any
    _descriptor: int

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Take the socket, once."""
        return execute(self._adopt, protocolFactory)

    def _adopt(self, factory: IProtocolFactory) -> KeptPort:
        fdesc.setNonBlocking(self._descriptor)
        port = KeptPort(socket.fromfd(self._descriptor, socket.AF_UNIX, socket.SOCK_STREAM), factory, self._reactor)
        os.close(self._descriptor)
        port.startListening()
        return port


def kept_endpoint(adopted: AdoptedStreamServerEndpoint) -> IStreamServerEndpoint:
    """Make the endpoint of a socket from what Twisted makes of its description.

    :raises SocketError: when the socket is another than the description says.
    """
    descriptor: int = adopted.fileno
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        family, is_listening = copy.family, copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not is_listening:
        raise SocketError("systemd passed a connection; the .socket unit takes Accept=no")
    if family != adopted.addressFamily:
        raise SocketError(f"systemd passed a socket of domain={family.name.removeprefix('AF_')}")
    return KeptUNIXEndpoint(adopted.reactor, descriptor) if family is socket.AF_UNIX else adopted
