"""What other relays can show of this one's tasks and daemons: written into Redis, so that they need not ask it.

Unfinished tasks are there, and the latest 10,000 finished ones. What changes is written once a second, as it is then;
at the begin of a session everything is. An hour after the relay was last there, nothing of it is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from itertools import islice
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from makima_relay.clock import Clock
from makima_relay.cluster.names import Names
from makima_relay.cluster.scripts import SUMMARIZE
from makima_relay.cluster.session import Session
from makima_relay.core.tasks import Task
from makima_relay.ports import StoreUnavailableError

#: Finished tasks of a relay that are there.
MOST_FINISHED: Final = 10_000
#: Seconds between two rounds, in which what has changed is written.
_ROUND: Final = 1.0
#: Tasks, and daemons, that are written in one go, and seconds until the next: others have their turn.
_PIECE: Final = 200
_PAUSE: Final = 0.01
#: Of what has changed when the relay stops, so many tasks are still written.
_LAST: Final = 5_000
#: Seconds until the store is asked again that was not available.
RETRY: Final = 5.0
#: Seconds after which nothing of a relay is there that has gone, and between two times that this is put off. All
#: daemons are written then too: when they were heard last is not told otherwise.
LASTING: Final = 3600
_PUT_OFF: Final = 30.0


@attrs.frozen
class Summary:
    """A task as others show it.

    :ivar received_at: seconds since the epoch.
    :ivar finished_at: likewise; none before.
    :ivar text: JSON, as in ``/tasks``, but for why it waits.
    """

    task_id: str
    received_at: float
    finished_at: float | None
    text: bytes


class Summarizer(Protocol):
    """Who knows the relay's tasks and daemons.

    :ivar retention: how long finished tasks are kept, in seconds.
    """

    retention: float

    def unfinished(self) -> list[Task]:
        """All tasks that are not finished."""

    def summary(self, task: Task) -> Summary:
        """How a task is shown."""

    def finished(self, limit: int, offset: int) -> Deferred[tuple[Sequence[Summary], int]]:
        """The finished ones among some of the stored tasks, newest first.

        :return: them, and how many were looked at; none if there are no more.
        """

    def why_pending(self) -> str:
        """Why pending tasks wait."""

    def daemon_ids(self) -> list[str]:
        """The connected daemons."""

    def daemon(self, daemon_id: str) -> bytes | None:
        """How a daemon is shown, in JSON as in ``/daemons``; none if it is not connected."""


class Summaries:
    """Writes the summaries of one relay.

    What waits to be written is what has changed since Redis last answered, which it has to within seconds.

    :param summarizer: knows what is to be written.
    :param relay_id: the relay's own.
    :param retry: seconds until the store is asked again that was not available.
    """

    def __init__(self, summarizer: Summarizer, names: Names, relay_id: str, clock: Clock, retry: float = RETRY) -> None:
        self._summarizer = summarizer
        self._tasks_keys = [names.rows(relay_id), names.order(relay_id), names.ended(relay_id)]
        self._daemons_key = names.daemons(relay_id)
        self._why_key = names.why(relay_id)
        self._clock = clock
        self._retry = retry
        self._session: Session | None = None
        self._tasks: dict[str, Task] = {}
        self._daemons: dict[str, None] = {}
        self._why: str | None = None
        self._round: IDelayedCall | None = None
        self._refreshing: IDelayedCall | None = None
        self._is_writing = False
        self._written_at = 0.0
        self._reading: Deferred[None] = succeed(None)

    def begin(self, session: Session) -> None:
        """Write everything, and then what changes."""
        self._session = session
        self._why = None
        self._is_writing = False
        self._written_at = self._clock.monotonic() - _ROUND
        self._tasks = {task.task_id: task for task in self._summarizer.unfinished()}
        session.command("UNLINK", *self._tasks_keys, self._daemons_key)
        self._refresh()
        self._reading = self._write_finished(session)
        self._reading.addErrback(lambda failure: failure.trap(CancelledError))

    def end(self) -> None:
        """There is no session any more, or the relay stops: then what has changed is still written."""
        session, self._session = self._session, None
        self._reading.cancel()
        for timer in (self._round, self._refreshing):
            if timer is not None and timer.active():
                timer.cancel()
        self._round = self._refreshing = None
        if session is not None and session.is_open:
            for _ in range(0, min(len(self._tasks), _LAST), _PIECE):
                self._write_tasks(session, map(self._summarizer.summary, self._take()))
        self._tasks.clear()
        self._daemons.clear()

    # ------------------------------------------------------------------------------------------------- what changes

    def task_saved(self, task: Task) -> None:
        """A task is as it is now; so may its daemon be."""
        if self._session is None:
            return
        self._tasks[task.task_id] = task
        if task.daemon_id is not None and task.relay is None:
            self._daemons[task.daemon_id] = None
        if self._round is None:
            self._write_soon()

    def daemon_changed(self, daemon_id: str) -> None:
        """A daemon has come or gone, or something else of it has changed."""
        if self._session is not None:
            self._daemons[daemon_id] = None
            self._write_soon()

    # ------------------------------------------------------------------------------------------------ writing it

    def _write_soon(self) -> None:
        """Write when a second has passed since the last time, or what follows in a moment, if there is very much."""
        if self._round is None and not self._is_writing and (self._tasks or self._daemons):
            due = self._written_at + _ROUND - self._clock.monotonic()
            is_much = max(len(self._tasks), len(self._daemons)) >= _PIECE
            wait = _PAUSE if is_much else max(_PAUSE, due)
            self._round = self._clock.reactor.callLater(wait, self._make_round)

    def _make_round(self) -> None:
        self._round = None
        session = self._session
        if session is None:
            return
        self._written_at = self._clock.monotonic()
        self._write_why(session)
        written = self._write_daemons(session)
        if self._tasks:
            written = self._write_tasks(session, map(self._summarizer.summary, self._take()))
        self._is_writing = True
        written.addCallback(self._written, session)

    def _take(self) -> list[Task]:
        return [self._tasks.pop(task_id) for task_id in list(islice(self._tasks, _PIECE))]

    def _written(self, _: object, session: Session) -> None:
        if session is self._session:
            self._is_writing = False
            self._write_soon()

    def _write_tasks(self, session: Session, summaries: Iterable[Summary]) -> Deferred[Any]:
        pruned = self._clock.wall() - self._summarizer.retention
        words: list[str | bytes | int] = [MOST_FINISHED, LASTING, repr(pruned)]
        for each in summaries:
            ended = "" if each.finished_at is None else repr(each.finished_at)
            words += [each.task_id, repr(each.received_at), ended, each.text]
        return session.call(SUMMARIZE, self._tasks_keys, words)

    def _write_why(self, session: Session) -> None:
        why = self._summarizer.why_pending()
        if why != self._why:
            self._why = why
            session.command("SET", self._why_key, why, "EX", LASTING)

    def _write_daemons(self, session: Session) -> Deferred[Any]:
        changed = list(islice(self._daemons, _PIECE))
        for daemon_id in changed:
            del self._daemons[daemon_id]
        shown = [(daemon_id, self._summarizer.daemon(daemon_id)) for daemon_id in changed]
        gone = [daemon_id for daemon_id, text in shown if text is None]
        there = [word for daemon_id, text in shown if text is not None for word in (daemon_id, text)]
        if gone:
            session.command("HDEL", self._daemons_key, *gone)
        if there:
            session.command("HSET", self._daemons_key, *there)
        return session.command("EXPIRE", self._daemons_key, LASTING)

    def _refresh(self) -> None:
        """Write all daemons, and have what is there stay."""
        self._refreshing = self._clock.reactor.callLater(_PUT_OFF, self._refresh)
        session = self._session
        if session is not None:
            self._daemons.update(dict.fromkeys(self._summarizer.daemon_ids()))
            session.command("EXPIRE", self._why_key, LASTING)
            self._write_tasks(session, [])
            self._write_soon()

    @inlineCallbacks
    def _write_finished(self, session: Session) -> Generator[Deferred[Any], Any, None]:
        """Read the latest finished tasks from the store; the unfinished ones are in mind."""
        offset, written = 0, 0
        while written < MOST_FINISHED:
            try:
                finished, looked_at = yield self._summarizer.finished(_PIECE, offset)
            except StoreUnavailableError:
                yield deferLater(self._clock.reactor, self._retry)
                continue
            # What has changed meanwhile is written later than this.
            yield self._write_tasks(session, finished)
            written += len(finished)
            offset += looked_at
            if looked_at == 0:
                return
            yield deferLater(self._clock.reactor, _PAUSE)
