"""The fast path against Autobahn's own parser: whatever comes, in whatever pieces, both do the same."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from typing import Any

import attrs
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerProtocol,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.frames import FastFrames
from makima_relay.link_factory import LinkFactory
from makima_relay.simple_frames import apply_mask, join_masked, join_unmasked, split_pong
from makima_relay.thrift import Thrifty, configured, slim
from makima_relay.websocket import CLOSE_TIMEOUT, WebSocketEnd
from makima_relay.websocket_options import protocol_options
from tests.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, decode_frames, encode_frame
from tests.untraced import untraced
from tests.wire import Peer, ServerPeer, connect_daemon

CONTINUATION = 0
#: The sizes around which frames are written differently, or read by different code.
SIZES = (0, 1, 2, 3, 6, 124, 125, 126, 127, 128, 300, 5_000, 65_534, 65_535, 65_536, 70_000)
LIMITS = (1 << 24, 65_535, 300, 126, 125, 3)
MIXED = "aé€😀"


class RecordingEnd(WebSocketEnd):
    """Notes what comes, and does what some messages say.

    :ivar notes: the messages, pings and pongs that came, and how it ended.
    """

    notes: list[Any]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.notes.append(("message", payload, isBinary, self.hearing))
        if payload == b"answer":
            self.send_text(b"an answer")
        elif payload == b"close":
            self.close(4000, "enough")
        elif payload == b"go":
            self.close(1001)
        elif payload == b"cut":
            self.drop()

    def onPing(self, payload: bytes) -> None:
        self.notes.append(("ping", payload))
        super().onPing(payload)

    def pong_received(self, payload: bytes) -> None:
        self.notes.append(("pong", payload))

    def ended(self, reason: str) -> None:
        self.notes.append(("ended", reason))


class ServerEnd(RecordingEnd, WebSocketServerProtocol):  # type: ignore[misc]
    """A server's end."""


class ClientEnd(RecordingEnd, WebSocketClientProtocol):  # type: ignore[misc]
    """A client's end."""


class ThriftyEnd(RecordingEnd, Thrifty, WebSocketServerProtocol):  # type: ignore[misc]
    """A server's end that keeps and says little."""


class Ends(LinkFactory):
    """Makes servers' ends."""

    link = ServerEnd


class ThriftyEnds(LinkFactory):
    """Makes servers' ends that keep and say little."""

    link = ThriftyEnd


def server_end(limit: int, *, fast: bool, compression: bool = False) -> tuple[Peer, Any]:
    """A server's end whose client has just been let in, and that client."""
    reactor = Clock()
    options = protocol_options(limit, compression=compression, is_server=True)
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate"} if compression else {}
    make = ThriftyEnds if fast else Ends
    peer = connect_daemon(make((60, 60), options, reactor, fast_frames=fast), reactor, headers=headers)
    protocol: Any = peer.protocol
    protocol.notes = []
    if fast:
        slim(protocol)
    return peer, protocol


def client_end(limit: int, *, fast: bool) -> tuple[Peer, Any]:
    """A client's end that a server has just let in, and that server."""
    reactor = Clock()
    factory: Any = WebSocketClientFactory("ws://h/", reactor=reactor)
    factory.setProtocolOptions(**protocol_options(limit, compression=False, is_server=False))
    protocol: Any = configured(ClientEnd, factory, fast_frames=fast, clock=reactor)()
    protocol.notes = []
    peer = ServerPeer(reactor, protocol, masks=False)
    peer.upgrade()
    return peer, protocol


# ------------------------------------------------------------------------------------------------- what is sent


@attrs.frozen
class Sent:
    """One frame as it is to be written, whether that is right or not.

    :ivar length_form: in which form its length is written: 1, 2 or 8 bytes; none for the right one.
    :ivar lie: by how much the length that it names is too great.
    """

    opcode: int
    payload: bytes
    final: bool = True
    reserved: int = 0
    masked_right: bool = True
    length_form: int | None = None
    lie: int = 0
    mask: bytes = b"\x37\xfa\x21\x3d"

    def encode(self, *, by_client: bool) -> bytes:
        """Its bytes."""
        masked = by_client if self.masked_right else not by_client
        size = max(0, len(self.payload) + self.lie)
        form = self.length_form or (1 if size < 126 else 2 if size < 1 << 16 else 8)
        bit = 0x80 if masked else 0
        first = self.opcode | self.reserved << 4 | (0x80 if self.final else 0)
        if form == 1:
            head = struct.pack("!BB", first, bit | min(size, 125))
        elif form == 2:
            head = struct.pack("!BBH", first, bit | 126, min(size, 0xFFFF))
        else:
            head = struct.pack("!BBQ", first, bit | 127, size)
        return head + (self.mask + apply_mask(self.payload, self.mask) if masked else self.payload)


def _text_of(size: int, *, plain: bool) -> bytes:
    unit = b"x" if plain else MIXED.encode()
    whole, left = divmod(size, len(unit))
    return unit * whole + b"y" * left


