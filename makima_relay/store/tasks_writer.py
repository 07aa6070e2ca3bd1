"""Writes tasks: of a batch the last state of each, every change of status, and how many there are of each status."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec

from makima_relay.core.effects import OrphanTasks, SaveTask
from makima_relay.core.tasks import FINISHED, Task, TaskStatus
from makima_relay.store.foreign import orphan_foreign
from makima_relay.store.rows import write_rows

_ADD = """
    INSERT INTO tasks (key, position, task_id, name, status, daemon_id, attempts, tries,
                       received_at, dispatched_at, started_at, finished_at, error, traceparent, relay, hostname) {rows}
"""
_RENEW = """
    UPDATE tasks SET position = ?, name = ?, status = ?, daemon_id = ?, attempts = ?, tries = ?,
        received_at = ?, dispatched_at = ?, started_at = ?, finished_at = ?, error = ?, traceparent = ?,
        relay = ?, hostname = ?
    WHERE key = ?
"""
# SQLite touches the indexes of all columns that are set, changed or not: the usual moves set few.
_DISPATCH = """
    UPDATE tasks SET status = ?, daemon_id = ?, attempts = ?, tries = ?,
        dispatched_at = ?, started_at = ?, finished_at = ?, error = ?, relay = ?, hostname = ? WHERE key = ?
"""
_MOVE = "UPDATE tasks SET status = ?, started_at = ?, finished_at = ?, error = ? WHERE key = ?"
_ADD_CHANGES = "INSERT INTO task_changes (task, changes) {rows}"
_KEEP_MESSAGES = "INSERT OR REPLACE INTO task_messages (task, message) {rows}"
_EXISTS = "SELECT 1 FROM tasks WHERE key = ?"
_COUNT = "UPDATE task_counts SET tasks = tasks + ? WHERE status = ?"
#: What another relay has goes on there.
_IS_AT_WORK = "status IN ('dispatched', 'running') AND relay IS NULL"
_AT_WORK = f"FROM tasks WHERE {_IS_AT_WORK}"
_COUNT_AT_WORK = f"SELECT status, count(*) {_AT_WORK} GROUP BY status"
_NOTE_ORPHANS = f"""
    INSERT INTO task_changes (task, changes)
    SELECT key, CAST(json_array(json_array(?, 'orphaned', daemon_id, error)) AS BLOB) {_AT_WORK}
"""
_ORPHAN = f"UPDATE tasks SET status = 'orphaned' WHERE {_IS_AT_WORK}"
_FORGET = (
    "DELETE FROM commands WHERE task = ?",
    "DELETE FROM task_changes WHERE task = ?",
    "DELETE FROM task_messages WHERE task = ?",
    "DELETE FROM tasks WHERE key = ?",
)
_SOME_DAEMONS = "SELECT max(daemon_id) FROM (SELECT daemon_id FROM daemons WHERE daemon_id > ? ORDER BY 1 LIMIT ?)"
# The index on tasks answers without a look at them.
_FORGET_DAEMONS = """
    DELETE FROM daemons WHERE daemon_id > ? AND daemon_id <= ?
        AND seen_at < ? AND NOT draining AND daemon_id NOT IN (SELECT value FROM json_each(?))
        AND daemon_id NOT IN (SELECT daemon_id FROM foreign_tasks WHERE daemon_id IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.daemon_id = daemons.daemon_id)
