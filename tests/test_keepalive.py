"""Pings to daemons, their pongs, and who counts as healthy."""

from __future__ import annotations

from makima_relay.core.fleet import Daemon
from makima_relay.core.policy import Policy
from tests.fakes import elapse
from tests.frames import PING, PONG
from tests.relay_case import RelayTestCase, only
from tests.wire import Peer


class KeepaliveTestCase(RelayTestCase):
    """Has a daemon that has just joined."""

    policy = Policy(health_timeout=90.0)

    def setUp(self) -> None:
        """Join."""
        super().setUp()
        self.peer = self.join()

    def next_ping(self, within: float) -> float:
        """Wait for the next ping.

        :return: how long it took, in seconds.
        """
        before = self.reactor.seconds()
        while not only(self.peer.take(), PING):
            elapse(self.reactor, 0.01)
            self.assertLess(self.reactor.seconds() - before, within)
        return self.reactor.seconds() - before

    def daemon(self) -> Daemon:
        """The one daemon that is connected."""
        (daemon,) = self.engine.relay.daemons()
        return daemon

    def healthy(self) -> bool:
        """Whether it counts as healthy."""
        return self.engine.relay.healthy(self.daemon(), self.reactor.seconds())


class PingTests(KeepaliveTestCase):
    """Pings and what their pongs are worth."""

    def test_a_ping_goes_every_25_seconds(self) -> None:
        """The first one some time earlier, so that those who came together are not pinged together."""
        waits = [self.next_ping(26)]
        for _ in range(3):
            self.peer.send_frame(PONG)
            waits.append(self.next_ping(26))
        self.assertTrue(12.5 <= waits[0] <= 25.02, waits)
        for wait in waits[1:]:
            self.assertLess(abs(wait - 25.0), 0.02)

    def test_first_pings_are_spread(self) -> None:
        """A fleet that comes back at once is not pinged at once."""
        peers = [self.join(f"d{number}") for number in range(20)]
        times: dict[int, float] = {}
        while len(times) < len(peers):
            elapse(self.reactor, 0.05)
            for number, peer in enumerate(peers):
                if only(peer.take(), PING):
                    times.setdefault(number, self.reactor.seconds())
        self.assertGreater(max(times.values()) - min(times.values()), 3.0)

    def test_25_seconds_without_a_pong_drop_the_daemon(self) -> None:
        """Its tasks have the grace from then on."""
        self.next_ping(26)
        elapse(self.reactor, 24.9)
        self.assertFalse(self.peer.lost)
        elapse(self.reactor, 0.2)
        self.assertTrue(self.peer.lost)
        (entry,) = self.journal("daemon_disconnected")
        self.assertIn("no pong in time", entry.detail)

    def test_messages_do_not_replace_a_pong(self) -> None:
        """The ping asks whether the way back and forth is free."""
        self.next_ping(26)
        for _ in range(26):
            self.peer.send("log")
            elapse(self.reactor, 1)
        self.assertTrue(self.peer.lost)

    def test_a_pong_keeps_a_silent_daemon_healthy(self) -> None:
        """A pong within the last 90 s is enough."""
        for _ in range(8):
            self.next_ping(26)
            self.peer.send_frame(PONG)
            self.assertTrue(self.healthy())
        self.assertGreater(self.reactor.seconds(), 150)
        self.assertLess(self.reactor.seconds() - self.daemon().last_seen, 1)

    def test_no_pings_go_before_authentication(self) -> None:
        """Whoever has not said who it is has 10 s, not pings."""
        self.make_daemons(auth_timeout=1000.0)
        peer: Peer = self.connect()
        elapse(self.reactor, 100)
        self.assertEqual(peer.take(), [])


class PausedTests(KeepaliveTestCase):
    """Connections that are not read cannot be seen to answer."""

    def setUp(self) -> None:
        """Join and be paused."""
        super().setUp()
        (self.link,) = self.daemons.open

    def test_a_paused_connection_is_not_dropped_for_a_missing_pong(self) -> None:
        """However long it takes."""
        self.link.pause()
        elapse(self.reactor, 500)
        self.assertFalse(self.peer.lost)

    def test_a_pong_that_came_meanwhile_counts_when_it_is_read(self) -> None:
        """The connection goes on as before."""
        self.next_ping(26)
        self.link.pause()
        self.peer.send_frame(PONG)
        elapse(self.reactor, 100)
        self.link.resume()
        elapse(self.reactor, 24)
        self.assertFalse(self.peer.lost)

    def test_a_pong_that_could_not_be_read_is_not_held_against_a_resumed_peer(self) -> None:
        """It may still lie in the socket when the time for it ends; what is read again gets its full time."""
        self.next_ping(26)
        self.link.pause()
        elapse(self.reactor, 24.95)
        self.link.resume()
        elapse(self.reactor, 0.1)
        self.assertFalse(self.peer.lost)

    def test_a_resumed_peer_that_stays_silent_is_dropped(self) -> None:
        """It has had its time."""
        self.next_ping(26)
        self.link.pause()
        elapse(self.reactor, 100)
        self.link.resume()
        elapse(self.reactor, 51)
        self.assertTrue(self.peer.lost)
