"""One port for HTTP and WebSocket: reads how a connection begins, and hands it to whom it is for.

A request for the daemons' path with a WebSocket upgrade goes to the WebSocket factory, all else to the HTTP site. The
bytes read so far go along, so that frames sent right behind the upgrade request are not lost.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from makima_relay.alarms import Alarm, Alarms
from makima_relay.core.rejections import Rejection
from makima_relay.limits.guard import Guard
from makima_relay.limits.stranger import Stranger
from makima_relay.origin import is_foreign
from makima_relay.sockets import socket_of

if TYPE_CHECKING:
    from makima_relay.downstream import DaemonProtocol
    from makima_relay.web.site import BoundedChannel

#: ``protocol.md``, *Downstream* 1: some daemons append the path to a URL that has it already.
DAEMON_PATHS: Final = frozenset({b"/ws/daemon", b"/ws/daemon/ws/daemon"})
#: What is longer than this before the end of its head is left to the HTTP side, which has limits of its own.
LONGEST_HEAD: Final = 16 << 10
#: Bytes that are read of a stranger at a time, whose requests and frames may be small and many: others want a turn too.
READ_OF_STRANGERS: Final = 4 << 10


class Doorkeeper(Protocol):
    """Reads the head of a connection's first request and then steps aside."""

    factory: Listener
    _head = b""
    _timer: Alarm | None = None
    _inner: IProtocol | None = None

    def __init__(self, address: IAddress, stranger: Stranger) -> None:
        self._address = address
        self._stranger = stranger

    def connectionMade(self) -> None:
        """Begin to wait for the head, but not for ever."""
        socket_of(self.transport).bufferSize = READ_OF_STRANGERS
        self.factory.connections.add(self)
        self._timer = self.factory.clock.callLater(self.factory.head_timeout, self._overdue)

    def _overdue(self) -> None:
        self._timer = None
        cast("ITransport", self.transport).loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Read on until it is clear whom the connection is for."""
        self._head += data
        is_for_daemons = wants_websocket(self._head, self.factory.longest_head)
        if is_for_daemons is None:
            return
        # Who has guessed at keys too often is told so by the HTTP side.
        may_try = not self.factory.guard.keys.refused_for(self._address)
        self._hand_over(self.factory.websockets if is_for_daemons and may_try else self.factory.site)

    def _hand_over(self, factory: IProtocolFactory) -> None:
        self._stop_timer()
        protocol = factory.buildProtocol(self._address)
        if protocol is None:
            cast("ITransport", self.transport).loseConnection()
            return
        cast("DaemonProtocol | BoundedChannel", protocol).stranger = self._stranger
        head, self._head = self._head, b""
        # Stepping aside instead of passing on costs nothing for each further read.
        self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
        self._inner = protocol
        protocol.makeConnection(cast("ITransport", self.transport))
        protocol.dataReceived(head)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the end on."""
        self._stop_timer()
        self._stranger.known()
        self.factory.connections.discard(self)
        if self._inner is not None:
            self._inner.connectionLost(reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def wants_websocket(head: bytes, longest: int = LONGEST_HEAD) -> bool | None:
    """Whether a connection that begins so is a daemon's.

    :param head: what was read so far.
    :param longest: bytes that a daemon's head may have.
    :return: none while that cannot be told yet.
    """
    line, found, rest = head.partition(b"\r\n")
    if not found:
        return None if len(head.removesuffix(b"\r")) <= longest else False
    words = line.split(b" ")
    # What is no request of HTTP/1.1 the HTTP side refuses with 400 or 426; Autobahn would say 505.
    if len(words) != 3 or words[0] != b"GET" or words[2] != b"HTTP/1.1":
        return False
    if words[1].partition(b"?")[0] not in DAEMON_PATHS:
        return False
    fields, found, _ = rest.partition(b"\r\n\r\n")
    if len(line) + len(fields.rstrip(b"\r\n")) > longest:
        return False
    if not found:
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in map(_header, fields.split(b"\r\n"))}
    if b"websocket" not in headers.get(b"upgrade", b"").lower():
        return False
    # The HTTP side says 403; Autobahn would have other words for it.
    return not is_foreign(headers.get(b"origin"), headers.get(b"host"))


def _header(line: bytes) -> tuple[bytes, bytes, bytes]:
    return line.partition(b":")


@implementer(IProtocolNegotiationFactory)
class Listener(Factory):
    """Makes a doorkeeper for each connection.

    :param websockets: makes the protocols of daemons.
    :param site: makes the protocols of HTTP clients.
    :param head_timeout: how long a request's head may take, in seconds.
    :param guard: bounds how many strangers there are, and how fast they come.
    :param longest_head: bytes that a daemon's head may have.
    :param most: connections of all kinds; beyond it new ones are closed at once.
    :ivar connections: all that are open.
    :ivar accepted: how many came, ever.
    """

    noisy = False

    def __init__(
        self,
        websockets: IProtocolFactory,
        site: IProtocolFactory,
        clock: IReactorTime,
        head_timeout: float,
        guard: Guard,
        longest_head: int = LONGEST_HEAD,
        most: int = sys.maxsize,
    ) -> None:
        self.websockets = websockets
        self.site = site
        self.clock = Alarms(clock)
        self.head_timeout = head_timeout
        self.guard = guard
        self.longest_head = longest_head
        self.most = most
        self.connections: set[Doorkeeper] = set()
        self.accepted = 0
        self._ports: Sequence[Any] = ()
        self._is_resting = False

    def acceptableProtocols(self) -> list[bytes]:
        """What is spoken under TLS: clients that could speak others too are told (RFC 7301)."""
        return [b"http/1.1"]

    def opened(self, ports: Sequence[IListeningPort]) -> None:
        """Learn from which ports connections come."""
        self._ports = ports

    def doStart(self) -> None:
        """Start the HTTP site along."""
        super().doStart()
        self.site.doStart()

    def doStop(self) -> None:
        """Stop the HTTP site along."""
        self.site.doStop()
        super().doStop()

    def buildProtocol(self, addr: IAddress | None) -> Doorkeeper | None:  # type: ignore[override]
        """Make the doorkeeper of one connection; with too many others, or strangers, there it is closed at once."""
        self.accepted += 1
        pause = self.guard.accepted()
        if pause and not self._is_resting:
            self._rest(pause)
        if len(self.connections) >= self.most:
            detail = "no descriptors for more connections"
            self.guard.turned_away(Rejection.TOO_MANY_STRANGERS, "connection_rejected", detail, addr)
            return None
        if not self.guard.enter(addr):
            return None
        doorkeeper = Doorkeeper(cast("IAddress", addr), Stranger(self.guard, addr))
        doorkeeper.factory = self
        return doorkeeper

    def _rest(self, seconds: float) -> None:
        """Accept no connections for a while: they wait in the operating system's queue."""
        self._is_resting = True
        for port in self._ports:
            port.stopReading()
        self.clock.callLater(seconds, self._go_on)

    def _go_on(self) -> None:
        # Those that came behind the first that was too many, because a port accepts many at once, count too.
        pause = self.guard.accepted(0)
        if pause:
            self.clock.callLater(pause, self._go_on)
            return
        self._is_resting = False
        for port in self._ports:
            if port.connected:
                port.startReading()

    def abort_all(self) -> None:
        """Cut what is still open: the relay stops."""
        for each in list(self.connections):
            transport = cast("ITransport", each.transport)
            getattr(transport, "abortConnection", transport.loseConnection)()