"""

#: How many members of a task there are columns for.
_COLUMNS = 16
#: SQLite's binding takes a plain string much faster than an enum.
_WORDS = {status: status.value for status in TaskStatus}
_encode = msgspec.json.Encoder().encode


def write_tasks(cursor: Any, saves: Sequence[SaveTask]) -> None:
    """Write the tasks of a batch, in a transaction that the caller commits.

    :param saves: in the order in which they were decided; several may be of one task.
    """
    by_task: dict[int, list[SaveTask]] = defaultdict(list)
    for save in saves:
        by_task[save.task.key].append(save)
    if _make_anew(cursor, by_task):
        saves = list(chain.from_iterable(by_task.values()))
    _write_last_states(cursor, by_task.values())
    write_rows(cursor, _ADD_CHANGES, [(key, _changes(moves)) for key, moves in by_task.items()])
    messages = [(save.task.key, save.message) for save in saves if save.message is not None]
    write_rows(cursor, _KEEP_MESSAGES, messages)
    _count(cursor, saves)


def _make_anew(cursor: Any, by_task: dict[int, list[SaveTask]]) -> bool:
    """Of tasks that had finished some may have been pruned, though they were in mind still: those are new again."""
    asked_again = [key for key, moves in by_task.items() if moves[0].before in FINISHED]
    pruned = [key for key in asked_again if cursor.execute(_EXISTS, [key]).fetchone() is None]
    for key in pruned:
        by_task[key][0] = msgspec.structs.replace(by_task[key][0], before=None)
    return bool(pruned)


def _write_last_states(cursor: Any, moves_of_tasks: Iterable[list[SaveTask]]) -> None:
    added, renewed, dispatched, moved = [], [], [], []
    for moves in moves_of_tasks:
        row = _row(moves[-1].task)
        if moves[0].before is None:
            added.append(row)
        elif any(save.before in FINISHED for save in moves):
            renewed.append([row[1], *row[3:], row[0]])
        elif any(save.elsewhere or save.task.status is TaskStatus.DISPATCHED for save in moves):
            dispatched.append([*row[4:8], *row[9:13], *row[14:], row[0]])
        else:
            moved.append([row[4], *row[10:13], row[0]])
    write_rows(cursor, _ADD, added)
    cursor.executemany(_RENEW, renewed)
    cursor.executemany(_DISPATCH, dispatched)
    cursor.executemany(_MOVE, moved)


def _row(task: Task) -> list[Any]:
    """A task's columns, which are its first members in their order."""
    row = list(msgspec.structs.astuple(task)[:_COLUMNS])
    row[4] = _WORDS[task.status]
    return row


def _changes(moves: Iterable[SaveTask]) -> bytes:
    return _encode([(save.at, save.task.status, save.task.daemon_id, save.task.error) for save in moves])


def _count(cursor: Any, saves: Iterable[SaveTask]) -> None:
    """Keep the counts: from one status to the other, and how often a task finished."""
    counts: Counter[TaskStatus] = Counter()
    ends = 0
    for (before, after), number in Counter([(save.before, save.task.status) for save in saves]).items():
        counts[after] += number
        if before is not None:
            counts[before] -= number
            ends += number if after in FINISHED and before not in FINISHED else 0
    _add_to_counts(cursor, {_WORDS[status]: number for status, number in counts.items()})
    if ends:
        cursor.execute("UPDATE meta SET value = value + ? WHERE name = 'total_finished'", [ends])


def _add_to_counts(cursor: Any, counts: dict[str, int]) -> None:
    cursor.executemany(_COUNT, [(number, status) for status, number in counts.items() if number])


def orphan_tasks(cursor: Any, orphanings: Iterable[OrphanTasks]) -> None:
    """Orphan all tasks that daemons here were left with, in a transaction that the caller commits."""
    for orphaning in orphanings:
        counts = dict(cursor.execute(_COUNT_AT_WORK).fetchall())
        cursor.execute(_NOTE_ORPHANS, [orphaning.at])
        cursor.execute(_ORPHAN)
        orphan_foreign(cursor)
        orphaned = {TaskStatus.ORPHANED.value: sum(counts.values())}
        _add_to_counts(cursor, orphaned | {status: -number for status, number in counts.items()})


def prune(cursor: Any, finished_before: float, most: int) -> int:
    """Delete the oldest tasks that finished before a time; see :meth:`makima_relay.housekeeping.PrunedStore.prune`."""
    found = cursor.execute(
        "SELECT key, status FROM tasks WHERE finished_at < ? ORDER BY finished_at LIMIT ?", [finished_before, most]
    ).fetchall()
    keys = [(key,) for key, _ in found]
    for statement in _FORGET:
        cursor.executemany(statement, keys)
    counts = Counter(status for _, status in found)
    _add_to_counts(cursor, {status: -number for status, number in counts.items()})
    return len(found)


def prune_daemons(
    cursor: Any, seen_before: float, connected: Sequence[str], after: str, most: int
) -> tuple[int, str | None]:
    """Forget daemons; see :meth:`makima_relay.housekeeping.PrunedStore.prune_daemons`."""
    last = cursor.execute(_SOME_DAEMONS, [after, most]).fetchone()[0]
    if last is None:
        return 0, None
    cursor.execute(_FORGET_DAEMONS, [after, last, seen_before, msgspec.json.encode(connected).decode()])
    return int(cursor.rowcount), last
