"""How this relay's tasks and daemons are shown to people at other relays: as it shows them itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.cluster.summaries import Summary
from makima_relay.core.tasks import Task
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

    def __init__(
        self, engine: Engine, store: SQLiteStore, clock: Clock, redact: Callable[[str], str], retention: float
    ) -> None:
        self._engine = engine
        self._relay = engine.relay
        self._store = store
        self._clock = clock
        self._redact = redact
        self.retention = retention

    def unfinished(self) -> list[Task]:
        """See :meth:`makima_relay.cluster.summaries.Summarizer.unfinished`; so for the others."""
        return self._relay.all_unfinished()

    def summary(self, task: Task) -> Summary:
        """One task."""
        return self._summary(shapes.row_of(task, self._relay, self._engine.announcements))

    def _summary(self, row: TaskRow) -> Summary:
        text = _encode(shapes.task(row, "", self._redact))
        return Summary(row.task.task_id, row.task.received_at, row.task.finished_at, text)

    def finished(self, limit: int, offset: int) -> Deferred[tuple[Sequence[Summary], int]]:
        """Some of the stored tasks."""
        return self._store.page(Filter(), limit, offset).addCallback(self._finished)

    def _finished(self, page: tuple[list[TaskRow], int]) -> tuple[list[Summary], int]:
        # What memory has is newer than what was stored.
        rows = [row for row in page[0] if self._relay.task(row.task.task_id) in (None, row.task)]
        return [self._summary(row) for row in rows if row.task.finished], len(page[0])

    def why_pending(self) -> str:
        """Why pending tasks wait."""
        return self._relay.why_pending(self._clock.monotonic())

    def daemon_ids(self) -> list[str]:
        """The connected daemons."""
        return self._relay.connected_ids()

    def daemon(self, daemon_id: str) -> bytes | None:
        """How a daemon is shown."""
        daemon = self._relay.daemon(daemon_id)
        return None if daemon is None else _encode(shapes.daemon(daemon, self._relay, self._clock, self._redact))
