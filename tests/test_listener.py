"""One port for two protocols: whom a connection is for, told from how it begins."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.limits.guard import Guard, Limits
from makima_relay.listener import Listener
from tests.fakes import elapse
from tests.frames import TEXT, encode_frame, upgrade_request
from tests.wire import ADDRESS, Peer

_EARLY = encode_frame(TEXT, b'{"type":"authenticate"}', masked=True) + b"\r\n\r\n\x00"

#: What is for the daemons' side, each with frames right behind the upgrade request.
FOR_DAEMONS = [
    upgrade_request() + _EARLY,
    upgrade_request("/ws/daemon/ws/daemon") + _EARLY,
    upgrade_request("/ws/daemon?token=x") + _EARLY,
    upgrade_request(headers={"Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade"}),
    upgrade_request(headers={"Origin": "http://localhost:8787"}),
    upgrade_request(headers={"X-Long": "x" * 8000}),
]
#: What is for the HTTP side.
FOR_HTTP = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /ws/daemon HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /reconnect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    upgrade_request("/ws/daemonX"),
    upgrade_request("/ws/daemon/"),
    upgrade_request("/ws"),
    upgrade_request("/"),
    upgrade_request("/ws/daemon/ws"),
    upgrade_request("/ws/daemon/ws/daemon/ws/daemon"),
    upgrade_request("/WS/daemon"),
    upgrade_request().replace(b"GET", b"POST"),
    upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    upgrade_request().replace(b"HTTP/1.1", b"HTTP/9"),
    upgrade_request(headers={"Upgrade": "h2c"}),
    upgrade_request(headers={"Origin": "http://evil.example"}),
    upgrade_request(headers={"Origin": "http://localhost"}),
    upgrade_request(headers={"Origin": "null"}),
    b"GET /ws/daemon\r\n",
    b"\x16\x03\x01\x02\x00\x01\r\nTLS, by mistake\r\n\r\n",
    b"x" * 40_000,
]


class RecordingProtocol(Protocol):
    """Keeps what it is sent."""

    factory: RecordingFactory

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.factory.received += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Note it."""
        self.factory.lost += 1


