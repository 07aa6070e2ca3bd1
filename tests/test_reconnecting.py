"""Trying again, starting over and stopping."""

from __future__ import annotations

from typing import Any

from makima_relay.connector import ConnectorState
from makima_relay.connector_options import Backoff, ConnectorOptions
from tests.connector_case import ConnectorTestCase
from tests.fakes import elapse
from tests.frames import header_of


class BackoffTests(ConnectorTestCase):
    """How long it waits, and when it stops."""

    def refuse(self) -> tuple[Any, ...]:
        """Let the attempt fail that is under way.

        :return: what the user was told of it.
        """
        self.endpoint.attempts[-1].refuse()
        (note,) = self.take()
        return note

    def test_waits_double_up_to_a_minute(self) -> None:
        """1, 2, 4, 8, 16, 32, 60, 60 s."""
        self.connector.connect()
        for wait in (1, 2, 4, 8, 16, 32, 60, 60):
            self.refuse()
            self.assert_waits(wait)

    def test_jitter_adds_at_most_a_tenth_and_never_exceeds_the_longest_wait(self) -> None:
        """So that many relays do not come back all at once."""
        most = Backoff(1.0, 60.0, lambda: 1.0)
        for waits, expected in enumerate((1.1, 2.2, 4.4, 8.8, 17.6, 35.2, 60, 60)):
            self.assertAlmostEqual(most.delay(waits), expected)
        for waits in range(8):
            base = min(60.0, 2.0**waits)
            delays = {Backoff(1.0, 60.0).delay(waits) for _ in range(50)}
            self.assertTrue(all(base <= delay <= min(60.0, base * 1.1) for delay in delays), delays)
        self.assertGreater(len({Backoff(1.0, 60.0).delay(0) for _ in range(50)}), 1)

    def test_the_longest_wait_holds_whatever_the_first_is(self) -> None:
        """And however often it was waited."""
        self.assertEqual(Backoff(90.0, 60.0).delay(0), 60.0)
        self.assertEqual(Backoff(1.0, 60.0).delay(100_000), 60.0)

    def test_it_gives_up_after_twenty_failed_attempts_in_a_row(self) -> None:
        """And says so."""
        self.connector.connect()
        for attempt in range(1, 20):
            self.assertEqual(self.refuse()[2], attempt)
            self.reactor.advance(60 if attempt > 6 else 2.0 ** (attempt - 1))
        self.assertEqual(self.refuse()[2:], (20, None))
        self.assertEqual((self.connector.state, self.connector.attempt), (ConnectorState.GAVE_UP, 20))
        self.assertEqual((len(self.endpoint.attempts), self.reactor.getDelayedCalls()), (20, []))

    def test_it_never_gives_up_when_told_so(self) -> None:
        """0 attempts means without end."""
        self.make(most_attempts=0)
        self.connector.connect()
        for _ in range(100):
            self.reactor.advance(self.refuse()[3])
        self.assertEqual(len(self.endpoint.attempts), 101)

    def test_an_authenticated_connection_resets_the_count(self) -> None:
        """Waits and attempts start over."""
        self.connector.connect()
        for wait in (1, 2, 4):
            self.refuse()
            self.assert_waits(wait)
        peer = self.welcome(self.accept())
        self.assertEqual(self.connector.attempt, 0)
        peer.lose()
        self.assertEqual([note[0] for note in self.take()], ["disconnected"])
        self.assert_waits(1)
        self.assertEqual(self.refuse()[2:], (1, 2.0))

    def test_a_lost_connection_is_no_failed_attempt(self) -> None:
        """It is told as lost, with its reason, and the next attempt follows in a second, every time."""
        peer = self.go_live()
        for _ in range(3):
            peer.send_close(1012, b"restart")
            peer.lose()
            self.assertEqual(self.take(), [("disconnected", "closed with 1012 (restart)")])
            self.assertEqual(self.connector.attempt, 0)
            self.assert_waits(1)
            peer = self.welcome(self.accept())


