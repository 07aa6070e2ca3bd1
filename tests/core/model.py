"""A store and a commit queue made of plain lists: what the relay's memory is compared with."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from makima_relay.core.cluster_effects import (
    DropEntries,
    ForgetEntries,
    KeepEntry,
    SaveForeign,
    SavePeer,
    SaveReceived,
)
from makima_relay.core.effects import (
    Effect,
    ForgetCommands,
    ForgetReports,
    Gate,
    KeepCommand,
    KeepReport,
    KeepReports,
    OrphanTasks,
    Saved,
    SaveDaemon,
    SaveEntry,
    SaveTask,
    Urgent,
)
from makima_relay.core.journal import MOST_ENTRIES, Entry
from makima_relay.core.snapshot import Snapshot, StoredDaemon, StoredTask
from makima_relay.core.tasks import Task, TaskStatus
from tests.core.model_peers import ModelPeers, OfPeers, backlog_of


class ModelStore(ModelPeers):
    """Tables as the database has them, with its constraints.

    :ivar tasks: by key; the other tables likewise by what is unique in them.
    :ivar foreign: unfinished tasks of other relays, by key.
    :ivar dispatches: how often each task was ever committed as dispatched to a daemon, by (task id, daemon id).
    :ivar begins: how often each task was ever committed as asked for, or taken up, by task id.
    :ivar ends: how often each task was ever committed as finished, by task id.
    :ivar ever_kept: every report that was ever committed with the end of its task.
    :ivar ever_waited: every report that was ever committed because it waited.
    :ivar ever_commanded: every command that was ever committed, by the key of its task.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[int, Task] = {}
        self.messages: dict[int, bytes] = {}
        self.commands: list[tuple[int, bytes | None]] = []
        self.reports: dict[int, bytes] = {}
        self.daemons: dict[str, SaveDaemon] = {}
        self.entries: list[Entry] = []
        self.foreign: dict[int, Task] = {}
        self.dispatches: Counter[tuple[str, str | None]] = Counter()
        self.begins: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.ever_kept: set[bytes] = set()
        self.ever_waited: set[bytes] = set()
        self.ever_commanded: set[tuple[int, bytes | None]] = set()

    def copy(self) -> ModelStore:
        """One that can be written to without changing this one."""
        other = ModelStore()
        for name, table in vars(self).items():
            setattr(other, name, table.copy())
        return other

    def commit(self, batch: Iterable[Saved]) -> None:
        """Write all of these, in their order."""
        for effect in batch:
            match effect:
                case SaveTask():
                    self._save_task(effect)
                case OrphanTasks():
                    self._orphan_tasks()
                case KeepCommand(key, payload):
                    self.commands.append((key, payload))
                    self.ever_commanded.add((key, payload))
                case ForgetCommands(key):
                    self.commands = [each for each in self.commands if each[0] != key]
                case KeepReport() | KeepReports() | ForgetReports():
                    self._change_reports(effect)
                case SaveDaemon():
                    self.daemons[effect.daemon_id] = effect
                case SaveForeign() | SavePeer() | SaveReceived() | KeepEntry() | ForgetEntries() | DropEntries():
                    self._change_cluster(effect)
                case SaveEntry(entry):
                    assert not self.entries or entry.number > self.entries[-1].number, "entries are out of order"
                    self.entries = [*self.entries[1 - MOST_ENTRIES :], entry]

    def _orphan_tasks(self) -> None:
        for table in (self.tasks, self.foreign):
            for key, task in table.items():
                if task.status in (TaskStatus.DISPATCHED, TaskStatus.RUNNING) and task.relay is None:
                    table[key] = task.to(TaskStatus.ORPHANED)

    def _change_cluster(self, effect: SaveForeign | OfPeers) -> None:
        if not isinstance(effect, SaveForeign):
            self.change_peers(effect)
            return
        task = effect.task
        self.foreign.pop(task.key, None)
        if not task.at_work:
            self.commands = [each for each in self.commands if each[0] != task.key]
        else:
            assert task.task_id not in {each.task_id for each in self.foreign.values()}, "a task has two keys"
            self.foreign[task.key] = task

    def _change_reports(self, effect: KeepReport | KeepReports | ForgetReports) -> None:
        match effect:
            case KeepReport(number, payload):
                assert number not in self.reports, "a report's number is used twice"
                self.reports[number] = payload
                self.ever_kept.add(payload)
            case KeepReports(reports):
                self.reports = dict(reports) | self.reports
                self.ever_waited.update(payload for _, payload in reports)
            case ForgetReports(up_to):
                self.reports = {number: each for number, each in self.reports.items() if number > up_to}

    def _save_task(self, effect: SaveTask) -> None:
        task, before = effect.task, self.tasks.get(effect.task.key)
        for other in self.tasks.values():
            if other.key != task.key:
                assert other.position != task.position, "a position is used twice"
                assert other.task_id != task.task_id, "a task has two keys"
        self.tasks[task.key] = task
        if effect.message is not None:
            self.messages[task.key] = effect.message
        if effect.message is not None or effect.before is None:
            self.begins[task.task_id] += 1
        if task.finished and before is not None and not before.finished:
            self.ends[task.task_id] += 1
        if task.status is TaskStatus.DISPATCHED:
            self.dispatches[task.task_id, task.daemon_id] += 1

    def recall(self, task_ids: Sequence[str]) -> list[Task]:
        """Those of these tasks that are stored."""
        return [task for task in self.tasks.values() if task.task_id in task_ids]

    def snapshot(self) -> Snapshot:
        """What a relay takes up when it starts."""
        unfinished = sorted((each for each in self.tasks.values() if not each.finished), key=lambda each: each.position)
        foreign = sorted(self.foreign.values(), key=lambda each: each.key)
        with_tasks = {each.daemon_id for each in (*unfinished, *foreign) if each.relay is None}
        every = (*self.tasks.values(), *foreign)
        return Snapshot(
            next_key=1 + max((max(each.key, each.position) for each in every), default=0),
            total_finished=self.ends.total(),
            tasks=tuple(self._stored(each) for each in (*unfinished, *foreign)),
            daemons=tuple(
                StoredDaemon(
                    daemon_id=each.daemon_id,
                    machine_id=each.machine_id,
                    hostname=each.hostname,
                    draining=each.draining,
                )
                for each in self.daemons.values()
                if each.draining or each.daemon_id in with_tasks
            ),
            backlog=backlog_of(self.reports),
            entries=tuple(self.entries),
            peers=self.peers(),
        )

    def page(self, after: int, up_to: int) -> list[tuple[int, bytes]]:
        """The reports with a number in a range, two at a time."""
        return [(number, self.reports[number]) for number in sorted(self.reports) if after < number <= up_to][:2]

    def _stored(self, task: Task) -> StoredTask:
        commands = tuple(payload for key, payload in self.commands if key == task.key)
        return StoredTask(task=task, message=self.messages.get(task.key), commands=commands)


