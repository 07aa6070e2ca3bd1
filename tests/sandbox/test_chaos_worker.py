"""A daemon of the chaos experiment, with a relay in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.worker import HEARTBEAT_INTERVAL, Worker, WorkerOptions
from makima_relay.sandbox.outbound import HIGH_MARK
from tests.fakes import clock_on, elapse
from tests.frames import PING, PONG, TEXT
from tests.wire import MemoryEndpoint, ServerPeer

GRACE = 3.0
#: Reports a second.
PACE = 20.0


class WorkerTests(SynchronousTestCase):
    """One daemon whose tasks make twenty reports a second."""

    def setUp(self) -> None:
        """Make it, and connect it."""
        self.reactor = Clock()
        self.ledger = Ledger(GRACE)
        self.make()
        self.peer = self.accept()

    def make(self, pace: float = PACE) -> None:
        """Make a daemon."""
        self.endpoint = MemoryEndpoint(self.reactor)
        options = WorkerOptions(url="ws://relay.example/ws/daemon", key="k", name="d", slots=4, pace=pace)
        self.worker = Worker(options, [self.endpoint], clock_on(self.reactor), self.ledger)
        self.worker.start()

    def accept(self) -> ServerPeer:
        """Accept the latest connection, up to the answer to ``authenticate``."""
        peer = self.endpoint.attempts[-1].accept()
        peer.upgrade()
        (self.hello,) = peer.take_messages()
        peer.send("authenticated", daemonId="d-1")
        return peer

    def spawn(self, reports: int, task_id: str = "t") -> None:
        """Give it a task."""
        self.ledger.task_spawned(task_id)
        self.peer.send("spawnTask", taskId=task_id, reports=reports)

    def take(self, peer: ServerPeer | None = None) -> tuple[list[Any], list[bytes]]:
        """Its messages but for heartbeats, and the pings that came."""
        frames = (peer or self.peer).take()
        messages = [frame.message for frame in frames if frame.opcode == TEXT]
        pings = [frame.payload for frame in frames if frame.opcode == PING]
        return [each for each in messages if each["type"] != "heartbeat"], pings

    def heartbeats(self, peer: ServerPeer) -> list[Any]:
        """What its heartbeats list."""
        messages = [frame.message for frame in peer.take() if frame.opcode == TEXT]
        return [each["activeTasks"] for each in messages if each["type"] == "heartbeat"]

    def test_a_task_is_numbered_reports_and_an_end(self) -> None:
        """At a steady pace, each some 200 bytes long."""
        self.assertEqual((self.hello["hostname"], self.hello["maxConcurrentTasks"]), ("d", 4))
        self.spawn(20)
        elapse(self.reactor, 0.5)
        first, _ = self.take()
        elapse(self.reactor, 2.0)
        rest, _ = self.take()
        self.assertIn(len(first), (PACE / 2 - 1, PACE / 2))
        self.assertEqual([each["n"] for each in first + rest], list(range(1, 21)))
        self.assertEqual({each["runId"] for each in first + rest}, {1})
        kinds = [each["type"] for each in first + rest]
        self.assertEqual(kinds, [*["taskOutput"] * 9, "taskProgress", *["taskOutput"] * 9, "taskComplete"])
        self.assertEqual(self.ledger.reports.sent, 20)

    def test_what_is_proven_is_not_sent_again(self) -> None:
        """And what is not proven is, on the next connection, after a heartbeat that lists the task."""
        self.spawn(4)
        elapse(self.reactor, 0.15)
        _, pings = self.take()
        self.peer.send_frame(PONG, pings[-1])
        proven = int(pings[-1].split()[-1])
        elapse(self.reactor, 1.0)
        self.peer.lose()
        elapse(self.reactor, 1.0)
        peer = self.accept()
        messages = [frame.message for frame in peer.take() if frame.opcode == TEXT]
        self.assertEqual(messages[0], {"type": "heartbeat", "activeTasks": ["t"]})
        self.assertEqual([each["n"] for each in messages[1:]], list(range(proven + 1, 5)))

    def test_a_task_is_listed_until_its_end_is_proven(self) -> None:
        """Unlisted it would count as lost."""
        self.spawn(1)
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        self.assertEqual(self.heartbeats(self.peer)[-1], ["t"])
        self.peer.send_frame(PONG, b"read up to 1")
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        self.assertEqual(self.heartbeats(self.peer), [[]])
        self.assertFalse(self.ledger.settled)
        self.ledger.delivered(1, "t", 1)
        self.ledger.task_completed("t")
        self.assertTrue(self.ledger.settled)

    def test_the_pong_to_a_heartbeats_ping_proves_what_came_before_it(self) -> None:
        """The relay may answer the latest of several pings only."""
        self.spawn(2)
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        self.peer.send_frame(PONG, self.take()[1][-1])
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        self.assertEqual(self.heartbeats(self.peer)[-1], [])

    def test_a_late_pong_proves_nothing_that_came_after_its_ping(self) -> None:
        """A busy relay may answer when there are more heartbeats already."""
        self.take()
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        first = self.take()[1][-1]
        self.spawn(2)
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        self.take()
        self.peer.send_frame(PONG, first)
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        self.assertEqual(self.heartbeats(self.peer)[-1], ["t"])

    def test_a_task_that_is_another_daemons_is_stopped_at_once(self) -> None:
        """Whether the relay interrupts it, or complains about its reports."""
        for message in ({"type": "interruptTask"}, {"type": "error", "code": "not_your_task"}):
            self.spawn(100)
            elapse(self.reactor, 0.5)
            self.peer.send(message.pop("type"), taskId="t", **message)
            self.take()
            elapse(self.reactor, 0.5)
            self.assertEqual(self.take()[0], [])
        self.assertEqual(self.ledger.tasks.taken_away, 2)

    def test_other_messages_stop_nothing(self) -> None:
        """Other errors, and what is no message."""
        self.spawn(100)
        self.peer.send("error", code="invalid_message", taskId="t")
        self.peer.send_text(b"{")
        elapse(self.reactor, 0.5)
        self.assertNotEqual(self.take()[0], [])

    def test_a_task_that_is_at_work_is_not_begun_again(self) -> None:
        """A relay that had forgotten may send it again."""
        self.spawn(100)
        self.spawn(100)
        elapse(self.reactor, 0.5)
        self.assertEqual({each["runId"] for each in self.take()[0]}, {1})

    def test_it_goes_away_and_comes_back(self) -> None:
        """It works on meanwhile, and tries nothing."""
        self.spawn(100)
        self.worker.go_away(2.0)
        elapse(self.reactor, 1.9)
        self.assertTrue(self.peer.lost)
        self.assertEqual((len(self.endpoint.attempts), self.worker.is_connected), (1, False))
        elapse(self.reactor, 0.2)
        self.accept()
        self.assertEqual((len(self.endpoint.attempts), self.worker.is_connected), (2, True))
        self.assertGreater(self.ledger.reports.sent, 30)

    def test_going_away_ends_an_attempt_that_is_under_way(self) -> None:
        """And going away again only makes it longer."""
        self.worker.go_away(1.0)
        elapse(self.reactor, 1.1)
        self.worker.go_away(1.0)
        self.worker.go_away(2.0)
        self.assertTrue(self.endpoint.attempts[-1].cancelled)
        elapse(self.reactor, 1.9)
        self.assertEqual(len(self.endpoint.attempts), 2)
        elapse(self.reactor, 0.2)
        self.assertEqual(len(self.endpoint.attempts), 3)

    def test_an_absence_ends_when_it_has_connected(self) -> None:
        """How long the relay takes to answer is not its affair: the task is wrongly taken away."""
        self.spawn(100)
        self.worker.go_away(1.0)
        elapse(self.reactor, 1.1)
        peer = self.endpoint.attempts[-1].accept()
        peer.upgrade()
        elapse(self.reactor, GRACE)
        peer.send("authenticated", daemonId="d-1")
        peer.send("interruptTask", taskId="t")
        self.assertEqual(self.ledger.tasks.taken_away, 1)

    def test_a_connection_that_was_not_answered_is_no_return(self) -> None:
        """The absence goes on."""
        self.spawn(100)
        self.worker.go_away(1.0)
        elapse(self.reactor, 1.1)
        peer = self.endpoint.attempts[-1].accept()
        peer.upgrade()
        peer.lose()
        elapse(self.reactor, GRACE)
        self.accept().send("interruptTask", taskId="t")
        self.assertEqual(self.ledger.tasks.taken_away, 0)

    def test_too_many_unproven_reports_make_it_pause(self) -> None:
        """So that a relay that is away for long does not fill the memory."""
        self.worker.stop()
        self.make(pace=100_000.0)
        self.peer = self.accept()
        self.spawn(1_000_000)
        elapse(self.reactor, 1.0)
        made = self.ledger.reports.sent
        self.assertGreater(made * 200, HIGH_MARK)
        elapse(self.reactor, 1.0)
        self.assertEqual(self.ledger.reports.sent, made)

    def test_nothing_is_left_of_it_when_it_stops(self) -> None:
        """Whether it is connected or away."""
        for away in (False, True):
            self.setUp()
            if away:
                self.worker.go_away(5.0)
                self.reactor.advance(0)
            stopped = self.worker.stop()
            elapse(self.reactor, 2.0)
            self.successResultOf(stopped)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
