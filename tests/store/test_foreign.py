"""Tasks of other relays that daemons here have, and own tasks that daemons of other relays have."""

from __future__ import annotations

from typing import Any

import msgspec

from makima_relay.core.cluster_effects import SaveForeign, SavePeer
from makima_relay.core.effects import ForgetCommands, KeepCommand, OrphanTasks, SaveTask
from makima_relay.core.snapshot import StoredDaemon, StoredTask
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.store import reader
from makima_relay.store.filters import Filter
from makima_relay.store.reader import TaskEvent
from makima_relay.store.tasks_writer import prune, prune_daemons
from tests.store.case import StoreTestCase, finished, make_task, save, save_daemon


def foreign(key: int, task_id: str | None = None, **members: Any) -> Task:
    """A task of another relay that a daemon here was sent."""
    return make_task(key, task_id, **{"origin": "relay-b", **members}).dispatched("d1", 1100.0)


def save_foreign(task: Task) -> SaveForeign:
    """The effect that keeps it."""
    return SaveForeign(task, 2000.0)


def elsewhere(task: Task, **members: Any) -> Task:
    """An own task that a daemon of another relay has."""
    return msgspec.structs.replace(task, **{"relay": "relay-b", "daemon_id": "d7", "hostname": "far-7", **members})


def hand(task: Task, before: TaskStatus) -> SaveTask:
    """The effect that keeps a task that another relay has, or had until now."""
    return SaveTask(task, 2000.0, before=before, elsewhere=True)


class ForeignTests(StoreTestCase):
    """Tasks that came from another relay."""

    def test_one_is_taken_up_as_it_was_and_is_not_in_the_history(self) -> None:
        """All members, and the commands that wait for it; nobody is told of it who asks for tasks."""
        members = {"name": "Bauen 🛠", "attempts": 6, "traceparent": "00-a", "detached": True}
        task = foreign(3, "täsk/1", position=4, **members).running("d1", 1200.5)
        self.write(save(make_task(1)), save_foreign(task), KeepCommand(3, b"a"), KeepCommand(3, None))
        snapshot = self.reopen()
        expected = StoredTask(task=make_task(1)), StoredTask(task=task, commands=(b"a", None))
        self.assertEqual((snapshot.tasks, snapshot.next_key, snapshot.total_finished), (expected, 5, 0))
        self.assertEqual(self.read(reader.read_page, Filter(), 9, 0)[1], 1)
        self.assertEqual(self.read(reader.read_tasks, ["täsk/1"]), [])
        self.assertEqual(self.read(reader.read_task_ids, "", 9), ["t1"])
        self.assertEqual(self.read(reader.read_counts)[TaskStatus.RUNNING], 0)

    def test_a_later_save_replaces_the_earlier_one(self) -> None:
        """In a batch and in the next."""
        task = foreign(1)
        self.write(save_foreign(task), save_foreign(task.running("d1", 1200.0)))
        self.assertEqual([each.task for each in self.reopen().tasks], [task.running("d1", 1200.0)])
        moved = msgspec.structs.replace(task.to(TaskStatus.ORPHANED), daemon_id="d2", attempts=9)
        self.write(save_foreign(moved))
        self.assertEqual([each.task for each in self.reopen().tasks], [moved])

    def test_when_it_ends_nothing_of_it_stays(self) -> None:
        """Its commands go with it, those of the same batch too; the same task may come again."""
        self.write(save_foreign(foreign(1, "t")), save_foreign(foreign(2)), KeepCommand(1, b"a"), KeepCommand(2, b"b"))
        ended = foreign(1, "t").ended(TaskStatus.FAILED, 1300.0, "no")
        self.write(KeepCommand(1, b"c"), save_foreign(ended), save_foreign(foreign(3, "t")))
        expected = StoredTask(task=foreign(2), commands=(b"b",)), StoredTask(task=foreign(3, "t"))
        self.assertEqual(self.reopen().tasks, expected)
        self.assertEqual(self.connection.execute("SELECT count(*) FROM commands").fetchone(), (1,))
        self.assertEqual(self.reopen().total_finished, 0)

    def test_commands_for_it_are_forgotten_as_for_any(self) -> None:
        """By its key, which no other task has."""
        self.write(save_foreign(foreign(1)), save(make_task(2)), KeepCommand(1, b"a"), KeepCommand(2, b"b"))
        self.write(ForgetCommands(1))
        self.assertEqual([each.commands for each in self.reopen().tasks], [(b"b",), ()])

    def test_what_an_earlier_run_left_at_work_is_orphaned(self) -> None:
        """With its daemons, who may return for it."""
        self.write(save_foreign(foreign(1)), save_foreign(foreign(2).running("d1", 1200.0)), save_daemon(1, "one"))
        self.write(OrphanTasks(1500.0))
        snapshot = self.reopen()
        self.assertEqual([each.task.status for each in snapshot.tasks], [TaskStatus.ORPHANED] * 2)
        self.assertEqual(snapshot.daemons, (StoredDaemon(daemon_id="d1", machine_id="m1", hostname="one"),))
        self.assertEqual(self.connection.execute("SELECT sum(tasks) FROM task_counts").fetchone(), (0,))

    def test_a_foreign_task_may_become_an_own_one_in_one_commit(self) -> None:
        """And the other way round; an own one of the past has the same id meanwhile."""
        own = make_task(2, "t").dispatched("d1", 1.0)
        self.write(save_foreign(foreign(1, "t")))
        self.write(save_foreign(foreign(1, "t").ended(TaskStatus.CANCELLED, 5.0, None)), save(own))
        self.assertEqual([each.task for each in self.reopen().tasks], [own])
        ended = own.ended(TaskStatus.CANCELLED, 6.0, "moved to edge-b")
        self.write(save(ended, before=TaskStatus.DISPATCHED), save_foreign(foreign(3, "t")))
        self.assertEqual([each.task for each in self.reopen().tasks], [foreign(3, "t")])
        self.assertEqual(self.read(reader.read_tasks, ["t"]), [ended])

    def test_pruning_leaves_them_and_their_daemons_alone(self) -> None:
        """However old they are."""
        self.write(save_foreign(foreign(1)), save_daemon(1, "one"), save_daemon(2, "two"), save(finished(make_task(2))))
        self.assertEqual(self.read(prune, 1e12, 100), 1)
        self.assertEqual(self.read(prune_daemons, 1e12, [], "", 10), (1, "d2"))
        self.assertEqual([each.daemon_id for each in self.reopen().daemons], ["d1"])


