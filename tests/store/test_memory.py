"""Whatever is saved in whatever order, the database has what plain tables have: random walks through a relay's life.

The plain tables are those of :class:`tests.core.model.ModelStore`, which stands for the store where the core is tested.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.cluster_effects import (
    DropEntries,
    ForgetEntries,
    KeepEntry,
    SaveForeign,
    SavePeer,
    SaveReceived,
)
from makima_relay.core.effects import (
    ForgetCommands,
    ForgetReports,
    KeepCommand,
    KeepReport,
    OrphanTasks,
    Saved,
    SaveDaemon,
    SaveTask,
)
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.tasks import AT_WORK, FINISHED, TRANSITIONS, Task, TaskStatus
from makima_relay.store import reader, writer
from makima_relay.store.database import connect, open_database
from makima_relay.store.filters import Filter
from tests.core.builders import examples
from tests.core.model import ModelStore
from tests.store.case import make_task
from tests.untraced import untraced

TASKS = ("t1", "t2", "t3")
PEERS = ("relay-b", "relay-c")
task_ids = st.sampled_from(TASKS)
peers = st.sampled_from(PEERS)
daemons = st.sampled_from(["d1", "d2"])
hostnames = st.sampled_from(["one", "two"])
#: Which of several, counted around.
choices = st.integers(0, 11)
payloads = st.binary(max_size=3)
#: Home, or elsewhere, with the name of the daemon there if it is known.
places = st.none() | st.tuples(peers, st.none() | hostnames)


def chosen(statuses: Iterable[TaskStatus], choice: int) -> TaskStatus:
    """One of several statuses."""
    in_order = sorted(statuses)
    return in_order[choice % len(in_order)]


class StoreMachine(RuleBasedStateMachine):
    """All that a core saves, without a core: of each task only legal moves, of numbers only new ones."""

    empty: sqlite3.Connection

    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:")
        self.empty.backup(self.connection)
        self.model = ModelStore()
        self.batch: list[Saved] = []
        self.own: dict[str, Task] = {}
        self.foreign: dict[str, Task] = {}
        self.last = self.reports = 0
        self.numbers = dict.fromkeys(PEERS, 0)
        self.received = dict.fromkeys(PEERS, 0)

    def number(self) -> int:
        """One that no task has, as key or position."""
        self.last += 1
        return self.last

    # -------------------------------------------------------------------------------------------------- own tasks

    @rule(task_id=task_ids, name=st.none() | st.just("again"))
    def own_task_comes(self, task_id: str, name: str | None) -> None:
        before = self.own.get(task_id)
        if task_id in self.foreign or (before is not None and not before.finished):
            return
        if before is None:
            self.save(make_task(self.number(), task_id), b"m")
        else:
            again = before.asked_again(self.number(), name, 1500.0)
            self.save(msgspec.structs.replace(again, relay=None, hostname=None), b"again")

    @rule(task_id=task_ids, choice=choices, daemon_id=daemons, place=places)
    def own_task_moves(self, task_id: str, choice: int, daemon_id: str, place: tuple[str, str | None] | None) -> None:
        task = self.own.get(task_id)
        if task is None or task.finished:
            return
        status = chosen(TRANSITIONS[task.status], choice)
        if status is TaskStatus.DISPATCHED:
            self.save(self.at(task.dispatched(daemon_id, 1100.0), place))
        elif status in FINISHED:
            self.save(task.ended(status, 1300.0, None if status is TaskStatus.COMPLETED else "no"))
        elif status is TaskStatus.RUNNING and task.daemon_id is not None:
            self.save(task.running(task.daemon_id, 1200.0))
        elif status is not TaskStatus.RUNNING:
            self.save(task.to(status))

    @rule(task_id=task_ids, daemon_id=daemons, place=places)
    def own_task_changes_hands(self, task_id: str, daemon_id: str, place: tuple[str, str | None] | None) -> None:
        """It is placed, or its daemon moves to another relay or comes home."""
        task = self.own.get(task_id)
        if task is not None and task.at_work and (task.relay is not None or place is not None):
            self.save(self.at(msgspec.structs.replace(task, daemon_id=daemon_id), place))

    @staticmethod
    def at(task: Task, place: tuple[str, str | None] | None) -> Task:
        """A task at home or elsewhere."""
        relay, hostname = place or (None, None)
        return msgspec.structs.replace(task, relay=relay, hostname=hostname)

    def save(self, task: Task, message: bytes | None = None) -> None:
        """Keep an own task as it is now, as the core does."""
        before = self.own.get(task.task_id)
        self.own[task.task_id] = task
        elsewhere = task.relay is not None or (before is not None and before.relay is not None)
        self.batch.append(SaveTask(task, 2000.0, message, None if before is None else before.status, elsewhere))

    # ------------------------------------------------------------------------------------------------ other tasks

    @rule(task_id=task_ids, peer=peers, daemon_id=daemons, attempt=st.integers(1, 9))
    def foreign_task_comes(self, task_id: str, peer: str, daemon_id: str, attempt: int) -> None:
        own = self.own.get(task_id)
        if task_id not in self.foreign and (own is None or own.finished):
            task = make_task(self.number(), task_id, origin=peer, attempts=attempt - 1)
            self.save_foreign(task.dispatched(daemon_id, 1100.0))

    @precondition(lambda self: self.foreign)
    @rule(which=choices, choice=choices, daemon_id=daemons, detached=st.booleans())
    def foreign_task_moves(self, which: int, choice: int, daemon_id: str, detached: bool) -> None:
        task = list(self.foreign.values())[which % len(self.foreign)]
        moved = task.to(chosen(TRANSITIONS[task.status], choice))
        self.save_foreign(msgspec.structs.replace(moved, daemon_id=daemon_id, detached=detached))

    def save_foreign(self, task: Task) -> None:
        """Keep a task of another relay as it is now."""
        self.foreign[task.task_id] = task
        if not task.at_work:
            del self.foreign[task.task_id]
        self.batch.append(SaveForeign(task, 2000.0))

    @rule(task_id=task_ids, payload=st.none() | payloads, kept=st.booleans())
    def command_waits_or_goes(self, task_id: str, payload: bytes | None, kept: bool) -> None:
        task = self.foreign.get(task_id) or self.own.get(task_id)
        if task is not None:
            self.batch.append(
                KeepCommand(task.key, payload) if kept and not task.finished else ForgetCommands(task.key)
            )

    # ------------------------------------------------------------------------------------------------------ peers

    @rule(peer=peers, payload=payloads, skipped=st.sampled_from([0, 0, 5]))
    def entry_is_kept(self, peer: str, payload: bytes, skipped: int) -> None:
        self.numbers[peer] += 1 + skipped
        self.batch.append(KeepEntry(peer, self.numbers[peer], payload))

    @rule(peer=peers, back=st.integers(0, 3), drop=st.booleans())
    def entries_go(self, peer: str, back: int, drop: bool) -> None:
        number = self.numbers[peer] - back
        self.batch.append(DropEntries(peer, (number, number - 2)) if drop else ForgetEntries(peer, number))

    @rule(peer=peers, more=st.integers(1, 3))
    def entries_are_received(self, peer: str, more: int) -> None:
        self.received[peer] += more
        self.batch.append(SaveReceived(peer, self.received[peer]))

    @rule(peer=peers, name=st.sampled_from(["edge", "edge-2"]))
    def peer_is_seen(self, peer: str, name: str) -> None:
        self.batch.append(SavePeer(peer, name, 3000.0))

    @rule(daemon_id=daemons, hostname=hostnames, draining=st.booleans())
    def daemon_is_seen(self, daemon_id: str, hostname: str, draining: bool) -> None:
        self.batch.append(SaveDaemon(daemon_id, f"m-{daemon_id}", hostname, draining, 1000.0))

    @rule(payload=payloads, forgotten=st.booleans())
    def report_is_kept_or_goes(self, payload: bytes, forgotten: bool) -> None:
        self.reports += not forgotten
        self.batch.append(ForgetReports(self.reports) if forgotten else KeepReport(self.reports, payload))

    # ----------------------------------------------------------------------------------------------------- commits

    @rule()
    def commit(self) -> None:
        self.model.commit(self.batch)
        with self.connection:
            writer.write(self.connection.cursor(), self.batch)
        self.batch = []

    @rule(lost=st.booleans())
    def relay_starts_anew(self, lost: bool) -> None:
        """What was not committed may be lost; what it takes up is as it was, and its first commit orphans tasks."""
        if lost:
            self.batch = []
        self.commit()
        stored = [each.task for each in self.snapshot().tasks]
        self.foreign = {task.task_id: task for task in stored if task.origin is not None}
        self.own = {task.task_id: task for task in self.model.tasks.values()}
        self.last = self.snapshot().next_key - 1
        for tasks in (self.own, self.foreign):
            for task_id, task in tasks.items():
                if task.status in AT_WORK - {TaskStatus.ORPHANED} and task.relay is None:
                    tasks[task_id] = task.to(TaskStatus.ORPHANED)
        self.batch.append(OrphanTasks(2500.0))
        self.commit()

    def snapshot(self) -> Snapshot:
        """What a relay would take up now."""
        found = reader.read_snapshot(self.connection.cursor())
        return msgspec.structs.replace(found, daemons=tuple(sorted(found.daemons, key=lambda each: each.daemon_id)))

    @invariant()
    def database_has_what_tables_have(self) -> None:
        expected = self.model.snapshot()
        in_order = tuple(sorted(expected.daemons, key=lambda each: each.daemon_id))
        assert self.snapshot() == msgspec.structs.replace(expected, daemons=in_order)
        cursor = self.connection.cursor()
        tasks = sorted(self.model.tasks.values(), key=lambda each: each.key)
        assert sorted(reader.read_tasks(cursor, TASKS), key=lambda each: each.key) == tasks
        counted = {status: number for status, number in reader.read_counts(cursor).items() if number}
        assert counted == {each: sum(task.status is each for task in tasks) for each in {task.status for task in tasks}}

    @invariant()
    def people_see_where_tasks_are(self) -> None:
        for wanted in (None, "d1", "one"):
            rows, total = reader.read_page(self.connection.cursor(), Filter(daemon=wanted), 9, 0)
            tasks = [task for task in self.model.tasks.values() if wanted is None or self.is_of(task, wanted)]
            tasks.sort(key=lambda each: -each.position)
            assert ([row.task for row in rows], total) == (tasks, len(tasks)), wanted
            assert [(row.hostname, row.relay) for row in rows] == [self.names(task) for task in tasks]

    def is_of(self, task: Task, daemon: str) -> bool:
        """Whether a daemon of this id or name has or had a task."""
        here = {each.daemon_id for each in self.model.daemons.values() if each.hostname == daemon}
        there = {each.daemon_id for each in self.model.tasks.values() if each.hostname == daemon}
        return task.daemon_id is not None and task.daemon_id in {daemon, *here, *there}

    def names(self, task: Task) -> tuple[str | None, str | None]:
        """How the daemon and the relay are called that have or had a task."""
        daemon = self.model.daemons.get(task.daemon_id or "")
        hostname = task.hostname or (daemon and daemon.hostname)
        return hostname, task.relay and (self.model.agent_names.get(task.relay) or task.relay)

    def teardown(self) -> None:
        self.commit()
        self.database_has_what_tables_have()
        self.people_see_where_tasks_are()
        self.connection.close()


class MemoryTests(SynchronousTestCase):
    """Random walks; see :func:`tests.core.builders.examples`."""

    @untraced
    def test_no_walk_leaves_something_else_in_the_database(self) -> None:
        """Neither after a commit nor after a restart."""
        path = Path(self.mktemp()).absolute()
        self.addCleanup(open_database(path).release)
        empty = connect(path)
        self.addCleanup(empty.close)

        class Machine(StoreMachine):
            pass

        Machine.empty = empty
        options: dict[str, Any] = {"stateful_step_count": 60}
        run_state_machine_as_test(Machine, settings=examples(100, **options))
