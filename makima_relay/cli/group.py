"""The command itself: whatever a part of it ends with is at most one line and an exit status, never a traceback."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from makima_relay.cli.errors import ExitStatus
from makima_relay.sandbox import bug_in_one_line

#: What the system says of a standard output that takes nothing.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class Command(click.Group):
    """A group of commands, which ends as programs do."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run it, and exit."""
        if sys.stdout is None:
            _take_nowhere_for_output()
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            status = ExitStatus.INTERRUPTED
        except BrokenPipeError:
            status = _nobody_reads()
        except Exception as error:
            status = _unforeseen(error)
        sys.exit(int(status) if isinstance(status, int) else ExitStatus.OK)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a part of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # With its number click would end the process itself, with a status of its own.
            raise BrokenPipeError from None


def _take_nowhere_for_output() -> None:
    """Print nowhere, because whoever started the program has closed its output; no other file is to take its place."""
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end


def _unforeseen(error: Exception) -> ExitStatus:
    if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
        click.echo(f"makima-relay: the output cannot be written: {error.strerror}", err=True)
        _write_no_more()
    else:
        click.echo(f"makima-relay: {bug_in_one_line(error)}", err=True)
    return ExitStatus.REFUSED


def _nobody_reads() -> ExitStatus:
    _write_no_more()
    return ExitStatus.BROKEN_PIPE


def _write_no_more() -> None:
    """Have nothing else written where nobody takes it, not even what Python still has at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