class ElsewhereTests(StoreTestCase):
    """Own tasks that other relays have."""

    def test_one_is_taken_up_with_its_holder(self) -> None:
        """A daemon here of the same id has nothing to do with it."""
        task = elsewhere(make_task(1).dispatched("d1", 1100.0), daemon_id="d1")
        self.write(save_daemon(1, "one"), save(task, message=b"m"))
        snapshot = self.reopen()
        self.assertEqual(snapshot.tasks, (StoredTask(task=task, message=b"m"),))
        self.assertEqual(snapshot.daemons, ())

    def test_it_is_not_orphaned_when_this_relay_starts(self) -> None:
        """Its holder goes on with it."""
        there = elsewhere(make_task(1).dispatched("d1", 1100.0))
        self.write(save(there), save(make_task(2).dispatched("d1", 1100.0)))
        self.write(OrphanTasks(1500.0))
        statuses = [each.task.status for each in self.reopen().tasks]
        self.assertEqual(statuses, [TaskStatus.DISPATCHED, TaskStatus.ORPHANED])
        counts = dict(self.connection.execute("SELECT status, tasks FROM task_counts WHERE tasks > 0").fetchall())
        self.assertEqual(counts, {"dispatched": 1, "orphaned": 1})
        found = self.read(reader.read_task, "t1")
        assert found is not None
        self.assertNotIn(TaskEvent(1500.0, "orphaned", "d7", None), found[1])

    def test_whoever_has_it_is_kept_through_all_its_moves(self) -> None:
        """It goes there, is placed, moves on to a third relay, and comes home; each commit has one move, or all."""
        sent = elsewhere(make_task(1).dispatched("d1", 1100.0), daemon_id=None, hostname=None)
        placed = elsewhere(sent.running("d7", 1200.0))
        moved = elsewhere(placed, relay="relay-c", hostname="far-8")
        home = elsewhere(moved.to(TaskStatus.ORPHANED).running("d2", 1.0), relay=None, daemon_id="d2", hostname=None)
        moves = [
            hand(sent, TaskStatus.PENDING),
            hand(placed, TaskStatus.DISPATCHED),
            hand(moved, TaskStatus.RUNNING),
            save(moved.to(TaskStatus.ORPHANED), before=TaskStatus.RUNNING),
            hand(home, TaskStatus.ORPHANED),
        ]
        self.write(save(make_task(1)))
        for move in moves:
            self.write(move)
            self.assertEqual(self.read(reader.read_tasks, ["t1"]), [move.task])
        self.write(save(_as_second(make_task(1))))
        self.write(*(msgspec.structs.replace(each, task=_as_second(each.task)) for each in moves))
        self.assertEqual(self.read(reader.read_tasks, ["t2"]), [_as_second(home)])

    def test_a_new_attempt_is_with_nobody(self) -> None:
        """The row is written whole."""
        ended = elsewhere(finished(make_task(1)))
        again = msgspec.structs.replace(ended.asked_again(2, "again", 1500.0), relay=None, hostname=None)
        self.write(save(ended))
        self.write(save(again, before=TaskStatus.COMPLETED))
        self.assertEqual(self.read(reader.read_tasks, ["t1"]), [again])


