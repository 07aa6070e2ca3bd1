"""The ledger: the tasks that the relay keeps in mind, and the queue of those that wait.

It holds every unfinished task, and of the finished ones the latest few, because most late reports are about those.
The others are in the store only; :mod:`~makima_relay.core.lanes` has them looked up, unless
:mod:`~makima_relay.core.past` knows that there is nothing to be found.

Tasks of peers that daemons of this relay have (``cluster.md``) are kept apart: no count and no list of this relay's own
tasks has them.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Final

from makima_relay.core.foreign import ForeignTasks
from makima_relay.core.past import Past
from makima_relay.core.tasks import FINISHED, Task, TaskStatus

MOST_FINISHED: Final = 10_000


class Ledger:
    """Tasks by id, the pending ones in order.

    :param next_key: the first number that no stored task has, as key or position.
    :param total_finished: how often a task finished, ever.
    :ivar past: the ids of tasks that are not in mind.
    :ivar foreign: the tasks of peers.
    """

    def __init__(self, next_key: int = 1, total_finished: int = 0) -> None:
        self._next_key = next_key
        self.total_finished = total_finished
        self._unfinished: dict[str, Task] = {}
        #: Finds a task that is not finished, by its id; at once, because each report asks.
        self.unfinished: Callable[[str], Task | None] = self._unfinished.get
        self._finished: OrderedDict[str, Task] = OrderedDict()
        self.past = Past()
        self.foreign = ForeignTasks()
        self._at_work: dict[str, None] = {}
        #: Those that wait, as they arrived, and those that came back behind younger ones: a queue and a heap.
        self._arrived: deque[tuple[int, str]] = deque()
        self._returned: list[tuple[int, str]] = []
        self.counts: Counter[TaskStatus] = Counter()

    def number(self) -> int:
        """A number that no task has yet, greater than all before."""
        number = self._next_key
        self._next_key += 1
        return number

    def get(self, task_id: str) -> Task | None:
        """The task of this relay's own, if it is kept in mind."""
        return self._unfinished.get(task_id) or self._finished.get(task_id)

    def find(self, task_id: str) -> Task | None:
        """The task that a daemon may have, this relay's own or a peer's, if it is kept in mind."""
        return self._unfinished.get(task_id) or self.foreign.get(task_id) or self._finished.get(task_id)

    def is_at_rest(self, task_id: str) -> bool:
        """Whether the task is not one that some daemon has or waits for, as far as is known."""
        return task_id not in self._unfinished and self.foreign.unfinished(task_id) is None

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._unfinished or task_id in self._finished

    def is_certain(self, task_id: str) -> bool:
        """Whether the store would tell nothing that is not in mind."""
        return task_id in self._unfinished or task_id in self._finished or not self.past.may_have(task_id)

    def all_unfinished(self) -> list[str]:
        """The ids of all tasks that are not finished."""
        return list(self._unfinished)

    def at_work(self) -> list[str]:
        """The ids of all tasks that some daemon has, connected or not."""
        return list(self._at_work)

    def put(self, task: Task) -> Task | None:
        """Keep a task as it is now.

        :return: what it was, if it was kept in mind.
        """
        if task.origin is not None:
            return self.foreign.put(task)
        task_id = task.task_id
        before = self._unfinished.get(task_id)
        self.foreign.forget(task_id)
        if before is not None:
            self.counts[before.status] -= 1
        if task.status in FINISHED:
            self._unfinished.pop(task_id, None)
            finished_before = self._finished.pop(task_id, None)
            self._remember_finished(task, was_unfinished=before is not None)
            return before or finished_before
        self._unfinished[task_id] = task
        self.counts[task.status] += 1
        if task.status is not TaskStatus.PENDING:
            self._at_work[task_id] = None
        else:
            self._at_work.pop(task_id, None)
            self._enqueue(task)
        return before or self._finished.pop(task_id, None)

    def _enqueue(self, task: Task) -> None:
        waiting = self.counts[TaskStatus.PENDING]
        entry = (task.position, task.task_id)
        if len(self._arrived) + len(self._returned) > 64 + 2 * waiting:
            # Tasks that were withdrawn are thrown out when they surface; behind an old head they would pile up.
            pending = (each for each in self._unfinished.values() if each.status is TaskStatus.PENDING)
            self._arrived = deque(sorted((each.position, each.task_id) for each in pending))
            self._returned = []
        elif self._arrived and entry < self._arrived[-1]:
            heapq.heappush(self._returned, entry)
        else:
            self._arrived.append(entry)

    def _remember_finished(self, task: Task, *, was_unfinished: bool) -> None:
        self._at_work.pop(task.task_id, None)
        self._finished[task.task_id] = task
        self.total_finished += was_unfinished
        if len(self._finished) > MOST_FINISHED:
            task_id, _ = self._finished.popitem(last=False)
            self.past.add([task_id])

    def recall(self, task: Task) -> None:
        """Keep in mind again a finished task that was looked up, unless something newer is known of it."""
        if task.task_id not in self:
            self._remember_finished(task, was_unfinished=False)

    def oldest_pending(self) -> Task | None:
        """The pending task that came first."""
        arrived, returned = self._arrived, self._returned
        while arrived or returned:
            came_back = bool(returned) and (not arrived or returned[0] < arrived[0])
            position, task_id = returned[0] if came_back else arrived[0]
            task = self._unfinished.get(task_id)
            if task is not None and task.status is TaskStatus.PENDING and task.position == position:
                return task
            if came_back:
                heapq.heappop(returned)
            else:
                arrived.popleft()
        return None
