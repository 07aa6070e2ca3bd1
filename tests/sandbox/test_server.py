"""The stand-in server, with relays and daemons in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.admission import Admission
from makima_relay.core.fleet import daemon_id_of
from makima_relay.sandbox.peers import PeerFactory
from makima_relay.sandbox.server import SandboxServer
from makima_relay.sandbox.tasklist import Stage
from tests.fakes import elapse
from tests.frames import BINARY, CLOSE, PING, PONG, TEXT
from tests.wire import Peer, connect_daemon


class ServerTestCase(SynchronousTestCase):
    """Has a server without peers."""

    def setUp(self) -> None:
        """Make it."""
        self.reactor = Clock()
        self.said: list[str] = []
        self.server = SandboxServer(self.said.append)
        self.factory = PeerFactory(self.server, Admission("k"), self.reactor)

    def join(self, machine_id: str = "relay", slots: int = 0, type_: str = "authenticate") -> Peer:
        """Connect a peer, up to the answer to ``authenticate``."""
        peer = connect_daemon(self.factory, self.reactor)
        peer.send(type_, apiKey="k", machineId=machine_id, hostname=machine_id, maxConcurrentTasks=slots)
        answer = peer.take()[0].message
        self.assertEqual((answer["type"].lower(), answer["daemonId"]), ("authenticated", daemon_id_of(machine_id)))
        # What was sent with the answer is the test's to take.
        return peer

    def take(self, peer: Peer, *, answers_pings: bool = True) -> list[Any]:
        """The messages that came."""
        messages = []
        for frame in peer.take():
            if frame.opcode == PING and answers_pings:
                peer.send_frame(PONG, frame.payload)
            elif frame.opcode == TEXT:
                messages.append(frame.message)
        return messages

    def names(self, peer: Peer, *, answers_pings: bool = True) -> list[str]:
        """The names of the tasks that came."""
        return [message["taskName"] for message in self.take(peer, answers_pings=answers_pings)]


class DispatchTests(ServerTestCase):
    """Who gets what."""

    def test_a_task_waits_until_somebody_is_there(self) -> None:
        """Then it is sent as a whole."""
        task = self.server.spawn("t", "make all")
        self.assertEqual(task.stage, Stage.WAITING)
        peer = connect_daemon(self.factory, self.reactor)
        peer.send("authenticate", apiKey="k", hostname="relay", maxConcurrentTasks=0)
        spawn = self.take(peer)[1]
        self.assertEqual(spawn, {"type": "spawnTask", "taskId": task.task_id, "taskName": "t", "plan": "make all"})
        self.assertEqual(task.stage, Stage.SENT)

    def test_a_relay_takes_any_number_of_tasks(self) -> None:
        """It has no slots of its own."""
        relay = self.join()
        for number in range(30):
            self.server.spawn(str(number), "make")
        self.assertEqual(self.names(relay), [str(number) for number in range(30)])

    def test_a_daemon_takes_as_many_as_it_has_slots(self) -> None:
        """The next when one has ended."""
        daemon = self.join("d", slots=2)
        tasks = [self.server.spawn(str(number), "make") for number in range(3)]
        self.assertEqual(self.names(daemon), ["0", "1"])
        daemon.send("taskComplete", taskId=tasks[0].task_id, success=True)
        self.assertEqual(self.names(daemon), ["2"])

    def test_tasks_go_to_whoever_has_the_fewest(self) -> None:
        """Relay or daemon."""
        first, second = self.join("a"), self.join("b", slots=2)
        for number in range(4):
            self.server.spawn(str(number), "make")
        self.assertEqual((self.names(first), self.names(second)), (["0", "2"], ["1", "3"]))

    def test_a_peer_is_spoken_to_in_its_own_spelling(self) -> None:
        """As the real server would be free to do."""
        daemon = self.join("d", slots=1, type_="Authenticate")
        self.server.interrupt(self.server.spawn("t", "make"))
        self.assertEqual([message["type"] for message in self.take(daemon)], ["SpawnTask", "InterruptTask"])

    def test_an_interrupt_goes_to_whoever_has_the_task(self) -> None:
        """When he is away, it waits for him."""
        relay, other = self.join(), self.join("other", slots=1)
        task = self.server.spawn("t", "make")
        self.take(relay)
        self.server.interrupt(task)
        expected = [{"type": "interruptTask", "taskId": task.task_id}]
        self.assertEqual((self.take(relay), self.take(other)), (expected, []))
        relay.lose()
        self.assertEqual(self.take(self.join()), [])

    def test_an_interrupt_waits_for_a_peer_that_is_away(self) -> None:
        """And is sent when it is back."""
        relay = self.join()
        task = self.server.spawn("t", "make")
        self.take(relay)
        relay.lose()
        self.server.interrupt(task)
        back = connect_daemon(self.factory, self.reactor)
        back.send("authenticate", apiKey="k", machineId="relay", hostname="relay", maxConcurrentTasks=0)
        self.assertEqual(self.take(back)[1:], [{"type": "interruptTask", "taskId": task.task_id}])


class LossTests(ServerTestCase):
    """Connections end."""

    def test_a_task_that_was_perhaps_not_read_is_sent_again(self) -> None:
        """No pong came for it."""
        relay = self.join()
        self.server.spawn("read", "make")
        self.take(relay)
        task = self.server.spawn("perhaps not", "make")
        self.take(relay, answers_pings=False)
        relay.lose()
        self.assertEqual(task.stage, Stage.WAITING)
        other = self.join("other", slots=5)
        self.assertEqual(task.stage, Stage.SENT)
        self.assertEqual(self.server.tasks.load("other"), 1)
        other.lose()

    def test_pongs_that_prove_nothing_are_ignored(self) -> None:
        """Those of other pings."""
        relay = self.join()
        task = self.server.spawn("t", "make")
        self.take(relay, answers_pings=False)
        for payload in (b"alive?", b"read up to x", b"read up to "):
            relay.send_frame(PONG, payload)
        relay.lose()
        self.assertEqual(task.stage, Stage.WAITING)

    def test_the_same_machine_replaces_its_older_connection(self) -> None:
        """What the older one says from then on does not count."""
        older = self.join()
        self.server.spawn("t", "make")
        self.take(older)
        newer = self.join()
        self.assertEqual([frame.close_code for frame in older.take() if frame.opcode == CLOSE], [4409])
        older.lose()
        self.server.spawn("u", "make")
        self.assertEqual(self.names(newer), ["u"])
        self.assertEqual(len(self.server.peers), 1)

    def test_reports_after_a_return_still_count(self) -> None:
        """The task is the machine's, not the connection's."""
        relay = self.join()
        task = self.server.spawn("t", "make")
        self.take(relay)
        relay.lose()
        self.join().send("taskComplete", taskId=task.task_id, success=True)
        self.assertEqual(task.stage, Stage.COMPLETED)


class RefusalTests(ServerTestCase):
    """Who is not let in, and what is not taken."""

    def closes(self, peer: Peer) -> list[int]:
        """The codes of the close frames that came."""
        return [frame.close_code for frame in peer.take() if frame.opcode == CLOSE]

    def test_a_wrong_key_is_refused(self) -> None:
        """With an error and 4401; the key is shown nowhere."""
        peer = connect_daemon(self.factory, self.reactor)
        peer.send("authenticate", apiKey="secret", hostname="relay")
        error, close = peer.take()
        self.assertEqual((error.message["type"], error.message["code"]), ("error", "unauthorized"))
        self.assertEqual(close.close_code, 4401)
        self.assertEqual(self.server.peers, [])
        self.assertEqual(self.said, ["turned away: unauthorized: this key is not accepted"])

    def test_the_key_may_come_with_the_upgrade_request(self) -> None:
        """The relay sends it there too."""
        for headers in ({"Authorization": "Bearer k"}, {"X-Makima-API-Key": "k"}):
            peer = connect_daemon(self.factory, self.reactor, headers=headers)
            peer.send("authenticate", hostname="relay")
            self.assertEqual(peer.take()[0].message["type"], "authenticated")

    def test_silence_is_closed_after_ten_seconds(self) -> None:
        """Nobody holds a connection for nothing."""
        peer = connect_daemon(self.factory, self.reactor)
        elapse(self.reactor, 10)
        self.assertEqual(self.closes(peer), [4408])

    def test_binary_messages_are_refused(self) -> None:
        """Messages are text."""
        peer = self.join()
        peer.send_frame(BINARY, b"{}")
        self.assertEqual(self.closes(peer), [1003])

    def test_an_invalid_message_is_answered_and_the_connection_stays(self) -> None:
        """The next may be better."""
        peer = self.join()
        peer.send_text(b"no JSON")
        (error,) = self.take(peer)
        self.assertEqual((error["type"], error["code"]), ("error", "invalid_message"))
        self.assertFalse(peer.lost)

    def test_all_are_sent_away_when_it_stops(self) -> None:
        """Also who has not authenticated."""
        peers = [self.join(), connect_daemon(self.factory, self.reactor)]
        closed: list[None] = []
        self.factory.close_all("bye")
        self.factory.all_closed().addCallback(closed.append)
        self.assertEqual([self.closes(peer) for peer in peers], [[1001], [1001]])
        self.assertEqual(closed, [])
        elapse(self.reactor, 2)
        self.assertEqual(closed, [None])
        self.factory.all_closed().addCallback(closed.append)
        self.assertEqual(len(closed), 2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_what_it_says_cannot_upset_a_terminal(self) -> None:
        """Names come from peers."""
        peer = connect_daemon(self.factory, self.reactor)
        peer.send("authenticate", apiKey="k", hostname="a\x1b[2J", maxConcurrentTasks=3)
        self.assertEqual(self.said, ["connected: a\\x1b[2J, a daemon, slots: 3"])