def _as_second(task: Task) -> Task:
    return msgspec.structs.replace(task, key=2, position=2, task_id="t2")


class HistoryTests(StoreTestCase):
    """What people see of own tasks that other relays have or had."""

    def setUp(self) -> None:
        """Have tasks here and there; one peer has no name yet."""
        super().setUp()
        self.write(
            save_daemon(1, "one"),
            save_daemon(7, "seven"),
            SavePeer("relay-b", "edge-b", 1.0),
            save(finished(make_task(1))),
            save(elsewhere(finished(make_task(2)))),
            save(elsewhere(make_task(3).dispatched("d7", 1.0), daemon_id=None, hostname=None)),
            save(elsewhere(make_task(4).dispatched("d8", 1.0), relay="relay-c", daemon_id="d8", hostname="one")),
            save(make_task(5)),
        )

    def rows(self, **wanted: Any) -> list[tuple[int, str | None, str | None]]:
        """The key of each row, with the names of daemon and relay."""
        rows, total = self.read(reader.read_page, Filter(**wanted), 9, 0)
        self.assertEqual(total, len(rows))
        return [(row.task.key, row.hostname, row.relay) for row in rows]

    def test_rows_name_the_relay_and_the_daemon_there(self) -> None:
        """As it is called there; a relay without a name by its id."""
        there = [(4, "one", "relay-c"), (3, None, "edge-b"), (2, "far-7", "edge-b")]
        expected = [(5, None, None), *there, (1, "one", None)]
        self.assertEqual(self.rows(), expected)
        self.assertEqual(self.rows(text="t"), expected)
        for key, hostname, relay in expected:
            found = self.read(reader.read_task, f"t{key}")
            assert found is not None
            self.assertEqual((found[0].hostname, found[0].relay), (hostname, relay))

    def test_a_daemon_elsewhere_is_picked_out_by_id_or_hostname(self) -> None:
        """Also together with one here of the same name, and by the name that it has or had here."""
        self.assertEqual([key for key, _, _ in self.rows(daemon="d7")], [2])
        self.assertEqual([key for key, _, _ in self.rows(daemon="far-7")], [2])
        self.assertEqual([key for key, _, _ in self.rows(daemon="seven")], [2])
        self.assertEqual([key for key, _, _ in self.rows(daemon="one")], [4, 1])
        self.assertEqual([key for key, _, _ in self.rows(daemon="one", status=TaskStatus.DISPATCHED, text="4")], [4])
        self.assertEqual(self.rows(daemon="relay-b"), [])

    def test_they_are_pruned_as_all_are(self) -> None:
        """By the time of their end."""
        self.assertEqual(self.read(prune, 1e12, 100), 2)
        self.assertEqual([key for key, _, _ in self.rows()], [5, 4, 3])
