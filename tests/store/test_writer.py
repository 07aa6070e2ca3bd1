"""Writing what the core wants saved, and taking it up again."""

from __future__ import annotations

import sqlite3

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.effects import (
    ForgetCommands,
    ForgetReports,
    KeepCommand,
    KeepReport,
    KeepReports,
    OrphanTasks,
    SaveTask,
)
from makima_relay.core.outbox import Backlog
from makima_relay.core.snapshot import StoredDaemon, StoredTask
from makima_relay.core.tasks import TaskStatus
from makima_relay.store import reader
from makima_relay.store.reader import TaskEvent, read_reports
from makima_relay.store.tasks_writer import prune, prune_daemons
from makima_relay.store.writer import can_pass, cut_log, give_back_pages
from tests.store.case import StoreTestCase, entry, finished, make_task, save, save_daemon, steps


class TaskTests(StoreTestCase):
    """Tasks and what became of them."""

    def test_an_unfinished_task_is_taken_up_as_it_was(self) -> None:
        """All members and the whole spawnTask, byte for byte."""
        pending = make_task(1, "täsk/1", name="Bauen 🛠")
        running = make_task(2).dispatched("d1", 1100.25).running("d1", 1200.5)
        message = b'{"type":"spawnTask", "taskId":"t\xc3\xa4sk/1"}'
        self.write(save(pending, message=message), save(running, message=b"{}"))
        self.assertEqual(
            self.reopen().tasks,
            (StoredTask(task=pending, message=message), StoredTask(task=running, message=b"{}")),
        )

    def test_a_task_without_message_is_taken_up(self) -> None:
        """One that was adopted from a daemon has none."""
        adopted = make_task(1, status=TaskStatus.RUNNING, daemon_id="d1", name=None)
        self.write(save(adopted))
        self.assertEqual(self.reopen().tasks, (StoredTask(task=adopted, message=None),))

    def test_a_later_save_replaces_the_earlier_one_and_keeps_the_message(self) -> None:
        """Also within one batch."""
        task = make_task(1)
        dispatched = task.dispatched("d1", 1100.0)
        self.write(save(task, message=b"m"), save(dispatched, before=TaskStatus.PENDING))
        self.assertEqual(self.reopen().tasks, (StoredTask(task=dispatched, message=b"m"),))
        running = dispatched.running("d1", 1200.0)
        self.write(save(running, before=TaskStatus.DISPATCHED))
        self.assertEqual(self.reopen().tasks, (StoredTask(task=running, message=b"m"),))

    def test_unfinished_tasks_come_in_the_order_of_arrival(self) -> None:
        """A new attempt arrives anew."""
        again = finished(make_task(1)).asked_again(7, "again", 1500.0)
        self.write(save(make_task(2)), save(again), save(make_task(3)))
        self.assertEqual([stored.task.task_id for stored in self.reopen().tasks], ["t2", "t3", "t1"])

    def test_what_an_earlier_run_left_at_work_is_orphaned_all_at_once(self) -> None:
        """With an event for each; what waits stays as it is, and a later save goes on from there."""
        dispatched = make_task(1).dispatched("d1", 1100.0)
        running = make_task(2).dispatched("d2", 1100.0).running("d2", 1200.0)
        self.write(save(dispatched), save(running), save(make_task(3)), save(finished(make_task(4))))
        again = save(running.to(TaskStatus.ORPHANED).running("d2", 1600.0), 1600.0, before=TaskStatus.ORPHANED)
        self.write(OrphanTasks(1500.0), again)
        statuses = [stored.task.status for stored in self.reopen().tasks]
        self.assertEqual(statuses, [TaskStatus.ORPHANED, TaskStatus.RUNNING, TaskStatus.PENDING])
        found = self.read(reader.read_task, "t1")
        assert found is not None
        self.assertEqual(found[1][-1], TaskEvent(1500.0, "orphaned", "d1", None))
        counts = dict(self.connection.execute("SELECT status, tasks FROM task_counts WHERE tasks > 0").fetchall())
        self.assertEqual(counts, {"orphaned": 1, "running": 1, "pending": 1, "completed": 1})

    def test_a_task_that_was_pruned_and_is_asked_for_again_is_new(self) -> None:
        """The relay may have it in mind still; it is stored whole, and counted."""
        task = finished(make_task(1))
        self.write(save(task, message=b"old"))
        self.read(prune, 1e12, 100)
        again = task.asked_again(2, "again", 1500.0)
        renewed = save(again, message=b"new", before=TaskStatus.COMPLETED)
        self.write(renewed, save(again.dispatched("d1", 1600.0), before=TaskStatus.PENDING))
        self.assertEqual(self.reopen().tasks, (StoredTask(task=again.dispatched("d1", 1600.0), message=b"new"),))
        counts = dict(self.connection.execute("SELECT status, tasks FROM task_counts WHERE tasks != 0").fetchall())
        self.assertEqual(counts, {"dispatched": 1})

    def test_a_finished_task_stays_in_the_history_only(self) -> None:
        """It is not taken up, but can be recalled."""
        task = finished(make_task(1), TaskStatus.FAILED, "out of paper")
        self.write(save(task))
        self.assertEqual(self.reopen().tasks, ())
        self.assertEqual(self.read(reader.read_tasks, ["t1"]), [task])

    def test_the_next_number_is_greater_than_all_before(self) -> None:
        """Keys and positions share their numbers."""
        self.assertEqual(self.reopen().next_key, 1)
        self.write(save(finished(make_task(4))), save(finished(make_task(5)).asked_again(9, None, 1.0)))
        self.assertEqual(self.reopen().next_key, 10)

    def test_every_change_of_status_is_an_event(self) -> None:
        """In their order, each with its time, daemon and error."""
        task = make_task(1)
        dispatched = task.dispatched("d1", 1100.0)
        failed = dispatched.ended(TaskStatus.FAILED, 1300.0, "no")
        self.write(save(task, 1.5), save(dispatched, 2.5, before=TaskStatus.PENDING))
        self.write(save(failed, 3.5, before=TaskStatus.DISPATCHED))
        found = self.read(reader.read_task, "t1")
        assert found is not None
        self.assertEqual(
            [(event.at, event.status, event.daemon_id, event.error) for event in found[1]],
            [(1.5, "pending", None, None), (2.5, "dispatched", "d1", None), (3.5, "failed", "d1", "no")],
        )

    def test_every_finish_counts(self) -> None:
        """A task that runs twice has finished twice; changes of a finished task do not count."""
        task = finished(make_task(1))
        again = task.asked_again(2, None, 1400.0)
        for step in steps(make_task(1), task, task, again, finished(again, TaskStatus.CANCELLED)):
            self.write(step)
        self.assertEqual(self.reopen().total_finished, 2)

    def test_a_finish_in_the_batch_of_its_task_counts(self) -> None:
        """A task may come and finish within one commit."""
        self.write(*steps(make_task(1), finished(make_task(1))), save(make_task(2)))
        self.assertEqual(self.reopen().total_finished, 1)

    def test_a_task_keeps_every_member_through_all_its_moves(self) -> None:
        """Whichever of them one batch has: the history shows the last state of each."""
        dispatched = make_task(1).dispatched("d1", 1100.0)
        orphaned = dispatched.running("d1", 1200.0).to(TaskStatus.ORPHANED)
        requeued = orphaned.to(TaskStatus.PENDING)
        elsewhere = requeued.dispatched("d2", 1300.0).running("d2", 1400.0)
        ended = elsewhere.ended(TaskStatus.FAILED, 1500.0, "no")
        again = ended.asked_again(2, "other", 1600.0)
        states = (make_task(1), dispatched, orphaned, requeued, elsewhere, ended, again, again.dispatched("d3", 1700.0))
        for size in (1, 2, 3, 8):
            self.write_in_batches(
                steps(
                    *(
                        msgspec.structs.replace(each, key=size, task_id=str(size), position=1000 * size + each.position)
                        for each in states
                    )
                ),
                size,
            )
        for size in (1, 2, 3, 8):
            (task,) = self.read(reader.read_tasks, [str(size)])
            self.assertEqual(
                task, msgspec.structs.replace(states[-1], key=size, task_id=str(size), position=1000 * size + 2)
            )

    def write_in_batches(self, saves: list[SaveTask], size: int) -> None:
        """Write so many at a time."""
        for start in range(0, len(saves), size):
            self.write(*saves[start : start + size])

    def test_as_many_are_counted_as_there_are(self) -> None:
        """Of each status, after every batch, also one that failed."""
        self.write(*map(save, map(make_task, range(1, 6))))
        ran = make_task(1).dispatched("d1", 1100.0)
        self.write(*steps(make_task(1), ran, ran.running("d1", 1200.0), finished(make_task(1)))[1:])
        self.write(save(make_task(2).dispatched("d1", 1100.0), before=TaskStatus.PENDING))
        self.write(KeepReport(1, b"first"))
        again = finished(make_task(1)).asked_again(9, None, 1.0)
        bad = save(again, before=TaskStatus.COMPLETED), KeepReport(1, b"again")
        self.assertRaises(sqlite3.IntegrityError, self.write, *bad)
        found = self.connection.execute("SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status").fetchall()
        counted = self.connection.execute("SELECT * FROM task_counts WHERE tasks != 0 ORDER BY status").fetchall()
        self.assertEqual(counted, [("completed", 1), ("dispatched", 1), ("pending", 3)])
        self.assertEqual(counted, found)
        self.assertEqual(self.reopen().total_finished, 1)

    def test_a_batch_is_saved_whole_or_not_at_all(self) -> None:
        """A report that cannot be kept takes its task's new status with it."""
        self.write(KeepReport(1, b"first"))
        self.assertRaises(sqlite3.IntegrityError, self.write, save(make_task(1)), KeepReport(1, b"again"))
        snapshot = self.reopen()
        self.assertEqual((snapshot.tasks, snapshot.backlog), ((), Backlog(1, 1, 1, 5)))


