"""What a command may end with: the exit statuses of ``docs/command.md``, and an exception for each."""

from __future__ import annotations

from enum import IntEnum
from typing import IO, Any, Final

import click


class ExitStatus(IntEnum):
    """How a command ended."""

    OK = 0
    REFUSED = 1
    MISUSED = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    TASK_FAILED = 5
    TASK_CANCELLED = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


#: The same in words.
MEANINGS: Final = {
    ExitStatus.OK: "it is done",
    ExitStatus.REFUSED: "the relay said no, there is no such thing, a check failed, or a file cannot be used",
    ExitStatus.MISUSED: "an option, an argument or a setting is wrong",
    ExitStatus.UNREACHABLE: "no relay answers there",
    ExitStatus.NOT_ALLOWED: "the relay wants an admin token, or another one",
    ExitStatus.TASK_FAILED: "the task that was followed has failed",
    ExitStatus.TASK_CANCELLED: "the task that was followed was cancelled",
    ExitStatus.INTERRUPTED: "Ctrl-C",
    ExitStatus.BROKEN_PIPE: "nobody reads the output any more",
    ExitStatus.TERMINATED: "it was told to end",
}


class CommandError(click.ClickException):
    """Something that cannot be; the text is one line for people."""

    exit_code = ExitStatus.REFUSED

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it."""
        click.echo(f"makima-relay: {self.format_message()}", file=file, err=file is None)


class SettingError(CommandError):
    """A setting is missing or wrong."""

    exit_code = ExitStatus.MISUSED


class UnreachableError(CommandError):
    """No relay answers."""

    exit_code = ExitStatus.UNREACHABLE


class NotAllowedError(CommandError):
    """The relay does not take who asks."""

    exit_code = ExitStatus.NOT_ALLOWED


class RefusedError(CommandError):
    """The relay said no.

    :ivar status: of its answer.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
