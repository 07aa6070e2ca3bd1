"""A whole relay in memory, and what must hold around it whatever a stranger, a daemon or the server sends."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from makima_relay.connector import ConnectorState
from makima_relay.downstream import DaemonFactory, DownstreamOptions
from makima_relay.limits.guard import Guard, Limits
from makima_relay.listener import Listener
from makima_relay.web.site import make_site
from tests.fakes import elapse
from tests.frames import CLOSE, PING, PONG, TEXT, Frame, decode_frames, upgrade_answer
from tests.fuzz.bytes_to_try import in_pieces
from tests.web.case import ApiTestCase
from tests.wire import Peer, ServerPeer

#: Where a client of this machine is, and one of another.
_HERE, _THERE = IPv4Address("TCP", "127.0.0.1", 5_000), IPv4Address("TCP", "203.0.113.7", 5_000)
#: Longer than anything unfinished may stay, in seconds.
_LONG: Final = 11.0
#: What may be answered to a request: ``http-api.md``, and what Twisted says of what is no request.
_STATUSES: Final = frozenset({100, 200, 201, 202, 204, 303, 400, 401, 403, 404, 405, 409, 413, 426, 429})
#: Close codes of ``protocol.md``, *Refusals and closes*, and of RFC 6455, section 7.4.1, for what is no WebSocket.
_CLOSES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1009, 1013, 4400, 4401, 4408, 4409})
_status_lines: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ").findall
_ACCEPT: Final = b"{accept}"
#: Reports of the bystander after which a relay has seen enough, and those after each attack.
_MOST_REPORTS, _REPORTS = 1_500, 3
_WORST = (LogLevel.error, LogLevel.critical)


class Edge(ApiTestCase):
    """A relay that is attacked again and again; nothing may be left of one attack when the next begins.

    :cvar compression: whether it compresses.
    """

    compression = False

    def setUp(self) -> None:
        """Start it, with a server, and a daemon that is not to be disturbed."""
        super().setUp()
        self._said: list[LogEvent] = []
        globalLogPublisher.addObserver(self._said.append)
        self.addCleanup(globalLogPublisher.removeObserver, self._said.append)
        limits = Limits(strangers=50, strangers_per_address=20, accepts=0, failures=0)
        self.guard = Guard(limits, self.reactor.seconds, self.engine.turned_away)
        options = DownstreamOptions(keepalive=(1e6, 1e6), compression=self.compression, max_message_size=1 << 20)
        self.daemons = DaemonFactory(self.engine, self.daemons.admission, options, self.reactor, self.guard)
        site = make_site(self.api.app.resource(), reactor=self.reactor)
        self.listener = Listener(self.daemons, site, self.reactor, 10.0, self.guard)
        self.server: ServerPeer = self.go_live()
        self.bystander = self.join("bystander")
        self._reports = 0
        self._heard: list[bytes] = []
        self.elapse(1.0)
        self._timers = len(self.reactor.getDelayedCalls())

    def restart(self, **options: Any) -> None:
        """Start a relay that sends no pings of its own, and takes no long messages."""
        super().restart(keepalive=(1e6, 1e6), compression=self.compression, max_message_size=1 << 20, **options)

    @property
    def has_seen_enough(self) -> bool:
        """Whether another relay should take its place: it keeps what it is told, and may have keys of its own now."""
        return self._reports > _MOST_REPORTS or self.engine.relay.keys.ever_made

    def elapse(self, seconds: float) -> None:
        """Let time pass; the server and the bystander take what they are sent."""
        elapse(self.reactor, seconds)
        for peer in (self.server, self.bystander):
            for frame in peer.take():
                if frame.opcode == PING:
                    peer.send_frame(PONG, frame.payload)
                elif frame.opcode == TEXT and peer is self.server:
                    self._heard.append(frame.payload)
        self.reactor.advance(0)

    # ------------------------------------------------------------------------------------------------- attacks

    def attack_as_client(self, data: bytes) -> None:
        """Send bytes on a new connection; the first says from where, the second in which pieces."""
        peer = Peer(
            self.reactor,
            self.listener.buildProtocol(_THERE if data and data[0] % 2 else _HERE),
            masks=True,
            address=_THERE if data and data[0] % 2 else _HERE,
        )
        for piece in in_pieces(data[1:]):
            peer.deliver(piece)
        self.reactor.advance(0.2)
        self._look_at_answer(peer.transport.value(), data)
        self.elapse(_LONG)
        peer.lose()
        self._look_around(data)

    def attack_as_server(self, data: bytes) -> None:
        """Answer an attempt to connect; the first byte says in which pieces.

        Where the bytes say ``{accept}`` it is the right answer to the key in the relay's upgrade request.
        """
        self.upstream.connector.connect()
        self.reactor.advance(2)
        server = self.endpoint.attempts[-1].accept()
        accept = re.search(rb"Accept: (\S+)", upgrade_answer(server.take_head()))
        assert accept is not None
        pieces = in_pieces(data[:1] + data[1:].replace(_ACCEPT, accept[1]))
        for piece in pieces:
            server.deliver(piece)
        self._look_at_frames(server.transport.value(), data)
        self.elapse(_LONG)
        server.lose()
        assert self.upstream.connector.state in (ConnectorState.WAITING, ConnectorState.CONNECTING), data
        self._look_around(data)

    # ------------------------------------------------------------------------------------------ what must hold

    def _look_at_answer(self, answer: bytes, data: bytes) -> None:
        if not answer.startswith(b"HTTP/1.1 101 "):
            statuses = set(map(int, _status_lines(answer)))
            assert statuses <= _STATUSES, (statuses, answer, data)
            assert bool(statuses) == bool(answer), (answer, data)
            assert b"Traceback" not in answer, (answer, data)
            return
        head, _, frames = answer.partition(b"\r\n\r\n")
        self._look_at_frames(frames, data, can_compress=b"permessage-deflate" in head)

    def _look_at_frames(self, sent: bytes, data: bytes, *, can_compress: bool = False) -> None:
        frames, rest = decode_frames(sent)
        assert not rest, (rest, data)
        for frame in frames:
            assert frame.opcode in (TEXT, CLOSE, PING, PONG), (frame, data)
            if frame.opcode == TEXT and not (can_compress or self.compression):
                assert isinstance(json.loads(frame.payload), dict), (frame, data)
        closes = [frame for frame in frames if frame.opcode == CLOSE]
        assert len(closes) <= 1, (frames, data)
        assert all(_is_documented(close) or _is_echo(close, data) for close in closes), (closes, data)

    def _look_around(self, data: bytes) -> None:
        """The attack has left nothing, and disturbed nobody."""
        if not self.upstream.live:
            self.upstream.connector.connect()
            self.reactor.advance(2)
            self.server = self.accept_upstream()
        self._hear_bystander(data)
        assert len(self.listener.connections) == 0, data
        assert len(self.daemons.open) == 1, data
        assert len(self.guard._crowd) == 0, data
        assert not self.broken, (self.broken, data)
        calls = self.reactor.getDelayedCalls()
        assert len(calls) <= self._timers + 3, (list(map(_shown, calls)), data)
        worst = [event for event in self._said if event["log_level"] in _WORST or "log_failure" in event]
        assert not worst, (worst, data)
        self._said.clear()

    def _hear_bystander(self, data: bytes) -> None:
        reports = [b'{"type":"bystander","n":%d}' % (self._reports + number) for number in range(_REPORTS)]
        self._reports += len(reports)
        for report in reports:
            self.bystander.send_text(report)
        self.elapse(2.0)
        heard = [each for each in self._heard if each in reports]
        assert heard == reports, (heard, data)
        self._heard.clear()


def _is_documented(close: Frame) -> bool:
    return len(close.payload) >= 2 and close.close_code in _CLOSES


def _is_echo(close: Frame, data: bytes) -> bool:
    """Whether somebody's own close is answered, be it with nothing."""
    return len(close.payload) < 2 or close.payload[:2] in data or 3_000 <= close.close_code < 5_000


def _shown(call: IDelayedCall) -> Any:
    return call.getTime(), getattr(call, "func", None)


class CompressingEdge(Edge):
    """The same where messages may be compressed."""

    compression = True
