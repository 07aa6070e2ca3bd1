"""Stores that scripted runs are played on, and what is left in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock as ManualReactor
from twisted.python.failure import Failure

from makima_relay.core.effects import Saved
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.tasks import Task
from makima_relay.ports import Store
from tests.book import Left
from tests.core.model import ModelStore


class WholeStore(Store, Protocol):
    """A store that also tells what a relay starts with."""

    def snapshot(self) -> Deferred[Snapshot]:
        """Read all that a relay takes up when it starts."""


class PlainStore:
    """A store of plain tables that answers at once.

    :param tables: has what is stored.
    """

    def __init__(self, tables: ModelStore) -> None:
        self._tables = tables

    def commit(self, batch: Sequence[Saved]) -> Deferred[None]:
        """See :meth:`makima_relay.ports.Store.commit`."""
        self._tables.commit(batch)
        return succeed(None)

    def recall(self, task_ids: Sequence[str]) -> Deferred[list[Task]]:
        """See :meth:`makima_relay.ports.Store.recall`."""
        return succeed(self._tables.recall(task_ids))

    def reports(self, after: int, up_to: int, size: int) -> Deferred[tuple[list[tuple[int, bytes]], int]]:
        """See :meth:`makima_relay.ports.Store.reports`: two at a time, whatever the size."""
        page = self._tables.page(after, up_to)
        return succeed((page, page[-1][0] if len(page) == 2 else up_to))

    def snapshot(self) -> Deferred[Snapshot]:
        """Read all that a relay takes up when it starts."""
        return succeed(self._tables.snapshot())


class WatchedStore:
    """Does at once what it is asked, and answers when the caller is done with other things, as a thread would.

    :param store: does it.
    :param asked: told of each call before it is done, by the name of the method; what it raises is the answer then.
    :param done: told when it is done, likewise.
    :param delay: how long an answer takes, in seconds.
    """

    def __init__(
        self,
        store: WholeStore,
        reactor: ManualReactor,
        asked: Callable[[str], None],
        done: Callable[[str], None],
        delay: float,
    ) -> None:
        self._store = store
        self._reactor = reactor
        self._asked = asked
        self._done = done
        self._delay = delay

    def commit(self, batch: Sequence[Saved]) -> Deferred[None]:
        """See :meth:`makima_relay.ports.Store.commit`."""
        return self._watch("commit", self._store.commit, batch)

    def recall(self, task_ids: Sequence[str]) -> Deferred[list[Task]]:
        """See :meth:`makima_relay.ports.Store.recall`."""
        return self._watch("recall", self._store.recall, task_ids)

    def reports(self, after: int, up_to: int, size: int) -> Deferred[tuple[list[tuple[int, bytes]], int]]:
        """See :meth:`makima_relay.ports.Store.reports`."""
        return self._watch("reports", self._store.reports, after, up_to, size)

    def _watch(self, name: str, method: Callable[..., Deferred[Any]], *arguments: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        try:
            self._asked(name)
            result: Any = result_of(method(*arguments))
            self._done(name)
        except Exception:
            result = Failure()
        self._reactor.callLater(self._delay, answer.callback, result)
        return answer


def result_of(deferred: Deferred[Any]) -> Any:
    """The result of something that has happened already."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result


def left_in(store: WholeStore, task_ids: Sequence[str]) -> Left:
    """Read all that matters of a store.

    :param task_ids: all tasks that there may be.
    """
    reports, after = {}, 0
    while page := result_of(store.reports(after, 1 << 62, 1 << 30))[0]:
        reports.update(page)
        after = page[-1][0]
    return Left(
        result_of(store.snapshot()), {task.task_id: task for task in result_of(store.recall(task_ids))}, reports
    )
