"""The proxy of the chaos experiment, on real sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet import error as errors
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from makima_relay.sandbox.chaos.proxy import Mode, Proxy

#: Long enough for whatever passes to have passed, in seconds.
A_WHILE = 0.1


class Recorder(Protocol):
    """An end of a connection that keeps what comes."""

    def __init__(self) -> None:
        self.heard = b""
        self.gone: Deferred[Exception | None] = Deferred()
        self._wanted: tuple[int, Deferred[bytes]] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard += data
        if self._wanted is not None and len(self.heard) >= self._wanted[0]:
            _, wanted = self._wanted
            self._wanted = None
            wanted.callback(self.heard)

    def hear(self, size: int) -> Deferred[bytes]:
        """Fires when so many bytes have come, ever."""
        wanted: Deferred[bytes] = Deferred()
        self._wanted = (size, wanted)
        self.dataReceived(b"")
        return wanted

    def say(self, data: bytes) -> None:
        """Send something."""
        transport: Any = self.transport
        transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell why."""
        self.gone.callback(reason.value)


class ServerSide(Factory):
    """Accepts connections."""

    noisy = False

    def __init__(self) -> None:
        self.ends: list[Recorder] = []

    def buildProtocol(self, addr: Any) -> Recorder:
        """Make an end."""
        end = Recorder()
        self.ends.append(end)
        return end


class ProxyTests(TestCase):
    """A client, the proxy, a server."""

    timeout = 180

    @inlineCallbacks
    def setUp(self) -> Any:
        """Start the proxy and connect."""
        self.server = ServerSide()
        self.server_port = reactor.listenTCP(0, self.server, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.proxy = Proxy(reactor, self.server_port.getHost().port)
        yield Deferred.fromCoroutine(self.proxy.listen(0))
        self.port = self.proxy.port
        self.clients: list[Recorder] = []
        self.client = yield self.connect()
        self.client.say(b"hello")
        yield self.arrived(b"hello")

    @inlineCallbacks
    def tearDown(self) -> Any:
        """Leave nothing."""
        yield Deferred.fromCoroutine(self.proxy.refuse())
        yield self.server_port.stopListening()
        for end in (*self.clients, *self.server.ends):
            yield end.gone

    def connect(self) -> Deferred[Recorder]:
        """Make one more connection."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        connected: Deferred[Recorder] = endpoint.connect(Factory.forProtocol(Recorder))  # type: ignore[arg-type]
        return connected.addCallback(self._keep)

    def _keep(self, client: Recorder) -> Recorder:
        self.clients.append(client)
        return client

    @inlineCallbacks
    def arrived(self, data: bytes) -> Any:
        """Wait until something has come to the server's latest end."""
        while not self.server.ends or self.server.ends[-1].heard != data:
            yield deferLater(reactor, 0.01)  # type: ignore[arg-type]

    def a_while(self) -> Deferred[None]:
        """Wait."""
        return deferLater(reactor, A_WHILE)  # type: ignore[arg-type]

    @inlineCallbacks
    def test_both_directions_pass(self) -> Any:
        """Whatever the size."""
        much = b"x" * 3_000_000
        self.server.ends[0].say(much)
        heard = yield self.client.hear(len(much))
        self.assertEqual(heard, much)

    @inlineCallbacks
    def test_a_cut_resets_both_sides(self) -> Any:
        """And a new connection is as good as ever."""
        self.proxy.cut()
        lost = yield self.client.gone
        self.assertIsInstance(lost, errors.ConnectionLost)
        lost = yield self.server.ends[0].gone
        self.assertIsInstance(lost, errors.ConnectionLost)
        (yield self.connect()).say(b"again")
        yield self.arrived(b"again")

    @inlineCallbacks
    def test_the_end_of_one_side_is_the_end_of_the_other(self) -> Any:
        """Nothing is left of the pair."""
        transport: Any = self.server.ends[0].transport
        transport.loseConnection()
        yield self.client.gone
        yield self.a_while()
        self.assertEqual(self.proxy.pairs, set())

    @inlineCallbacks
    def test_a_stall_takes_nothing_from_the_relay(self) -> Any:
        """The other direction passes; when it is over, what had waited arrives."""
        self.proxy.behave(Mode.STALL)
        self.client.say(b", server")
        self.server.ends[0].say(b"hello, relay")
        yield self.client.hear(len(b"hello, relay"))
        yield self.a_while()
        self.assertEqual(self.server.ends[0].heard, b"hello")
        self.proxy.behave(Mode.FORWARD)
        yield self.arrived(b"hello, server")

    @inlineCallbacks
    def test_a_black_hole_takes_everything_and_passes_nothing(self) -> Any:
        """After it, a connection of which something was swallowed is reset."""
        self.proxy.behave(Mode.SWALLOW)
        other = yield self.connect()
        self.client.say(b", server")
        other.say(b"anybody?")
        self.server.ends[0].say(b"hello, relay")
        yield self.a_while()
        self.assertEqual([end.heard for end in self.server.ends], [b"hello", b""])
        self.assertEqual(self.client.heard, b"")
        self.proxy.behave(Mode.FORWARD)
        yield self.client.gone
        yield other.gone

    @inlineCallbacks
    def test_a_black_hole_that_swallowed_nothing_leaves_the_connection(self) -> Any:
        """Nobody has noticed it."""
        self.proxy.behave(Mode.SWALLOW)
        self.proxy.behave(Mode.FORWARD)
        self.client.say(b", server")
        yield self.arrived(b"hello, server")

    @inlineCallbacks
    def test_refusing_resets_and_lets_nobody_in(self) -> Any:
        """Until it accepts again, on the same port."""
        yield Deferred.fromCoroutine(self.proxy.refuse())
        yield self.client.gone
        with self.assertRaises(errors.ConnectionRefusedError):
            yield self.connect()
        yield Deferred.fromCoroutine(self.proxy.accept())
        (yield self.connect()).say(b"again")
        yield self.arrived(b"again")

    @inlineCallbacks
    def test_without_a_server_a_connection_is_reset(self) -> Any:
        """As if it had been refused."""
        self.proxy.cut()
        yield self.server.ends[0].gone
        yield self.server_port.stopListening()
        client = yield self.connect()
        yield client.gone
