"""The store: SQLite through adbapi. Only this package knows SQL.

:mod:`~makima_relay.store.database` owns the file: its lock, its mode, its schema and their upgrades.
:mod:`~makima_relay.store.writer` commits what the core wants saved, on one connection.
:mod:`~makima_relay.store.reader` answers questions on another, so that a slow one never delays a commit.
"""

from makima_relay.store.store import SQLiteStore

__all__ = ["SQLiteStore"]
