"""The fast handshake against Autobahn's own: whatever is asked, in whatever pieces, both answer the same."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.frames import FastFrames
from makima_relay.handshake import accepting, read_upgrade
from makima_relay.link_factory import LinkFactory
from makima_relay.thrift import Thrifty
from makima_relay.websocket import CLOSE_TIMEOUT, WebSocketEnd
from makima_relay.websocket_options import protocol_options
from tests.frames import PING, TEXT, encode_frame, upgrade_request
from tests.untraced import untraced
from tests.wire import ADDRESS, Peer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
#: RFC 6455, section 1.3.
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class RecordingEnd(WebSocketEnd):
    """Notes what it is told."""

    notes: list[Any]

    def connectionMade(self) -> None:
        self.notes = []
        super().connectionMade()  # type: ignore[misc]

    def onConnect(self, request: ConnectionRequest) -> None:
        self.notes.append(request.headers)

    def opened(self) -> None:
        self.notes.append("opened")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.notes.append((payload, isBinary))

    def ended(self, reason: str) -> None:
        self.notes.append(reason)


class ServerEnd(RecordingEnd, WebSocketServerProtocol):  # type: ignore[misc]
    """A server's end."""


class ThriftyEnd(RecordingEnd, Thrifty, WebSocketServerProtocol):  # type: ignore[misc]
    """A server's end that has the fast handshake."""


class Ends(LinkFactory):
    """Makes servers' ends."""

    link = ServerEnd


class ThriftyEnds(LinkFactory):
    """Makes servers' ends that have the fast handshake."""

    link = ThriftyEnd


def connect(make: type[LinkFactory], *, fast: bool, compression: bool) -> tuple[Peer, Any]:
    """Connect, and ask nothing yet.

    :return: the client, and the server's end.
    """
    reactor = Clock()
    options = protocol_options(1 << 20, compression=compression, is_server=True)
    protocol: Any = make((60, 60), options, reactor, fast_frames=fast).buildProtocol(ADDRESS)
    return Peer(reactor, protocol, masks=True), protocol


# ------------------------------------------------------------------------------------------------- what is asked

