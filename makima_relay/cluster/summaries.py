"""What other relays can show of this one's tasks and daemons: written into Redis, so that they need not ask it.

Unfinished tasks are there, and the latest 10,000 finished ones. What changes is written once a second, as it is then;
at the begin of a session everything is. An hour after the relay was last there, nothing of it is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from makima_relay.clock import Clock
from makima_relay.cluster.names import Names
from makima_relay.cluster.scripts import SUMMARIZE
from makima_relay.cluster.session import Session
from makima_relay.core.tasks import FINISHED, Task, TaskStatus
from makima_relay.ports import StoreUnavailableError

#: Finished tasks of a relay that are there.
MOST_FINISHED: Final = 10_000
#: Seconds between two rounds, tasks and daemons that are written in one at most, and tasks that may wait for one:
#: of more the older have been overtaken by then.
_ROUND: Final = 1.0
_AT_A_TIME: Final = 1_000
_MOST_WAITING: Final = 2 * MOST_FINISHED
#: Tasks that are read from the store at a time, and seconds until the next.
_PAGE: Final = 200
_PAUSE: Final = 0.02
#: Seconds after which nothing of a relay is there that has gone, and between two times that this is put off.
LASTING: Final = 3600
_PUT_OFF: Final = 300


@attrs.frozen
class Summary:
    """A task as others show it.

    :ivar received_at: seconds since the epoch.
    :ivar finished_at: likewise; none before.
    :ivar text: JSON, as in ``/tasks``.
    """

    task_id: str
    received_at: float
    finished_at: float | None
    text: bytes


class Summarizer(Protocol):
    """Who knows the relay's tasks and daemons."""

    def summary(self, task: Task) -> Summary:
        """How a task is shown."""

    def page(self, status: TaskStatus | None, limit: int, offset: int) -> Deferred[Sequence[Summary]]:
        """Some of the stored tasks, newest first, each as it is now.

        :param status: only those of this status.
        """

    def daemon_ids(self) -> list[str]:
        """The connected daemons."""

    def daemon(self, daemon_id: str) -> bytes | None:
        """How a daemon is shown, in JSON as in ``/daemons``; none if it is not connected."""


class Summaries:
    """Writes the summaries of one relay.

    :param summarizer: knows what is to be written.
    :param relay_id: the relay's own.
    """

    def __init__(self, summarizer: Summarizer, names: Names, relay_id: str, clock: Clock) -> None:
        self._summarizer = summarizer
        self._tasks_keys = [names.rows(relay_id), names.order(relay_id), names.ended(relay_id)]
        self._daemons_key = names.daemons(relay_id)
        self._clock = clock
        self._session: Session | None = None
        self._tasks: dict[str, Task] = {}
        self._daemons: dict[str, None] = {}
        self._timer: IDelayedCall | None = None
        self._writing: Deferred[None] = succeed(None)
        self._put_off_at = 0.0

    def begin(self, session: Session) -> None:
        """Write everything, and then what changes."""
        self._session = session
        self._tasks = {}
        session.command("DEL", *self._tasks_keys, self._daemons_key)
        self._daemons = dict.fromkeys(self._summarizer.daemon_ids())
        self._writing = self._write_all(session)
        self._writing.addErrback(_be_content)
        self._timer = self._clock.reactor.callLater(_ROUND, self._make_round)

    def end(self) -> None:
        """There is no session any more."""
        self._session = None
        self._writing.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    # ------------------------------------------------------------------------------------------------- what changes

    def task_saved(self, task: Task) -> None:
        """A task is as it is now; so may its daemon be."""
        if self._session is None:
            return
        self._tasks[task.task_id] = task
        if len(self._tasks) > _MOST_WAITING:
            del self._tasks[next(iter(self._tasks))]
        if task.daemon_id is not None and task.relay is None:
            self._daemons[task.daemon_id] = None

    def daemon_changed(self, daemon_id: str) -> None:
        """A daemon has come or gone, or something else of it has changed."""
        if self._session is not None:
            self._daemons[daemon_id] = None

    # ------------------------------------------------------------------------------------------------ writing it

    def _make_round(self) -> None:
        self._timer = self._clock.reactor.callLater(_ROUND, self._make_round)
        session = self._session
        if session is None:
            return
        tasks = [self._tasks.pop(task_id) for task_id in list(self._tasks)[:_AT_A_TIME]]
        if tasks:
            self._write_tasks(session, map(self._summarizer.summary, tasks))
        daemons = list(self._daemons)[:_AT_A_TIME]
        if daemons:
            self._write_daemons(session, daemons)
        if self._clock.monotonic() >= self._put_off_at:
            self._put_off_at = self._clock.monotonic() + _PUT_OFF
            for key in (*self._tasks_keys, self._daemons_key):
                session.command("EXPIRE", key, LASTING)

    def _write_tasks(self, session: Session, summaries: Iterable[Summary]) -> None:
        words: list[str | bytes | int] = []
        for each in summaries:
            ended = "" if each.finished_at is None else repr(each.finished_at)
            words += [each.task_id, repr(each.received_at), ended, each.text]
        if words:
            session.call(SUMMARIZE, self._tasks_keys, [MOST_FINISHED, LASTING, *words])

    def _write_daemons(self, session: Session, daemon_ids: Iterable[str]) -> None:
        there: list[str | bytes | int] = []
        gone: list[str | bytes | int] = []
        for daemon_id in daemon_ids:
            self._daemons.pop(daemon_id, None)
            text = self._summarizer.daemon(daemon_id)
            if text is None:
                gone.append(daemon_id)
            else:
                there += [daemon_id, text]
        if gone:
            session.command("HDEL", self._daemons_key, *gone)
        if there:
            session.command("HSET", self._daemons_key, *there)
            session.command("EXPIRE", self._daemons_key, LASTING)

    @inlineCallbacks
    def _write_all(self, session: Session) -> Generator[Deferred[Any], Any, None]:
        """All unfinished tasks, and the latest finished ones, page by page."""
        for status in [each for each in TaskStatus if each not in FINISHED]:
            yield from self._write_pages(session, status)
        yield from self._write_pages(session, None)

    def _write_pages(self, session: Session, status: TaskStatus | None) -> Generator[Deferred[Any], Any, None]:
        offset, finished = 0, 0
        while finished < MOST_FINISHED:
            page = yield self._summarizer.page(status, _PAGE, offset)
            self._write_tasks(session, page)
            finished += sum(each.finished_at is not None for each in page)
            offset += len(page)
            if len(page) < _PAGE:
                return
            # Others have their turn.
            yield deferLater(self._clock.reactor, _PAUSE)


def _be_content(failure: Failure) -> None:
    """What was not written is when it changes, or in the next session."""
    failure.trap(CancelledError, StoreUnavailableError)
