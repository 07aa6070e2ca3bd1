"""Reads the store: what a relay takes up when it starts, and the history that people look at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import attrs
from msgspec import json

from makima_relay.core.journal import Entry
from makima_relay.core.outbox import Backlog
from makima_relay.core.snapshot import Snapshot, StoredDaemon, StoredTask
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.store.filters import Filter, condition
from makima_relay.store.foreign import read_foreign
from makima_relay.store.keys import read_keys
from makima_relay.store.peers import read_peers
from makima_relay.store.search import Counts, find

_COLUMNS = """
    key, position, task_id, name, status, daemon_id, attempts, tries,
    received_at, dispatched_at, started_at, finished_at, error, traceparent, relay, hostname
"""
_UNFINISHED = "('pending', 'dispatched', 'running', 'orphaned')"
#: SQLite takes a bounded number of parameters; this many ids are asked for at a time.
_IDS_AT_A_TIME = 500
_NEXT_KEY = """
    SELECT 1 + max(coalesce((SELECT max(key) FROM tasks), 0), coalesce((SELECT max(position) FROM tasks), 0),
                   (SELECT coalesce(max(max(key, position)), 0) FROM foreign_tasks))
"""
#: Tasks that other relays have are not with daemons here.
_WITH_TASKS = f"""
    SELECT daemon_id FROM tasks WHERE status IN {_UNFINISHED} AND relay IS NULL
    UNION ALL SELECT daemon_id FROM foreign_tasks
"""
_NAME = "SELECT hostname FROM daemons WHERE daemon_id = ?"
_AGENT_NAME = "coalesce(nullif((SELECT agent_name FROM peers WHERE relay_id = relay), ''), relay)"
_decode_changes = json.Decoder(list[tuple[float, str, str | None, str | None]]).decode


@attrs.frozen
class TaskRow:
    """A task of the history, with its daemon's name.

    :ivar relay: the agent name of the relay that has or had it; none if it is this one.
    """

    task: Task
    hostname: str | None
    relay: str | None = None


@attrs.frozen
class TaskEvent:
    """A change of a task's status, at a time in seconds since the epoch."""

    at: float
    status: str
    daemon_id: str | None
    error: str | None


def _task(row: Sequence[Any]) -> Task:
    return Task(
        key=row[0],
        position=row[1],
        task_id=row[2],
        name=row[3],
        status=TaskStatus(row[4]),
        daemon_id=row[5],
        attempts=row[6],
        tries=row[7],
        received_at=row[8],
        dispatched_at=row[9],
        started_at=row[10],
        finished_at=row[11],
        error=row[12],
        traceparent=row[13],
        relay=row[14],
        hostname=row[15],
    )


def read_snapshot(cursor: Any) -> Snapshot:
    """Read all that a relay takes up when it starts; finished tasks stay where they are."""
    next_key = cursor.execute(_NEXT_KEY).fetchone()[0]
    total = cursor.execute("SELECT value FROM meta WHERE name = 'total_finished'").fetchone()[0]
    return Snapshot(
        next_key=next_key,
        total_finished=total,
        tasks=_read_unfinished(cursor),
        daemons=_read_daemons(cursor),
        backlog=_read_backlog(cursor),
        entries=_read_journal(cursor),
        keys=read_keys(cursor),
        peers=read_peers(cursor),
    )


def read_edge(cursor: Any) -> Snapshot:
    """Read what is not about tasks and reports: the journal and the daemon keys."""
    return Snapshot(entries=_read_journal(cursor), keys=read_keys(cursor))


def _read_backlog(cursor: Any) -> Backlog:
    row = cursor.execute("SELECT min(number), max(number), count(*), sum(length(payload)) FROM reports").fetchone()
    return Backlog(*row) if row[2] else Backlog()


def read_reports(cursor: Any, after: int, up_to: int, size: int) -> tuple[list[tuple[int, bytes]], int]:
    """Read kept reports; see :meth:`makima_relay.ports.Store.reports`."""
    reports = []
    rows = cursor.execute(
        "SELECT number, payload FROM reports WHERE number > ? AND number <= ? ORDER BY number", [after, up_to]
    )
    for number, payload in rows:
        reports.append((number, payload))
        size -= len(payload)
        if size <= 0:
            return reports, number
    return reports, up_to


def _read_unfinished(cursor: Any) -> tuple[StoredTask, ...]:
    commands: dict[int, list[bytes | None]] = {}
    for key, payload in cursor.execute("SELECT task, payload FROM commands ORDER BY number"):
        commands.setdefault(key, []).append(payload)
    rows = cursor.execute(
        f"SELECT {_COLUMNS}, message FROM tasks LEFT JOIN task_messages ON task = key "
        f"WHERE status IN {_UNFINISHED} ORDER BY position"
    )
    own = [(_task(row), row[16]) for row in rows]
    foreign = [(task, None) for task in read_foreign(cursor)]
    return tuple(
        StoredTask(task=task, message=message, commands=tuple(commands.get(task.key, ())))
        for task, message in chain(own, foreign)
    )