sizes = st.one_of(st.sampled_from(SIZES[:-5]), st.integers(0, 300), st.sampled_from(SIZES))
texts = st.one_of(
    st.sampled_from([b"answer", b"close", b"go", b"cut", b""]),
    st.builds(lambda size, plain: _text_of(size, plain=plain), sizes, st.booleans()),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
bad_texts = st.builds(
    lambda text, place, bad: text[: place % (len(text) + 1)] + bad + text[place % (len(text) + 1) :],
    texts,
    st.integers(0, 1 << 17),
    st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0", b"\xed\xa0\x80", b"\xf0\x9f", b"\xc0\x80", b"\xf4\x90\x80\x80"]),
)
masks = st.binary(min_size=4, max_size=4)
closes = st.builds(
    lambda code, reason: struct.pack("!H", code) + reason,
    st.sampled_from([999, 1000, 1001, 1004, 1005, 1006, 1015, 3000, 4409, 65_535]),
    st.sampled_from([b"", b"bye", b"\xff", "é".encode() * 61]),
)
plain = st.builds(Sent, st.just(TEXT), texts, mask=masks).map(lambda sent: [sent])
control = st.one_of(
    st.builds(Sent, st.sampled_from([PING, PONG]), st.binary(max_size=125), mask=masks),
    st.builds(Sent, st.just(CLOSE), st.one_of(closes, closes, st.just(b""), st.just(b"\x03")), mask=masks),
).map(lambda sent: [sent])


@st.composite
def fragmented(draw: st.DrawFn) -> list[Sent]:
    """A message in pieces, cut anywhere, with pings between them."""
    payload = draw(st.one_of(texts, bad_texts))
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), min_size=1, max_size=4)))
    pieces = [payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    opcode = draw(st.sampled_from([TEXT, TEXT, BINARY]))
    frames: list[Sent] = []
    for place, piece in enumerate(pieces):
        frames.append(Sent(opcode if place == 0 else CONTINUATION, piece, final=place == len(pieces) - 1))
        between = draw(st.sampled_from([None, None, Sent(PING, b"between"), Sent(PONG, b""), Sent(TEXT, b"no")]))
        if between is not None:
            frames.append(between)
    return frames


wrong = st.one_of(
    st.builds(Sent, st.sampled_from([TEXT, TEXT, BINARY, PING]), texts, masked_right=st.sampled_from([False])),
    st.builds(Sent, st.just(TEXT), bad_texts, mask=masks),
    st.builds(
        Sent,
        st.just(PONG),
        st.binary(max_size=130),
        st.booleans(),
        st.sampled_from([0, 0, 1, 4, 7]),
        st.booleans(),
        st.sampled_from([None, 2]),
    ),
    st.builds(Sent, st.integers(0, 15), texts, st.booleans(), st.integers(0, 7), st.booleans()),
    st.builds(Sent, st.just(TEXT), texts, length_form=st.sampled_from([1, 2, 8])),
    st.builds(
        Sent, st.just(TEXT), st.binary(min_size=4, max_size=20).map(bytes.hex).map(str.encode), length_form=st.just(2)
    ),
    st.builds(Sent, st.sampled_from([TEXT, PING]), texts, lie=st.sampled_from([-3, -1, 1, 5, 200, 70_000, 1 << 62])),
    st.builds(Sent, st.just(TEXT), st.just(b""), length_form=st.just(8), lie=st.just((1 << 64) - 1)),
).map(lambda sent: [sent])
sequences = st.lists(
    st.one_of(
        plain, plain, plain, st.builds(Sent, st.just(BINARY), texts).map(lambda sent: [sent]), control, fragmented()
    ),
    max_size=8,
).map(lambda groups: [sent for group in groups for sent in group])
streams = st.one_of(
    sequences,
    st.builds(lambda before, bad, after: [*before, *bad, *after], sequences, wrong, sequences),
)
pieces_sizes = st.lists(
    st.one_of(
        st.just(1 << 20), st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 14]), st.integers(1, 1_000), st.just(65_536)
    ),
    min_size=1,
    max_size=12,
)


