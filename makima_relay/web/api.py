"""The routes of ``http-api.md``. Each is a method of an object that was given what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.web.iweb import IRequest
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from makima_relay.announcements import Event
from makima_relay.clock import Clock
from makima_relay.core.fleet import Daemon
from makima_relay.core.journal import Entry
from makima_relay.core.operators import TaskFinishedError, UnknownDaemonError, UnknownTaskError
from makima_relay.core.rejections import Rejection
from makima_relay.core.tasks import Task
from makima_relay.engine import Engine
from makima_relay.health import Health
from makima_relay.metrics import Metrics
from makima_relay.store import SQLiteStore
from makima_relay.store.reader import TaskRow
from makima_relay.upstream import Upstream
from makima_relay.web import bodies, shapes
from makima_relay.web.access import Access, refuse_foreign
from makima_relay.web.answers import json_answer
from makima_relay.web.application import app
from makima_relay.web.cluster import ClusterRoutes, ClusterView
from makima_relay.web.dashboard import DashboardFiles, answer_page
from makima_relay.web.event_feed import EventFeed
from makima_relay.web.event_streams import EventStreams
from makima_relay.web.events import EventRoutes
from makima_relay.web.keys import KeyRoutes
from makima_relay.web.metrics import MetricsRoute
from makima_relay.web.openapi import OpenApiRoute
from makima_relay.web.parameters import LOG_LIMIT, OF_PAGE, meant, page
from makima_relay.web.problems import NO_SUCH_TASK, ProblemError
from makima_relay.web.routing import Media, route
from makima_relay.web.signing_in import SigningIn


def _prefers_html(request: IRequest) -> bool:
    """Whether a browser asks: it would rather have HTML than JSON."""
    accept = parse_accept_header((request.getHeader(b"accept") or b"").decode("latin-1"), MIMEAccept)
    return accept.best_match(["application/json", "text/html"]) == "text/html"


@attrs.define(kw_only=True, eq=False)
class Api(KeyRoutes, ClusterRoutes, MetricsRoute, OpenApiRoute, SigningIn, DashboardFiles, EventRoutes):
    """All routes.

    :ivar agent_name: the relay's name.
    :ivar health: whether the relay is well.
    :ivar redact: blacks out secrets in what peers said.
    :ivar cluster: knows the other relays, once the relay is in a cluster.
    :ivar most_event_streams: how many may read events at a time.
    :ivar streams: those who do.
    """

    engine: Engine
    upstream: Upstream
    store: SQLiteStore
    access: Access
    health: Health
    clock: Clock
    metrics: Metrics
    agent_name: str
    redact: Callable[[str], str] = str
    cluster: ClusterView | None = None
    most_event_streams: int = 1_000
    feed: EventFeed = attrs.field(init=False)
    streams: EventStreams = attrs.field(init=False)
    _started_at: float = attrs.field(init=False)

    app = app

    def __attrs_post_init__(self) -> None:
        self._started_at = self.clock.monotonic()
        announcements, outputs = self.engine.announcements, self.engine.relay.outputs
        self.feed = EventFeed(announcements, outputs, self._event, self.redact)
        self.streams = EventStreams(
            self.feed, announcements, outputs, self.clock, self.most_event_streams, self.access.admits, self._refused
        )
        self.access.on_change = self.streams.check_again

    # ------------------------------------------------------------------------------------------ open to everyone

    def _status(self) -> bodies.Status:
        uptime = self.clock.monotonic() - self._started_at
        reports = self.metrics.total_reports()
        cluster = None if self.cluster is None else self.cluster.name
        return shapes.status(self.engine.relay, self.upstream, self.agent_name, cluster, reports, uptime)

    @route("GET", "/", answers={200: (bodies.Status, Media("text/html")), 304: None})
    def root(self, request: IRequest) -> bytes:
        """The status, and for browsers the dashboard."""
        request.setHeader(b"vary", b"Accept")
        return answer_page(request) if _prefers_html(request) else json_answer(request, self._status())

    @route("GET", "/status", answers={200: bodies.Status})
    def status(self, request: IRequest) -> bytes:
        """How the relay is doing."""
        return json_answer(request, self._status())

    @route("GET", "/health", answers={200: bodies.Health, 503: bodies.Health}, name="health")
    @inlineCallbacks
    def healthy(self, request: IRequest) -> Any:
        """Whether the database can be written."""
        writable = yield self.health.writable()
        answer = bodies.Health(healthy=writable, upstream_connected=self.upstream.live)
        return json_answer(request, answer, 200 if writable else 503)

    @route("GET", "/livez", answers={200: bodies.Life})
    def alive(self, request: IRequest) -> bytes:
        """Whether the process is of any use: it is, since it answers."""
        return json_answer(request, bodies.Life(alive=True))

    @route("GET", "/readyz", answers={200: bodies.Readiness, 503: bodies.Readiness})
    @inlineCallbacks
    def ready(self, request: IRequest) -> Any:
        """Whether work may be sent here."""
        conditions = {
            "listening": self.health.listening,
            "database_writable": (yield self.health.writable()),
            "upstream_connected": self.upstream.live,
            "outbox_has_room": self.engine.relay.has_room_for_reports,
        }
        ready = all(conditions.values())
        return json_answer(request, bodies.Readiness(ready=ready, **conditions), 200 if ready else 503)

    @route("GET", "/ws/daemon", answers={101: None}, errors=(403, 426, 429))
    @route("GET", "/ws/daemon/ws/daemon", answers={101: None}, errors=(403, 426, 429), name="websocket_of_longer_path")
    def websocket_only(self, request: IRequest) -> bytes:
        """Tell who asks without a WebSocket upgrade that it takes one."""
        try:
            refuse_foreign(request)
        except ProblemError:
            self.engine.turned_away(Rejection.FOREIGN_ORIGIN, None)
            raise
        self.access.refuse_guesser_at_keys(request)
        raise ProblemError(426, "daemons connect here by WebSocket", {"Upgrade": "websocket", "Connection": "Upgrade"})

    def _refused(self) -> None:
        """There is no room for one more reader of events."""
        self.engine.turned_away(Rejection.TOO_MANY_EVENT_STREAMS, None)

    # ---------------------------------------------------------------------------------------------------- events

    def _event(self, event: Event) -> Any:
        """What an event says: the thing that it is about, as the other routes show it."""
        match event.thing:
            case Task() as task:
                return shapes.task(self._row(task), self._why_pending(), self.redact)
            case Daemon() as daemon:
                return self._daemon(daemon) if daemon.connection is not None else self._gone(daemon)
            case Entry() as entry:
                return shapes.log_entry(entry)
            case _:
                return shapes.server(self.engine.relay, self.upstream)

    def _row(self, task: Task) -> TaskRow:
        return shapes.row_of(task, self.engine.relay, self.engine.announcements)

    def _gone(self, daemon: Daemon) -> dict[str, Any]:
        return {**msgspec.to_builtins(self._daemon(daemon)), "connected": False}

    # ------------------------------------------------------------------------------------------------- operators

    @route("GET", "/tasks", admin=True, parameters=OF_PAGE, answers={200: bodies.TaskPage}, errors=(400,))
    @inlineCallbacks
    def tasks(self, request: IRequest) -> Any:
        """The history, newest first."""
        wanted = page(request)
        yield self.engine.settled()
        rows, total = yield self.store.page(wanted.wanted, wanted.limit, wanted.offset)
        links = wanted.links(total)
        if links is not None:
            request.setHeader(b"link", links.encode())
        why = self._why_pending()
        tasks = [shapes.task(row, why, self.redact) for row in rows]
        answer = bodies.TaskPage(tasks=tasks, total=total, limit=wanted.limit, offset=wanted.offset)
        return json_answer(request, answer)

    @route("GET", "/tasks/<task_id>", admin=True, answers={200: bodies.TaskWithEvents}, errors=(404,))
    def task(self, request: IRequest, task_id: str) -> Deferred[bytes]:
        """One task with its events."""
        return self._answer_task(request, meant(task_id))

    @route("POST", "/tasks/<task_id>/cancel", admin=True, answers={202: bodies.TaskWithEvents}, errors=(404, 409))
    def cancel(self, request: IRequest, task_id: str) -> Deferred[bytes]:
        """Withdraw a pending task, or have its daemon interrupt it."""
        wanted = meant(task_id)
        try:
            self.engine.cancel_requested(wanted)
        except UnknownTaskError:
            return self._answer_task(request, wanted, conflict=True)
        except TaskFinishedError:
            raise ProblemError(409, _FINISHED) from None
        return self._answer_task(request, wanted, status=202)

    @inlineCallbacks
    def _answer_task(self, request: IRequest, task_id: str, status: int = 200, *, conflict: bool = False) -> Any:
        """Answer with one task.

        :param conflict: the answer is an error even if the task is there, because then it has finished long ago.
        """
        yield self.engine.settled()
        found = yield self.store.task(task_id)
        known = self.engine.relay.task(task_id)
        row, events = found or (None, [])
        # While the database cannot be written, memory knows more than it.
        task = known or (None if row is None else row.task)
        if task is None:
            raise ProblemError(404, NO_SUCH_TASK)
        if conflict:
            raise ProblemError(409, _FINISHED)
        if row is None or row.task.relay != task.relay:
            row = self._row(task)
        row = TaskRow(task, task.hostname or row.hostname, row.relay)
        answer = shapes.task_with_events(row, events, self._why_pending(), self.redact)
        return json_answer(request, answer, status)

    def _why_pending(self) -> str:
        return self.engine.relay.why_pending(self.clock.monotonic())

    @route("GET", "/daemons", admin=True, answers={200: bodies.Daemons})
    def daemons(self, request: IRequest) -> bytes:
        """The fleet."""
        daemons = [self._daemon(each) for each in self.engine.relay.daemons()]
        return json_answer(request, bodies.Daemons(daemons=daemons))

    def _daemon(self, daemon: Daemon) -> bodies.Daemon:
        return shapes.daemon(daemon, self.engine.relay, self.clock, self.redact)

    @route("POST", "/daemons/<daemon_id>/drain", admin=True, answers={200: bodies.Daemon}, errors=(404,))
    def drain(self, request: IRequest, daemon_id: str) -> Deferred[bytes]:
        """Give a daemon no new tasks."""
        return self._set_draining(request, daemon_id, draining=True)

    @route("POST", "/daemons/<daemon_id>/resume", admin=True, answers={200: bodies.Daemon}, errors=(404,))
    def resume(self, request: IRequest, daemon_id: str) -> Deferred[bytes]:
        """Give a daemon tasks again."""
        return self._set_draining(request, daemon_id, draining=False)

    @inlineCallbacks
    def _set_draining(self, request: IRequest, daemon_id: str, *, draining: bool) -> Any:
        try:
            self.engine.drain_requested(daemon_id, draining=draining)
        except UnknownDaemonError:
            raise ProblemError(404, "no daemon of this id is connected") from None
        daemon = self.engine.relay.daemon(daemon_id)
        assert daemon is not None, "it was drained or resumed just now"
        yield self.engine.settled()
        return json_answer(request, self._daemon(daemon))

    @route("GET", "/logs", admin=True, parameters=[LOG_LIMIT], answers={200: bodies.LogPage}, errors=(400,))
    def logs(self, request: IRequest) -> bytes:
        """The latest connection events, newest first."""
        limit = LOG_LIMIT.read(request)
        entries = self.engine.relay.journal(limit)
        return json_answer(request, {"logs": [shapes.log_entry(entry) for entry in entries], "limit": limit})

    @route("POST", "/reconnect", admin=True, answers={202: bodies.Reconnecting})
    def reconnect(self, request: IRequest) -> bytes:
        """Connect to the server anew."""
        self.upstream.reconnect()
        return json_answer(request, bodies.Reconnecting(reconnecting=True), 202)


_FINISHED = "the task has finished; there is nothing to cancel"
