"""What the tests of the shells share: a whole relay in memory, but for its database and its HTTP side."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.admission import Admission
from makima_relay.connector_options import Backoff, ConnectorOptions
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.journal import Entry
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.snapshot import Snapshot
from makima_relay.downstream import DaemonFactory, DownstreamOptions
from makima_relay.engine import Engine
from makima_relay.ports import Store
from makima_relay.redaction import Redactor
from makima_relay.upstream import Upstream
from tests.fakes import InstantStore, clock_on
from tests.frames import Frame
from tests.wire import MemoryEndpoint, Peer, ServerPeer, connect_daemon

KEY = "a-key-of-the-server"


class RelayTestCase(SynchronousTestCase):
    """Has a relay whose server and daemons are the test's."""

    policy = Policy(health_timeout=10_000.0)

    def setUp(self) -> None:
        """Start the relay; it is not connected yet."""
        self.reactor = Clock()
        self.broken: list[Failure] = []
        self.start()

    def start(self, store: Store | None = None, snapshot: Snapshot | None = None, **options: Any) -> None:
        """Start a relay.

        :param snapshot: what an earlier one left.
        :param options: those of its connection to the server, where they are not the usual.
        """
        self.clock = clock_on(self.reactor)
        relay = Relay(self.policy, snapshot, Redactor([KEY]))
        self.engine = Engine(relay, store or InstantStore(), self.clock, self.broken.append)
        self.engine.start()
        self.endpoint = MemoryEndpoint(self.reactor)
        composer = COMPOSERS[self.policy.wire_case]
        self.upstream = Upstream(
            self.engine,
            self.endpoint,
            ConnectorOptions(
                **{
                    "url": "ws://makima.example/ws/daemon",
                    "headers": {},
                    "hello": composer.authenticate(KEY, "machine", "edge", 0),
                    "backoff": Backoff(1.0, 60.0, lambda: 0.0),
                    **options,
                }
            ),
            self.clock,
            heartbeat_interval=30.0,
            shown_url="ws://makima.example/ws/daemon",
        )
        self.make_daemons()

    def make_daemons(self, **options: Any) -> None:
        """Take daemons with these options."""
        self.daemons = DaemonFactory(
            self.engine, Admission(KEY, self.engine.relay.keys), DownstreamOptions(**options), self.reactor
        )

    def accept_upstream(self) -> ServerPeer:
        """Accept the attempt to connect to the server, up to its answer to the first message."""
        server = self.endpoint.attempts[-1].accept()
        server.upgrade()
        server.take()
        server.send("authenticated", daemonId="relay-1")
        return server

    def go_live(self) -> ServerPeer:
        """Connect to the server."""
        self.upstream.connector.connect()
        return self.accept_upstream()

    def connect(self, **arguments: Any) -> Peer:
        """Connect a daemon, up to the upgrade."""
        return connect_daemon(self.daemons, self.reactor, **arguments)

    def join(self, name: str = "d", slots: int = 10, **members: Any) -> Peer:
        """Connect a daemon, up to the answer to its first message and what comes with that."""
        peer = self.connect()
        hello = {"apiKey": KEY, "machineId": name, "hostname": name, "maxConcurrentTasks": slots, **members}
        peer.send("authenticate", **hello)
        answer, *_ = peer.take_messages()
        self.assertEqual(answer["type"], "authenticated")
        return peer

    def journal(self, event: str) -> list[Entry]:
        """The entries of one event, newest first."""
        return [entry for entry in self.engine.relay.journal(200) if entry.event == event]


def only(frames: list[Frame], opcode: int) -> list[Frame]:
    """The frames of one kind."""
    return [frame for frame in frames if frame.opcode == opcode]
