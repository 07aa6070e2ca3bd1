"""How this relay's tasks and daemons are shown to people at other relays: as it shows them itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.cluster.summaries import Summary
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.engine import Engine
from makima_relay.store import SQLiteStore
from makima_relay.store.filters import Filter
from makima_relay.store.reader import TaskRow
from makima_relay.web import shapes

_encode = msgspec.json.Encoder().encode


class Showing:
    """The relay's :class:`~makima_relay.cluster.summaries.Summarizer`.

    :param redact: blacks out secrets in what daemons and the server said.
    """

    def __init__(self, engine: Engine, store: SQLiteStore, clock: Clock, redact: Callable[[str], str]) -> None:
        self._engine = engine
        self._relay = engine.relay
        self._store = store
        self._clock = clock
        self._redact = redact

    def summary(self, task: Task) -> Summary:
        """See :meth:`makima_relay.cluster.summaries.Summarizer.summary`; so for the others."""
        return self._summary(shapes.row_of(task, self._relay, self._engine.announcements))

    def _summary(self, row: TaskRow) -> Summary:
        why = self._relay.why_pending(self._clock.monotonic())
        text = _encode(shapes.task(row, why, self._redact))
        return Summary(row.task.task_id, row.task.received_at, row.task.finished_at, text)

    def page(self, status: TaskStatus | None, limit: int, offset: int) -> Deferred[Sequence[Summary]]:
        """Some of the stored tasks."""
        found = self._store.page(Filter(status=status), limit, offset)
        return found.addCallback(lambda page: [self._summary_now(row) for row in page[0]])

    def _summary_now(self, row: TaskRow) -> Summary:
        # What is written from memory meanwhile must not be overwritten by what was stored before.
        known = self._relay.task(row.task.task_id)
        return self._summary(row) if known is None else self.summary(known)

    def daemon_ids(self) -> list[str]:
        """The connected daemons."""
        return self._relay.connected_ids()

    def daemon(self, daemon_id: str) -> bytes | None:
        """How a daemon is shown."""
        daemon = self._relay.daemon(daemon_id)
        return None if daemon is None else _encode(shapes.daemon(daemon, self._relay, self._clock, self._redact))