class ChangedOptionsTests(ConnectorTestCase):
    """Other options, such as another key, while there are connections."""

    def change(self) -> None:
        """Present another key from now on."""
        options = ConnectorOptions(
            url="ws://makima.example:9000/ws/daemon",
            headers={"Authorization": "Bearer other"},
            hello=b'{"type":"authenticate","apiKey":"other"}',
            backoff=Backoff(1.0, 60.0, lambda: 0.0),
        )
        self.connector.change_options(options)

    def test_a_connection_that_stands_stays_and_the_next_goes_by_them(self) -> None:
        """Its headers and its first message."""
        peer = self.go_live()
        self.change()
        self.assertEqual((self.connector.state, peer.lost), (ConnectorState.LIVE, False))
        peer.lose()
        elapse(self.reactor, 1.1)
        peer = self.endpoint.attempts[-1].accept()
        self.assertEqual(header_of(peer.upgrade(), "Authorization"), "Bearer other")
        self.assertEqual(peer.take()[-1].message["apiKey"], "other")

    def test_an_attempt_under_way_goes_on_with_what_it_began_with(self) -> None:
        """Its first message has the key of its upgrade request."""
        self.connector.connect()
        peer = self.endpoint.attempts[-1].accept()
        self.change()
        peer.upgrade()
        self.assertEqual(peer.take()[-1].message["apiKey"], "k")


class ReconnectTests(ConnectorTestCase):
    """Connecting at an operator's wish, from whatever state."""

    def assert_connects_anew(self) -> None:
        """It tries at once and from the start, and comes through."""
        before = len(self.endpoint.attempts)
        self.connector.connect()
        self.assertEqual(len(self.endpoint.attempts), before + 1)
        self.assertEqual((self.connector.state, self.connector.attempt), (ConnectorState.CONNECTING, 0))
        self.assertIs(self.connector.next_attempt_at, None)
        peer = self.accept()
        peer.send("authenticated")
        self.assertEqual(self.take()[-1:], [("connected", None)])
        elapse(self.reactor, 19)
        self.assertEqual((self.connector.state, self.take()), (ConnectorState.LIVE, []))
        self.assertEqual(len(self.endpoint.attempts), before + 1)

    def test_an_attempt_under_way_is_given_up(self) -> None:
        """The attempt under way is given up."""
        self.connector.connect()
        self.assert_connects_anew()
        self.assertTrue(self.endpoint.attempts[0].cancelled)

    def test_a_connection_without_answer_is_dropped(self) -> None:
        """What the old server says no longer counts."""
        peer = self.open()
        self.assert_connects_anew()
        self.assertTrue(peer.lost)

    def test_an_answer_that_comes_too_late_does_not_count(self) -> None:
        """Only the newest attempt can become the connection."""
        old = self.open()
        new = self.open()
        old.send("authenticated", daemonId="old")
        new.send("authenticated", daemonId="new")
        self.assertEqual(self.take(), [("connected", "new")])

    def test_a_live_connection_is_closed_properly(self) -> None:
        """The connection is closed properly and told as lost."""
        peer = self.go_live()
        self.connector.connect()
        self.assertEqual(self.take(), [("disconnected", "reconnecting")])
        self.assertEqual([frame.close_code for frame in peer.take()], [1000])
        self.assert_connects_anew()

    def test_a_wait_is_cut_short(self) -> None:
        """The wait is over."""
        self.connector.connect()
        self.endpoint.attempts[0].refuse()
        self.take()
        self.assert_connects_anew()

    def test_waits_start_over(self) -> None:
        """An operator's wish is not held back by failures of old."""
        self.connector.connect()
        for wait in (1, 2, 4, 8):
            self.endpoint.attempts[-1].refuse()
            self.assert_waits(wait)
        self.connector.connect()
        self.endpoint.attempts[-1].refuse()
        self.assert_waits(1)

    def test_who_gave_up_starts_over(self) -> None:
        """It starts over."""
        self.make(most_attempts=1)
        self.connector.connect()
        self.endpoint.attempts[0].refuse()
        self.assertEqual(self.connector.state, ConnectorState.GAVE_UP)
        self.assert_connects_anew()


