"""Reports on their way from a stand-in daemon."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox.outbound import HIGH_MARK, PROOF_DELAY, Outbound


class RecordingLink:
    """A connection that notes what it is given."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, bytes]] = []

    def send_text(self, payload: bytes) -> None:
        """Note it."""
        self.notes.append(("text", payload))

    def sendPing(self, payload: bytes) -> None:
        """Note it."""
        self.notes.append(("ping", payload))

    def take(self) -> list[tuple[str, bytes]]:
        """What came since the last time."""
        taken, self.notes = self.notes, []
        return taken


class OutboundTests(SynchronousTestCase):
    """At least once, in order, and not too many."""

    def setUp(self) -> None:
        """Make one without a connection."""
        self.reactor = Clock()
        self.holds: list[bool] = []
        self.proofs: list[int] = []
        self.outbound = Outbound(self.reactor, self.holds.append, self.proofs.append)
        self.link = RecordingLink()

    def test_reports_without_a_connection_wait_in_order(self) -> None:
        """They are sent as soon as there is one, with a ping behind them."""
        self.outbound.send(b"a")
        self.outbound.send(b"b")
        self.outbound.connected(self.link)
        self.assertEqual(self.link.take(), [("text", b"a"), ("text", b"b"), ("ping", b"read up to 2")])

    def test_a_ping_follows_reports_and_asks_for_all_of_them(self) -> None:
        """One for many."""
        self.outbound.connected(self.link)
        self.outbound.send(b"a")
        self.reactor.advance(PROOF_DELAY / 2)
        self.outbound.send(b"b")
        self.assertEqual(self.link.take(), [("text", b"a"), ("text", b"b")])
        self.reactor.advance(PROOF_DELAY / 2)
        self.assertEqual(self.link.take(), [("ping", b"read up to 2")])
        self.reactor.advance(10)
        self.assertEqual(self.link.take(), [])

    def test_what_was_not_proven_is_sent_again(self) -> None:
        """And only that."""
        self.outbound.connected(self.link)
        for payload in (b"a", b"b", b"c"):
            self.outbound.send(payload)
        self.outbound.pong_received(b"read up to 2")
        self.assertEqual((self.proofs, len(self.outbound)), ([2], 1))
        self.outbound.disconnected()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.link.take()
        self.outbound.connected(self.link)
        self.assertEqual(self.link.take(), [("text", b"c"), ("ping", b"read up to 3")])

    def test_a_connection_with_nothing_to_prove_gets_no_ping(self) -> None:
        """There is nothing to ask for."""
        self.outbound.connected(self.link)
        self.assertEqual(self.link.take(), [])

    def test_pongs_that_prove_nothing_are_ignored(self) -> None:
        """Those of other pings, and those for what was never sent."""
        self.outbound.connected(self.link)
        self.outbound.send(b"a")
        for payload in (b"alive?", b"", b"read up to ", b"read up to x", b"read up to 2"):
            self.outbound.pong_received(payload)
        self.assertEqual((self.proofs, len(self.outbound)), ([], 1))

    def test_too_many_unproven_reports_stop_whoever_makes_them(self) -> None:
        """Until enough of them are proven."""
        half = b"x" * (HIGH_MARK // 2)
        for payload in (half, half):
            self.outbound.send(payload)
        self.assertEqual(self.holds, [])
        self.outbound.send(b"x")
        self.outbound.send(b"x")
        self.assertEqual(self.holds, [True])
        self.outbound.pong_received(b"read up to 1")
        self.assertEqual(self.holds, [True])
        self.outbound.pong_received(b"read up to 2")
        self.assertEqual(self.holds, [True, False])
