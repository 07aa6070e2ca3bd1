"""Tells the core which tasks the store knows, so that it need not ask for those that are new.

It reads their ids in slices behind the start, on the connection that answers people: a million take some seconds, in
which the core asks for every task, and nobody waits for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from makima_relay.clock import Clock

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


class Recollection:
    """Reads all ids once.

    :param learner: is told.
    """

    _log = Logger()

    def __init__(self, store: KnownIds, learner: Learner, clock: Clock) -> None:
        self._store = store
        self._learner = learner
        self._clock = clock
        self._under_way: Deferred[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._under_way = self._recollect().addErrback(self._failed)

    def stop(self) -> None:
        """End after the slice that is under way."""
        if self._under_way is not None:
            self._under_way.cancel()

    @inlineCallbacks
    def _recollect(self) -> Any:
        after, is_all = "", False
        while not is_all:
            task_ids = yield self._store.task_ids(after, IDS_AT_A_TIME)
            is_all = len(task_ids) < IDS_AT_A_TIME
            self._learner.past_learnt(task_ids, is_all=is_all)
            if not is_all:
                after = task_ids[-1]
                yield deferLater(self._clock.reactor, PAUSE)

    def _failed(self, failure: Failure) -> None:
        """Do without: asking for every task is slower and as right."""
        if not failure.check(CancelledError):
            self._log.error("tasks are looked up one by one: {reason}", reason=failure.getErrorMessage())
