"""What the tests of reading and writing share: a database with the relay's own schema, and tasks to put into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core import effects
from makima_relay.core.journal import Entry
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.store import reader, writer
from makima_relay.store.database import connect, open_database

_T = TypeVar("_T")


def make_task(key: int, task_id: str | None = None, **members: Any) -> Task:
    """A pending task, but for the members that are given."""
    defaults = {"position": key, "name": f"task {key}", "received_at": 1000.0 + key}
    return Task(key=key, task_id=task_id or f"t{key}", **{**defaults, **members})


def save(
    task: Task, at: float = 2000.0, message: bytes | None = None, before: TaskStatus | None = None
) -> effects.SaveTask:
    """The effect that keeps a task, which is new unless it was something before."""
    return effects.SaveTask(task, at, message, before)


def steps(*states: Task) -> list[effects.SaveTask]:
    """The effects that keep a task as it moves on from being new."""
    befores = [None, *(state.status for state in states)]
    return [save(state, before=before) for state, before in zip(states, befores, strict=False)]


def finished(task: Task, status: TaskStatus = TaskStatus.COMPLETED, error: str | None = None) -> Task:
    """A task as it is when it has run to its end."""
    ran = task.dispatched("d1", 1100.0).running("d1", 1200.0)
    return ran.ended(status, 1300.0, error)


def entry(number: int) -> effects.SaveEntry:
    """The effect that keeps a journal entry."""
    return effects.SaveEntry(Entry(number, 1000.5 + number, "daemon_connected", f"no. {number}", {"n": number}))


def save_daemon(number: int, hostname: str, *, draining: bool = False) -> effects.SaveDaemon:
    """The effect that keeps what is known of a daemon: d1 is on machine m1, and so on."""
    return effects.SaveDaemon(f"d{number}", f"m{number}", hostname, draining, 1000.0)


class StoreTestCase(SynchronousTestCase):
    """Has a database of the relay's own schema."""

    connection: sqlite3.Connection

    def setUp(self) -> None:
        """Make the database."""
        self.path = Path(self.mktemp()).absolute()
        self.addCleanup(open_database(self.path).release)
        self.connection = connect(self.path)
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close the connection that is open by then."""
        self.connection.close()

    def write(self, *batch: effects.Saved) -> None:
        """Write a batch in one transaction."""
        with self.connection:
            writer.write(self.connection.cursor(), batch)

    def read(self, question: Callable[..., _T], *arguments: Any) -> _T:
        """Ask the reader something."""
        return question(self.connection.cursor(), *arguments)

    def reopen(self) -> Snapshot:
        """Read what a relay takes up that starts with this database."""
        self.close()
        self.connection = connect(self.path)
        return self.read(reader.read_snapshot)
