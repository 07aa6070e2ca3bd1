"""The directory of the cluster: whose each task is, and where it is (``cluster.md``, *Links*).

A task's entry is written by its origin alone, and stays for a while when the task has ended. Without a cluster there is
no directory, and nothing is written.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from makima_relay.core.cluster_effects import ForgetTasks, RecordHolder, RecordMore
from makima_relay.core.effects import Effect
from makima_relay.core.tasks import Task

#: Entries that are written again in one go.
_AT_A_TIME: Final = 2_000
#: Seconds for which the entry of a task that has ended tells whose it was: a report on it may come late, and by a relay
#: that knows nothing of it.
ENDED_FOR: Final = 60.0
#: Stands for the holder in such an entry.
_NOBODY: Final = "ended"


class DirectoryEntry(msgspec.Struct, frozen=True, gc=False):
    """Where a task is.

    :ivar origin: the id of the relay that got it from its server; that relay alone writes the entry.
    :ivar holder: the id of the relay whose daemon has it, or may get it.
    :ivar attempt: how often the origin has handed it out.
    """

    origin: str
    holder: str
    attempt: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether the task has ended: it is only written whose it was."""
        return self.holder == _NOBODY


class Directory:
    """What this relay writes there, and what it has just read.

    :param relay_id: this relay's id; none without a cluster.
    :param note: has something done.
    """

    def __init__(self, relay_id: str | None, note: Callable[[Effect], None]) -> None:
        self._relay_id = relay_id
        self._note = note
        self._read: Mapping[str, DirectoryEntry] = {}
        self._to_record: deque[str] = deque()
        #: When the entries of those are to go that have ended, the first first.
        self._ended: dict[str, float] = {}

    def reading(self, entries: Mapping[str, DirectoryEntry]) -> None:
        """Know, until :meth:`has_read`, what was just read of tasks that were not in mind."""
        self._read = entries

    def has_read(self, task_ids: Iterable[str], find: Callable[[str], Task | None], *, is_outdated: bool) -> None:
        """Drop the entries that were made by asking, of tasks that have not become this relay's own.

        :param task_ids: what was asked for.
        :param find: finds an unfinished task of this relay's.
        :param is_outdated: whether Redis was away then, so that no entry was made.
        """
        if is_outdated:
            for task in filter(None, map(find, task_ids)):
                self.record(task)
        if self._relay_id is not None:
            self.forget(each for each in task_ids if find(each) is None and self.others(each) is None)
        self._read = {}

    def others(self, task_id: str) -> DirectoryEntry | None:
        """The entry that was just read of a task, if that is a peer's."""
        entry = self._read.get(task_id)
        return None if entry is None or entry.origin == self._relay_id else entry

    def record(self, task: Task, instead_of: str | None = None) -> None:
        """Write where a task of this relay's is.

        :param instead_of: the peer whose task it was until now.
        """
        if self._relay_id is not None:
            holder = task.relay or self._relay_id
            self._note(RecordHolder(task.task_id, task.attempts, self._relay_id, holder, instead_of))

    def dispatched(self, task: Task) -> None:
        """Write where a task has just been sent; of the first that a daemon here gets it is written by asking."""
        if task.relay is not None or task.attempts > 1:
            self.record(task)

    def ended(self, task: Task, now: float) -> None:
        """Write that a task of this relay's has ended; after a while its entry goes."""
        if self._relay_id is not None:
            self._note(RecordHolder(task.task_id, task.attempts, self._relay_id, _NOBODY))
            self._ended.pop(task.task_id, None)
            self._ended[task.task_id] = now + ENDED_FOR

    def has_just_ended(self, task_id: str) -> bool:
        """Whether the entry of a task that has ended is to stay for a while."""
        return task_id in self._ended

    def expire(self, find: Callable[[str], Task | None], now: float) -> None:
        """Drop the entries of tasks that ended a while ago.

        :param find: finds an unfinished task of this relay's: one that has begun anew keeps its entry.
        """
        over = list(itertools.takewhile(lambda task_id: self._ended[task_id] <= now, self._ended))
        for task_id in over:
            del self._ended[task_id]
        self.forget(task_id for task_id in over if find(task_id) is None)

    def forget(self, task_ids: Iterable[str]) -> None:
        """Drop the entries of tasks which are no unfinished ones of this relay's."""
        gone = tuple(task_ids)
        if gone and self._relay_id is not None:
            self._note(ForgetTasks(gone))

    def record_again(self, task_ids: Iterable[str]) -> None:
        """Write the entries of many tasks again, a few at a time: :meth:`go_on` does it."""
        if self._relay_id is not None:
            self._to_record = deque(task_ids)

    def go_on(self, find: Callable[[str], Task | None]) -> None:
        """Write some more of them.

        :param find: finds an unfinished task of this relay's.
        """
        for _ in range(min(_AT_A_TIME, len(self._to_record))):
            task = find(self._to_record.popleft())
            if task is not None:
                self.record(task)
        if self._to_record:
            self._note(RecordMore())