class CommandTests(StoreTestCase):
    """Commands that wait for a task."""

    def commands(self) -> tuple[bytes | None, ...]:
        """Those that the next relay has for the one task."""
        (stored,) = self.reopen().tasks
        return stored.commands

    def test_commands_are_taken_up_in_their_order(self) -> None:
        """One of the relay's own has no payload."""
        self.write(save(make_task(1)), KeepCommand(1, b"z"), KeepCommand(1, None))
        self.write(KeepCommand(1, b"a"))
        self.assertEqual(self.commands(), (b"z", None, b"a"))

    def test_forgotten_commands_are_gone(self) -> None:
        """Those of other tasks stay."""
        self.write(save(make_task(1)), save(make_task(2)), KeepCommand(1, b"a"), KeepCommand(2, b"b"))
        self.write(ForgetCommands(1))
        self.assertEqual([stored.commands for stored in self.reopen().tasks], [(), (b"b",)])

    def test_keeping_and_forgetting_in_one_batch_happen_in_their_order(self) -> None:
        """What is kept after the forgetting stays, what was kept before it goes, from whichever batch."""
        self.write(save(make_task(1)), KeepCommand(1, b"old"))
        self.write(KeepCommand(1, b"a"), ForgetCommands(1), KeepCommand(1, b"b"), KeepCommand(1, b"c"))
        self.assertEqual(self.commands(), (b"b", b"c"))
        self.write(KeepCommand(1, b"d"), ForgetCommands(1))
        self.assertEqual(self.commands(), ())


