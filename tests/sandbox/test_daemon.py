"""The stand-in daemon, with programs that a test runs by hand and a server in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.connector_options import Backoff
from makima_relay.sandbox.daemon import FAREWELL, HEARTBEAT_INTERVAL, DaemonOptions, SandboxDaemon
from makima_relay.sandbox.outbound import HIGH_MARK, PROOF_DELAY
from makima_relay.sandbox.programs import Ending, ProgramUser
from tests.fakes import clock_on, elapse
from tests.frames import PING, PONG, TEXT
from tests.sandbox.test_run import RecordingProgram
from tests.wire import MemoryEndpoint, ServerPeer


class DaemonTestCase(SynchronousTestCase):
    """Has a daemon with two slots."""

    def setUp(self) -> None:
        """Make it."""
        self.reactor = Clock()
        self.endpoint = MemoryEndpoint(self.reactor)
        self.programs: list[RecordingProgram] = []
        self.said: list[str] = []
        options = DaemonOptions(
            url="ws://relay.example/ws/daemon", key="k", name="d", slots=2, backoff=Backoff(1.0, 4.0, lambda: 0.0)
        )
        self.daemon = SandboxDaemon(options, self.endpoint, self.start, clock_on(self.reactor), self.said.append)
        self.daemon.start()

    def start(self, command: str, user: ProgramUser) -> RecordingProgram:
        """Start a command, unless it is one that cannot be started."""
        if command == "impossible":
            raise OSError("no more processes")
        self.programs.append(RecordingProgram(command, user))
        return self.programs[-1]

    def accept(self) -> ServerPeer:
        """Accept the connection, up to the answer to ``authenticate``."""
        peer = self.endpoint.attempts[-1].accept()
        peer.upgrade()
        self.hello = peer.take_messages()
        peer.send("authenticated", daemonId="d-1")
        return peer

    def go_live(self) -> ServerPeer:
        """Connect, and read what comes by itself."""
        peer = self.accept()
        peer.take()
        return peer

    def spawn(self, peer: ServerPeer, task_id: str, plan: str = "make") -> RecordingProgram:
        """Give the daemon a task."""
        peer.send("spawnTask", taskId=task_id, taskName=f"task {task_id}", plan=plan)
        return self.programs[-1]

    def read(self, peer: ServerPeer) -> list[Any]:
        """Answer all pings, and take the messages, each as its type and what distinguishes it."""
        elapse(self.reactor, PROOF_DELAY)
        messages = []
        for frame in peer.take():
            if frame.opcode == PING:
                peer.send_frame(PONG, frame.payload)
            elif frame.opcode == TEXT:
                messages.append(self.short(frame.message))
        return messages

    @staticmethod
    def short(message: dict[str, Any]) -> tuple[Any, ...]:
        """A message's type and the members that matter here."""
        members = ("taskId", "newStatus", "output", "success", "error", "activeTasks")
        return (message["type"], *(message[name] for name in members if message.get(name) is not None))


class WorkTests(DaemonTestCase):
    """Taking tasks."""

    def test_it_presents_itself_and_says_at_once_what_it_has(self) -> None:
        """And again every 30 seconds."""
        peer = self.accept()
        self.assertEqual(
            self.hello,
            [{"type": "authenticate", "apiKey": "k", "machineId": "d", "hostname": "d", "maxConcurrentTasks": 2}],
        )
        self.assertEqual(peer.take_messages(), [{"type": "heartbeat", "activeTasks": []}])
        self.spawn(peer, "t")
        self.read(peer)
        elapse(self.reactor, HEARTBEAT_INTERVAL)
        self.assertEqual(self.read(peer), [("heartbeat", ["t"])])

    def test_a_task_runs_its_plan_and_is_reported_to_its_end(self) -> None:
        """In the order in which it happens."""
        peer = self.go_live()
        program = self.spawn(peer, "t", "make all")
        self.assertEqual(program.command, "make all")
        program.user.printed("stdout", "all made")
        program.user.ended(Ending(0))
        self.assertEqual(
            self.read(peer),
            [
                ("taskStatusChange", "t", "running"),
                ("taskOutput", "t", "all made"),
                ("taskProgress", "t"),
                ("taskComplete", "t", True),
            ],
        )

    def test_a_duplicate_of_a_running_task_is_ignored(self) -> None:
        """It runs once."""
        peer = self.go_live()
        self.spawn(peer, "t")
        self.read(peer)
        self.spawn(peer, "t")
        self.assertEqual((len(self.programs), self.read(peer)), (1, []))

    def test_a_task_that_has_ended_may_come_again(self) -> None:
        """A new attempt is a new run."""
        peer = self.go_live()
        self.spawn(peer, "t").user.ended(Ending(1))
        self.spawn(peer, "t")
        self.assertEqual(len(self.programs), 2)

    def test_a_task_too_many_is_refused(self) -> None:
        """That should not happen, but it must not be silent."""
        peer = self.go_live()
        for task_id in "abc":
            self.spawn(peer, task_id)
        self.assertEqual(len(self.programs), 2)
        self.assertEqual(self.read(peer)[-1], ("taskComplete", "c", False, "no free slot"))

    def test_a_task_without_a_plan_is_refused(self) -> None:
        """There is nothing to run."""
        peer = self.go_live()
        peer.send("SpawnTask", task_id="t", plan=["make"])
        self.assertEqual(self.read(peer), [("taskComplete", "t", False, "spawnTask has no plan")])

    def test_a_command_that_cannot_be_started_fails_its_task(self) -> None:
        """With the system's reason, and without taking a slot."""
        peer = self.go_live()
        peer.send("spawnTask", taskId="t", plan="impossible")
        self.assertEqual(self.read(peer), [("taskComplete", "t", False, "cannot be started: no more processes")])
        for task_id in "ab":
            self.spawn(peer, task_id)
        self.assertEqual(len(self.programs), 2)

    def test_an_interrupt_reaches_the_program_of_its_task(self) -> None:
        """However it is spelled; one for an unknown task reaches nobody."""
        peer = self.go_live()
        first, second = self.spawn(peer, "a"), self.spawn(peer, "b")
        peer.send("InterruptTask", task_id="a")
        peer.send("cancelTask", taskId="x")
        peer.send("interruptTask")
        self.assertEqual((first.notes, second.notes), (["interrupt"], []))

    def test_errors_and_nonsense_are_shown_and_nothing_else(self) -> None:
        """What comes from elsewhere must not upset a terminal."""
        peer = self.go_live()
        self.said.clear()
        peer.send("error", code="not_your_task", message="no\x1b[2J")
        peer.send_text(b"no JSON")
        peer.send("somethingNew")
        self.assertEqual(
            self.said,
            ["the server says: not_your_task: no\\x1b[2J", "invalid message: a message must be valid JSON"],
        )