def in_pieces(data: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Cut data into pieces; where the lengths are used up the last holds on, but for no more than 300 pieces."""
    pieces, position = [], 0
    for place in range(300):
        if position >= len(data):
            return pieces
        length = lengths[min(place, len(lengths) - 1)]
        pieces.append(data[position : position + length])
        position += length
    return [*pieces, data[position:]] if position < len(data) else pieces


_thoroughly = settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))


class OracleTests(SynchronousTestCase):
    """Both ways get the same bytes in the same pieces."""

    def assert_same(
        self, make: Any, frames: Sequence[Sent], lengths: Sequence[int], limit: int, *, by_client: bool
    ) -> None:
        """After each piece both have told the same and written the same; also when the time to close is over."""
        (fast_peer, fast), (slow_peer, slow) = (make(limit, fast=way) for way in (True, False))
        data = b"".join(sent.encode(by_client=by_client) for sent in frames)
        for piece in in_pieces(data, lengths):
            for peer in (fast_peer, slow_peer):
                peer.deliver(piece)
            self.assertEqual(fast.notes, slow.notes)
            self.assertEqual(fast_peer.take(), slow_peer.take())
            self.assertEqual((fast.state, fast_peer.lost), (slow.state, slow_peer.lost))
        for peer in (fast_peer, slow_peer):
            peer.reactor.advance(CLOSE_TIMEOUT)
            peer.lose()
        self.assertEqual(fast.notes, slow.notes)
        self.assertEqual(fast_peer.take(), slow_peer.take())

    @untraced
    @_thoroughly
    @given(streams, pieces_sizes, st.sampled_from(LIMITS))
    def test_a_server_does_what_autobahn_does(self, frames: list[Sent], lengths: list[int], limit: int) -> None:
        """The same messages in the same order, the same answers and close codes."""
        self.assert_same(server_end, frames, lengths, limit, by_client=True)

    @untraced
    @_thoroughly
    @given(streams, pieces_sizes, st.sampled_from(LIMITS))
    def test_a_client_does_what_autobahn_does(self, frames: list[Sent], lengths: list[int], limit: int) -> None:
        """But for the masks, which nobody can foretell."""
        self.assert_same(client_end, frames, lengths, limit, by_client=False)


class FastPathTests(SynchronousTestCase):
    """What the fast path is for, and when there is none."""

    def setUp(self) -> None:
        """Have it, whatever way the suite is run."""
        self.patch(FastFrames, "fast_frames", True)  # noqa: FBT003 - trial's signature

    def together(self, end: Any) -> list[list[bytes]]:
        """Note which messages an end is handed together."""
        runs: list[list[bytes]] = []
        end.texts_received = lambda payloads: runs.append(list(payloads))
        return runs

    def test_the_messages_of_one_read_are_handed_over_together(self) -> None:
        """A ping between them is answered at its place, and half a message waits for its other half."""
        peer, end = server_end(1 << 20, fast=True)
        runs = self.together(end)
        one, two, three = (encode_frame(TEXT, payload, masked=True) for payload in (b"one", b"two", b"x" * 200))
        peer.deliver(one + two + encode_frame(PING, b"p", masked=True) + one + three[:100])
        self.assertEqual(runs, [[b"one", b"two"], [b"one"]])
        self.assertEqual(peer.take(), [Frame(PONG, b"p")])
        peer.deliver(three[100:] + two)
        self.assertEqual(runs[2:], [[b"x" * 200, b"two"]])

    def test_what_is_sent_together_is_one_write(self) -> None:
        """And comes out as it went in, whatever its size."""
        payloads = [b"x" * size for size in SIZES]
        for end_of in (server_end, client_end):
            peer, end = end_of(1 << 20, fast=True)
            writes: list[bytes] = []
            peer.transport.write = writes.append  # type: ignore[method-assign]
            end.send_texts(payloads)
            (written,) = writes
            self.assertEqual(decode_frames(written), ([Frame(TEXT, payload) for payload in payloads], b""))

    def test_a_mask_is_used_once(self) -> None:
        """As often as anybody sends the same."""
        sent = [join_masked([b"x" * 200]) for _ in range(5_000)] + [join_masked([b"x" * 9, b"x" * 200])[15:]]
        self.assertEqual(len({frame[4:8] for frame in sent}), len(sent))
        self.assertEqual(join_unmasked([b"x" * 200])[4:], b"x" * 200)

    def test_only_a_pong_that_is_as_it_should_be_is_taken(self) -> None:
        """Whole, final, without extensions, masked by a client and not by a server, at most 125 bytes long."""
        masks = {True: b"\1\2\3\4", False: b""}
        for masked, mask in masks.items():
            for first, size, form in itertools.product(range(256), (0, 1, 124, 125, 126, 127), masks):
                frame = bytes([first, size | (0x80 if form else 0)]) + mask + b"x" * 300
                taken = split_pong(b"ab" + frame, 2, masked=masked)
                good = first == 0x8A and size < 126 and form == masked
                stop = 4 + len(mask) + size
                self.assertEqual(taken and taken[1], stop if good else None, (masked, first, size, form))
                self.assertIsNone(split_pong((b"ab" + frame)[: stop - 1], 2, masked=masked))

    def test_pongs_do_not_reach_autobahn(self) -> None:
        """They come as often as pings go."""
        peer, end = server_end(1 << 20, fast=True)
        end._dataReceived = self.fail
        pong, text = (encode_frame(opcode, b"x", masked=True) for opcode in (PONG, TEXT))
        peer.deliver(pong + text + pong)
        self.assertEqual([note[0] for note in end.notes], ["pong", "message", "pong"])

    def test_off_or_with_compression_autobahn_does_it(self) -> None:
        """Message by message."""
        for choice in ({"fast": False}, {"fast": True, "compression": True}):
            peer, end = server_end(1 << 20, **choice)
            runs = self.together(end)
            peer.deliver(2 * encode_frame(TEXT, b"one", masked=True))
            self.assertEqual((runs, len(end.notes)), ([], 2), choice)
