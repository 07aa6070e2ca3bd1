"""Runs the asynchronous part of a command, until its end or a signal."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from makima_relay.cli.errors import ExitStatus

#: Takes the reactor.
Main = Callable[[Any], Coroutine[Deferred[Any], Any, Any]]
#: How often a coroutine is cancelled at most: one that asks again after a failure may take a cancellation for one.
_MOST_CANCELLATIONS = 10
_ENDED_BY = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}


@implementer(IReadDescriptor)
class _OutputPipe:
    """Notices that nobody reads the standard output any more, without writing to it.

    :param broken: called then.
    """

    def __init__(self, number: int, broken: Callable[[], object]) -> None:
        self._number = number
        self._broken = broken

    def fileno(self) -> int:
        """Which file it is."""
        return self._number

    def logPrefix(self) -> str:
        """What the log would call it."""
        return "output"

    def doRead(self) -> None:
        """Nothing comes from there."""

    def connectionLost(self, reason: Failure) -> None:
        """Nobody is at the other end."""
        self._broken()


def _pipe_of_output() -> int | None:
    """The number of the standard output's file, if it is a pipe."""
    try:
        number = sys.stdout.fileno()
        return number if stat.S_ISFIFO(os.fstat(number).st_mode) else None
    except (OSError, ValueError):
        return None


def run(main: Main) -> Any:
    """Run a coroutine in the reactor of this process, which can be done once.

    A signal that ends the process cancels it, without a word; one that does not let itself be cancelled is left.

    :return: what the coroutine returned.
    :raises SystemExit: after a signal.
    :raises BrokenPipeError: when nobody reads the standard output any more.
    """
    from twisted.internet import reactor

    return run_in(reactor, main)


def run_in(reactor: Any, main: Main) -> Any:
    """Run a coroutine in a reactor; see :func:`run`."""
    results: list[Any] = []
    endings: list[BaseException] = []

    def begin() -> None:
        work = Deferred.fromCoroutine(main(reactor))

        def end(why: BaseException) -> None:
            # A reactor that stops lets go of the pipe too.
            if results:
                return
            endings.append(why)
            for _ in range(_MOST_CANCELLATIONS):
                if results:
                    return
                work.cancel()
            _stop(reactor)

        for number, status in _ENDED_BY.items():
            signal.signal(number, partial(_call_in, reactor, end, SystemExit(status)))
        pipe = _pipe_of_output()
        if pipe is not None:
            reactor.addReader(_OutputPipe(pipe, partial(end, BrokenPipeError())))
        work.addBoth(results.append).addBoth(lambda _: _stop(reactor))

    reactor.callWhenRunning(begin)
    # Its own handlers would have it die of a signal before the terminal is as it was.
    reactor.run(installSignalHandlers=False)
    if endings:
        raise endings[0]
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def _call_in(reactor: Any, call: Callable[..., object], argument: object, _number: int, _frame: object) -> None:
    reactor.callFromThread(call, argument)


def _stop(reactor: Any) -> None:
    with suppress(ReactorNotRunning):
        reactor.stop()
