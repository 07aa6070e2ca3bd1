"""The store with its threads, on the real reactor."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.defer import gatherResults, inlineCallbacks
from twisted.trial.unittest import TestCase

from makima_relay.core.effects import KeepReport
from makima_relay.core.outbox import Backlog
from makima_relay.ports import StoreUnavailableError
from makima_relay.store import SQLiteStore
from makima_relay.store.database import open_database
from makima_relay.store.filters import Filter
from tests.store.case import entry, finished, make_task, save, steps


class StoreTests(TestCase):
    """What the rest of the relay sees."""

    def setUp(self) -> None:
        """Have a store on a new database."""
        self.path = Path(self.mktemp()).absolute()
        self.addCleanup(open_database(self.path).release)
        self.opened: list[SQLiteStore] = []
        self.addCleanup(self.close)
        self.store = self.open()

    def open(self) -> SQLiteStore:
        """Open a store."""
        from twisted.internet import reactor

        threads: Any = reactor
        self.opened.append(SQLiteStore(threads, self.path))
        self.opened[-1].start()
        return self.opened[-1]

    def close(self) -> None:
        """Close the store that is open, if one is."""
        while self.opened:
            self.opened.pop().close()

    @inlineCallbacks
    def test_what_was_committed_can_be_read(self) -> Any:
        """Writing and reading go over two connections and agree."""
        task = finished(make_task(1))
        yield self.store.commit([save(task), save(make_task(2)), KeepReport(7, b"r"), entry(1)])
        snapshot = yield self.store.snapshot()
        self.assertEqual([stored.task.key for stored in snapshot.tasks], [2])
        self.assertEqual((snapshot.next_key, snapshot.total_finished), (3, 0))
        self.assertEqual((snapshot.backlog, snapshot.entries), (Backlog(7, 7, 1, 1), (entry(1).entry,)))
        self.assertEqual((yield self.store.reports(0, 9, 100)), ([(7, b"r")], 9))
        self.assertEqual((yield self.store.recall(["t1", "nobody"])), [task])
        rows, total = yield self.store.page(Filter(), 1, 1)
        self.assertEqual(([row.task for row in rows], total), ([task], 2))
        found = yield self.store.task("t1")
        self.assertEqual(found[0].task, task)

    @inlineCallbacks
    def test_commits_keep_the_order_in_which_they_were_asked_for(self) -> Any:
        """Nobody has to wait for one before the next."""
        task = make_task(1)
        states = [task, task.dispatched("d1", 1.0), finished(task)]
        yield gatherResults([self.store.commit([step]) for step in steps(*states)])
        _, events = yield self.store.task("t1")
        self.assertEqual([event.status for event in events], ["pending", "dispatched", "completed"])

    @inlineCallbacks
    def test_a_locked_database_is_unavailable_until_it_is_released(self) -> Any:
        """Nothing of the failed commit stays; the same commit succeeds later, and reading goes on meanwhile."""
        yield self.store.commit([save(make_task(1))])
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield self.assertFailure(self.store.commit([save(make_task(2))]), StoreUnavailableError)
            self.assertEqual((yield self.store.recall(["t1", "t2"])), [make_task(1)])
            yield self.assertFailure(self.store.prove_writable(), StoreUnavailableError)
            other.execute("ROLLBACK")
        yield self.store.prove_writable()
        yield self.store.commit([save(make_task(2))])
        self.assertEqual((yield self.store.recall(["t2"])), [make_task(2)])

    @inlineCallbacks
    def test_a_broken_constraint_is_not_taken_for_a_lock(self) -> Any:
        """Trying again would never help."""
        yield self.store.commit([KeepReport(1, b"r")])
        yield self.assertFailure(self.store.commit([KeepReport(1, b"r")]), sqlite3.IntegrityError)

    @inlineCallbacks
    def test_a_damaged_file_is_not_taken_for_a_lock(self) -> Any:
        """Neither when writing nor when reading."""
        yield self.store.commit([save(make_task(1))])
        self.close()
        content = self.path.read_bytes()
        self.path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
        self.store = self.open()
        error = yield self.assertFailure(self.store.commit([save(make_task(2))]), sqlite3.DatabaseError)
        self.assertEqual(error.sqlite_errorname, "SQLITE_CORRUPT")
        yield self.assertFailure(self.store.recall(["t1"]), sqlite3.DatabaseError)

    @inlineCallbacks
    def test_closing_ends_the_threads(self) -> Any:
        """Nothing keeps the process alive."""
        self.close()
        before = threading.active_count()
        store = self.open()
        yield gatherResults([store.prove_writable(), store.recall([]), store.task("t")])
        self.assertEqual(threading.active_count(), before + 3)
        self.close()
        self.assertEqual(threading.active_count(), before)
