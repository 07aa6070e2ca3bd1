"""Asks the demo's server and relay over HTTP how far the tasks are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import treq
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.web.client import ResponseFailed

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.demo.scenes import Outcome, Scene, faults
from makima_relay.sandbox.tasklist import FINISHED

_TIMEOUT = 5.0


@attrs.define(kw_only=True)
class Act:
    """One task of the demo, as it stands.

    :ivar status: the relay's word for it; the server's while the relay has not got it.
    :ivar reason: why it waits, or how it ended.
    :ivar relay: the name of the relay that has it, if that is not the one that was asked.
    :ivar took: seconds at work, once it has ended.
    """

    scene: Scene
    task_id: str
    status: str = "waiting"
    reason: str | None = None
    daemon: str | None = None
    relay: str | None = None
    attempts: int = 0
    took: float | None = None
    percent: float | None = None
    lines: int = 0
    last_line: str | None = None
    exit_status: int | None = None
    ended: bool = False
    interrupt_sent: bool = False

    def saw_server(self, task: Mapping[str, Any]) -> None:
        """Take what the server says of it."""
        self.percent, self.lines, self.last_line = task["percent"], task["lines"], task["lastLine"]
        self.exit_status, self.reason = task["exitStatus"], task["error"]
        self.ended = task["status"] in FINISHED

    def saw_relay(self, task: Mapping[str, Any]) -> None:
        """Take what the relay says of it."""
        self.status, self.daemon, self.attempts = task["status"], task["daemonHostname"], task["attempts"]
        self.reason, self.relay = self.reason or task["pendingReason"], task["relay"]
        if task["dispatchedAt"] and task["finishedAt"]:
            self.took = (_moment(task["finishedAt"]) - _moment(task["dispatchedAt"])).total_seconds()
        self.ended = self.ended and task["status"] in FINISHED

    @property
    def place(self) -> str:
        """Which daemon has it, in a few words; empty while none has."""
        return " at ".join(each for each in (self.daemon, self.relay) if each)

    @property
    def faults(self) -> list[str]:
        """What is not as it should be at its end."""
        if not self.ended:
            return [f"still {self.status}"]
        return faults(
            self.scene,
            Outcome(
                status=self.status,
                attempts=self.attempts,
                exit_status=self.exit_status,
                last_line=self.last_line,
                lines=self.lines,
            ),
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@attrs.frozen
class Watch:
    """Talks to server and relay.

    :ivar server: the server's URL without a path; likewise the relay's.
    :ivar holder: likewise, of the relay that has the daemons.
    :ivar request: asks, as :func:`treq.request` does.
    """

    server: str
    relay: str
    holder: str
    request: Callable[..., Any] = treq.request

    async def get(self, url: str) -> Any:
        """Ask for JSON.

        :raises SandboxError: when nobody answers that.
        """
        return await self._ask("GET", url)

    async def _ask(self, method: str, url: str, body: Mapping[str, str] | None = None) -> Any:
        try:
            response = await self.request(method, url, json=body, timeout=_TIMEOUT)
            answer = await response.json()
        except (CancelledError, ConnectingCancelledError, ConnectError, ResponseFailed, ValueError) as error:
            raise SandboxError(f"{method} {url}: no answer: {error!r}") from None
        if response.code >= 400:
            raise SandboxError(f"{method} {url}: {response.code} {answer.get('detail')}")
        return answer

    async def is_ready(self, daemons: int) -> bool:
        """Whether the relay has the server and all daemons."""
        relay, holder = [await self.get(f"{each}/status") for each in (self.relay, self.holder)]
        return bool(relay["upstreamConnected"] and holder["connectedDaemons"] == daemons)

    async def begin(self, scenes: Sequence[Scene]) -> list[Act]:
        """Give the server all tasks."""
        acts = []
        for scene in scenes:
            body = {"name": scene.name, "command": scene.command}
            task = await self._ask("POST", f"{self.server}/tasks", body)
            acts.append(Act(scene=scene, task_id=task["id"]))
        return acts

    async def look(self, acts: Sequence[Act]) -> None:
        """Bring the tasks up to date, and interrupt those that have to be."""
        by_id = {act.task_id: act for act in acts}
        # The server first: what it knows to have ended, the relay knows too.
        for task in (await self.get(f"{self.server}/tasks?limit=500"))["tasks"]:
            by_id[task["id"]].saw_server(task)
        for task in (await self.get(f"{self.relay}/tasks?limit=500"))["tasks"]:
            by_id[task["taskId"]].saw_relay(task)
        for act in acts:
            if act.scene.interrupted and act.lines >= 3 and not act.interrupt_sent:
                act.interrupt_sent = True
                await self._ask("POST", f"{self.server}/tasks/{act.task_id}/interrupt")
