"""How the process ends: ``twistd`` has no way to say with which exit status, and dies of the signal that stopped it."""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import signal
import sys
from functools import partial
from typing import Any

from twisted.internet.error import ReactorNotRunning


def end_well_on_signals(reactor: Any) -> None:
    """Take the signals that end a service from ``twistd``, which would die of them after a clean stop.

    Whoever supervises the relay is to see that it ended well: exit status 0 (``configuration.md``).
    """

    def end(number: int, _frame: object) -> None:
        # A second signal finds the default: an impatient operator may kill what hangs.
        signal.signal(number, signal.SIG_DFL)
        reactor.callFromThread(stop, reactor)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def leave_no_core() -> None:
    """Have a crash write no memory to disk: secrets and tasks are in it.

    Only the soft limit is lowered: ``prlimit --core=unlimited --pid`` of an operator who wants a core still works.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def stop(reactor: Any) -> None:
    """Stop the reactor, unless it is stopping already."""
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def exit_with(status: int) -> None:
    """Have the process end with an exit status, which ``twistd`` has no way to say.

    Handlers of :mod:`atexit` run last, when the reactor has stopped and ``twistd`` has removed its PID file.
    """
    atexit.register(partial(_exit_now, status))


def _exit_now(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
