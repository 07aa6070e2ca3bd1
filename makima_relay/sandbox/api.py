"""The HTTP side of the stand-in server: people give it tasks here, and look at what became of them."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
from klein import Klein
from twisted.web.iweb import IRequest

from makima_relay import __version__
from makima_relay.core.members import LONGEST_NAME
from makima_relay.sandbox.server import Peer, SandboxServer
from makima_relay.sandbox.tasklist import SandboxTask
from makima_relay.web.access import Access
from makima_relay.web.answers import answer_errors, json_answer
from makima_relay.web.parameters import WholeNumber
from makima_relay.web.problems import ProblemError

_LIMIT = WholeNumber("limit", 50, 1, 1_000, "how many tasks at most")


class TaskRequest(msgspec.Struct):
    """The body of ``POST /tasks``."""

    command: str
    name: str | None = None


def task_request(body: bytes) -> TaskRequest:
    """Read the body of ``POST /tasks``.

    :raises ProblemError: 400, saying what it takes.
    """
    try:
        wanted = msgspec.json.decode(body, type=TaskRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, f'the body must be JSON such as {{"command": "echo hello"}}: {error}') from None
    if not wanted.command.strip() or "\0" in wanted.command:
        raise ProblemError(400, "command must be a shell command")
    if wanted.name is not None and not 1 <= len(wanted.name) <= LONGEST_NAME:
        raise ProblemError(400, f"name must have 1 to {LONGEST_NAME} characters")
    return wanted


def shown_task(task: SandboxTask, *, with_output: bool = False) -> dict[str, Any]:
    """What is answered about a task.

    :param with_output: whether with all the output that was kept.
    """
    shown = {
        "id": task.task_id,
        "name": task.name,
        "command": task.command,
        "status": task.stage.value,
        "success": task.success,
        "error": task.error,
        "exitStatus": task.exit_status,
        "percent": task.percent,
        "lines": task.lines,
        "lastLine": task.output[-1] if task.output else None,
        "duplicates": task.duplicates,
    }
    return {**shown, "output": list(task.output)} if with_output else shown


def _shown_peer(peer: Peer, load: int) -> dict[str, Any]:
    return {
        "machineId": peer.machine_id,
        "hostname": peer.hello.hostname,
        "kind": "relay" if peer.is_relay else "daemon",
        "maxConcurrentTasks": peer.hello.capacity,
        "unfinishedTasks": load,
    }


@attrs.define(eq=False)
class SandboxApi:
    """The routes.

    :ivar access: decides who may ask: whoever can make a task runs commands on the daemons' machines.
    """

    server: SandboxServer
    access: Access

    app = Klein()
    answer_errors(app)

    @app.route("/", methods=["GET"])
    def status(self, request: IRequest) -> bytes:
        """Who is connected, and how many tasks there are."""
        self.access.check_admin(request)
        server = self.server
        peers = [_shown_peer(peer, server.load(peer)) for peer in server.peers]
        return json_answer(request, {"sandbox": __version__, "peers": peers, "tasks": len(server.tasks)})

    @app.route("/tasks", methods=["GET"])
    def tasks(self, request: IRequest) -> bytes:
        """The tasks, newest first."""
        self.access.check_admin(request)
        limit = _LIMIT.read(request)
        newest = [shown_task(task) for task, _ in zip(reversed(self.server.tasks), range(limit), strict=False)]
        return json_answer(request, {"tasks": newest, "total": len(self.server.tasks), "limit": limit})

    @app.route("/tasks", methods=["POST"])
    def spawn(self, request: IRequest) -> bytes:
        """Make a task of a shell command."""
        self.access.check_admin(request)
        wanted = task_request(request.content.read())
        task = self.server.spawn(wanted.name or wanted.command[:LONGEST_NAME], wanted.command)
        request.setHeader(b"location", b"/tasks/" + task.task_id.encode())
        return json_answer(request, shown_task(task), 201)

    @app.route("/tasks/<task_id>", methods=["GET"])
    def task(self, request: IRequest, task_id: str) -> bytes:
        """One task with its output."""
        self.access.check_admin(request)
        return json_answer(request, shown_task(self._find(task_id), with_output=True))

    @app.route("/tasks/<task_id>/interrupt", methods=["POST"])
    def interrupt(self, request: IRequest, task_id: str) -> bytes:
        """Ask for the end of a task."""
        self.access.check_admin(request)
        task = self._find(task_id)
        if task.finished:
            raise ProblemError(409, "the task has finished; there is nothing to interrupt")
        self.server.interrupt(task)
        return json_answer(request, shown_task(task), 202)

    def _find(self, task_id: str) -> SandboxTask:
        task = self.server.tasks.get(task_id)
        if task is None:
            raise ProblemError(404, "there is no task of this id")
        return task
