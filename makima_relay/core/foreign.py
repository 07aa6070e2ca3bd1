"""The tasks of peers that daemons of this relay have, or had (``cluster.md``)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from makima_relay.core.tasks import Task

MOST_FINISHED: Final = 10_000


class ForeignTasks:
    """Tasks by id: all that are not finished, and of the others the latest, which late reports are about.

    :ivar told: the number of the last entry that told each unfinished one's origin where it is.
    """

    def __init__(self) -> None:
        self.told: dict[str, int] = {}
        self._unfinished: dict[str, Task] = {}
        self._finished: OrderedDict[str, Task] = OrderedDict()

    def __len__(self) -> int:
        """How many are not finished."""
        return len(self._unfinished)

    def unfinished(self, task_id: str) -> Task | None:
        """The task, if it is not finished."""
        return self._unfinished.get(task_id)

    def get(self, task_id: str) -> Task | None:
        """The task, if it is kept in mind."""
        return self._unfinished.get(task_id) or self._finished.get(task_id)

    def of(self, origin: str) -> list[Task]:
        """Those of a peer that are not finished."""
        return [task for task in self._unfinished.values() if task.origin == origin]

    def put(self, task: Task) -> Task | None:
        """Keep a task as it is now.

        :return: what it was, if it was kept in mind.
        """
        before = self._unfinished.pop(task.task_id, None) or self._finished.pop(task.task_id, None)
        if not task.finished:
            self._unfinished[task.task_id] = task
            return before
        self.told.pop(task.task_id, None)
        self._finished[task.task_id] = task
        if len(self._finished) > MOST_FINISHED:
            self._finished.popitem(last=False)
        return before

    def forget(self, task_id: str) -> None:
        """Keep a finished task in mind no more; nothing happens if it is not."""
        self._finished.pop(task_id, None)
