"""Runs the asynchronous part of a command, until its end or a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from makima_relay.cli.errors import ExitStatus

#: Takes the reactor.
Main = Callable[[Any], Coroutine[Deferred[Any], Any, Any]]
_ENDED_BY = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}


def run(main: Main) -> Any:
    """Run a coroutine in the reactor of this process, which can be done once.

    A signal that ends the process cancels it, without a word.

    :return: what the coroutine returned.
    :raises SystemExit: after a signal.
    """
    from twisted.internet import reactor

    return run_in(reactor, main)


def run_in(reactor: Any, main: Main) -> Any:
    """Run a coroutine in a reactor; see :func:`run`."""
    results: list[Any] = []
    signals: list[int] = []

    def begin() -> None:
        work = Deferred.fromCoroutine(main(reactor))

        def end(number: int, _frame: object) -> None:
            signals.append(number)
            reactor.callFromThread(work.cancel)

        for number in _ENDED_BY:
            signal.signal(number, end)
        work.addBoth(results.append).addBoth(lambda _: _stop(reactor))

    reactor.callWhenRunning(begin)
    # Its own handlers would have it die of a signal before the terminal is as it was.
    reactor.run(installSignalHandlers=False)
    if signals:
        raise SystemExit(_ENDED_BY[signal.Signals(signals[0])])
    if results and isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0] if results else None


def _stop(reactor: Any) -> None:
    try:
        reactor.stop()
    except ReactorNotRunning:
        # It was over before the reactor was under way.
        reactor.callWhenRunning(reactor.stop)
