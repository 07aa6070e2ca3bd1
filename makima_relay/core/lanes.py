"""Lanes: what a peer says about a task that is not in mind waits, in order, until the store was asked for it.

Each peer has a lane. While nothing in it waits, messages pass at once and cost one set look-up. As soon as one must
wait for a look-up, all later ones of that peer queue behind it, so that no message overtakes another; the ids that
those need are looked up meanwhile, many in one go.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Final, Generic, TypeVar

MessageT = TypeVar("MessageT")

#: Ids in one question. What is found must be in mind together: :data:`~makima_relay.core.ledger.MOST_FINISHED`.
MOST_ASKED: Final = 5_000


class Lanes(Generic[MessageT]):
    """Keeps the order of each peer's messages around look-ups.

    :param known: whether a task is in mind.
    :ivar last: the number of the last message that had to wait; they count from 1.
    :ivar size: bytes of all that wait.
    """

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._numbers = itertools.count(1)
        self._waiting: dict[Hashable, deque[tuple[int, int, str | None, bool, MessageT]]] = {}
        self._asked: set[str] = set()
        self._to_ask: list[str] = []
        self.last = 0
        self.size = 0

    def __len__(self) -> int:
        """How many messages wait."""
        return sum(map(len, self._waiting.values()))

    @property
    def oldest(self) -> int | None:
        """The number of the message that waits longest, if one does."""
        return min((queue[0][0] for queue in self._waiting.values()), default=None)

    def is_clear(self, lane: Hashable) -> bool:
        """Whether nothing waits in a lane."""
        return lane not in self._waiting

    def is_asked(self, task_id: str) -> bool:
        """Whether a task is being looked up, or is to be."""
        return task_id in self._asked

    def passes(
        self, lane: Hashable, task_id: str | None, message: MessageT, size: int = 0, *, to_ask: bool = False
    ) -> bool:
        """Whether a message can be acted on now; if not, it waits in its lane.

        :param lane: who sent it.
        :param task_id: the task that must be in mind for it, if any.
        :param size: its bytes.
        :param to_ask: whether the task must be looked up though it is in mind.
        """
        queue = self._waiting.get(lane)
        # While the store is asked, nobody makes the task: the answer would be older than it.
        known = task_id is None or (not to_ask and self._known(task_id) and task_id not in self._asked)
        if queue is None and known:
            return True
        if queue is None:
            queue = self._waiting[lane] = deque()
        self.last = next(self._numbers)
        self.size += size
        queue.append((self.last, size, task_id, to_ask, message))
        if task_id is not None and not known:
            self._ask(task_id)
        return False

    def _ask(self, task_id: str) -> None:
        if task_id not in self._asked:
            self._asked.add(task_id)
            self._to_ask.append(task_id)

    def to_ask(self) -> tuple[str, ...]:
        """The ids that are to be looked up and were not asked for before, as many as fit one question."""
        asked, self._to_ask = tuple(self._to_ask[:MOST_ASKED]), self._to_ask[MOST_ASKED:]
        return asked

    def answered(self, task_ids: Iterable[str], found: Collection[str]) -> Iterable[tuple[Hashable, MessageT]]:
        """Release what waited only for these ids, in each lane's order.

        To be iterated while acting on what it yields: whether a task is in mind is asked anew for each message. One
        that was found may have left the mind again, to make room for others; then it is looked up once more.

        :param task_ids: what the store was asked for.
        :param found: those of them that it has; they were in mind when this was called.
        """
        self._asked.difference_update(task_ids)
        unknown = set(task_ids).difference(found)
        for lane, queue in list(self._waiting.items()):
            while queue:
                _, size, task_id, to_ask, message = queue[0]
                if to_ask and task_id in self._asked:
                    break
                if task_id is not None and task_id not in unknown and not self._known(task_id):
                    self._ask(task_id)
                    break
                queue.popleft()
                self.size -= size
                yield lane, message
                if task_id in unknown and self._known(task_id):
                    # It has been made, so it is in the store, or on its way there.
                    unknown.discard(task_id)
            if not queue:
                self._waiting.pop(lane, None)
