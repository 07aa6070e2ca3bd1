"""A database with a long history, made without a relay."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from makima_relay.store.database import open_database
from makima_relay.store.texts import keep_texts

_DAEMONS = 50
_DAYS = 20 * 86400.0
_MESSAGE = b'{"type":"spawnTask","taskId":"old-%08d","plan":"' + b"x" * 300 + b'"}'
_AT_ONCE = 20_000
_WORDS = ("parser", "session", "router", "schema", "editor", "index", "cache", "login", "search", "report")


def make_history(directory: Path, tasks: int) -> None:
    """Make the relay's database with so many finished tasks, each with its message and three events."""
    path = directory / "makima-relay.sqlite3"
    open_database(path).release()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        indexes: dict[str, str] = dict(found.fetchall())
        # Making them of a whole table is much faster than adding to them row by row.
        for name in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.executemany(
            "INSERT INTO daemons (daemon_id, machine_id, hostname, draining, seen_at) VALUES (?, ?, ?, 0, 0)",
            [(_daemon(number), f"machine-{number}", f"host-{number}") for number in range(_DAEMONS)],
        )
        now = time.time()
        for start in range(0, tasks, _AT_ONCE):
            some = range(start, min(tasks, start + _AT_ONCE))
            with connection:
                _add(connection, some, now - _DAYS, _DAYS / tasks)
        for definition in indexes.values():
            connection.execute(definition)
        connection.commit()
        _keep_texts(connection)


def _keep_texts(connection: sqlite3.Connection) -> None:
    """Do what a relay does within a minute."""
    number: int | None = 0
    while number is not None:
        with connection:
            number = keep_texts(connection.cursor(), number)


def _daemon(number: int) -> str:
    return f"00000000-0000-5000-8000-{number:012d}"


def _status(number: int) -> str:
    return "failed" if number % 20 == 7 else "cancelled" if number % 100 == 3 else "completed"


def _add(connection: sqlite3.Connection, numbers: range, began: float, gap: float) -> None:
    connection.executemany(
        "INSERT INTO tasks (key, position, task_id, name, status, daemon_id, attempts, tries, received_at, "
        "dispatched_at, started_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?)",
        [_task(number, began + number * gap) for number in numbers],
    )
    connection.executemany(
        "INSERT INTO task_messages (task, message) VALUES (?, ?)",
        ((number + 1, _MESSAGE % number) for number in numbers),
    )
    connection.executemany(
        "INSERT INTO task_changes (task, changes) VALUES (?, ?)",
        (
            (number + 1, json.dumps(changes).encode())
            for number in numbers
            for changes in _changes(number, began + number * gap)
        ),
    )
    connection.executemany(
        "UPDATE task_counts SET tasks = tasks + ? WHERE status = ?",
        [(count, status) for status, count in Counter(map(_status, numbers)).items()],
    )


def _task(number: int, at: float) -> tuple[object, ...]:
    name = f"Mend the {_WORDS[number % 10]} of {_WORDS[number // 10 % 10]} {number}"
    key, daemon = number + 1, _daemon(number % _DAEMONS)
    return key, key, f"old-{number:08d}", name, _status(number), daemon, at, at, at + 1, at + 60


def _changes(number: int, at: float) -> Iterator[list[list[object]]]:
    """The changes of a task's status, as the relay keeps them: by commit."""
    daemon = _daemon(number % _DAEMONS)
    yield [[at, "pending", None, None], [at, "dispatched", daemon, None]]
    yield [[at + 60, _status(number), daemon, None]]
