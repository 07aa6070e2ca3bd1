"""The command itself: whatever a part of it ends with is at most one line and an exit status, never a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from makima_relay.cli.errors import ExitStatus
from makima_relay.sandbox import bug_in_one_line


class Command(click.Group):
    """A group of commands, which ends as programs do."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run it, and exit."""
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
            click.echo(f"makima-relay: {bug_in_one_line(error)}", err=True)
            status = ExitStatus.REFUSED
        sys.exit(int(status) if isinstance(status, int) else ExitStatus.OK)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a part of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # With its number click would end the process itself, with a status of its own.
            raise BrokenPipeError from None


def _nobody_reads() -> ExitStatus:
    """Have nothing else written where nobody reads, not even what Python still has at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.BROKEN_PIPE
