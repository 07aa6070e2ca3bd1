"""The WebSocket side of the stand-in server: relays and daemons connect here, as ``protocol.md`` has it."""

from __future__ import annotations

from typing import Protocol

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from makima_relay.admission import CLOSE_OVERDUE, Admission, Refusal
from makima_relay.alarms import Alarm
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.messages import Hello
from makima_relay.link_factory import LinkFactory
from makima_relay.websocket import CLOSE_UNSUPPORTED, WebSocketEnd
from makima_relay.websocket_options import protocol_options

CLOSE_REPLACED = 4409
_AUTH_TIMEOUT = 10.0
_KEEPALIVE = (25.0, 25.0)
_MAX_MESSAGE_SIZE = 16 << 20


class PeerUser(Protocol):
    """Whose peers they are."""

    def joined(self, peer: PeerProtocol) -> None:
        """A peer has authenticated."""

    def received(self, peer: PeerProtocol, payload: bytes) -> None:
        """A peer sent a message."""

    def pong_received(self, peer: PeerProtocol, payload: bytes) -> None:
        """A peer answered a ping."""

    def left(self, peer: PeerProtocol, reason: str) -> None:
        """The connection of a peer that had authenticated is gone."""

    def refused(self, reason: str) -> None:
        """A connection was turned away."""


class PeerProtocol(WebSocketEnd, WebSocketServerProtocol):  # type: ignore[misc]
    """One connection of a relay or a daemon.

    :ivar hello: what it said of itself; none before it has authenticated.
    """

    factory: PeerFactory
    hello: Hello | None = None
    _header_key: str | None = None
    _auth_timer: Alarm | IDelayedCall | None = None

    def onConnect(self, request: ConnectionRequest) -> None:
        """Keep the key that may come with the upgrade request."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else None
        self._header_key = bearer or request.headers.get("x-makima-api-key")

    def opened(self) -> None:
        """Wait for the first message."""
        self.factory.open.add(self)
        self._auth_timer = self.clock.callLater(_AUTH_TIMEOUT, self._overdue)

    def _overdue(self) -> None:
        self._auth_timer = None
        self.close(CLOSE_OVERDUE, "no authenticate in time")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a message over, or decide on the first."""
        if not self.speaking:
            return
        if isBinary:
            self.close(CLOSE_UNSUPPORTED, "text messages only")
        elif self.hello is not None:
            self.factory.user.received(self, payload)
        else:
            self._authenticate(payload)

    def _authenticate(self, payload: bytes) -> None:
        self._stop_auth_timer()
        decision = self.factory.admission.decide(payload, self._header_key)
        if isinstance(decision, Refusal):
            self.factory.user.refused(decision.reason)
            self.send_text(decision.answer)
            self.close(decision.code, decision.reason)
            return
        self.hello = hello = decision.hello
        self.keep_alive()
        self.send_text(COMPOSERS[hello.case].authenticated(daemon_id_of(hello.machine_id)))
        self.factory.user.joined(self)

    def pong_received(self, payload: bytes) -> None:
        """A pong came."""
        self.factory.user.pong_received(self, payload)

    def ended(self, reason: str) -> None:
        """The connection is gone."""
        self._stop_auth_timer()
        self.factory.closed(self)
        if self.hello is not None:
            self.factory.user.left(self, reason)

    def _stop_auth_timer(self) -> None:
        if self._auth_timer is not None:
            self._auth_timer.cancel()
            self._auth_timer = None


class PeerFactory(LinkFactory):
    """Makes the connections of peers.

    :param user: told what they do.
    :param admission: decides who may come in.
    """

    link = PeerProtocol

    def __init__(self, user: PeerUser, admission: Admission, reactor: IReactorTime) -> None:
        super().__init__(_KEEPALIVE, protocol_options(_MAX_MESSAGE_SIZE, compression=False, is_server=True), reactor)
        self.user = user
        self.admission = admission