lines = st.sampled_from(
    [
        *["GET /ws/daemon HTTP/1.1"] * 8,
        "GET /ws/daemon/ws/daemon HTTP/1.1",
        "GET /ws/daemon?token=x&y=%20 HTTP/1.1",
        "GET /ws/daemon#part HTTP/1.1",
        "GET /ws//daemon HTTP/1.1",
        "GET //ws/daemon HTTP/1.1",
        "GET //[ws/daemon HTTP/1.1",
        "GET /wé HTTP/1.1",
        "GET  /ws/daemon HTTP/1.1",
        "GET /ws/daemon HTTP/1.1 ",
        "GET /ws/daemon HTTP/1.0",
        "GET /ws/daemon HTTP/1.10",
        "GET /ws/daemon",
        "get /ws/daemon HTTP/1.1",
        "POST /ws/daemon HTTP/1.1",
        "GET ws://h/ws/daemon HTTP/1.1",
        "",
    ]
)
fields: Mapping[str, list[str]] = {
    "Host": [
        "localhost:8787",
        "localhost",
        "[::1]:80",
        "[::1]",
        "",
        "h:",
        "h:x",
        "h:99999",
        "h:1:2",
        "h: 80",
        "h:²",
        "a b",
    ],
    "Upgrade": ["websocket", "WebSocket", "h2c, websocket", "h2c", "", "web socket"],
    "Connection": ["Upgrade", "upgrade", "keep-alive, Upgrade", "close", ""],
    "Sec-WebSocket-Version": ["13", "8", "7", "0", "013", "+13", " 13 ", "1_3", "x", "", "13, 8"],
    "Sec-WebSocket-Key": [KEY, KEY[:-1], "x" * 24, "!" * 22 + "==", "é" * 22 + "==", "", f" {KEY} ", KEY + "A"],
}
extra = st.sampled_from(
    [
        "Origin: http://localhost:8787",
        "Origin: null",
        "origin:",
        "Sec-WebSocket-Origin: http://evil.example",
        "Sec-WebSocket-Protocol: a, b",
        "Sec-WebSocket-Protocol: a, a",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99",
        "Sec-WebSocket-Extensions: x-unknown",
        "Authorization: Bearer secret",
        "X-Makima-API-Key: secret",
        "x-makima-api-key:secret",
        "X-Forwarded-For: 10.0.0.1",
        "X-Empty:",
        "X-Colons: a:b: c",
        "X-Tab:\ta\tb",
        "X-Accent: é",
        "X-Line: a\x85Upgrade: h2c",
        "X-Line: a\x0bHost: evil",
        "X-Line: a\rHost: evil",
        "X-Line: a\nHost: evil",
        "X-Null: a\0b",
        " folded: x",
        "X Space: x",
        "X-Space : x",
        ": nameless",
        "no colon",
        f"X-Long: {'x' * 5_000}",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """An upgrade request that is plain but for a few things."""
    wrong = draw(st.sets(st.sampled_from(sorted(fields)), max_size=2))
    values = [(name, draw(st.sampled_from(each)) if name in wrong else each[0]) for name, each in fields.items()]
    left_out = draw(st.sampled_from([None] * 6 + sorted(fields)))
    heads = [f"{name}: {value}" for name, value in values if name != left_out]
    twice = draw(st.sampled_from([None] * 6 + heads))
    heads += [twice] if twice else []
    heads += draw(st.lists(extra, max_size=2))
    cased = draw(st.sampled_from([str, str, str.lower, str.upper]))
    heads = [cased(head.partition(":")[0]) + "".join(head.partition(":")[1:]) for head in draw(st.permutations(heads))]
    return "\r\n".join([draw(lines), *heads, "", ""]).encode("latin-1")


early = st.sampled_from(
    [
        b"",
        encode_frame(TEXT, b"hello", masked=True),
        encode_frame(PING, b"", masked=True),
        b"\x81\x85",
        b"\r\n",
        b"\xff" * 9,
    ]
)


class OracleTests(SynchronousTestCase):
    """Both ways get the same bytes in the same pieces."""

    @untraced
    @settings(deadline=None, max_examples=600, suppress_health_check=list(HealthCheck))
    @given(requests(), early, st.lists(st.integers(0, 400), max_size=3), st.booleans())
    def test_it_does_what_autobahn_does(self, request: bytes, rest: bytes, cuts: list[int], compression: bool) -> None:
        """The same answers, refusals and headers, and what comes early is not lost."""
        self.patch(FastFrames, "fast_frames", True)  # noqa: FBT003 - trial's signature
        fast_peer, fast = connect(ThriftyEnds, fast=True, compression=compression)
        slow_peer, slow = connect(Ends, fast=False, compression=compression)
        data = request + rest
        places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
        for start, end in itertools.pairwise(places):
            for peer in (fast_peer, slow_peer):
                peer.deliver(data[start:end])
            self.assertEqual(fast_peer.transport.value(), slow_peer.transport.value())
            self.assertEqual(fast.notes, slow.notes)
            self.assertEqual((fast.state, fast_peer.lost), (slow.state, slow_peer.lost))
        for peer in (fast_peer, slow_peer):
            peer.reactor.advance(CLOSE_TIMEOUT)
            peer.lose()
        self.assertEqual(fast.notes, slow.notes)
        self.assertEqual(fast_peer.transport.value(), slow_peer.transport.value())


class PlainTests(SynchronousTestCase):
    """Which requests are plain."""

    def test_what_daemons_ask_is_plain(self) -> None:
        """Also with a key in a header, a port or none, and letters of either case."""
        for headers in (
            {},
            {"Authorization": "Bearer x", "User-Agent": "makima/1.0 (linux)"},
            {"Host": "relay.example", "Upgrade": "WebSocket", "Connection": "upgrade"},
        ):
            request = upgrade_request(headers=headers)
            read = read_upgrade(request + b"\x81\r\n\r\n")
            assert read is not None, headers
            self.assertEqual(read[1], len(request))
            self.assertEqual(read[0]["sec-websocket-key"], KEY)

    def test_what_asks_for_more_is_autobahns(self) -> None:
        """Whether it gets it or is refused."""
        for headers in (
            {"Origin": "http://localhost:8787"},
            {"Sec-WebSocket-Protocol": "a"},
            {"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover"},
            {"Sec-WebSocket-Extensions": "x-unknown"},
            {"Sec-WebSocket-Version": "8"},
            {"Sec-WebSocket-Key": "short"},
            {"Host": "h:x"},
            {"host": "another"},
        ):
            self.assertIsNone(read_upgrade(upgrade_request(headers=headers)), headers)
        self.assertIsNone(read_upgrade(upgrade_request("/ws/daemon?x")))

    def test_an_offer_to_compress_is_passed_over_where_nothing_is_compressed(self) -> None:
        """Most libraries make one."""
        for offer in ("permessage-deflate", "permessage-deflate; client_max_window_bits"):
            request = upgrade_request(headers={"Sec-WebSocket-Extensions": offer})
            self.assertIsNotNone(read_upgrade(request))
            self.assertIsNone(read_upgrade(request, compression=True))

    def test_half_a_request_is_not_plain_yet(self) -> None:
        """More of it is waited for."""
        request = upgrade_request()
        for size in range(len(request)):
            self.assertIsNone(read_upgrade(request[:size]))

    def test_the_answer_is_that_of_the_standard(self) -> None:
        """The key and what becomes of it are the standard's own example."""
        self.assertIn(b"\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n", accepting(KEY, "s"))

    def test_autobahn_is_not_asked_about_a_plain_request_unless_the_fast_path_is_off(self) -> None:
        """What it learns in a handshake shows that it had one."""
        self.patch(FastFrames, "fast_frames", True)  # noqa: FBT003 - trial's signature
        for fast in (True, False):
            peer, end = connect(ThriftyEnds, fast=fast, compression=False)
            peer.deliver(upgrade_request())
            self.assertTrue(end.speaking)
            self.assertEqual(hasattr(end, "http_headers"), not fast)