class ModelQueue:
    """Commits first, then performs, as ``engine.py`` and ``commits.py`` do; a commit takes as long as the test likes.

    :param perform: does one effect that is not saved.
    :param stored: told up to which number reports are in the store that were to be kept.
    """

    def __init__(self, store: ModelStore, perform: Callable[[Effect], None], stored: Callable[[int], None]) -> None:
        self.store = store
        self._perform = perform
        self._stored = stored
        self._queue: deque[Effect] = deque()
        self._lingering: list[Saved] = []
        self._batch: list[Saved] = []
        self._covered = 0

    @property
    def committing(self) -> bool:
        """Whether a commit is under way."""
        return bool(self._batch)

    def put(self, decided: Sequence[Effect]) -> None:
        """Perform effects, or queue them behind what must be committed first."""
        if self._queue:
            self._queue.extend(decided)
            return
        for place, effect in enumerate(decided):
            if isinstance(effect, Gate):
                self._queue.extend(decided[place:])
                self.commit()
                return
            self._pass(effect)
        self._commit_what_is_urgent()

    def _commit_what_is_urgent(self) -> None:
        if any(isinstance(effect, Urgent) for effect in self._lingering):
            self.commit()

    def _pass(self, effect: Effect) -> None:
        if isinstance(effect, Saved):
            self._lingering.append(effect)
        else:
            self._perform(effect)

    def commit(self) -> None:
        """Begin to commit all that is there to be saved, unless a commit is under way."""
        if self._batch:
            return
        self._covered = len(self._queue)
        self._batch = self._lingering + [each for each in self._queue if isinstance(each, Saved)]
        self._lingering = []

    def committed(self) -> None:
        """The commit that is under way succeeds."""
        self.store.commit(self._batch)
        batch, self._batch = self._batch, []
        self._perform_some(self._covered)
        while self._queue and not isinstance(self._queue[0], Gate):
            self._pass(self._queue.popleft())
        if self._queue:
            self.commit()
        self._commit_what_is_urgent()
        for effect in batch:
            if isinstance(effect, KeepReports):
                self._stored(effect.reports[-1][0])

    def _perform_some(self, number: int) -> None:
        for _ in range(number):
            effect = self._queue.popleft()
            self._covered -= 1
            if not isinstance(effect, Saved):
                self._perform(effect)

    def crash(self, *, lands: bool, performed: int) -> None:
        """Stop in the middle of everything.

        :param lands: whether the commit that is under way becomes durable.
        :param performed: how many of the effects behind it are performed before the end comes.
        """
        if self._batch and lands:
            self.store.commit(self._batch)
            self._perform_some(min(performed, self._covered))

    def landed(self) -> ModelStore:
        """The store as it will be when the commit that is under way is durable."""
        store = self.store.copy()
        store.commit(self._batch)
        return store

    def would_be(self) -> ModelStore:
        """The store as it will be when nothing is left to be saved."""
        store = self.landed()
        behind = list(self._queue)[self._covered :]
        store.commit(self._lingering)
        store.commit(each for each in behind if isinstance(each, Saved))
        return store