def _read_daemons(cursor: Any) -> tuple[StoredDaemon, ...]:
    """Read the daemons that matter before they connect: those with tasks, and those being drained."""
    rows = cursor.execute(
        f"SELECT daemon_id, machine_id, hostname, draining FROM daemons WHERE draining OR daemon_id IN ({_WITH_TASKS})"
    )
    return tuple(
        StoredDaemon(daemon_id=row[0], machine_id=row[1], hostname=row[2], draining=bool(row[3])) for row in rows
    )


def _read_journal(cursor: Any) -> tuple[Entry, ...]:
    rows = cursor.execute("SELECT number, at, event, detail, fields FROM journal ORDER BY number")
    return tuple(Entry(row[0], row[1], row[2], row[3], json.decode(row[4])) for row in rows)


def read_tasks(cursor: Any, task_ids: Sequence[str]) -> list[Task]:
    """Read those of these tasks that are stored."""
    found = []
    for start in range(0, len(task_ids), _IDS_AT_A_TIME):
        some = task_ids[start : start + _IDS_AT_A_TIME]
        marks = ", ".join("?" * len(some))
        rows = cursor.execute(f"SELECT {_COLUMNS} FROM tasks WHERE task_id IN ({marks})", some)
        found += [_task(row) for row in rows]
    return found


def read_task_ids(cursor: Any, after: str, most: int) -> list[str]:
    """Read ids of tasks; see :meth:`makima_relay.recollection.KnownIds.task_ids`."""
    rows = cursor.execute("SELECT task_id FROM tasks WHERE task_id > ? ORDER BY task_id LIMIT ?", [after, most])
    return [row[0] for row in rows]


def read_page(
    cursor: Any, wanted: Filter, limit: int, offset: int, counts: Counts | None = None
) -> tuple[list[TaskRow], int]:
    """Read a page of the history, newest first.

    :param limit: how many tasks at most.
    :param offset: how many to leave out before them.
    :param counts: what earlier searches counted; nothing if none is given.
    :return: the page, and how many tasks there are in all.
    """
    # All that is read for it is of one moment. (Released, not committed: the caller may be in a transaction.)
    cursor.execute("SAVEPOINT page")
    if wanted.text:
        positions, total = find(cursor, wanted, limit, offset, counts or Counts())
        rows = _read_rows(cursor, "SELECT value AS place FROM json_each(?)", [json.encode(positions).decode()])
    else:
        total = _count(cursor, wanted)
        rows = _read_rows(cursor, *_places(wanted, limit, offset, total)) if offset < total else []
    cursor.execute("RELEASE page")
    return rows, total


def _places(wanted: Filter, limit: int, offset: int, total: int) -> tuple[str, list[Any]]:
    """The query that finds a page's positions in an index alone, so that leaving out many rows does not read them."""
    where, values = condition(wanted)
    order = "DESC"
    if offset > total // 2:
        # The nearer end: leaving a million rows out takes 40 ms.
        order, limit, offset = "ASC", min(limit, total - offset), max(0, total - offset - limit)
    query = f"SELECT position AS place FROM tasks WHERE {where} ORDER BY position {order} LIMIT ? OFFSET ?"
    return query, [*values, limit, offset]


def _read_rows(cursor: Any, places: str, values: list[Any]) -> list[TaskRow]:
    columns = ", ".join(f"tasks.{name.strip()}" for name in _COLUMNS.split(","))
    rows = cursor.execute(
        f"SELECT {columns}, daemons.hostname, {_AGENT_NAME} FROM ({places}) JOIN tasks ON position = place "
        "LEFT JOIN daemons ON daemons.daemon_id = tasks.daemon_id ORDER BY position DESC",
        values,
    )
    return [TaskRow(_task(row), row[15] or row[16], row[17]) for row in rows]


def _count(cursor: Any, wanted: Filter) -> int:
    if wanted.daemon is None:
        status = None if wanted.status is None else wanted.status.value
        query = "SELECT sum(tasks) FROM task_counts WHERE ?1 IS NULL OR status = ?1"
        return int(cursor.execute(query, [status]).fetchone()[0])
    where, values = condition(wanted)
    return int(cursor.execute(f"SELECT count(*) FROM tasks WHERE {where}", values).fetchone()[0])


def read_counts(cursor: Any) -> dict[TaskStatus, int]:
    """Read how many tasks there are in each status."""
    return {TaskStatus(status): tasks for status, tasks in cursor.execute("SELECT status, tasks FROM task_counts")}


def read_task(cursor: Any, task_id: str) -> tuple[TaskRow, list[TaskEvent]] | None:
    """Read one task and what became of it, oldest first."""
    found = read_tasks(cursor, [task_id])
    if not found:
        return None
    task = found[0]
    (hostname,) = cursor.execute(_NAME, [task.daemon_id]).fetchone() or (None,)
    (relay,) = cursor.execute(f"SELECT {_AGENT_NAME} FROM tasks WHERE key = ?", [task.key]).fetchone()
    rows = cursor.execute("SELECT changes FROM task_changes WHERE task = ? ORDER BY number", [task.key])
    events = [TaskEvent(*change) for row in rows for change in _decode_changes(row[0])]
    return TaskRow(task, task.hostname or hostname, relay), events
