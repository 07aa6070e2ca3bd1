"""The HTTP server around the routes: bounds what a request may bring."""

from __future__ import annotations

from socket import SO_SNDBUF, SOL_SOCKET, socket
from typing import Any, Final, cast
from urllib.parse import quote, unquote_to_bytes

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISystemHandle, ITransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from makima_relay.limits.stranger import Stranger
from makima_relay.sockets import socket_of
from makima_relay.web.problems import ProblemError

#: ``http-api.md``, *Errors*: bytes of a request's body.
LONGEST_BODY = 64 << 10
#: Requests that one read may have; each keeps all others waiting while it is answered.
MOST_PIPELINED = 8
#: Seconds without a request after which a connection is closed.
_IDLE_TIMEOUT = 60
#: Bytes that may wait in the transport of an answer that goes on and on, before its reader counts as slow.
_BUFFER: Final = 64 << 10
#: Bytes of it that the system is to hold besides; by itself it takes megabytes for each who does not read.
_SYSTEM_BUFFER: Final = 128 << 10
#: What every answer says: take it for nothing else, show it in no page of others, load and run nothing in it, tell
#: nobody where a link was. A page that is more than data has a policy of its own.
_HEADERS: Final = (
    (b"server", b"makima-relay"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class BoundedChannel(http.HTTPChannel):
    """A connection whose requests may be neither long nor slow.

    :param longest_head: bytes that the head of a request may have.
    :param patience: seconds that a request may take to arrive, from its first byte to its last.
    :ivar stranger: its place among those that have not authenticated.
    """

    def __init__(self, longest_head: int, patience: float) -> None:
        super().__init__()
        self.totalHeadersSize = self.MAX_LENGTH = longest_head
        self._patience = patience
        self.stranger: Stranger | None = None
        self._deadline: IDelayedCall | None = None
        self._in_this_read = 0

    def dataReceived(self, data: bytes) -> None:
        """Take a part of a request."""
        if self._deadline is None and not self._handlingRequest:
            self._deadline = self.callLater(self._patience, self._overdue)
        self._in_this_read = 0
        super().dataReceived(data)

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:
        """Whether another request may follow: not to many that did not wait for their answers."""
        self._in_this_read += 1
        if self._in_this_read < MOST_PIPELINED:
            return bool(super().checkPersistence(request, version))
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def allContentReceived(self) -> None:
        """The request is all there."""
        self._stop_deadline()
        super().allContentReceived()

    def _overdue(self) -> None:
        self._deadline = None
        cast("Any", self.transport).abortConnection()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._stop_deadline()
        super().connectionLost(reason)


class BoundedRequest(Request):
    """A request whose body may not be long: it is refused before it is read, or as soon as it proves too long."""

    _received = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Look at the announced length, if there is one."""
        super().gotLength(0 if length is not None and length > LONGEST_BODY else length)
        if length is not None and length > LONGEST_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Count what comes; the rest of what is refused is thrown away."""
        self._received += len(data)
        if self._received > LONGEST_BODY and not self._refused:
            self._refuse()
        if not self._refused:
            super().handleContentChunk(data)

    def _refuse(self) -> None:
        self._refused = True
        # Or Twisted would still ask for the body.
        self.requestHeaders.removeHeader(b"expect")
        body = ProblemError(413, f"a body may have at most {LONGEST_BODY} bytes").body()
        channel = self.channel
        cast("ITransport", channel.transport).write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        channel.loseConnection()

    def process(self) -> None:
        """Answer, unless that is done."""
        if not self._refused:
            super().process()

    def getRequestHostname(self) -> bytes:
        """The name that routes would go by, if there were any that did: whatever is asked for, it is here."""
        return b"localhost"


def settle_down(request: Any) -> None:
    """Let an operator's request keep its connection for itself: it is no stranger's, and ends with the answer."""
    channel = request.channel
    channel.persistent = False
    inner = socket_of(channel.transport)
    inner.bufferSize = _BUFFER
    if ISystemHandle.providedBy(inner):
        cast("socket", inner.getHandle()).setsockopt(SOL_SOCKET, SO_SNDBUF, _SYSTEM_BUFFER)
    request.setHeader(b"connection", b"close")
    if isinstance(channel, BoundedChannel) and channel.stranger is not None:
        channel.stranger.known()


def cut(request: Any) -> None:
    """Cut a request's connection, and throw away what was written and not taken."""
    request.channel.transport.abortConnection()


class RelaySite(Site):
    """The HTTP server of the relay."""

    noisy = False

    def getResourceFor(self, request: Request) -> IResource:
        """Find the resource; here all answers get their common headers.

        The path's segments are quoted in one way: a ``/`` within one stays ``%2F``.
        """
        for name, value in _HEADERS:
            request.responseHeaders.setRawHeaders(name, [value])
        segments = request.path.split(b"/")[1:]
        request.postpath = [quote(unquote_to_bytes(segment), safe="").encode() for segment in segments]
        resource: IResource = self.resource
        return resource

    def log(self, request: http.Request) -> None:
        """Say nothing: the log tells what happens to connections, and a line per request is for a proxy in front."""


def make_site(
    resource: IResource, longest_head: int = 16 << 10, patience: float = 10.0, reactor: IReactorTime | None = None
) -> Site:
    """Make the HTTP server of a resource.

    :param longest_head: bytes that the head of a request may have.
    :param patience: seconds that a request may take to arrive.
    :param reactor: the clock; the process's own if none is given.
    """
    site = RelaySite(resource, requestFactory=BoundedRequest, timeout=_IDLE_TIMEOUT, reactor=reactor)
    # Twisted would put a chooser between HTTP/1.1 and HTTP/2 here; the latter is not spoken.
    cast("Any", site).protocol = lambda: BoundedChannel(longest_head, patience)
    return site
