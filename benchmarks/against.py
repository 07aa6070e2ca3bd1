"""Measures this checkout beside another one, in turns: ``python -m benchmarks.against DIRECTORY``.

So it is seen whether a change made the relay dearer: ``git worktree add ../before COMMIT`` first. Both run with what is
installed here.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from benchmarks import BenchmarkError
from benchmarks.__main__ import prepare
from benchmarks.measurements import reports, tasks
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.runner import progress, run
from benchmarks.subjects import RELAY, SHARE_COLUMNS, Command, Place, Subject, relay_command
from benchmarks.table import shown


def other(directory: Path) -> Subject:
    """The relay of another checkout.

    :raises BenchmarkError: when there is none.
    """
    if not (directory / "makima_relay").is_dir():
        raise BenchmarkError(f"{directory} is no checkout of the relay")

    def command(place: Place) -> Command:
        this = relay_command(place)
        return attrs.evolve(this, environment={**this.environment, "PYTHONPATH": str(directory)})

    return Subject(f"the one in {directory.name}", command)


def compared(subject: Subject) -> tuple[Measurement, ...]:
    """What is measured of this relay and of another: reports of 200 B, and tasks."""
    columns = Column("cost", "CPU µs each", 2), Column("rate", "a second"), *SHARE_COLUMNS
    both = attrs.evolve(RELAY, name="this"), subject

    def rows(cost: Callable[[Subject, Effort], Coroutine[Any, Any, Sample]], effort: Effort) -> list[Row]:
        return [Row(each.name, partial(cost, each, effort)) for each in both]

    return (
        Measurement("reports-200", "reports of 200 B at full speed", columns, partial(rows, reports.cost)),
        Measurement("tasks", "the whole way of a task of 2 KB", columns, partial(rows, tasks.cost)),
    )


def main() -> None:
    """Measure and show it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("directory", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is measured, in turns (default: 9)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    arguments = parser.parse_args()
    effort = Effort(0.1 if arguments.quick else 1.0, Path(tempfile.gettempdir()).resolve())
    measurements = compared(other(arguments.directory.resolve()))
    prepare(effort.directory)
    for measurement in measurements:
        result = run(measurement, effort, arguments.rounds, progress)
        progress("")
        print(shown(result), flush=True)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        raise SystemExit(f"benchmarks: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
