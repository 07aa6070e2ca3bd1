"""The routes of ``http-api.md``. Each is a method of an object that was given what it needs."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
from klein import Klein
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.http import parse_accept_header

from makima_relay.clock import Clock
from makima_relay.core.fleet import Daemon
from makima_relay.core.relay import TaskFinishedError, UnknownDaemonError, UnknownTaskError
from makima_relay.engine import Engine
from makima_relay.health import Health
from makima_relay.store import SQLiteStore
from makima_relay.upstream import Upstream
from makima_relay.web import page, shapes
from makima_relay.web.access import Access, refuse_foreign
from makima_relay.web.parameters import meant, whole_number
from makima_relay.web.parameters import page as wanted_page
from makima_relay.web.problems import NOTHING_HERE, ProblemError

_log = Logger()


def _json(request: IRequest, value: Any, status: int = 200) -> bytes:
    """Answer with JSON."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    body = msgspec.json.encode(value)
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def _prefers_html(request: IRequest) -> bool:
    """Whether a browser asks: it would rather have HTML than JSON."""
    accept = parse_accept_header((request.getHeader(b"accept") or b"").decode("latin-1"), MIMEAccept)
    return accept.best_match(["application/json", "text/html"]) == "text/html"


@attrs.define(kw_only=True, eq=False)
class Api:
    """All routes.

    :ivar agent_name: the relay's name.
    :ivar health: whether the relay is well.
    """

    engine: Engine
    upstream: Upstream
    store: SQLiteStore
    access: Access
    health: Health
    clock: Clock
    agent_name: str
    _started_at: float = attrs.field(init=False)

    app = Klein()
    # A task id may have slashes side by side.
    app.url_map.merge_slashes = False

    def __attrs_post_init__(self) -> None:
        self._started_at = self.clock.monotonic()

    # ------------------------------------------------------------------------------------------ open to everyone

    def _status(self) -> dict[str, Any]:
        uptime = self.clock.monotonic() - self._started_at
        return shapes.status(self.engine.relay, self.upstream, self.agent_name, uptime)

    @app.route("/", methods=["GET"])
    def root(self, request: IRequest) -> bytes | Deferred[bytes]:
        """The status, as a page for browsers."""
        request.setHeader(b"vary", b"Accept")
        if not _prefers_html(request):
            return _json(request, self._status())
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"content-security-policy", page.CONTENT_SECURITY_POLICY)
        request.setHeader(b"x-content-type-options", b"nosniff")
        return page.render(request, self._status())

    @app.route("/status", methods=["GET"])
    def status(self, request: IRequest) -> bytes:
        """How the relay is doing."""
        return _json(request, self._status())

    @app.route("/health", methods=["GET"])
    @inlineCallbacks
    def healthy(self, request: IRequest) -> Any:
        """Whether the database can be written."""
        writable = yield self.health.writable()
        answer = {"healthy": writable, "upstreamConnected": self.upstream.live}
        return _json(request, answer, 200 if writable else 503)

    @app.route("/livez", methods=["GET"])
    def alive(self, request: IRequest) -> bytes:
        """Whether the process is of any use: it is, since it answers."""
        return _json(request, {"alive": True})

    @app.route("/readyz", methods=["GET"])
    @inlineCallbacks
    def ready(self, request: IRequest) -> Any:
        """Whether work may be sent here."""
        answer = {
            "listening": self.health.listening,
            "databaseWritable": (yield self.health.writable()),
            "upstreamConnected": self.upstream.live,
        }
        ready = all(answer.values())
        return _json(request, {"ready": ready, **answer}, 200 if ready else 503)

    @app.route("/ws/daemon", methods=["GET"])
    @app.route("/ws/daemon/ws/daemon", methods=["GET"])
    def websocket_only(self, request: IRequest) -> bytes:
        """Tell who asks without a WebSocket upgrade that it takes one."""
        refuse_foreign(request)
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
        tasks = [shapes.task(row, why) for row in rows]
        return _json(request, {"tasks": tasks, "total": total, "limit": wanted.limit, "offset": wanted.offset})

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
        if found is None:
            raise ProblemError(404, "there is no task of this id")
        if conflict:
            raise ProblemError(409, _FINISHED)
        row, events = found
        answer = shapes.task(row, self._why_pending())
        return _json(request, {**answer, "events": [shapes.task_event(event) for event in events]}, status)

    def _why_pending(self) -> str:
        return self.engine.relay.why_pending(self.clock.monotonic())

    @app.route("/daemons", methods=["GET"])
    def daemons(self, request: IRequest) -> bytes:
        """The fleet."""
        self.access.check_admin(request)
        return _json(request, {"daemons": [self._daemon(each) for each in self.engine.relay.daemons()]})

    def _daemon(self, daemon: Daemon) -> dict[str, Any]:
        return shapes.daemon(daemon, self.engine.relay, self.clock)

    @app.route("/daemons/<daemon_id>/drain", methods=["POST"])
    def drain(self, request: IRequest, daemon_id: str) -> bytes:
        """Give a daemon no new tasks."""
        return self._set_draining(request, daemon_id, draining=True)

    @app.route("/daemons/<daemon_id>/resume", methods=["POST"])
    def resume(self, request: IRequest, daemon_id: str) -> bytes:
        """Give a daemon tasks again."""
        return self._set_draining(request, daemon_id, draining=False)

    def _set_draining(self, request: IRequest, daemon_id: str, *, draining: bool) -> bytes:
        self.access.check_admin(request)
        try:
            self.engine.drain_requested(daemon_id, draining=draining)
        except UnknownDaemonError:
            raise ProblemError(404, "no daemon of this id is connected") from None
        daemon = self.engine.relay.daemon(daemon_id)
        assert daemon is not None, "it was drained or resumed just now"
        return _json(request, self._daemon(daemon))

    @app.route("/logs", methods=["GET"])
    def logs(self, request: IRequest) -> bytes:
        """The latest connection events, newest first."""
        self.access.check_admin(request)
        limit = whole_number(request, "limit", 50, 1, 200)
        entries = self.engine.relay.journal(limit)
        return _json(request, {"logs": [shapes.log_entry(entry) for entry in entries], "limit": limit})

    @app.route("/reconnect", methods=["POST"])
    def reconnect(self, request: IRequest) -> bytes:
        """Connect to the server anew."""
        self.access.check_admin(request)
        self.upstream.reconnect()
        return _json(request, {"reconnecting": True}, 202)

    # ---------------------------------------------------------------------------------------------------- errors

    @app.handle_errors(ProblemError)
    def problem(self, request: IRequest, failure: Failure) -> bytes:
        """Answer with what was wrong."""
        error = failure.value
        assert isinstance(error, ProblemError)
        return error.render(request)

    @app.handle_errors(HTTPException)
    def no_route(self, request: IRequest, failure: Failure) -> bytes:
        """Answer for a path or method that has no route."""
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted(error.valid_methods or ()))
            return ProblemError(405, f"this takes {allowed}", {"Allow": allowed}).render(request)
        return ProblemError(404, NOTHING_HERE).render(request)

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        """Answer for a bug, and log it."""
        _log.failure("answering {method} {path!r} failed", failure, method=request.method, path=request.path)
        return ProblemError(500, "the relay could not answer; its log says why").render(request)


_FINISHED = "the task has finished; there is nothing to cancel"
