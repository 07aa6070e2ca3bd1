"""Tells the core which tasks the store knows, so that it need not ask for those that are new.

It reads their ids in slices behind the start, on the connection that answers people: a million take some seconds, in
which the core asks for every task, and nobody waits for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.rounds import Rounds

#: Seconds until it is tried again when the store fails.
INTERVAL: Final = 60.0
#: Ids that are read and told at a time: some milliseconds. And the pause after them, in seconds.
IDS_AT_A_TIME: Final = 5_000
PAUSE: Final = 0.005


class KnownIds(Protocol):
    """What is needed of the store."""

    def task_ids(self, after: str, most: int) -> Deferred[list[str]]:
        """Read the ids of stored tasks, in their order.

        :param after: the id that they are above.
        :param most: how many at most.
        """


class Learner(Protocol):
    """What is needed of the core."""

    def past_learnt(self, task_ids: Sequence[str], *, is_all: bool) -> None:
        """Learn the ids of tasks that the store has.

        :param is_all: whether all those of earlier runs are told now.
        """


class Recollection(Rounds):
    """Reads all ids once; goes on later where it was when the store fails.

    Until it has them all the core asks for every task, which is slower and as right.

    :param learner: is told.
    """

    interval = INTERVAL
    subject = "recollecting the tasks"

    def __init__(self, store: KnownIds, learner: Learner, clock: Clock) -> None:
        super().__init__(clock)
        self._store = store
        self._learner = learner
        self._told = ""

    def make_round(self) -> Any:
        """See :meth:`makima_relay.rounds.Rounds.make_round`."""
        is_all = False
        while not is_all:
            task_ids = yield self._store.task_ids(self._told, IDS_AT_A_TIME)
            is_all = len(task_ids) < IDS_AT_A_TIME
            self._learner.past_learnt(task_ids, is_all=is_all)
            if not is_all:
                self._told = task_ids[-1]
                yield self.pause(PAUSE)
        return False
