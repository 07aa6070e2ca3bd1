"""The routes of ``http-api.md``. Each is a method of an object that was given what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.web.iweb import IRequest
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from makima_relay.clock import Clock
from makima_relay.core.fleet import Daemon
from makima_relay.core.operators import TaskFinishedError, UnknownDaemonError, UnknownTaskError
from makima_relay.core.rejections import Rejection
from makima_relay.engine import Engine
from makima_relay.health import Health
from makima_relay.store import SQLiteStore
from makima_relay.store.reader import TaskRow
from makima_relay.upstream import Upstream
from makima_relay.web import page, shapes
from makima_relay.web.access import Access, refuse_foreign
from makima_relay.web.answers import json_answer
from makima_relay.web.application import app
from makima_relay.web.keys import KeyRoutes
from makima_relay.web.parameters import meant, whole_number
from makima_relay.web.parameters import page as wanted_page
from makima_relay.web.problems import ProblemError
from makima_relay.web.signing_in import SigningIn


def _prefers_html(request: IRequest) -> bool:
    """Whether a browser asks: it would rather have HTML than JSON."""
    accept = parse_accept_header((request.getHeader(b"accept") or b"").decode("latin-1"), MIMEAccept)
    return accept.best_match(["application/json", "text/html"]) == "text/html"


@attrs.define(kw_only=True, eq=False)
class Api(KeyRoutes, SigningIn):
    """All routes.

    :ivar agent_name: the relay's name.
    :ivar health: whether the relay is well.
    :ivar redact: blacks out secrets in what peers said.
    """

    engine: Engine
    upstream: Upstream
    store: SQLiteStore
    access: Access
    health: Health
    clock: Clock
    agent_name: str
    redact: Callable[[str], str] = str
    _started_at: float = attrs.field(init=False)

    app = app

    def __attrs_post_init__(self) -> None:
        self._started_at = self.clock.monotonic()

    # ------------------------------------------------------------------------------------------ open to everyone

    def _status(self) -> dict[str, Any]:
        uptime = self.clock.monotonic() - self._started_at
        return shapes.status(self.engine.relay, self.upstream, self.agent_name, uptime)

    @app.route("/", methods=["GET"])
    def root(self, request: IRequest) -> bytes | Deferred[bytes]:
        """The status, as a page for browsers."""
        request.setHeader(b"vary", b"Accept, Cookie")
        if not _prefers_html(request):
            return json_answer(request, self._status())
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"content-security-policy", page.CONTENT_SECURITY_POLICY)
        signed_in = self.access.is_signed_in(request) if self.access.wants_sign_in else None
        return page.render(request, self._status(), signed_in)

    @app.route("/status", methods=["GET"])
    def status(self, request: IRequest) -> bytes:
        """How the relay is doing."""
        return json_answer(request, self._status())

    @app.route("/health", methods=["GET"])
    @inlineCallbacks
    def healthy(self, request: IRequest) -> Any:
        """Whether the database can be written."""
        writable = yield self.health.writable()
        answer = {"healthy": writable, "upstreamConnected": self.upstream.live}
        return json_answer(request, answer, 200 if writable else 503)

    @app.route("/livez", methods=["GET"])
    def alive(self, request: IRequest) -> bytes:
        """Whether the process is of any use: it is, since it answers."""
        return json_answer(request, {"alive": True})

    @app.route("/readyz", methods=["GET"])
    @inlineCallbacks
    def ready(self, request: IRequest) -> Any:
        """Whether work may be sent here."""
        answer = {
            "listening": self.health.listening,
            "databaseWritable": (yield self.health.writable()),
            "upstreamConnected": self.upstream.live,
            "outboxHasRoom": self.engine.relay.has_room_for_reports,
        }
        ready = all(answer.values())
        return json_answer(request, {"ready": ready, **answer}, 200 if ready else 503)

    @app.route("/ws/daemon", methods=["GET"])
    @app.route("/ws/daemon/ws/daemon", methods=["GET"])
    def websocket_only(self, request: IRequest) -> bytes:
        """Tell who asks without a WebSocket upgrade that it takes one."""
        try:
            refuse_foreign(request)
        except ProblemError:
            self.engine.turned_away(Rejection.FOREIGN_ORIGIN, None, "")
            raise
        self.access.refuse_guesser_at_keys(request)
        raise ProblemError(426, "daemons connect here by WebSocket", {"Upgrade": "websocket", "Connection": "Upgrade"})

    # ------------------------------------------------------------------------------------------------- operators

    @app.route("/tasks", methods=["GET"])
    @inlineCallbacks
    def tasks(self, request: IRequest) -> Any:
        """The history, newest first."""
        self.access.check_admin(request)
        wanted = wanted_page(request)
        yield self.engine.settled()
        rows, total = yield self.store.page(wanted.wanted, wanted.limit, wanted.offset)
        links = wanted.links(total)
        if links is not None:
            request.setHeader(b"link", links.encode())
        why = self._why_pending()
        tasks = [shapes.task(row, why, self.redact) for row in rows]
        return json_answer(request, {"tasks": tasks, "total": total, "limit": wanted.limit, "offset": wanted.offset})

    @app.route("/tasks/<task_id>", methods=["GET"])
    def task(self, request: IRequest, task_id: str) -> Deferred[bytes]:
        """One task with its events."""
        self.access.check_admin(request)
        return self._answer_task(request, meant(task_id))

    @app.route("/tasks/<task_id>/cancel", methods=["POST"])
    def cancel(self, request: IRequest, task_id: str) -> Deferred[bytes]:
        """Withdraw a pending task, or have its daemon interrupt it."""
        self.access.check_admin(request)
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
            raise ProblemError(404, "there is no task of this id")
        if conflict:
            raise ProblemError(409, _FINISHED)
        row = TaskRow(task, None if row is None else row.hostname)
        answer = shapes.task(row, self._why_pending(), self.redact)
        return json_answer(
            request, {**answer, "events": [shapes.task_event(event, self.redact) for event in events]}, status
        )

    def _why_pending(self) -> str:
        return self.engine.relay.why_pending(self.clock.monotonic())

    @app.route("/daemons", methods=["GET"])
    def daemons(self, request: IRequest) -> bytes:
        """The fleet."""
        self.access.check_admin(request)
        return json_answer(request, {"daemons": [self._daemon(each) for each in self.engine.relay.daemons()]})

    def _daemon(self, daemon: Daemon) -> dict[str, Any]:
        return shapes.daemon(daemon, self.engine.relay, self.clock, self.redact)

    @app.route("/daemons/<daemon_id>/drain", methods=["POST"])
    def drain(self, request: IRequest, daemon_id: str) -> Deferred[bytes]:
        """Give a daemon no new tasks."""
        return self._set_draining(request, daemon_id, draining=True)

    @app.route("/daemons/<daemon_id>/resume", methods=["POST"])
    def resume(self, request: IRequest, daemon_id: str) -> Deferred[bytes]:
        """Give a daemon tasks again."""
        return self._set_draining(request, daemon_id, draining=False)

    @inlineCallbacks
    def _set_draining(self, request: IRequest, daemon_id: str, *, draining: bool) -> Any:
        self.access.check_admin(request)
        try:
            self.engine.drain_requested(daemon_id, draining=draining)
        except UnknownDaemonError:
            raise ProblemError(404, "no daemon of this id is connected") from None
        daemon = self.engine.relay.daemon(daemon_id)
        assert daemon is not None, "it was drained or resumed just now"
        yield self.engine.settled()
        return json_answer(request, self._daemon(daemon))

    @app.route("/logs", methods=["GET"])
    def logs(self, request: IRequest) -> bytes:
        """The latest connection events, newest first."""
        self.access.check_admin(request)
        limit = whole_number(request, "limit", 50, 1, 200)
        entries = self.engine.relay.journal(limit)
        return json_answer(request, {"logs": [shapes.log_entry(entry) for entry in entries], "limit": limit})

    @app.route("/reconnect", methods=["POST"])
    def reconnect(self, request: IRequest) -> bytes:
        """Connect to the server anew."""
        self.access.check_admin(request)
        self.upstream.reconnect()
        return json_answer(request, {"reconnecting": True}, 202)


_FINISHED = "the task has finished; there is nothing to cancel"
