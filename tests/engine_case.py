"""What the tests of the engine share: an engine on a clock and a store that are moved by hand."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock as ManualReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.clock import Clock
from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.messages import Hello
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.spelling import WireCase
from makima_relay.engine import Engine
from tests.fakes import EPOCH, Commit, HandStore, RecordingDaemon, RecordingUpstream


def message(type_: str, **members: Any) -> bytes:
    """A message as a peer sends it."""
    return json.dumps({"type": type_, **members}).encode()


class EngineTestCase(SynchronousTestCase):
    """Has an engine whose commits a test completes, and notes of all that its links are told."""

    policy = Policy(daemon_grace=1.5)

    def setUp(self) -> None:
        """Start the engine; what it has to save at its start is saved."""
        self.reactor = ManualReactor()
        self.store = HandStore()
        self.notes: list[tuple[Any, ...]] = []
        self.broken: list[Failure] = []
        #: By how much somebody has set the wall clock, in seconds.
        self.clock_set_by = 0.0
        clock = Clock(self.reactor, self.reactor.seconds, self.wall)
        self.engine = Engine(Relay(self.policy), self.store, clock, self.broken.append)
        self.engine.start()
        self.settle()

    def wall(self) -> float:
        """The wall clock."""
        return EPOCH + self.reactor.seconds() + self.clock_set_by

    def open_commits(self) -> list[Commit]:
        """Those that are not completed."""
        return [commit for commit in self.store.commits if not commit.done.called]

    def commit(self) -> list[Any]:
        """Complete the one commit that is open.

        :return: what it saved.
        """
        (commit,) = self.open_commits()
        commit.succeeds()
        return commit.effects

    def settle(self) -> None:
        """Complete all commits until nothing is left to save."""
        settled = self.engine.settled()
        while self.open_commits():
            self.commit()
        self.successResultOf(settled)

    def take(self) -> list[tuple[Any, ...]]:
        """What the links were told since the last time."""
        taken = self.notes[:]
        self.notes.clear()
        return taken

    def join(self, name: str, slots: int = 10) -> int:
        """Connect a daemon.

        :return: the number of its connection.
        """
        link = RecordingDaemon(name, self.notes)
        number = self.engine.daemon_joined(link, Hello(name, name, slots, WireCase.CAMEL), "127.0.0.1:1")
        self.settle()
        self.take()
        return number

    def connect(self, name: str = "server") -> None:
        """Connect the server."""
        self.engine.upstream_ready(RecordingUpstream(name, self.notes), "ws://h", None)
        self.settle()

    def spawn(self, task_id: str) -> bytes:
        """Have the server spawn a task that the store does not know."""
        payload = message("spawnTask", taskId=task_id)
        self.engine.command_received(read_command(payload))
        for recall in self.store.recalls:
            if not recall.done.called:
                recall.done.callback([])
        return payload

    def report(self, connection: int, type_: str, **members: Any) -> bytes:
        """Have a daemon report."""
        payload = message(type_, **members)
        self.engine.reports_received(connection, [read_report(payload)])
        return payload

    def run_task(self, task_id: str, connection: int) -> None:
        """Have a task at work on the one daemon that is there."""
        self.spawn(task_id)
        self.settle()
        self.report(connection, "taskOutput", taskId=task_id)
        self.settle()
        self.take()
