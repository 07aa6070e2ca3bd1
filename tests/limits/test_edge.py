"""What a peer may take, at the edge: strangers, guesses, floods."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress

from makima_relay.core.keys import digest_of
from makima_relay.core.rejections import Rejection
from makima_relay.downstream import DaemonFactory, DownstreamOptions
from makima_relay.limits.failures import FIRST_DELAY
from makima_relay.limits.guard import Guard, Limits
from makima_relay.limits.throttle import Throttle
from makima_relay.listener import READ_OF_STRANGERS, Listener
from makima_relay.web.site import make_site
from tests.frames import PING, PONG, TEXT, encode_frame, upgrade_request
from tests.relay_case import KEY
from tests.web.case import ApiTestCase
from tests.wire import Peer

HERE = IPv4Address("TCP", "127.0.0.1", 5000)
THERE = IPv4Address("TCP", "203.0.113.7", 5000)
ELSEWHERE = IPv4Address("TCP", "198.51.100.9", 5000)


@attrs.define
class FakePort:
    """A port that notes whether it accepts."""

    connected: bool = True
    reading: bool = True

    def stopReading(self) -> None:
        """Accept nothing."""
        self.reading = False

    def startReading(self) -> None:
        """Accept."""
        self.reading = True


class EdgeTestCase(ApiTestCase):
    """Has a relay behind its listener, with small limits."""

    limits = Limits(strangers=4, strangers_per_address=2, accepts=0, failures=3, refusal=60.0)

    def setUp(self) -> None:
        super().setUp()
        self.open_door(self.limits)

    def open_door(self, limits: Limits) -> None:
        """Listen, with these limits."""
        self.guard = Guard(limits, self.reactor.seconds, self.engine.turned_away)
        self.daemons = DaemonFactory(self.engine, self.daemons.admission, DownstreamOptions(), self.reactor, self.guard)
        self.make_api("a-token")
        self.api.access.guard = self.guard
        site = make_site(self.api.app.resource(), reactor=self.reactor)
        self.listener = Listener(self.daemons, site, self.reactor, 10.0, self.guard)

    def come(self, address: IAddress = THERE) -> Peer | None:
        """Open a connection; none if it is closed at once."""
        protocol = self.listener.buildProtocol(address)
        if protocol is None:
            return None
        return Peer(self.reactor, protocol, masks=True, address=address)

    def comes(self, address: IAddress = THERE) -> Peer:
        """Open a connection, which is let in."""
        peer = self.come(address)
        assert peer is not None
        return peer

    def upgraded(self, address: IAddress = THERE) -> Peer:
        """Open a connection, up to the upgrade."""
        peer = self.comes(address)
        peer.deliver(upgrade_request())
        self.assertIn(b"101", peer.take_head())
        return peer

    def authenticate(self, key: str = KEY, address: IAddress = THERE, machine: str = "m") -> Peer:
        """Open a connection, and present a key."""
        peer = self.upgraded(address)
        peer.send("authenticate", apiKey=key, machineId=machine, hostname="h")
        return peer

    def rejected(self, reason: Rejection) -> int:
        """How often somebody was turned away for a reason."""
        return self.engine.relay.rejected[reason]


class StrangerTests(EdgeTestCase):
    """Who has not said who it is."""

    def test_of_one_address_only_so_many_are_let_in(self) -> None:
        """Others are not disturbed; who leaves makes room."""
        first = self.comes()
        self.comes()
        self.assertIsNone(self.come())
        self.assertEqual(self.rejected(Rejection.TOO_MANY_STRANGERS), 1)
        self.comes(ELSEWHERE)
        first.lose()
        self.comes()

    def test_in_all_only_so_many_are_let_in(self) -> None:
        """However many addresses they have."""
        for number in range(4):
            self.comes(IPv4Address("TCP", f"203.0.113.{number}", 1))
        self.assertIsNone(self.come(ELSEWHERE))
        self.assertIsNone(self.come(HERE))

    def test_who_has_authenticated_is_no_stranger(self) -> None:
        """A fleet behind one address is as large as it likes."""
        peers = [self.authenticate(machine=f"m{number}") for number in range(10)]
        self.assertEqual(len(self.engine.relay.daemons()), 10)
        for peer in peers:
            peer.lose()
        self.comes()
        self.comes()
        self.assertIsNone(self.come())

    def test_of_a_stranger_little_is_read_at_a_time(self) -> None:
        """What comes in one read is done in one turn, and small requests and frames take long."""
        peer = self.upgraded()
        self.assertEqual(peer.transport.bufferSize, READ_OF_STRANGERS)
        peer.send("authenticate", apiKey=KEY, machineId="m", hostname="h")
        self.assertEqual(peer.transport.bufferSize, 64 << 10)

    def test_who_is_refused_or_overdue_makes_room(self) -> None:
        """As soon as it is gone."""
        for _ in range(5):
            peer = self.upgraded()
            peer.send("hello")
            peer.lose()
            silent = self.comes()
            self.reactor.advance(11)
            self.assertTrue(silent.lost)

    def test_requests_are_strangers_too(self) -> None:
        """Slow ones are cut off, so that they do not fill the place for long."""
        peers = [self.comes() for _ in range(2)]
        for peer in peers:
            peer.deliver(b"GET /status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        for _ in range(11):
            for peer in peers:
                if not peer.lost:
                    peer.deliver(b"y")
            self.reactor.advance(1)
        self.assertEqual([peer.lost for peer in peers], [True, True])
        self.comes()

    def test_a_slow_second_request_is_cut_off_too(self) -> None:
        """A connection that is kept open is worth no more patience."""
        peer = self.comes()
        peer.deliver(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(30):
            self.reactor.advance(1)
        self.assertFalse(peer.lost)
        peer.deliver(b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(11):
            if not peer.lost:
                peer.deliver(b"z")
            self.reactor.advance(1)
        self.assertTrue(peer.lost)

    def test_more_than_the_rate_wait_in_the_operating_systems_queue(self) -> None:
        """For as long as the rate asks."""
        self.open_door(Limits(strangers=100, strangers_per_address=100, accepts=10))
        port = FakePort()
        ports: Any = [port]
        self.listener.opened(ports)
        for _ in range(10):
            self.comes()
        self.assertTrue(port.reading)
        for _ in range(5):
            self.comes()
        self.assertFalse(port.reading)
        self.reactor.pump([0.02] * 30)
        self.assertTrue(port.reading)


class ForeignTests(EdgeTestCase):
    """Web pages of others."""

    def test_an_upgrade_that_a_page_of_others_asks_for_is_refused_and_counted(self) -> None:
        """403; what the relay's own name asks for is let in."""
        peer = self.comes()
        peer.deliver(upgrade_request(headers={"Origin": "http://evil.example"}))
        self.assertTrue(peer.take_head().startswith(b"HTTP/1.1 403 "))
        self.assertEqual(self.rejected(Rejection.FOREIGN_ORIGIN), 1)


