"""A relay among peers that are moved by a script."""

from __future__ import annotations

import abc
from typing import Any

from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.messages import DaemonMessage, Hello, ServerMessage
from makima_relay.core.relay import Relay
from tests.book import Book
from tests.core.builders import hello, wire


class Stage(abc.ABC):
    """A relay among peers that do as the script says; all that they say and see is in a book.

    :param book: where it is written down.
    """

    relay: Relay

    def __init__(self, book: Book) -> None:
        self.book = book
        self._said = 0
        self._connections: dict[str, int] = {}
        self._unproved: list[tuple[int, str]] = []

    # -------------------------------------------------------------------------------------------------- the peers

    def server_connects(self) -> None:
        """The server accepts the relay."""
        self._unproved.clear()
        self.upstream_ready()

    def server_leaves(self) -> None:
        """The connection to the server is lost, and with it whatever proof was under way."""
        self._unproved.clear()
        self.upstream_lost()

    def server_sends(self, kind: str, task_id: str) -> None:
        """The server sends a message about a task."""
        self._said += 1
        payload = wire(kind, taskId=task_id, n=self._said)
        self.book.note("spawned" if kind == "spawnTask" else "commanded", task_id, payload.decode())
        self.command_received(read_command(payload))

    def server_proves(self, *, but: int = 0) -> None:
        """The server proves what it has read on this connection.

        :param but: so many reports are still on their way.
        """
        read = self._unproved[: len(self._unproved) - but]
        del self._unproved[: len(read)]
        for _, payload in read:
            self.book.note("proved", payload)
        if read:
            self.acknowledged(read[-1][0])

    def daemon_connects(self, machine: str, capacity: int) -> None:
        """A daemon authenticates; an older connection of its goes when it is replaced."""
        older = self._connections.get(machine)
        self.book.note("joined", machine)
        self._connections[machine] = self.daemon_joined(machine, hello(machine, capacity))
        if older is not None:
            self.daemon_lost(older)

    def daemon_leaves(self, machine: str) -> None:
        """A daemon's connection is lost."""
        self.book.note("left", machine)
        self.daemon_lost(self._connections.pop(machine))

    def daemon_sends(self, machine: str, kind: str, **members: Any) -> None:
        """A daemon reports.

        :param members: ``late`` if it ends no task though it looks so, ``refused`` if it is about another's task.
        """
        self._said += 1
        payload = wire(kind, **members, n=self._said)
        if kind != "heartbeat":
            self.book.note("reported", machine, repr(self.now), payload.decode())
        self.report_received(self._connections[machine], read_report(payload))

    def peers_ping(self) -> None:
        """All peers ping the relay; when that answers, it vouches for what they have said."""
        self.ask_if_safe(len(self.book.lines))

    def operator_cancels(self, task_id: str) -> None:
        """An operator wants a task stopped."""
        self.book.note("commanded", task_id, wire("interruptTask", taskId=task_id).decode())
        self.cancel_requested(task_id)

    def operator_drains(self, machine: str, *, draining: bool = True) -> None:
        """An operator wants a daemon to get no new tasks, or to get them again."""
        self.book.note("drained" if draining else "resumed", machine, repr(self.now))
        self.drain_requested(daemon_id_of(machine), draining=draining)

    def relay_stops(self) -> None:
        """The relay sends all away and stops; then nothing may be lost, also of what comes until they are gone."""
        self.stopping()
        for machine in list(self._connections):
            self.daemon_sends(machine, "news")
            self.daemon_leaves(machine)
        self.server_leaves()
        self.stop()

    def sent_to_daemon(self, machine: str, payload: bytes) -> None:
        """Write down what a daemon sees."""
        self.book.note("sent", machine, payload.decode())

    def sent_to_server(self, payload: bytes, number: int | None) -> None:
        """Write down what the server sees."""
        self.book.note("sent", "server", payload.decode())
        if number is not None:
            assert all(number > each for each, _ in self._unproved), "reports are out of order"
            self._unproved.append((number, payload.decode()))

    # ------------------------------------------------------------------------------------ what the relay is told

    @property
    @abc.abstractmethod
    def now(self) -> float:
        """The time, in monotonic seconds."""

    @abc.abstractmethod
    def begin(self) -> None:
        """Start a relay on what the store has."""

    @abc.abstractmethod
    def stopping(self) -> None:
        """Have it take no new tasks, and wait until all can be sent away."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Stop it."""

    @abc.abstractmethod
    def time_passes(self, seconds: float) -> None:
        """Let time pass as it does in life."""

    @abc.abstractmethod
    def ask_if_safe(self, lines: int) -> None:
        """Have written down when so many lines of the book cannot be lost any more."""

    @abc.abstractmethod
    def upstream_ready(self) -> None:
        """See the engine, as for all below."""

    @abc.abstractmethod
    def upstream_lost(self) -> None: ...

    @abc.abstractmethod
    def command_received(self, message: ServerMessage) -> None: ...

    @abc.abstractmethod
    def acknowledged(self, number: int) -> None: ...

    @abc.abstractmethod
    def daemon_joined(self, machine: str, said: Hello) -> int: ...

    @abc.abstractmethod
    def daemon_lost(self, connection: int) -> None: ...

    @abc.abstractmethod
    def report_received(self, connection: int, report: DaemonMessage) -> None: ...

    @abc.abstractmethod
    def cancel_requested(self, task_id: str) -> None: ...

    @abc.abstractmethod
    def drain_requested(self, daemon_id: str, *, draining: bool) -> None: ...