class RecordingFactory(Factory):
    """Makes recording protocols, or none.

    :ivar received: all bytes of all of them.
    :ivar made: how many there were.
    :ivar lost: how many have ended.
    """

    noisy = False
    refuses = False

    def __init__(self) -> None:
        self.received = b""
        self.made = self.lost = 0

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Make one."""
        if self.refuses:
            return None
        self.made += 1
        protocol = RecordingProtocol()
        protocol.factory = self
        return protocol


class ListenerTestCase(SynchronousTestCase):
    """Has a listener between two recording factories."""

    def setUp(self) -> None:
        """Make it."""
        self.reactor = Clock()
        self.daemons, self.http = RecordingFactory(), RecordingFactory()
        self.guard = Guard(Limits(), self.reactor.seconds, lambda *_: None)
        self.listener = Listener(self.daemons, self.http, self.reactor, 10.0, self.guard)

    def connect(self) -> Peer:
        """Open a connection."""
        return Peer(self.reactor, self.listener.buildProtocol(ADDRESS), masks=True)


class SniffingTests(ListenerTestCase):
    """Whom it is for does not depend on how the network cuts it."""

    def side_of(self, data: bytes, cuts: list[int]) -> str:
        """Whom some data is for that is cut at these places; it has to arrive there whole."""
        self.setUp()
        peer = self.connect()
        places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
        for start, end in itertools.pairwise(places):
            peer.deliver(data[start:end])
        self.assertEqual(self.daemons.made + self.http.made, 1)
        self.assertEqual(self.daemons.received + self.http.received, data)
        return "daemons" if self.daemons.made else "http"

    @settings(deadline=None, max_examples=150)
    @given(st.sampled_from(FOR_DAEMONS), st.lists(st.integers(0, 1 << 16), max_size=12))
    def test_upgrades_of_daemons_go_to_the_daemons_side(self, data: bytes, cuts: list[int]) -> None:
        """With all frames that came right behind, in their order."""
        self.assertEqual(self.side_of(data, cuts), "daemons")

    @settings(deadline=None, max_examples=150)
    @given(st.sampled_from(FOR_HTTP), st.lists(st.integers(0, 1 << 16), max_size=12))
    def test_everything_else_goes_to_the_http_side(self, data: bytes, cuts: list[int]) -> None:
        """It says what is wrong with it."""
        self.assertEqual(self.side_of(data, cuts), "http")

    def test_a_request_that_comes_byte_by_byte_is_recognized(self) -> None:
        """However slow the line is."""
        data = upgrade_request()
        self.assertEqual(self.side_of(data, list(range(len(data)))), "daemons")

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.integers(0, 1 << 16), max_size=12))
    def test_a_head_that_is_too_long_goes_to_the_http_side(self, cuts: list[int]) -> None:
        """Also when the network delivers it in one piece."""
        data = upgrade_request(headers={"X-Long": "x" * 20_000})
        self.assertEqual(self.side_of(data, cuts), "http")


class LifeTests(ListenerTestCase):
    """From the first byte to the last."""

    def test_a_head_must_come_in_time(self) -> None:
        """Else the connection is closed, and neither side hears of it."""
        peer = self.connect()
        peer.deliver(b"GET /ws/daemon HTTP/1.1\r\nHost: loc")
        elapse(self.reactor, 9.99)
        self.assertFalse(peer.lost)
        elapse(self.reactor, 0.02)
        self.assertTrue(peer.lost)
        self.assertEqual((self.daemons.made, self.http.made, self.listener.connections), (0, 0, set()))

    def test_a_head_that_drips_does_not_gain_time(self) -> None:
        """The time is for all of it."""
        peer = self.connect()
        for byte in b"GET /ws/daem":
            peer.deliver(bytes([byte]))
            elapse(self.reactor, 1)
        self.assertTrue(peer.lost)

    def test_a_connection_that_was_handed_over_has_no_timer(self) -> None:
        """Its new owner has timers of its own."""
        peer = self.connect()
        peer.deliver(upgrade_request())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        elapse(self.reactor, 100)
        self.assertFalse(peer.lost)

    def test_what_follows_goes_to_the_same_side(self) -> None:
        """It is not looked at again, whatever it looks like."""
        peer = self.connect()
        first, second = b"GET / HTTP/1.1\r\n\r\n", upgrade_request()
        peer.deliver(first)
        peer.deliver(second)
        self.assertEqual((self.http.received, self.daemons.made), (first + second, 0))

    def test_the_end_of_the_connection_is_passed_on(self) -> None:
        """Once, to the side that has it."""
        peer = self.connect()
        peer.deliver(upgrade_request())
        peer.lose()
        self.assertEqual((self.daemons.lost, self.http.lost, self.listener.connections), (1, 0, set()))

    def test_a_connection_that_ends_before_its_head_is_nobodys(self) -> None:
        """Port scanners come and go; nothing is left on the clock."""
        self.connect().lose()
        self.assertEqual((self.daemons.made, self.http.made, self.listener.connections), (0, 0, set()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_side_may_refuse_a_connection(self) -> None:
        """It is closed then."""
        self.daemons.refuses = True
        peer = self.connect()
        peer.deliver(upgrade_request())
        self.assertTrue(peer.lost)

    def test_more_than_there_are_descriptors_for_are_closed_at_once(self) -> None:
        """Whoever they are; the operating system would refuse them, and Twisted say so for each."""
        self.listener.most = 3
        peers = [self.connect() for _ in range(3)]
        peers[0].deliver(upgrade_request())
        self.assertIsNone(self.listener.buildProtocol(ADDRESS))
        peers[0].lose()
        self.connect()
        self.assertIsNone(self.listener.buildProtocol(ADDRESS))

    def test_stopping_cuts_what_is_still_open(self) -> None:
        """Whoever has it, also those that have not said what they want."""
        peers = [self.connect() for _ in range(3)]
        peers[0].deliver(upgrade_request())
        peers[1].deliver(b"GET / HTTP/1.1\r\n")
        self.listener.abort_all()
        self.reactor.advance(0)
        self.assertTrue(all(peer.transport.disconnected and peer.lost for peer in peers))
        self.assertEqual(self.listener.connections, set())
