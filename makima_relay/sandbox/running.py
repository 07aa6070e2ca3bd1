"""Runs a coroutine in the reactor, until its end or a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from twisted.internet import task
from twisted.internet.defer import CancelledError, Deferred

from makima_relay.sandbox import SandboxError, bug_in_one_line

#: Takes the reactor, returns an exit status.
Main = Callable[[Any], Coroutine[Deferred[Any], Any, int]]


def run(main: Main) -> NoReturn:
    """Run a coroutine to its end, and exit with the status that it returns.

    A signal that ends the process cancels it instead: it gets :class:`CancelledError` where it waits, and is waited
    for. What it raises as :class:`SandboxError` is one line on the standard error stream and exit status 1.
    """
    task.react(_until_end, [main])


async def _until_end(reactor: Any, main: Main) -> None:
    # A hang-up must not leave behind what a terminate would have stopped.
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
    ended: Deferred[None] = Deferred()
    stopped = False
    work = Deferred.fromCoroutine(main(reactor))

    def stopping() -> Deferred[None]:
        nonlocal stopped
        stopped = True
        work.cancel()
        return ended

    reactor.addSystemEventTrigger("before", "shutdown", stopping)
    try:
        status = await work
    except (CancelledError, SandboxError) as error:
        # What was cut short may fail in any way.
        raise SystemExit(f"makima-relay: {'stopped before the end' if stopped else error}") from None
    except Exception as error:
        raise SystemExit(f"makima-relay: {bug_in_one_line(error)}") from None
    finally:
        ended.callback(None)
    raise SystemExit(status)


async def until_stopped() -> None:
    """Wait for the signal that ends the process."""
    waiting: Deferred[None] = Deferred()
    try:
        await waiting
    except CancelledError:
        return