class ReportTests(StoreTestCase):
    """Reports that the server may not have."""

    def test_reports_are_taken_up_oldest_first(self) -> None:
        """By number, byte for byte."""
        self.write(KeepReport(10, b"\x00\xff"), KeepReport(9, "ä".encode()))
        self.assertEqual(self.reopen().backlog, Backlog(9, 10, 2, 4))
        self.assertEqual(self.read(read_reports, 0, 10, 100), ([(9, "ä".encode()), (10, b"\x00\xff")], 10))

    def test_reports_are_read_back_in_pages(self) -> None:
        """Of about so many bytes, above one number and up to another; what was left out is told."""
        self.write(KeepReports(tuple((number, b"xx") for number in range(1, 8))))
        self.reopen()
        self.assertEqual(self.read(read_reports, 2, 6, 3), ([(3, b"xx"), (4, b"xx")], 4))
        self.assertEqual(self.read(read_reports, 4, 6, 100), ([(5, b"xx"), (6, b"xx")], 6))
        self.assertEqual(self.read(read_reports, 7, 9, 100), ([], 9))

    def test_a_report_that_was_kept_alone_may_be_among_those_that_waited(self) -> None:
        """In the same batch or later; it is kept once."""
        self.write(KeepReport(2, b"2"), KeepReports(((1, b"1"), (2, b"2"))))
        self.write(KeepReports(((2, b"2"), (3, b"3"))))
        self.reopen()
        self.assertEqual(self.read(read_reports, 0, 9, 100)[0], [(1, b"1"), (2, b"2"), (3, b"3")])

    def test_acknowledged_reports_are_gone(self) -> None:
        """Up to and with the number, and those of the same batch too."""
        self.write(KeepReport(1, b"1"), KeepReport(2, b"2"))
        self.write(KeepReport(3, b"3"), ForgetReports(1), KeepReport(4, b"4"), ForgetReports(3))
        self.assertEqual(self.reopen().backlog, Backlog(4, 4, 1, 1))


