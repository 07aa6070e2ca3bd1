"""Tasks of other relays in the database, while daemons of this one have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from makima_relay.core.cluster_effects import SaveForeign
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.store.rows import write_rows

_COLUMNS: Final = (
    *("key", "position", "task_id", "name", "status", "daemon_id", "attempts", "tries"),
    *("received_at", "dispatched_at", "started_at", "finished_at", "error", "traceparent", "origin", "detached"),
)
_NAMES: Final = ", ".join(_COLUMNS)
_SAVE = f"""
    INSERT INTO foreign_tasks ({_NAMES}) {{rows}} ON CONFLICT (key) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "key")}
"""
_FORGET = ("DELETE FROM foreign_tasks WHERE key = ?", "DELETE FROM commands WHERE task = ?")
_ORPHAN = "UPDATE foreign_tasks SET status = 'orphaned' WHERE status IN ('dispatched', 'running')"


def write_foreign(cursor: Any, saves: Iterable[SaveForeign]) -> None:
    """Write the last states of other relays' tasks, behind the commands of the batch; of one that is not at work
    here any more nothing stays.

    :param saves: in the order in which they were decided; several may be of one task.
    """
    last = {save.task.key: save.task for save in saves}
    ended = [(task.key,) for task in last.values() if not task.at_work]
    for statement in _FORGET:
        cursor.executemany(statement, ended)
    write_rows(cursor, _SAVE, [_row(task) for task in last.values() if task.at_work])


def _row(task: Task) -> list[Any]:
    row = [getattr(task, name) for name in _COLUMNS]
    # SQLite's binding takes a plain string much faster than an enum.
    row[4] = task.status.value
    return row


def orphan_foreign(cursor: Any) -> None:
    """Orphan all of them that are dispatched or running."""
    cursor.execute(_ORPHAN)


def read_foreign(cursor: Any) -> list[Task]:
    """Read them, in the order in which they came."""
    rows = cursor.execute(f"SELECT {_NAMES} FROM foreign_tasks ORDER BY key")
    return [_task(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _task(row: dict[str, Any]) -> Task:
    return Task(**{**row, "status": TaskStatus(row["status"]), "detached": bool(row["detached"])})
