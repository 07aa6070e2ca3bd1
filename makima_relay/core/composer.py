"""Builds the messages that the relay itself originates."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from makima_relay.core.spelling import WireCase

_encode = msgspec.json.Encoder().encode


class Composer:
    """Builds the messages that the relay itself originates, in one spelling of ``type``.

    :param case: the spelling.
    """

    def __init__(self, case: WireCase) -> None:
        self._authenticate = case.spell("authenticate")
        self._authenticated = case.spell("authenticated")
        self._error = case.spell("error")
        self._heartbeat = case.spell("heartbeat")
        self._interrupt_task = case.spell("interrupt", "task")
        self._task_complete = case.spell("task", "complete")

    def authenticate(self, key: str, machine_id: str, hostname: str, capacity: int) -> bytes:
        """What the relay, or a stand-in daemon, says first."""
        return _encode(
            {
                "type": self._authenticate,
                "apiKey": key,
                "machineId": machine_id,
                "hostname": hostname,
                "maxConcurrentTasks": capacity,
            }
        )

    def authenticated(self, daemon_id: str) -> bytes:
        """The answer to a good ``authenticate``."""
        return _encode({"type": self._authenticated, "daemonId": daemon_id})

    def error(self, code: str, message: str, task_id: str | None = None) -> bytes:
        """A refusal; ``taskId`` is there when it is about one task."""
        about = {} if task_id is None else {"taskId": task_id}
        return _encode({"type": self._error, "code": code, "message": message, **about})

    def heartbeat(self, active_tasks: Iterable[str]) -> bytes:
        """Which tasks are at work."""
        return _encode({"type": self._heartbeat, "activeTasks": list(active_tasks)})

    def interrupt_task(self, task_id: str) -> bytes:
        """The wish that a daemon stop a task."""
        return _encode({"type": self._interrupt_task, "taskId": task_id})

    def task_failed(self, task_id: str, error: str) -> bytes:
        """The end of a task that no daemon will report."""
        return _encode({"type": self._task_complete, "taskId": task_id, "success": False, "error": error})


COMPOSERS: dict[WireCase, Composer] = {case: Composer(case) for case in WireCase}
