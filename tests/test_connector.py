"""The connection to a server: presenting oneself, failing, staying alive."""

from __future__ import annotations

from makima_relay.connector import ConnectorState
from makima_relay.server_link import LONGEST_HEAD
from tests.connector_case import HELLO, ConnectorTestCase
from tests.fakes import EPOCH, elapse
from tests.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, encode_frame, header_of


class HandshakeTests(ConnectorTestCase):
    """From the connection to the answer."""

    def test_the_upgrade_request_has_path_query_and_key(self) -> None:
        """The key comes in both headers that a server may look at."""
        self.connector.connect()
        request = self.endpoint.attempts[0].accept().take_head()
        self.assertTrue(request.startswith(b"GET /ws/daemon?region=eu HTTP/1.1\r\n"), request)
        self.assertEqual(header_of(request, "Host"), "makima.example:9000")
        self.assertEqual(header_of(request, "Authorization"), "Bearer k")
        self.assertEqual(header_of(request, "X-Makima-API-Key"), "k")

    def test_compression_is_offered_only_when_asked_for(self) -> None:
        """It costs memory."""
        for compression in (False, True):
            self.make(compression=compression)
            self.connector.connect()
            request = self.endpoint.attempts[0].accept().take_head()
            self.assertEqual(b"permessage-deflate" in request, compression)

    def test_the_first_message_is_the_presentation_and_nothing_follows_it(self) -> None:
        """Until the server has answered."""
        peer = self.open()
        elapse(self.reactor, 9.9)
        self.assertEqual(peer.take(), [Frame(TEXT, HELLO)])
        self.assertEqual(self.connector.state, ConnectorState.AUTHENTICATING)
        self.assertEqual(self.take(), [])

    def test_the_answer_makes_the_connection_live(self) -> None:
        """However it is spelled."""
        for answer in ({"type": "authenticated", "daemonId": "d-1"}, {"type": "Authenticated", "daemon_id": "d-1"}):
            self.make()
            self.open().send(answer.pop("type"), **answer)
            self.assertEqual(self.take(), [("connected", "d-1")])
            self.assertEqual(self.connector.state, ConnectorState.LIVE)

    def test_an_answer_in_the_same_segment_as_the_upgrade_counts(self) -> None:
        """A quick server is not lost."""
        self.connector.connect()
        peer = self.endpoint.attempts[0].accept()
        peer.upgrade(encode_frame(TEXT, b'{"type":"authenticated"}', masked=False))
        self.assertEqual(self.take(), [("connected", None)])

    def test_what_comes_before_the_answer_is_no_answer(self) -> None:
        """It is handed over, readable or not, and the answer still counts."""
        peer = self.open()
        early = peer.send("spawnTask", taskId="t")
        peer.send_text(b"no JSON")
        self.assertEqual(self.take(), [("received", early), ("received", b"no JSON")])
        self.assertEqual(self.connector.state, ConnectorState.AUTHENTICATING)
        peer.send("authenticated", daemonId="d-1")
        self.assertEqual(self.take(), [("connected", "d-1")])

    def test_messages_are_handed_over_as_they_came(self) -> None:
        """Byte for byte, also when they come in pieces."""
        peer = self.go_live()
        payload = peer.send("spawnTask", taskId="ä")
        peer.deliver(encode_frame(TEXT, b'{"a":', masked=False, final=False))
        peer.deliver(encode_frame(0, b"1}", masked=False))
        self.assertEqual(self.take(), [("received", payload), ("received", b'{"a":1}')])