class DaemonTests(StoreTestCase):
    """What is known of daemons."""

    def test_daemons_with_work_or_being_drained_are_taken_up(self) -> None:
        """The others say who they are when they connect."""
        self.write(
            save_daemon(1, "one"),
            save_daemon(2, "two", draining=True),
            save_daemon(3, "three"),
            save(make_task(1).dispatched("d1", 5.0)),
            save(finished(make_task(2, daemon_id="d3"))),
        )
        self.assertEqual(
            self.reopen().daemons,
            (
                StoredDaemon(daemon_id="d1", machine_id="m1", hostname="one"),
                StoredDaemon(daemon_id="d2", machine_id="m2", hostname="two", draining=True),
            ),
        )

    def test_a_later_save_replaces_the_earlier_one(self) -> None:
        """A machine may get another name, and be drained and resumed."""
        self.write(save_daemon(1, "old"), save_daemon(1, "new", draining=True))
        self.assertEqual(
            self.reopen().daemons,
            (StoredDaemon(daemon_id="d1", machine_id="m1", hostname="new", draining=True),),
        )
        self.write(save_daemon(1, "new"))
        self.assertEqual(self.reopen().daemons, ())


class JournalTests(StoreTestCase):
    """The latest connection events."""

    def test_entries_are_taken_up_oldest_first(self) -> None:
        """With their fields."""
        self.write(entry(1), entry(2))
        self.assertEqual(self.reopen().entries, (entry(1).entry, entry(2).entry))

    def test_the_last_200_are_kept(self) -> None:
        """Whether they come one by one or many at once."""
        for number in range(1, 251):
            self.write(entry(number))
        self.assertEqual([each.number for each in self.reopen().entries], list(range(51, 251)))
        self.write(*[entry(number) for number in range(251, 701)])
        self.assertEqual([each.number for each in self.reopen().entries], list(range(501, 701)))


class CauseTests(SynchronousTestCase):
    """Which failures can pass by themselves."""

    @staticmethod
    def error(kind: type[sqlite3.Error], code: int) -> sqlite3.Error:
        """A failure as the sqlite3 module makes it."""
        error = kind("for a reason")
        error.sqlite_errorcode = code
        return error

    def test_what_ends_by_itself_can_pass(self) -> None:
        """A lock, a full disk, an I/O error; also by their extended codes."""
        for code in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_BUSY_SNAPSHOT,
            sqlite3.SQLITE_LOCKED,
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_IOERR_FSYNC,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
        ):
            self.assertTrue(can_pass(self.error(sqlite3.OperationalError, code)), code)

    def test_damage_and_bugs_cannot_pass(self) -> None:
        """Corruption, a broken constraint, an error of SQL."""
        for kind, code in (
            (sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT),
            (sqlite3.DatabaseError, sqlite3.SQLITE_NOTADB),
            (sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT_UNIQUE),
            (sqlite3.OperationalError, sqlite3.SQLITE_ERROR),
        ):
            self.assertFalse(can_pass(self.error(kind, code)), code)

    def test_errors_without_a_code_cannot_pass(self) -> None:
        """They come from the program and not from SQLite."""
        self.assertFalse(can_pass(sqlite3.ProgrammingError("closed")))
        self.assertFalse(can_pass(ValueError("no")))


