"""How the relay knows what has arrived at the server: pings behind reports, and the pongs to them."""

from __future__ import annotations

from makima_relay.upstream import PROOF_SIZE
from tests.fakes import elapse
from tests.frames import PING, PONG, TEXT, Frame
from tests.relay_case import RelayTestCase, only


class ProofTests(RelayTestCase):
    """A pong proves that the server has read all that went before its ping."""

    def setUp(self) -> None:
        """Have a live connection and a daemon with a running task."""
        super().setUp()
        self.server = self.go_live()
        self.daemon = self.join()
        self.server.send("spawnTask", taskId="t")
        self.server.take()

    def report(self, **members: object) -> bytes:
        """Have the daemon report."""
        return self.daemon.send("taskOutput", taskId="t", **members)

    def proof(self) -> Frame:
        """The ping that asks for proof, which must have come just now."""
        (ping,) = only(self.server.take(), PING)
        return ping

    def waiting(self) -> int:
        """How many reports the server may not have."""
        return self.engine.relay.reports_waiting

    def test_a_ping_follows_the_reports_within_50_milliseconds(self) -> None:
        """One for all of them, and its pong acknowledges them."""
        sent = [self.report(n=n) for n in range(3)]
        elapse(self.reactor, 0.049)
        self.assertEqual(self.server.take(), [Frame(TEXT, each) for each in sent])
        elapse(self.reactor, 0.002)
        ping = self.proof()
        self.assertEqual(self.waiting(), 3)
        self.server.send_frame(PONG, ping.payload)
        self.assertEqual(self.waiting(), 0)
        elapse(self.reactor, 1)
        self.assertEqual(self.server.take(), [])

    def test_many_bytes_are_proved_at_once(self) -> None:
        """256 KiB do not wait for the 50 ms, and the count begins anew."""
        for _ in range(2):
            self.report(output="x" * (PROOF_SIZE // 2))
            self.assertEqual(only(self.server.take(), PING), [])
            self.report(output="x" * (PROOF_SIZE // 2))
            self.server.send_frame(PONG, self.proof().payload)
            self.assertEqual(self.waiting(), 0)
        elapse(self.reactor, 1)
        self.assertEqual(self.server.take(), [])

    def test_a_pong_proves_only_what_went_before_its_ping(self) -> None:
        """What was sent in between stays in the outbox."""
        self.report()
        elapse(self.reactor, 0.05)
        ping = self.proof()
        self.report()
        self.server.send_frame(PONG, ping.payload)
        self.assertEqual(self.waiting(), 1)
        elapse(self.reactor, 0.05)
        self.server.send_frame(PONG, self.proof().payload)
        self.assertEqual(self.waiting(), 0)

    def test_the_latest_pong_proves_all(self) -> None:
        """A server may answer only the latest of several pings."""
        self.report()
        elapse(self.reactor, 0.05)
        self.proof()
        self.report()
        elapse(self.reactor, 0.05)
        self.server.send_frame(PONG, self.proof().payload)
        self.assertEqual(self.waiting(), 0)

    def test_other_pongs_prove_nothing(self) -> None:
        """Neither unasked ones nor those of other pings nor forged ones."""
        self.report()
        elapse(self.reactor, 0.05)
        payload = self.proof().payload
        digits = payload.rstrip(b"0123456789")
        for forged in (
            b"",
            b"alive?",
            b"1",
            digits,
            digits + b"2",
            digits + b"99999999",
            digits + b"1x",
            b"x" + payload,
        ):
            self.server.send_frame(PONG, forged)
            self.assertEqual(self.waiting(), 1, forged)

    def test_answers_of_the_relay_need_no_proof(self) -> None:
        """They matter on this connection only."""
        self.server.send_text(b"no JSON")
        elapse(self.reactor, 1)
        self.assertEqual([frame.opcode for frame in self.server.take()], [TEXT])

    def test_unproved_reports_go_again_on_the_next_connection(self) -> None:
        """Oldest first, behind the heartbeat and before anything new; then they are proved."""
        first = self.report(n=1)
        elapse(self.reactor, 0.05)
        self.server.send_frame(PONG, self.proof().payload)
        second, third = self.report(n=2), self.report(n=3)
        elapse(self.reactor, 0.04)
        self.server.lose()
        fourth = self.report(n=4)
        elapse(self.reactor, 1)
        server = self.accept_upstream()
        beat, *reports = server.take()
        self.assertEqual(beat.message["type"], "heartbeat")
        self.assertEqual([frame.payload for frame in reports], [second, third, fourth])
        self.assertNotIn(first, [frame.payload for frame in reports])
        elapse(self.reactor, 0.05)
        (ping,) = server.take()
        server.send_frame(PONG, ping.payload)
        self.assertEqual(self.waiting(), 0)

    def test_a_lost_connection_asks_for_no_proof(self) -> None:
        """The timer of the old connection does not reach into the new one."""
        self.report()
        elapse(self.reactor, 0.03)
        self.upstream.reconnect()
        server = self.accept_upstream()
        elapse(self.reactor, 0.049)
        self.assertEqual(only(server.take(), PING), [])
        elapse(self.reactor, 0.002)
        self.assertEqual(len(only(server.take(), PING)), 1)
