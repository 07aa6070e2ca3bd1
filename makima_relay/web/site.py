"""The HTTP server around the routes: bounds what a request may bring."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.interfaces import ITransport
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from makima_relay.web.problems import ProblemError

#: ``http-api.md``, *Errors*: bytes of a request's body.
LONGEST_BODY = 64 << 10
#: Seconds without a request after which a connection is closed.
_IDLE_TIMEOUT = 60


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


def make_site(resource: IResource) -> Site:
    """Make the HTTP server of a resource."""
    site = Site(resource, requestFactory=BoundedRequest, timeout=_IDLE_TIMEOUT)
    site.noisy = False
    # The log says what happens to connections; a line per request is for a proxy in front.
    site.log = _no_access_log  # type: ignore[assignment]
    return site


def _no_access_log(_request: Any) -> None:
    return