class GuessTests(EdgeTestCase):
    """Who guesses at keys."""

    limits = Limits(failures=3, refusal=60.0)

    def guess(self, address: IAddress = THERE) -> float:
        """Present a wrong key; how long the answer takes, in seconds."""
        peer = self.authenticate("wrong", address)
        began = self.reactor.seconds()
        while not (frames := peer.take()):
            self.reactor.advance(0.05)
        self.assertEqual([frames[0].message["code"], frames[1].close_code], ["unauthorized", 4401])
        peer.send_close(4401)
        return self.reactor.seconds() - began

    def refusal(self, address: IAddress = THERE) -> bytes:
        """What is answered to an upgrade request."""
        peer = self.comes(address)
        peer.deliver(upgrade_request())
        return peer.take_head()

    def test_each_further_guess_is_answered_later(self) -> None:
        """Then none is heard for a while, with a word when to come again."""
        self.assertEqual(self.guess(), 0.0)
        self.assertAlmostEqual(self.guess(), FIRST_DELAY, delta=0.1)
        self.assertAlmostEqual(self.guess(), 2 * FIRST_DELAY, delta=0.1)
        head = self.refusal()
        self.assertTrue(head.startswith(b"HTTP/1.1 429 "), head)
        self.assertIn(b"Retry-After: 60", head.replace(b"retry-after", b"Retry-After"))
        self.assertEqual(self.rejected(Rejection.TOO_MANY_FAILURES), 1)
        self.assertEqual(self.guess(ELSEWHERE), 0.0)
        self.reactor.advance(61)
        self.assertIn(b" 101 ", self.refusal())

    def test_this_machine_is_not_refused(self) -> None:
        """A proxy on it would be everybody."""
        self.assertEqual([self.guess(HERE) for _ in range(10)], [0.0] * 10)

    def test_a_good_key_makes_up_for_no_wrong_token(self) -> None:
        """Or whoever has a key could guess at the token for ever."""
        for expected in (b" 401 ", b" 401 ", b" 401 ", b" 429 "):
            self.authenticate()
            peer = self.comes()
            peer.deliver(b"GET /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n")
            self.assertIn(expected, peer.take_head())
        self.assertIn(b" 101 ", self.refusal())

    def test_the_machine_of_others_is_no_guess(self) -> None:
        """A daemon that was copied, with a good key, locks out nobody behind the same address."""
        for name in ("one", "two"):
            self.engine.key_made(name, digest_of(f"key-{name}"))
        self.authenticate("key-one", machine="m")
        for _ in range(5):
            peer = self.authenticate("key-two", machine="m")
            self.assertEqual(peer.take()[0].message["code"], "unauthorized")
        self.assertIn(b" 101 ", self.refusal())

    def test_a_good_key_makes_up_for_it(self) -> None:
        """Somebody there knows it."""
        self.guess()
        self.guess()
        self.authenticate()
        self.assertEqual(self.guess(), 0.0)

    def test_what_a_guesser_says_meanwhile_is_not_heard(self) -> None:
        """Not even the right key."""
        self.guess()
        peer = self.authenticate("wrong")
        peer.send("authenticate", apiKey=KEY, hostname="h")
        self.reactor.advance(5)
        self.assertEqual(peer.take()[0].message["code"], "unauthorized")
        self.assertEqual(self.engine.relay.daemons(), [])

    def test_a_guesser_that_leaves_before_its_answer_leaves_nothing(self) -> None:
        """No timer, no place."""
        self.guess()
        peer = self.authenticate("wrong")
        peer.lose()
        self.reactor.advance(5)
        self.assertEqual(self.daemons.open, set())

    def test_who_guesses_at_the_admin_token_is_refused_too(self) -> None:
        """The right one is not looked at any more either; daemons behind the same address are let in all the same."""
        for number in range(5):
            peer = self.comes()
            token = b"wrong" if number < 3 else b"a-token"
            peer.deliver(b"GET /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n\r\n")
            self.assertIn(b" 401 " if number < 3 else b" 429 ", peer.take_head())
        self.assertIn(b" 101 ", self.refusal())

    def test_who_asks_without_a_token_has_not_guessed(self) -> None:
        """The page does that before anybody signs in."""
        for _ in range(10):
            peer = self.comes()
            peer.deliver(b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b" 401 ", peer.take_head())

    def test_what_is_open_stays_open(self) -> None:
        """Monitoring does not guess."""
        for _ in range(3):
            self.guess()
        peer = self.comes()
        peer.deliver(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b" 200 ", peer.take_head())

    def test_the_journal_is_not_flooded(self) -> None:
        """All are counted, the first are written down, and later how many there were besides."""
        for number in range(100):
            self.guess(IPv4Address("TCP", f"203.0.113.{number}", 1))
        entries = self.journal("daemon_rejected")
        self.assertLess(len(entries), 30)
        self.assertEqual(self.rejected(Rejection.UNAUTHORIZED), 100)
        self.reactor.advance(10)
        self.guess(ELSEWHERE)
        self.assertIn("others meanwhile", self.journal("daemon_rejected")[0].detail)


