"""Makes the server's ends of WebSockets, and knows which are open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from makima_relay.alarms import Alarms
from makima_relay.thrift import configured
from makima_relay.websocket import CLOSE_GOING_AWAY, WebSocketEnd


class LinkFactory(WebSocketServerFactory):  # type: ignore[misc]
    """For factories whose connections are to be counted and closed together.

    :param keepalive: seconds between pings, and for a pong.
    :param options: for Autobahn's ``setProtocolOptions``.
    :param reactor: the clock.
    :param fast_frames: whether simple frames go around Autobahn.
    :cvar link: makes the protocol of one connection.
    :ivar compression: whether offers to compress are taken.
    :ivar open: all connections that are open, authenticated or not.
    """

    noisy = False
    link: ClassVar[type[WebSocketEnd]]

    def __init__(
        self,
        keepalive: tuple[float, float],
        options: Mapping[str, Any],
        reactor: IReactorTime,
        *,
        fast_frames: bool = True,
    ) -> None:
        super().__init__(server="makima-relay", reactor=reactor)
        self.setProtocolOptions(webStatus=False, **options)
        self.compression = "perMessageCompressionAccept" in options
        self._link = configured(self.link, self, fast_frames=fast_frames, clock=Alarms(reactor), keepalive=keepalive)
        self.open: set[WebSocketEnd] = set()
        self._waiting: list[Deferred[None]] = []

    def buildProtocol(self, addr: Any) -> WebSocketEnd:
        """Make the protocol of one connection."""
        return self._link()

    def closed(self, link: WebSocketEnd) -> None:
        """Count a connection no more."""
        self.open.discard(link)
        if not self.open:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                done.callback(None)

    def all_closed(self) -> Deferred[None]:
        """Fires when no connection is open any more."""
        done: Deferred[None] = Deferred()
        if self.open:
            self._waiting.append(done)
        else:
            done.callback(None)
        return done

    def close_all(self, reason: str) -> None:
        """Send everyone away.

        :param reason: said with the close code, at most 123 bytes.
        """
        for link in list(self.open):
            link.close(CLOSE_GOING_AWAY, reason)