class ReturnTests(DaemonTestCase):
    """Losing the connection."""

    def return_(self) -> ServerPeer:
        """Wait for the next attempt, and accept it."""
        elapse(self.reactor, 1)
        return self.accept()

    def test_it_returns_with_its_running_tasks(self) -> None:
        """The heartbeat comes first, then what was printed meanwhile, in order."""
        peer = self.go_live()
        program = self.spawn(peer, "t")
        self.read(peer)
        peer.lose()
        for line in "abc":
            program.user.printed("stdout", line)
        self.assertEqual(
            self.read(self.return_()),
            [
                ("heartbeat", ["t"]),
                ("taskOutput", "t", "a"),
                ("taskProgress", "t"),
                ("taskOutput", "t", "b"),
                ("taskOutput", "t", "c"),
                ("taskProgress", "t"),
            ],
        )

    def test_a_task_whose_end_is_unread_is_still_listed(self) -> None:
        """Unlisted it would be given up as lost."""
        peer = self.go_live()
        program = self.spawn(peer, "t")
        self.read(peer)
        peer.lose()
        program.user.ended(Ending(0))
        peer = self.return_()
        self.assertEqual(self.read(peer), [("heartbeat", ["t"]), ("taskComplete", "t", True)])
        peer.lose()
        self.assertEqual(self.read(self.return_()), [("heartbeat", [])])

    def test_it_never_gives_up(self) -> None:
        """A relay may be away for long."""
        for _ in range(50):
            self.endpoint.attempts[-1].refuse()
            elapse(self.reactor, 4)
        self.assertEqual(len(self.endpoint.attempts), 51)
        self.assertEqual(self.said[-1], "cannot connect: Connection was refused by other side.; again in 4.0 s")

    def test_programs_wait_while_too_much_is_unread(self) -> None:
        """Those that begin meanwhile, too; all go on when it is read."""
        peer = self.go_live()
        first = self.spawn(peer, "a")
        for _ in range(HIGH_MARK // 8_000 + 1):
            first.user.printed("stdout", "x" * 8_000)
        second = self.spawn(peer, "b")
        self.assertEqual((first.notes, second.notes), (["pause"], ["pause"]))
        self.read(peer)
        self.assertEqual((first.notes, second.notes), (["pause", "resume"], ["pause", "resume"]))


class StopTests(DaemonTestCase):
    """Stopping."""

    def stop(self) -> list[None]:
        """Stop.

        :return: has something in it once that is done.
        """
        done: list[None] = []
        self.daemon.stop().addCallback(done.append)
        return done

    def test_it_interrupts_its_tasks_and_tells_how_they_ended(self) -> None:
        """It leaves when that has been read."""
        peer = self.go_live()
        program = self.spawn(peer, "t")
        self.read(peer)
        done = self.stop()
        self.assertEqual(program.notes, ["resume", "interrupt"])
        program.user.ended(Ending(None, 15, interrupted=True))
        self.assertEqual(
            self.read(peer),
            [("taskStatusChange", "t", "interrupted"), ("taskComplete", "t", False, "interrupted")],
        )
        self.assertEqual(done, [])
        (close,) = peer.take()
        peer.send_close(close.close_code)
        peer.lose()
        self.assertEqual((close.close_code, done), (1001, [None]))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_it_does_not_wait_for_ever_to_be_read(self) -> None:
        """The other side may be dead."""
        peer = self.go_live()
        self.spawn(peer, "t").user.ended(Ending(0))
        done = self.stop()
        elapse(self.reactor, FAREWELL + 2)
        self.assertEqual(done, [None])

    def test_it_waits_for_nobody_when_there_is_nobody(self) -> None:
        """While it is not connected, it leaves at once."""
        done = self.stop()
        self.assertEqual(done, [None])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_it_takes_no_more_tasks(self) -> None:
        """They would end at once."""
        peer = self.go_live()
        self.spawn(peer, "a")
        self.stop()
        peer.send("spawnTask", taskId="b", plan="make")
        self.assertEqual(self.read(peer)[-1], ("taskComplete", "b", False, "the daemon stops"))
