"""Databases that older releases left are taken up whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.outbox import Backlog
from makima_relay.core.snapshot import Snapshot, StoredTask
from makima_relay.core.tasks import TaskStatus
from makima_relay.store import reader, writer
from makima_relay.store.database import connect, newest_schema, open_database
from makima_relay.store.filters import Filter
from makima_relay.store.reader import TaskEvent
from tests.store.case import finished, make_task, save

SCHEMA: Final = resources.files("makima_relay.store") / "schema"

#: What a relay of the first schema wrote: one task ran to its end, one is at work.
FIRST = """
INSERT INTO tasks VALUES
    (1, 1, 't1', 'task 1', 'pending', NULL, 0, 0, 1001.0, NULL, NULL, NULL, NULL),
    (2, 5, 't2', 'task 2', 'dispatched', 'd1', 1, 1, 1002.0, 1100.0, NULL, NULL, NULL);
UPDATE tasks SET status = 'completed', daemon_id = 'd1', attempts = 1, tries = 1, dispatched_at = 1100.0,
    started_at = 1200.0, finished_at = 1300.0 WHERE key = 1;
INSERT INTO task_messages VALUES (1, x'7b7d'), (2, x'7b7d');
INSERT INTO task_events (task, at, status, daemon_id, error) VALUES
    (1, 1001.0, 'pending', NULL, NULL), (2, 1002.0, 'pending', NULL, NULL), (1, 1100.0, 'dispatched', 'd1', NULL),
    (2, 1100.5, 'dispatched', 'd1', NULL), (1, 1300.0, 'completed', 'd1', 'say "é"');
-- And what an operator has added.
CREATE VIEW at_work AS SELECT task_id FROM tasks WHERE status = 'dispatched';
"""
#: What a relay of any schema has written: a task that waits with its commands, and a report.
ANY = """
INSERT INTO tasks (key, position, task_id, name, status, attempts, tries, received_at)
    VALUES (3, 4, 't3', 'task 3', 'pending', 0, 0, 1003.0);