class AskedBackTests(ConnectorTestCase):
    """The server has said when to come back."""

    def test_a_live_connection_that_ended_so_waits_as_long_as_was_asked(self) -> None:
        """Once: if the server is not there then, the usual waits follow."""
        self.make(asked_back=lambda reason: 7.0 if reason == "closed with 1001 (later)" else None)
        peer = self.go_live()
        peer.send_close(1001, b"later")
        peer.lose()
        self.assert_waits(7)
        self.endpoint.attempts[-1].refuse()
        self.assert_waits(2)

    def test_without_that_it_waits_as_usual(self) -> None:
        """Whatever the reason is."""
        peer = self.go_live()
        peer.send_close(1001, b"come back within 7 s")
        peer.lose()
        self.assert_waits(1)


class RefusalTests(ConnectorTestCase):
    """The server has said error instead of authenticated."""

    def test_what_follows_a_refusal_does_not_make_the_connection_live(self) -> None:
        """The connection is being closed by then; the attempt has failed."""
        self.connector.connect()
        peer = self.accept()
        peer.send("error", code="unauthorized", message="no")
        peer.send("authenticated", daemonId="d")
        self.assertEqual(self.connector.state, ConnectorState.AUTHENTICATING)
        peer.lose()
        self.assertEqual((self.connector.state, self.connector.attempt), (ConnectorState.WAITING, 1))


class StopTests(ConnectorTestCase):
    """Closing for good."""

    def assert_stopped(self) -> None:
        """Nothing happens any more."""
        attempts = len(self.endpoint.attempts)
        self.assertEqual(self.connector.state, ConnectorState.STOPPED)
        self.assertEqual([note for note in self.take() if note[0] != "disconnected"], [])
        elapse(self.reactor, 200)
        self.assertEqual((len(self.endpoint.attempts), self.reactor.getDelayedCalls()), (attempts, []))

    def test_stopping_before_anything_began_is_over_at_once(self) -> None:
        """There is nothing to close."""
        self.successResultOf(self.connector.stop())
        self.assert_stopped()

    def test_stopping_while_connecting_gives_the_attempt_up(self) -> None:
        """The attempt is given up and does not count."""
        self.connector.connect()
        self.successResultOf(self.connector.stop())
        self.assertTrue(self.endpoint.attempts[0].cancelled)
        self.assert_stopped()

    def test_stopping_while_waiting_makes_no_other_attempt(self) -> None:
        """No other attempt follows."""
        self.connector.connect()
        self.endpoint.attempts[0].refuse()
        self.take()
        self.successResultOf(self.connector.stop())
        self.assert_stopped()

    def test_stopping_while_live_tells_the_server_1001(self) -> None:
        """The server is told 1001, and it is over when the connection is."""
        peer = self.go_live()
        stopped = self.connector.stop()
        self.assertEqual([frame.close_code for frame in peer.take()], [1001])
        self.assertNoResult(stopped)
        peer.send_close(1001)
        peer.lose()
        self.successResultOf(stopped)
        self.assert_stopped()

    def test_a_server_that_does_not_take_part_is_cut_off(self) -> None:
        """After a second."""
        peer = self.go_live()
        stopped = self.connector.stop()
        elapse(self.reactor, 0.99)
        self.assertFalse(peer.lost)
        elapse(self.reactor, 0.02)
        self.assertTrue(peer.lost)
        self.successResultOf(stopped)
        self.assert_stopped()

    def test_reconnecting_does_not_undo_a_stop(self) -> None:
        """A late wish of an operator neither starts a connection nor keeps the relay from stopping."""
        peer = self.go_live()
        stopped = self.connector.stop()
        self.connector.connect()
        peer.lose()
        self.successResultOf(stopped)
        self.assertEqual(len(self.endpoint.attempts), 1)