class FailureTests(ConnectorTestCase):
    """What counts as a failed attempt."""

    def assert_failed(self, words: str) -> None:
        """The attempt failed, once, for this reason, and the next one follows in a second."""
        ((word, reason, attempt, delay),) = self.take()
        self.assertEqual((word, attempt, delay), ("failed", 1, 1.0))
        self.assertIn(words, reason)
        self.assertEqual(self.connector.state, ConnectorState.WAITING)
        self.assertEqual(self.connector.next_attempt_at, EPOCH + self.reactor.seconds() + 1.0)
        self.assert_waits(1.0)

    def test_a_refused_connection_is_a_failed_attempt(self) -> None:
        """Nobody listens there."""
        self.connector.connect()
        self.endpoint.attempts[0].refuse()
        self.assert_failed("Connection was refused")

    def test_a_connection_that_takes_too_long_is_a_failed_attempt(self) -> None:
        """The attempt is given up after 10 s."""
        self.connector.connect()
        elapse(self.reactor, 9.99)
        self.assertEqual(self.take(), [])
        elapse(self.reactor, 0.01)
        self.assertTrue(self.endpoint.attempts[0].cancelled)
        self.assert_failed("connecting took too long")

    def test_a_refused_upgrade_is_a_failed_attempt(self) -> None:
        """By a proxy in front of the server, say."""
        self.connector.connect()
        peer = self.endpoint.attempts[0].accept()
        peer.deliver(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        self.assert_failed("403")

    def test_an_answer_to_the_upgrade_without_end_is_a_failed_attempt(self) -> None:
        """It is not kept until the time is over; one that is long in pieces, or in one, is no different."""
        for pieces in ([b"X: " + b"x" * 1_000 + b"\r\n"] * 66, [b"x" * LONGEST_HEAD + b"\r\n\r\n"]):
            self.connector.connect()
            peer = self.endpoint.attempts[-1].accept()
            peer.deliver(b"HTTP/1.1 101 Switching Protocols\r\n")
            for piece in pieces:
                self.assertFalse(peer.lost)
                peer.deliver(piece)
            self.assertTrue(peer.lost)
            self.assert_failed("too long")

    def test_an_unanswered_upgrade_is_a_failed_attempt(self) -> None:
        """The connection is cut after 10 s."""
        self.connector.connect()
        peer = self.endpoint.attempts[0].accept()
        elapse(self.reactor, 10)
        self.assertTrue(peer.lost)
        self.assert_failed("connecting took too long")

    def test_an_error_for_an_answer_is_a_failed_attempt(self) -> None:
        """Its code and message are the reason; the connection is closed and cut if need be."""
        peer = self.open()
        peer.take()
        peer.send("error", code="unauthorized", message="no such key")
        self.assertEqual([frame.close_code for frame in peer.take()], [1000])
        elapse(self.reactor, 1)
        self.assertTrue(peer.lost)
        self.assert_failed("unauthorized: no such key")

    def test_an_error_for_an_answer_and_a_close_is_a_failed_attempt(self) -> None:
        """The reason is what the server said, not that it hung up."""
        peer = self.open()
        peer.send("Error", code="unauthorized", message="no such key")
        peer.send_close(4401)
        peer.lose()
        self.assert_failed("unauthorized: no such key")

    def test_a_close_instead_of_an_answer_is_a_failed_attempt(self) -> None:
        """Its code and reason are told."""
        peer = self.open()
        peer.send_close(4401, b"go away")
        peer.lose()
        self.assert_failed("closed with 4401 (go away)")

    def test_a_lost_connection_instead_of_an_answer_is_a_failed_attempt(self) -> None:
        """Without a word."""
        self.open().lose()
        self.assert_failed("connection")

    def test_silence_instead_of_an_answer_is_a_failed_attempt(self) -> None:
        """The server has 10 s."""
        peer = self.open()
        elapse(self.reactor, 9.99)
        self.assertEqual(self.take(), [])
        elapse(self.reactor, 0.01)
        self.assert_failed("no answer to authenticate")
        self.assertTrue(peer.lost or any(frame.opcode == CLOSE for frame in peer.take()))


class KeepaliveTests(ConnectorTestCase):
    """Pings, and what is no text message."""

    def test_a_ping_goes_every_20_seconds(self) -> None:
        """As long as they are answered."""
        peer = self.go_live()
        for _ in range(4):
            elapse(self.reactor, 19.98)
            self.assertEqual(peer.take(), [])
            elapse(self.reactor, 0.03)
            (ping,) = peer.take()
            self.assertEqual(ping.opcode, PING)
            peer.send_frame(PONG, ping.payload)
        self.assertEqual(self.connector.state, ConnectorState.LIVE)

    def test_20_seconds_without_a_pong_drop_the_connection(self) -> None:
        """At once, without a closing handshake, and with the reason."""
        peer = self.go_live()
        elapse(self.reactor, 39.5)
        self.assertFalse(peer.lost)
        elapse(self.reactor, 0.5)
        self.assertTrue(peer.lost)
        self.assertEqual(self.take(), [("disconnected", "no pong in time")])
        self.assert_waits(1)

    def test_any_pong_is_a_sign_of_life(self) -> None:
        """A peer may answer only the latest of several pings."""
        peer = self.go_live()
        elapse(self.reactor, 30)
        peer.send_frame(PONG, b"another ping's payload")
        elapse(self.reactor, 15)
        self.assertEqual(self.take(), [("pong", b"another ping's payload")])
        self.assertEqual(self.connector.state, ConnectorState.LIVE)

    def test_a_paused_connection_is_not_dropped(self) -> None:
        """Its pongs cannot be read; those that came meanwhile count when it is read again."""
        peer = self.go_live()
        assert self.user.link is not None
        self.user.link.pause()
        elapse(self.reactor, 100)
        self.user.link.resume()
        peer.send_frame(PONG)
        elapse(self.reactor, 30)
        self.assertFalse(peer.lost)

    def test_a_ping_of_the_server_is_answered(self) -> None:
        """With its payload."""
        peer = self.go_live()
        peer.send_frame(PING, b"there?")
        self.assertEqual(peer.take(), [Frame(PONG, b"there?")])

    def test_a_binary_message_closes_with_1003(self) -> None:
        """Then it is as any other lost connection; what follows the message does not count."""
        peer = self.go_live()
        peer.send_frame(BINARY, b"\x00")
        peer.send("spawnTask", taskId="t")
        (close,) = peer.take()
        self.assertEqual(close.close_code, 1003)
        peer.send_close(1003)
        peer.lose()
        self.assertEqual([note[0] for note in self.take()], ["disconnected"])
        self.assert_waits(1)

    def test_a_message_over_the_limit_closes_with_1009(self) -> None:
        """The server learns why."""
        self.make(max_message_size=1000)
        peer = self.go_live()
        peer.send_text(b'"' + b"x" * 998 + b'"')
        self.assertEqual(len(self.take()), 1)
        peer.send_text(b'"' + b"x" * 999 + b'"')
        self.assertEqual([frame.close_code for frame in peer.take()], [1009])

    def test_text_that_is_no_utf8_closes_with_1007(self) -> None:
        """RFC 6455, section 8.1."""
        peer = self.go_live()
        peer.send_text(b'"\xff"')
        self.assertEqual([frame.close_code for frame in peer.take()], [1007])
