"""The server of the chaos experiment, with a relay in memory."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.admission import Admission
from makima_relay.sandbox.chaos.ledger import Ledger
from makima_relay.sandbox.chaos.server import ChaosServer
from makima_relay.sandbox.peers import PeerFactory
from tests.fakes import clock_on, elapse
from tests.frames import CLOSE, PING, PONG, TEXT
from tests.wire import Peer, connect_daemon

MOST = 3


class ServerTests(SynchronousTestCase):
    """A server that has three unfinished tasks at most."""

    def setUp(self) -> None:
        """Make it."""
        self.reactor = Clock()
        self.ledger = Ledger(3.0)
        self.ledger.daemon_connected("d", 0.0)
        self.server = ChaosServer(
            clock_on(self.reactor), self.ledger, most=MOST, lengths=(2, 9), chance=random.Random(1)
        )
        self.factory = PeerFactory(self.server, Admission("k"), self.reactor)
        self.server.start()

    def join(self) -> Peer:
        """Connect a relay, up to the answer to ``authenticate``."""
        peer = connect_daemon(self.factory, self.reactor)
        peer.send("authenticate", apiKey="k", machineId="r", hostname="r", maxConcurrentTasks=0)
        self.reactor.advance(0)
        return peer

    def take(self, peer: Peer, *, answers_pings: bool = True) -> list[Any]:
        """The tasks that came."""
        messages = []
        for frame in peer.take():
            if frame.opcode == PING and answers_pings:
                peer.send_frame(PONG, frame.payload)
            elif frame.opcode == TEXT and frame.message["type"] == "spawnTask":
                messages.append(frame.message)
        return messages

    def ids(self, peer: Peer, *, answers_pings: bool = True) -> list[str]:
        """The ids of the tasks that came."""
        return [each["taskId"] for each in self.take(peer, answers_pings=answers_pings)]

    def test_tasks_are_made_while_a_relay_is_there(self) -> None:
        """As many as there may be, and one more for each that ends."""
        elapse(self.reactor, 1.0)
        self.assertEqual((self.ledger.tasks.spawned, self.server.is_connected), (0, False))
        peer = self.join()
        elapse(self.reactor, 1.0)
        tasks = self.take(peer)
        self.assertEqual(len(tasks), MOST)
        self.assertTrue(all(2 <= task["reports"] <= 9 for task in tasks))
        self.ledger.run_begun(tasks[0]["taskId"], "d", 0.0)
        peer.send("taskComplete", taskId=tasks[0]["taskId"], runId=1, n=1, success=True)
        elapse(self.reactor, 1.0)
        self.assertEqual(len(self.take(peer)), 1)
        self.assertEqual((self.ledger.tasks.completed, self.ledger.reports.delivered), (1, 1))
        self.server.stop()
        peer.send("taskComplete", taskId=tasks[1]["taskId"], success=False, error="daemon d lost")
        elapse(self.reactor, 1.0)
        self.assertEqual((self.take(peer), self.ledger.tasks.failed), ([], 1))

    def test_a_task_that_may_not_have_been_read_is_sent_again(self) -> None:
        """On the next connection, unless a pong, a heartbeat or a report shows that the relay has it."""
        peer = self.join()
        elapse(self.reactor, 0.1)
        pinged, listed, reported = self.ids(peer, answers_pings=False)
        peer.send_frame(PONG, b"read up to 1")
        peer.send("heartbeat", activeTasks=[listed])
        self.assertEqual(self.ledger._tasks[pinged].proven_at, self.reactor.seconds())
        peer.lose()
        peer = self.join()
        self.assertEqual(self.ids(peer, answers_pings=False), [reported])
        peer.send("taskOutput", taskId=reported, runId=7, n=1)
        peer.lose()
        self.assertEqual(self.ids(self.join()), [])

    def test_a_task_that_the_relay_cannot_take_is_sent_again_later(self) -> None:
        """A pong that follows the refusal does not speak of it."""
        peer = self.join()
        elapse(self.reactor, 0.1)
        first, *_ = self.ids(peer, answers_pings=False)
        peer.send("error", code="unavailable", message="not now", taskId=first)
        peer.send_frame(PONG, b"read up to 3")
        self.assertEqual(self.ids(peer), [])
        elapse(self.reactor, 1.0)
        self.assertEqual(self.ids(peer), [first])
        self.assertEqual((self.ledger.tasks.refused, self.ledger.tasks.spawned), (1, MOST))

    def test_a_task_that_was_refused_on_an_older_connection_is_sent_once(self) -> None:
        """The newer one has it already."""
        peer = self.join()
        elapse(self.reactor, 0.1)
        first, *_ = self.ids(peer)
        peer.send("error", code="unavailable", message="not now", taskId=first)
        peer.lose()
        peer = self.join()
        elapse(self.reactor, 1.0)
        self.assertNotIn(first, self.ids(peer)[1:])

    def test_an_older_connection_is_closed(self) -> None:
        """What comes on it before that still counts; its pongs and its end do not."""
        older = self.join()
        elapse(self.reactor, 0.1)
        self.ids(older, answers_pings=False)
        newer = self.join()
        self.assertEqual([frame.close_code for frame in older.take() if frame.opcode == CLOSE], [4409])
        older.lose()
        self.assertTrue(self.server.is_connected)
        self.assertEqual(len(self.ids(newer)), MOST)
        newer.lose()
        self.assertFalse(self.server.is_connected)

    def test_strangers_are_counted(self) -> None:
        """There should be none."""
        peer = connect_daemon(self.factory, self.reactor)
        peer.send("authenticate", apiKey="wrong", machineId="r", hostname="r")
        self.assertEqual((self.server.refusals, self.server.is_connected), (1, False))
