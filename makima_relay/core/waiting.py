"""What waits for daemons, by task: its ``spawnTask``, and the commands behind it. All of it is in memory."""

from __future__ import annotations

from collections.abc import Sequence

from makima_relay.core.from_server import read_command
from makima_relay.core.messages import Command


class Waiting:
    """Messages of tasks that may have to be sent (again), and commands that could not be handed on yet.

    :ivar size: bytes of all of them.
    """

    def __init__(self) -> None:
        self.size = 0
        self._messages: dict[str, bytes] = {}
        self._commands: dict[str, list[bytes | None]] = {}

    def put_message(self, task_id: str, message: bytes) -> None:
        """Keep a task's ``spawnTask``, instead of an earlier one."""
        self.drop_message(task_id)
        self._messages[task_id] = message
        self.size += len(message)

    def message(self, task_id: str) -> bytes:
        """A task's ``spawnTask``, which must be there."""
        return self._messages[task_id]

    def has_message(self, task_id: str) -> bool:
        """Whether a task can be sent to a daemon (again)."""
        return task_id in self._messages

    def drop_message(self, task_id: str) -> None:
        """Let a task's ``spawnTask`` go, if it is there."""
        self.size -= len(self._messages.pop(task_id, b""))

    def add_commands(self, task_id: str, payloads: Sequence[bytes | None]) -> None:
        """Keep commands behind those that wait already.

        :param payloads: as they came; none for an ``interruptTask`` of the relay's own.
        """
        if payloads:
            self._commands.setdefault(task_id, []).extend(payloads)
            self.size += sum(len(payload or b"") for payload in payloads)

    def commands(self, task_id: str) -> Sequence[bytes | None]:
        """The commands that wait for a task, in order."""
        return self._commands.get(task_id, ())

    def will_stop(self, task_id: str) -> bool:
        """Whether a command that waits for a task will stop it."""
        return any(payload is None or _stops(payload) for payload in self.commands(task_id))

    def take_commands(self, task_id: str) -> list[bytes | None]:
        """Take the commands away that wait for a task, in order."""
        payloads = self._commands.pop(task_id, [])
        self.size -= sum(len(payload or b"") for payload in payloads)
        return payloads


def _stops(payload: bytes) -> bool:
    message = read_command(payload)
    return isinstance(message, Command) and message.withdraws