class PruneTests(StoreTestCase):
    """Old tasks go, and what they took."""

    def test_the_oldest_finished_tasks_go_with_all_that_is_known_of_them(self) -> None:
        """So many at a time; those that are not finished, or not long, stay."""
        for key in range(1, 6):
            self.write(save(make_task(key), message=b"m"))
            self.write(*steps(make_task(key), finished(make_task(key)))[1:])
        self.write(save(make_task(9), message=b"m"))
        finished_at = finished(make_task(1)).finished_at
        assert finished_at is not None
        self.assertEqual(self.read(prune, finished_at, 100), 0)
        self.assertEqual([self.read(prune, finished_at + 1, 3) for _ in range(3)], [3, 2, 0])
        self.connection.commit()
        self.assertEqual([stored.task.key for stored in self.reopen().tasks], [9])
        for table, rows in (("tasks", 1), ("task_messages", 1), ("task_changes", 1)):
            self.assertEqual(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone(), (rows,), table)
        self.assertEqual(self.connection.execute("SELECT sum(tasks) FROM task_counts").fetchone(), (1,))
        self.assertEqual(self.reopen().total_finished, 5)

    def test_daemons_go_that_nothing_is_left_of(self) -> None:
        """Those stay that came lately, are connected, are being drained, or that the history has tasks of."""
        self.write(*(save_daemon(number, f"host-{number}", draining=number == 4) for number in range(1, 6)))
        self.write(save(finished(make_task(1))))
        self.assertEqual(self.read(prune_daemons, 1000.0, [], "", 10), (0, "d5"))
        self.assertEqual(self.read(prune_daemons, 1000.5, ["d2", "d9"], "", 10), (2, "d5"))
        rows = self.connection.execute("SELECT daemon_id FROM daemons ORDER BY daemon_id").fetchall()
        self.assertEqual(rows, [("d1",), ("d2",), ("d4",)])

    def test_only_so_many_daemons_are_looked_at_at_a_time(self) -> None:
        """Those that stay count too; behind the last there is none."""
        self.write(*(save_daemon(number, f"host-{number}") for number in range(1, 6)))
        self.write(save(finished(make_task(1))))
        self.assertEqual(self.read(prune_daemons, 1000.5, [], "", 2), (1, "d2"))
        self.assertEqual(self.read(prune_daemons, 1000.5, [], "d2", 2), (2, "d4"))
        self.assertEqual(self.read(prune_daemons, 1000.5, [], "d4", 2), (1, "d5"))
        self.assertEqual(self.read(prune_daemons, 1000.5, [], "d5", 2), (0, None))
        self.assertEqual(self.connection.execute("SELECT daemon_id FROM daemons").fetchall(), [("d1",)])

    def test_a_database_that_can_give_no_pages_back_is_not_asked_for_ever(self) -> None:
        """One that somebody has copied without ``auto_vacuum``."""
        self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.execute("PRAGMA auto_vacuum = NONE")
        self.connection.execute("VACUUM")
        self.write(save(make_task(1), message=b"m" * 200_000), save(finished(make_task(1))))
        self.read(prune, 1e12, 100)
        self.connection.commit()
        self.assertGreater(self.connection.execute("PRAGMA freelist_count").fetchone()[0], 10)
        self.assertFalse(self.read(give_back_pages, 10))

    def test_freed_pages_are_given_back(self) -> None:
        """The file gets smaller, a few pages at a time."""
        for key in range(1, 21):
            self.write(save(make_task(key), message=b"m" * 20_000))
            self.write(*steps(make_task(key), finished(make_task(key)))[1:])
        before = self.connection.execute("PRAGMA page_count").fetchone()[0]
        self.read(prune, 1e12, 100)
        self.connection.commit()
        self.assertTrue(self.read(give_back_pages, 10))
        self.assertEqual(self.connection.execute("PRAGMA page_count").fetchone()[0], before - 10)
        self.assertFalse(self.read(give_back_pages, 10_000))
        cut_log(self.connection)
        self.assertEqual(self.path.with_name(f"{self.path.name}-wal").stat().st_size, 0)