class ThrottleTests(EdgeTestCase):
    """Who sends faster than others could bear."""

    limits = Limits(messages=10, traffic=1_000)

    def flood(self, peer: Peer, messages: int, size: int = 10) -> None:
        """Send much in one segment."""
        text = b'{"type":"news","x":"' + b"x" * size + b'"}'
        peer.deliver(encode_frame(TEXT, text, masked=True) * messages)

    def test_a_daemon_over_its_rate_is_not_read_for_as_long_as_that_takes(self) -> None:
        """Nothing of what it sends is lost."""
        peer = self.authenticate()
        self.flood(peer, 30)
        waiting = self.engine.relay.reports_waiting
        self.assertEqual(waiting, 30)
        self.flood(peer, 1)
        self.assertEqual(self.engine.relay.reports_waiting, 30)
        self.reactor.pump([0.1] * 25)
        self.assertEqual(self.engine.relay.reports_waiting, 31)

    def test_large_messages_count_by_their_bytes(self) -> None:
        """As many as there are."""
        peer = self.authenticate()
        self.flood(peer, 3, 1_000)
        self.flood(peer, 1)
        self.reactor.pump([0.1] * 15)
        self.assertEqual(self.engine.relay.reports_waiting, 3)
        self.reactor.pump([0.1] * 15)
        self.assertEqual(self.engine.relay.reports_waiting, 4)

    def test_fragments_pings_and_pongs_count_as_messages(self) -> None:
        """They may hold nothing, and there is no end to them."""
        begin = encode_frame(TEXT, b"", masked=True, final=False)
        peer = self.authenticate(machine="fragments")
        peer.deliver(begin + encode_frame(0, b"", masked=True, final=False) * 30)
        self.assertEqual(peer.transport.producerState, "paused")
        for opcode in (PING, PONG):
            peer = self.authenticate(machine=f"{opcode}")
            peer.deliver(encode_frame(opcode, b"", masked=True) * 9)
            self.assertEqual(peer.transport.producerState, "producing")
            peer.deliver(encode_frame(opcode, b"", masked=True) * 21)
            self.assertEqual(peer.transport.producerState, "paused")
            self.reactor.pump([0.1] * 25)
            self.assertEqual(peer.transport.producerState, "producing")

    def test_others_are_read_meanwhile(self) -> None:
        """Each has a rate of its own."""
        fast, slow = self.authenticate(), self.authenticate(machine="slow")
        self.flood(fast, 30)
        self.flood(slow, 1)
        self.assertEqual(self.engine.relay.reports_waiting, 31)

    def test_a_daemon_that_the_engine_holds_is_not_read_when_its_wait_is_over(self) -> None:
        """Only when both allow it."""
        peer = self.authenticate()
        self.flood(peer, 30)
        (link,) = self.daemons.open
        link.pause()
        self.reactor.pump([0.1] * 25)
        self.flood(peer, 1)
        self.assertEqual(self.engine.relay.reports_waiting, 30)
        link.resume()
        self.reactor.advance(0)
        self.assertEqual(self.engine.relay.reports_waiting, 31)

    def test_one_that_is_gone_meanwhile_leaves_nothing(self) -> None:
        """The wait ends without it."""
        peer = self.authenticate()
        self.flood(peer, 30)
        peer.lose()
        self.reactor.pump([0.1] * 25)
        self.assertEqual(self.daemons.open, set())

    def test_without_limits_nobody_waits(self) -> None:
        """0 is for none."""
        throttle = Throttle(Limits(messages=0, traffic=0), 0.0)
        self.assertEqual([throttle.spend([b"x" * 1000] * 1000, 0.0) for _ in range(100)], [0.0] * 100)
