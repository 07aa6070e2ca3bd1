"""Writes what the core wants saved: many effects in one transaction."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from makima_relay.core import effects
from makima_relay.core.cluster_effects import SaveForeign
from makima_relay.core.journal import MOST_ENTRIES
from makima_relay.store.foreign import write_foreign
from makima_relay.store.keys import OF_KEYS, write_keys
from makima_relay.store.peers import OF_PEERS, write_peers
from makima_relay.store.rows import write_rows
from makima_relay.store.tasks_writer import orphan_tasks, write_tasks

_SAVE_DAEMON = """
    INSERT INTO daemons (daemon_id, machine_id, hostname, draining, seen_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (daemon_id) DO UPDATE SET
        hostname = excluded.hostname, draining = excluded.draining, seen_at = excluded.seen_at
"""


def write(cursor: Any, batch: Sequence[effects.Saved]) -> None:
    """Write a batch inside a transaction that the caller commits.

    Effects of one class are written together, in their order; those of different classes touch different tables,
    except commands, whose keeping and forgetting is told apart in :func:`_write_commands`, tasks of other relays, which
    take their commands with them, keys, peers, and orphaning, which comes first in a relay's life.

    :param cursor: adbapi's transaction.
    :raises sqlite3.Error: whatever SQLite finds.
    """
    by_class: dict[type[effects.Saved], list[Any]] = defaultdict(list)
    for effect in batch:
        by_class[type(effect)].append(effect)
    orphan_tasks(cursor, by_class[effects.OrphanTasks])
    write_tasks(cursor, by_class[effects.SaveTask])
    if effects.KeepCommand in by_class or effects.ForgetCommands in by_class:
        _write_commands(cursor, batch)
    if SaveForeign in by_class:
        write_foreign(cursor, by_class[SaveForeign])
    if not by_class.keys().isdisjoint(OF_PEERS):
        write_peers(cursor, batch)
    _write_reports(cursor, by_class[effects.KeepReport], by_class[effects.KeepReports])
    _forget_reports(cursor, by_class[effects.ForgetReports])
    if not by_class.keys().isdisjoint(OF_KEYS):
        write_keys(cursor, batch)
    _write_daemons(cursor, by_class[effects.SaveDaemon])
    _write_journal(cursor, by_class[effects.SaveEntry])


def _write_commands(cursor: Any, batch: Sequence[effects.Saved]) -> None:
    kept: dict[int, list[bytes | None]] = defaultdict(list)
    forgotten: set[int] = set()
    for effect in batch:
        if isinstance(effect, effects.KeepCommand):
            kept[effect.task].append(effect.payload)
        elif isinstance(effect, effects.ForgetCommands):
            kept.pop(effect.task, None)
            forgotten.add(effect.task)
    if forgotten:
        cursor.executemany("DELETE FROM commands WHERE task = ?", [(task,) for task in forgotten])
    if kept:
        rows = [(task, payload) for task, payloads in kept.items() for payload in payloads]
        cursor.executemany("INSERT INTO commands (task, payload) VALUES (?, ?)", rows)


def _write_reports(cursor: Any, singles: Sequence[effects.KeepReport], batches: Sequence[effects.KeepReports]) -> None:
    write_rows(
        cursor, "INSERT INTO reports (number, payload) {rows}", [(keep.number, keep.payload) for keep in singles]
    )
    for batch in batches:
        write_rows(cursor, "INSERT OR IGNORE INTO reports (number, payload) {rows}", batch.reports)


def _forget_reports(cursor: Any, forgets: Sequence[effects.ForgetReports]) -> None:
    if forgets:
        cursor.execute("DELETE FROM reports WHERE number <= ?", (max(forget.up_to for forget in forgets),))


def _write_daemons(cursor: Any, saves: Sequence[effects.SaveDaemon]) -> None:
    if saves:
        cursor.executemany(
            _SAVE_DAEMON,
            [(save.daemon_id, save.machine_id, save.hostname, save.draining, save.seen_at) for save in saves],
        )


def _write_journal(cursor: Any, saves: Sequence[effects.SaveEntry]) -> None:
    if not saves:
        return
    entries = [save.entry for save in saves[-MOST_ENTRIES:]]
    cursor.executemany(
        "INSERT INTO journal (number, at, event, detail, fields) VALUES (?, ?, ?, ?, ?)",
        [
            (each.number, each.at, each.event, each.detail, msgspec.json.encode(each.fields).decode())
            for each in entries
        ],
    )
    cursor.execute("DELETE FROM journal WHERE number <= ?", (entries[-1].number - MOST_ENTRIES,))


def prove(cursor: Any) -> None:
    """Write something that changes nothing, to see whether the database can be written."""
    cursor.execute("UPDATE meta SET value = value WHERE name = 'machine_id'")


def give_back_pages(cursor: Any, most: int) -> bool:
    """Give freed pages back; see :meth:`makima_relay.housekeeping.PrunedStore.give_back_pages`."""
    before = _free_pages(cursor)
    # The statement gives back one page a step, and execute() makes only the first step of one without columns.
    cursor.executescript(f"PRAGMA incremental_vacuum({int(most)});")
    # A database that was made in another way may not be able to give any back.
    return 0 < _free_pages(cursor) < before


def _free_pages(cursor: Any) -> int:
    return int(cursor.execute("PRAGMA freelist_count").fetchone()[0])


def cut_log(connection: Any) -> None:
    """Bring the write-ahead log into the database and cut it, unless somebody reads from it."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


#: SQLite's reasons that can pass by themselves: primary result codes.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def can_pass(error: BaseException) -> bool:
    """Whether a failed commit may succeed later (``architecture.md``, *Boundaries to keep*)."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte of an extended result code is the primary one: sqlite.org/rescode.html.
    return isinstance(error, sqlite3.Error) and code is not None and (code & 0xFF) in _PASSING
