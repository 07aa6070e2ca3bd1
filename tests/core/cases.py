"""What the test cases of the core are made from: a relay to tell things to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.effects import Effect, KeepReport, RecallTasks, SaveTask, SendUpstream
from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.tasks import Task, TaskStatus
from tests.core.builders import AT, D1, NOW, SERVER, hello, logged, task, wire


class RefusingTestCase(SynchronousTestCase):
    """Looks at what an error says."""

    def assertRefused(self, payload: bytes, *words: str) -> None:
        """A report is refused with a text that holds all of these words."""
        error = self.assertRaises(InvalidMessageError, read_report, payload)
        for word in words:
            self.assertIn(word, str(error), payload)


class RelayTestCase(SynchronousTestCase):
    """A test that tells a relay what happens and looks at what it wants done.

    :ivar stored: the finished tasks that the store finds when it is asked.
    :ivar drawn: what is drawn where the relay leaves something to chance, from 0 up to 1.
    """

    def setUp(self) -> None:
        self.start()

    def start(self, policy: Policy | None = None, snapshot: Snapshot | None = None, now: float = NOW) -> list[Effect]:
        """Begin (again) with a new relay."""
        self.drawn = 0.0
        self.relay = Relay(policy or Policy(), snapshot, draw=lambda: self.drawn)
        self.stored: dict[str, Task] = {}
        self._connections = 0
        return self.relay.started(now, now - NOW + AT)

    def join(self, machine: str = "m1", capacity: int = 10, *, now: float = NOW, **options: Any) -> int:
        """Have a daemon connect.

        :return: the number of its connection: 1 for the first.
        """
        self._connections += 1
        self.relay.daemon_joined(self._connections, hello(machine, capacity, **options), "10.0.0.1:5000", now)
        return self._connections

    def connect_server(self, connection: int = SERVER) -> None:
        """Have the server accept the relay."""
        self.relay.upstream_ready(connection, NOW)

    def command(self, payload: bytes, now: float = NOW) -> list[Effect]:
        """Have the server send a message, and the store answer if it is asked."""
        return self.with_answers(self.relay.command_received(read_command(payload), now), now)

    def spawn(self, task_id: str = "t1", now: float = NOW) -> bytes:
        """Have the server ask for a task.

        :return: the message.
        """
        payload = wire("spawnTask", taskId=task_id)
        self.command(payload, now)
        return payload

    def report(self, connection: int, payload: bytes, now: float = NOW) -> list[Effect]:
        """Have a daemon send a message, and the store answer if it is asked."""
        return self.with_answers(self.relay.reports_received(connection, [read_report(payload)], now), now)

    def with_answers(self, decided: Sequence[Effect], now: float) -> list[Effect]:
        """Effects in which each question to the store has been replaced by what came of its answer."""
        effects: list[Effect] = []
        for effect in decided:
            if isinstance(effect, RecallTasks):
                found = [self.stored[each] for each in effect.task_ids if each in self.stored]
                effects += self.with_answers(self.relay.tasks_recalled(effect.task_ids, found, now), now)
            else:
                effects.append(effect)
        return effects

    def known(self, task_id: str = "t1") -> Task:
        """A task that the relay has in mind."""
        found = self.relay.task(task_id)
        assert found is not None, f"{task_id} is not in mind"
        return found


class ReportTestCase(RelayTestCase):
    """The server is there, and the first daemon has one task, t1, in a slot of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.start_with_task()

    def start_with_task(self, policy: Policy | None = None) -> None:
        """Begin (again)."""
        self.start(policy)
        self.connect_server()
        self.join(capacity=1)
        self.spawn()


#: The default of ``--daemon-grace``, in seconds.
GRACE = 60.0
#: The task t1 when it has just been sent to the first daemon, and when that is gone.
DISPATCHED = task().dispatched(D1, AT)
ORPHANED = DISPATCHED.to(TaskStatus.ORPHANED)


class LossTestCase(ReportTestCase):
    """One daemon with the task t1, a server, and the words for going and coming."""

    def lose(self, connection: int = 1, now: float = NOW) -> list[Effect]:
        """Take a connection away."""
        return self.relay.daemon_lost(connection, "cable cut", now)

    def pass_time(self, seconds: float) -> list[Effect]:
        """Have it be so many seconds after the beginning."""
        return self.relay.time_passed(NOW + seconds, AT + seconds)

    def heartbeat(self, connection: int, *active: str, now: float = NOW) -> list[Effect]:
        """Have a daemon list its tasks."""
        return self.report(connection, wire("heartbeat", activeTasks=list(active)), now)


def failed_as_lost(now: float, number: int = 1) -> list[object]:
    """What is done when t1 is given up for good, so many seconds after the beginning."""
    error = "daemon host-m1 lost"
    report = wire("taskComplete", taskId="t1", success=False, error=error)
    return [
        logged("task_lost", taskId="t1", daemonId=D1, hostname="host-m1"),
        SaveTask(ORPHANED.ended(TaskStatus.FAILED, AT + now, error), AT + now, before=TaskStatus.ORPHANED),
        KeepReport(number, report),
        SendUpstream(SERVER, report, number),
    ]
