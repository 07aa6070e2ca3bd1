"""What the tests of the connector share: a connector on a clock, to a server in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.connector import Connector
from makima_relay.connector_options import Backoff, ConnectorOptions
from makima_relay.server_link import ServerProtocol
from tests.fakes import clock_on, elapse
from tests.wire import MemoryEndpoint, ServerPeer

HELLO = b'{"type":"authenticate","apiKey":"k"}'


class RecordingUser:
    """Notes what the connector says."""

    def __init__(self) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.link: ServerProtocol | None = None

    def connected(self, link: ServerProtocol, daemon_id: str | None) -> None:
        """Note it, and keep the link."""
        self.link = link
        self.notes.append(("connected", daemon_id))

    def received(self, payload: bytes) -> None:
        """Note it."""
        self.notes.append(("received", payload))

    def pong_received(self, payload: bytes) -> None:
        """Note it."""
        self.notes.append(("pong", payload))

    def safe(self) -> Deferred[None]:
        """Nothing is kept here."""
        return succeed(None)

    def disconnected(self, reason: str) -> None:
        """Note it."""
        self.notes.append(("disconnected", reason))

    def attempt_failed(self, reason: str, attempt: int, delay: float | None) -> None:
        """Note it."""
        self.notes.append(("failed", reason, attempt, delay))


class ConnectorTestCase(SynchronousTestCase):
    """Has a connector to a server in memory; there is no jitter."""

    def setUp(self) -> None:
        """Make a connector with the usual options."""
        self.reactor = Clock()
        self.make()

    def make(self, jitter: float = 0.0, **changes: Any) -> None:
        """Make a connector with some other options."""
        self.user = RecordingUser()
        self.endpoint = MemoryEndpoint(self.reactor)
        options = ConnectorOptions(
            **{
                "url": "ws://makima.example:9000/ws/daemon?region=eu",
                "headers": {"Authorization": "Bearer k", "X-Makima-API-Key": "k"},
                "hello": HELLO,
                "backoff": Backoff(1.0, 60.0, lambda: jitter),
                **changes,
            }
        )
        self.connector = Connector(self.user, self.endpoint, options, clock_on(self.reactor))

    def take(self) -> list[tuple[Any, ...]]:
        """What the user was told since the last time."""
        taken = self.user.notes[:]
        self.user.notes.clear()
        return taken

    def open(self) -> ServerPeer:
        """Connect up to the accepted upgrade; the first message is still there to be read."""
        self.connector.connect()
        return self.accept()

    def accept(self) -> ServerPeer:
        """Accept the attempt that is under way, up to the upgrade."""
        peer = self.endpoint.attempts[-1].accept()
        peer.upgrade()
        return peer

    def go_live(self) -> ServerPeer:
        """Connect up to the answer of the server."""
        return self.welcome(self.open())

    def welcome(self, peer: ServerPeer) -> ServerPeer:
        """Accept the first message."""
        peer.take()
        peer.send("authenticated", daemonId="d-1")
        self.take()
        return peer

    def assert_waits(self, seconds: float) -> None:
        """The next attempt comes after so many seconds, to the millisecond, and is then under way."""
        attempts = len(self.endpoint.attempts)
        elapse(self.reactor, seconds - 0.001)
        self.assertEqual(len(self.endpoint.attempts), attempts, f"earlier than {seconds} s")
        elapse(self.reactor, 0.002)
        self.assertEqual(len(self.endpoint.attempts), attempts + 1, f"later than {seconds} s")
