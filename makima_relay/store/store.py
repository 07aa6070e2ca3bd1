"""The store as the rest of the relay sees it: asynchronous, on three threads with a connection each.

One writes, one reads what the core waits for, one answers people: a slow history query never delays a dispatch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.python.failure import Failure

from makima_relay.core.effects import Saved
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.ports import StoreUnavailableError
from makima_relay.store import database, reader, tasks_writer, texts, writer
from makima_relay.store.filters import Filter
from makima_relay.store.reader import TaskEvent, TaskRow
from makima_relay.store.search import Counts

_T = TypeVar("_T")


class SQLiteStore:
    """Implements :class:`makima_relay.ports.Store`, and answers what the HTTP side asks.

    :param reactor: runs the threads.
    :param path: the database file, already made by :func:`makima_relay.store.database.open_database`.
    """

    def __init__(self, reactor: IReactorThreads, path: Path) -> None:
        self._path = path
        self._writer = _pool(reactor, path)
        self._reader = _pool(reactor, path)
        self._history = _pool(reactor, path)
        #: Belongs to the thread of the history.
        self._counts = Counts()

    def start(self) -> None:
        """Open the connections."""
        self._writer.start()
        self._reader.start()
        self._history.start()

    def close(self) -> None:
        """Close the connections; waits for what is under way."""
        self._writer.close()
        self._reader.close()
        self._history.close()

    def commit(self, effects: Sequence[Saved]) -> Deferred[None]:
        """See :meth:`makima_relay.ports.Store.commit`."""
        return self._write(writer.write, effects)

    def prove_writable(self) -> Deferred[None]:
        """Write something that changes nothing; fails like :meth:`commit`."""
        return self._write(writer.prove)

    def prune(self, finished_before: float, most: int) -> Deferred[int]:
        """See :meth:`makima_relay.housekeeping.PrunedStore.prune`."""
        return self._write(tasks_writer.prune, finished_before, most)

    def prune_daemons(
        self, seen_before: float, connected: Sequence[str], after: str, most: int
    ) -> Deferred[tuple[int, str | None]]:
        """See :meth:`makima_relay.housekeeping.PrunedStore.prune_daemons`."""
        return self._write(tasks_writer.prune_daemons, seen_before, connected, after, most)

    def give_back_pages(self, most: int) -> Deferred[bool]:
        """See :meth:`makima_relay.housekeeping.PrunedStore.give_back_pages`."""
        return self._write(writer.give_back_pages, most)

    def cut_log(self) -> Deferred[None]:
        """See :meth:`makima_relay.housekeeping.PrunedStore.cut_log`."""
        done: Deferred[None] = self._writer.runWithConnection(writer.cut_log)
        return done.addErrback(_classify)

    def keep_texts(self, number: int) -> Deferred[int | None]:
        """See :meth:`makima_relay.indexing.SearchedStore.keep_texts`."""
        return self._write(texts.keep_texts, number)

    def _write(self, interaction: Callable[..., _T], *args: Any) -> Deferred[_T]:
        done: Deferred[_T] = self._writer.runInteraction(interaction, *args)
        return done.addErrback(_classify)

    def recall(self, task_ids: Sequence[str]) -> Deferred[list[Task]]:
        """See :meth:`makima_relay.ports.Store.recall`."""
        return self._read(reader.read_tasks, task_ids)

    def task_ids(self, after: str, most: int) -> Deferred[list[str]]:
        """See :meth:`makima_relay.recollection.KnownIds.task_ids`."""
        return self._look_up(reader.read_task_ids, after, most)

    def reports(self, after: int, up_to: int, size: int) -> Deferred[tuple[list[tuple[int, bytes]], int]]:
        """See :meth:`makima_relay.ports.Store.reports`."""
        return self._read(reader.read_reports, after, up_to, size)

    def snapshot(self) -> Deferred[Snapshot]:
        """Read all that a relay takes up when it starts."""
        return self._read(reader.read_snapshot)

    def page(self, wanted: Filter, limit: int, offset: int) -> Deferred[tuple[list[TaskRow], int]]:
        """See :func:`makima_relay.store.reader.read_page`."""
        return self._look_up(reader.read_page, wanted, limit, offset, self._counts)

    def task(self, task_id: str) -> Deferred[tuple[TaskRow, list[TaskEvent]] | None]:
        """See :func:`makima_relay.store.reader.read_task`."""
        return self._look_up(reader.read_task, task_id)

    def counts(self) -> Deferred[dict[TaskStatus, int]]:
        """How many tasks are stored in each status."""
        return self._read(reader.read_counts)

    def size(self) -> int:
        """Bytes of the database and its write-ahead log."""
        files = (self._path, Path(f"{self._path}-wal"))
        size = 0
        for file in files:
            with suppress(OSError):
                size += file.stat().st_size
        return size

    def _look_up(self, interaction: Callable[..., _T], *args: Any) -> Deferred[_T]:
        """Answer a question of the HTTP side, which may be slow, where no dispatch waits behind it."""
        found: Deferred[_T] = self._history.runInteraction(interaction, *args)
        return found.addErrback(_classify)

    def _read(self, interaction: Callable[..., _T], *args: Any) -> Deferred[_T]:
        found: Deferred[_T] = self._reader.runInteraction(interaction, *args)
        return found.addErrback(_classify)


def _pool(reactor: IReactorThreads, path: Path) -> adbapi.ConnectionPool:
    """One thread with one connection: adbapi then keeps the order in which it was asked."""
    return adbapi.ConnectionPool(
        "sqlite3",
        str(path),
        cp_reactor=reactor,
        cp_min=1,
        cp_max=1,
        cp_noisy=False,
        cp_openfun=database.configure,
        check_same_thread=False,
        timeout=database.BUSY_TIMEOUT,
    )


def _classify(failure: Failure) -> Failure:
    """Tell a cause that can pass from one that cannot."""
    if failure.check(sqlite3.Error) and failure.value is not None and writer.can_pass(failure.value):
        return Failure(StoreUnavailableError(str(failure.value)))
    return failure
