"""Lanes: what a peer says about a task that is not in mind waits, in order, until the store was asked for it.

Each peer has a lane. While nothing in it waits, messages pass at once and cost one set look-up. As soon as one must
wait for a look-up, all later ones of that peer queue behind it, so that no message overtakes another; the ids that
those need are looked up meanwhile, many in one go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Generic, TypeVar

MessageT = TypeVar("MessageT")


class Lanes(Generic[MessageT]):
    """Keeps the order of each peer's messages around look-ups.

    :param known: whether a task is in mind.
    """

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._waiting: dict[Hashable, deque[tuple[str | None, MessageT]]] = {}
        self._asked: set[str] = set()
        self._to_ask: list[str] = []

    def __len__(self) -> int:
        """How many messages wait."""
        return sum(map(len, self._waiting.values()))

    def passes(self, lane: Hashable, task_id: str | None, message: MessageT) -> bool:
        """Whether a message can be acted on now; if not, it waits in its lane.

        :param lane: who sent it.
        :param task_id: the task that must be in mind for it, if any.
        """
        queue = self._waiting.get(lane)
        known = task_id is None or self._known(task_id)
        if queue is None and known:
            return True
        if queue is None:
            queue = self._waiting[lane] = deque()
        queue.append((task_id, message))
        if task_id is not None and not known:
            self._ask(task_id)
        return False

    def _ask(self, task_id: str) -> None:
        if task_id not in self._asked:
            self._asked.add(task_id)
            self._to_ask.append(task_id)

    def to_ask(self) -> tuple[str, ...]:
        """The ids that are to be looked up and were not asked for before."""
        asked, self._to_ask = tuple(self._to_ask), []
        return asked

    def answered(self, task_ids: Collection[str]) -> Iterable[tuple[Hashable, MessageT]]:
        """Release what waited only for these ids, in each lane's order.

        To be iterated while acting on what it yields: whether a task is in mind is asked anew for each message.

        :param task_ids: what the store was asked for, found or not.
        """
        self._asked.difference_update(task_ids)
        for lane, queue in list(self._waiting.items()):
            while queue:
                task_id, message = queue[0]
                if task_id is not None and task_id not in task_ids and not self._known(task_id):
                    self._ask(task_id)
                    break
                queue.popleft()
                yield lane, message
            if not queue:
                self._waiting.pop(lane, None)