UPDATE task_counts SET tasks = 1 WHERE status = 'pending';
INSERT INTO task_messages VALUES (3, x'7b7d');
INSERT INTO commands (task, payload) VALUES (3, x'61'), (3, NULL), (3, x'62');
INSERT INTO reports VALUES (7, x'72');
CREATE VIEW waiting AS SELECT task FROM commands;
"""


def copy_schema(directory: Path, version: int) -> None:
    """Have the schema as it was in an earlier version."""
    for each in SCHEMA.iterdir():
        if each.name[:4].isdigit() and int(each.name[:4]) <= version:
            (directory / each.name).write_text(each.read_text(encoding="utf-8"), encoding="utf-8")


class UpgradeTests(SynchronousTestCase):
    """From the first schema to the newest."""

    def setUp(self) -> None:
        """Have a database of the first schema with something in it, and upgrade it."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        copy_schema(directory, 1)
        path = directory / "relay.sqlite3"
        open_database(path, directory).release()
        with closing(connect(path)) as older:
            older.executescript(FIRST)
        self.addCleanup(open_database(path).release)
        self.connection = connect(path)
        self.addCleanup(self.connection.close)
        self.cursor = self.connection.cursor()

    def test_all_tasks_are_there(self) -> None:
        """Those at work with their message, all in the history, and counted."""
        at_work = make_task(2, position=5).dispatched("d1", 1100.0)
        snapshot = reader.read_snapshot(self.cursor)
        self.assertEqual(snapshot.tasks, (StoredTask(task=at_work, message=b"{}"),))
        self.assertEqual((snapshot.next_key, snapshot.total_finished), (6, 1))
        rows, total = reader.read_page(self.cursor, Filter(), 10, 0)
        self.assertEqual(([row.task for row in rows], total), ([at_work, finished(make_task(1))], 2))

    def test_they_have_no_trace_until_they_are_asked_for_again(self) -> None:
        """The column is empty then; a new attempt brings its own."""
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        again = finished(make_task(1)).asked_again(9, "task 1", 1500.0, trace)
        writer.write(self.cursor, [save(again, 1500.0, before=TaskStatus.COMPLETED)])
        found = {task.task_id: task.traceparent for task in reader.read_tasks(self.cursor, ["t1", "t2"])}
        self.assertEqual(found, {"t1": trace, "t2": None})

    def test_so_is_what_became_of_them(self) -> None:
        """In its order, and what becomes of them now comes behind it."""
        ended = make_task(2).dispatched("d1", 1100.0).ended(TaskStatus.FAILED, 1400.0, "no")
        writer.write(self.cursor, [save(ended, 1400.0, before=TaskStatus.DISPATCHED)])
        expected = {
            "t1": [
                TaskEvent(1001.0, "pending", None, None),
                TaskEvent(1100.0, "dispatched", "d1", None),
                TaskEvent(1300.0, "completed", "d1", 'say "é"'),
            ],
            "t2": [
                TaskEvent(1002.0, "pending", None, None),
                TaskEvent(1100.5, "dispatched", "d1", None),
                TaskEvent(1400.0, "failed", "d1", "no"),
            ],
        }
        for task_id, events in expected.items():
            found = reader.read_task(self.cursor, task_id)
            assert found is not None
            self.assertEqual(found[1], events)

    def test_an_operators_view_is_there_still(self) -> None:
        """It looks at the new table."""
        self.assertEqual(self.cursor.execute("SELECT * FROM at_work").fetchall(), [("t2",)])

    def test_the_counts_go_on(self) -> None:
        """They are the writer's from now on, and change once."""
        ended = make_task(2).dispatched("d1", 1100.0).ended(TaskStatus.FAILED, 1400.0, "no")
        writer.write(self.cursor, [save(ended, before=TaskStatus.DISPATCHED), save(make_task(7))])
        for status, number in ((TaskStatus.DISPATCHED, 0), (TaskStatus.FAILED, 1), (TaskStatus.PENDING, 1)):
            self.assertEqual(reader.read_page(self.cursor, Filter(status=status), 10, 0)[1], number, status)
        self.assertEqual(reader.read_snapshot(self.cursor).total_finished, 2)


class EveryVersionTests(SynchronousTestCase):
    """From each earlier schema to the newest."""

    def upgraded(self, version: int) -> sqlite3.Connection:
        """A database of that version with something in it, upgraded."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        copy_schema(directory, version)
        path = directory / "relay.sqlite3"
        open_database(path, directory).release()
        with closing(connect(path)) as older:
            older.executescript(ANY)
        self.addCleanup(open_database(path).release)
        connection = connect(path)
        self.addCleanup(connection.close)
        with closing(sqlite3.connect(directory / f"relay.sqlite3.v{version}.backup")) as copy:
            found = copy.execute("PRAGMA user_version").fetchone()[0], copy.execute("SELECT * FROM waiting").fetchall()
        self.assertEqual(found, (version, [(3,)] * 3))
        return connection

    def test_what_waited_waits_on(self) -> None:
        """With its commands in their order; what the newest schema has besides is empty. The older one is backed up."""
        for version in range(1, newest_schema()):
            cursor = self.upgraded(version).cursor()
            snapshot = reader.read_snapshot(cursor)
            waits = StoredTask(task=make_task(3, position=4), message=b"{}", commands=(b"a", None, b"b"))
            self.assertEqual(snapshot, Snapshot(next_key=5, tasks=(waits,), backlog=Backlog(7, 7, 1, 1)))
            self.assertEqual(cursor.execute("SELECT * FROM waiting").fetchall(), [(3,)] * 3)

    def test_all_versions_come_to_the_same_schema(self) -> None:
        """Table by table and index by index."""
        query = "SELECT name, sql FROM sqlite_schema WHERE type != 'view' ORDER BY name"
        schemas = [self.upgraded(each).execute(query).fetchall() for each in range(1, newest_schema())]
        path = Path(self.mktemp()).absolute()
        self.addCleanup(open_database(path).release)
        with closing(connect(path)) as new:
            self.assertEqual(schemas, [new.execute(query).fetchall()] * len(schemas))
