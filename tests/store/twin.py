"""A model of the store that has the database beside it, and looks whether both have the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.effects import Saved
from makima_relay.core.snapshot import Snapshot
from makima_relay.store import reader, writer
from makima_relay.store.database import connect, open_database
from tests.core.model import ModelStore


class TwinStore(ModelStore):
    """Writes everything into a database too.

    :param connection: the database, of the relay's schema.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def copy(self) -> ModelStore:
        """The plain tables alone."""
        other = ModelStore()
        for name in vars(other):
            setattr(other, name, getattr(self, name).copy())
        return other

    def commit(self, batch: Iterable[Saved]) -> None:
        """Write all of these into both."""
        effects = list(batch)
        super().commit(effects)
        with self._connection:
            writer.write(self._connection.cursor(), effects)
        found = reader.read_snapshot(self._connection.cursor())
        expected = self.snapshot()
        assert in_order(found) == in_order(expected), f"{found} is not {expected}"
        task_ids = [task.task_id for task in self.tasks.values()]
        recalled = reader.read_tasks(self._connection.cursor(), task_ids)
        assert {task.key: task for task in recalled} == self.tasks


def in_order(snapshot: Snapshot) -> Snapshot:
    """The same with the daemons in the order of their ids."""
    daemons = tuple(sorted(snapshot.daemons, key=lambda each: each.daemon_id))
    return msgspec.structs.replace(snapshot, daemons=daemons)


def maker(case: SynchronousTestCase) -> Callable[[], TwinStore]:
    """Make a maker of stores with an empty database each, in memory, for as long as a test runs."""
    path = Path(case.mktemp()).absolute()
    case.addCleanup(open_database(path).release)
    empty = connect(path)
    case.addCleanup(empty.close)

    def make() -> TwinStore:
        connection = sqlite3.connect(":memory:")
        case.addCleanup(connection.close)
        empty.backup(connection)
        return TwinStore(connection)

    return make
