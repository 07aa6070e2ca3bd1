"""Runs measurements in interleaved rounds, so that what the machine does meanwhile meets all rows alike."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import uvloop

from benchmarks import BenchmarkError
from benchmarks.model import Effort, Measurement, Result

T = TypeVar("T")
#: The longest that one row may take once, in seconds.
_TIMEOUT = 600.0
#: What :func:`progress` has begun to show where it is no terminal.
_said = {""}


def run(measurement: Measurement, effort: Effort, rounds: int, say: Callable[[str], None]) -> Result:
    """Measure every row once a round; each round begins with another row.

    :param say: told what is being done.
    :raises BenchmarkError: when something did not arrive as it should have.
    """
    rows = measurement.rows(effort)
    result = Result(measurement, {row.label: [] for row in rows})
    for number in range(rounds):
        start = number % len(rows)
        for row in rows[start:] + rows[:start]:
            say(f"{measurement.name}: round {number + 1} of {rounds}, {row.label}")
            try:
                result.samples[row.label].append(run_once(row.run))
            except BenchmarkError as error:
                raise BenchmarkError(f"{measurement.name}, {row.label}: {error}") from error
    return result


def run_once(work: Callable[[], Awaitable[T]], limit: float = _TIMEOUT) -> T:
    """Measure once, in an event loop of its own.

    :param limit: how long it may take, in seconds.
    :raises BenchmarkError: with whatever goes wrong.
    """
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(_guarded(work, limit))
    finally:
        gc.enable()


async def _guarded(work: Callable[[], Awaitable[T]], limit: float) -> T:
    """End with whatever goes wrong in any callback."""
    wrong: list[BaseException] = []
    task: asyncio.Future[T] = asyncio.ensure_future(work())

    def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        wrong.append(context.get("exception") or BenchmarkError(str(context["message"])))
        task.cancel()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(failed)
    # The relay under test is to end too.
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with asyncio.timeout(limit):
            return await task
    except asyncio.CancelledError:
        if wrong:
            raise BenchmarkError(f"{wrong[0]}") from wrong[0]
        raise
    except TimeoutError:
        raise BenchmarkError("it takes too long") from None


def progress(line: str) -> None:
    """Show what is being done, in place on a terminal; elsewhere only what is new.

    :param line: empty to take it away.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}\33[K")
        sys.stderr.flush()
    elif line.partition(": ")[0] not in _said:
        _said.add(line.partition(": ")[0])
        sys.stderr.write(f"{line}\n")
