"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import BenchmarkError, machine
from benchmarks.measurements.cluster_reports import CLUSTER_REPORTS
from benchmarks.measurements.cluster_takeover import CLUSTER_TAKEOVER
from benchmarks.measurements.cluster_tasks import CLUSTER_TASKS, CLUSTER_TASKS_FULL
from benchmarks.measurements.connections import CONNECT, IDLE, MEMORY
from benchmarks.measurements.curves import CURVES
from benchmarks.measurements.history import HISTORY, START
from benchmarks.measurements.latency import LATENCY
from benchmarks.measurements.reports import REPORTS_4K, REPORTS_200, REPORTS_APART, REPORTS_BY_DAEMONS
from benchmarks.measurements.tasks import DISPATCH, DISPATCH_WATCHED, TASKS, TASKS_BY_DAEMONS, TASKS_BY_PENDING
from benchmarks.model import Effort, Measurement, Result
from benchmarks.plots import draw
from benchmarks.runner import progress, run
from benchmarks.subjects import PEERS
from benchmarks.table import shown

TABLE = (
    REPORTS_200,
    REPORTS_4K,
    REPORTS_APART,
    TASKS,
    LATENCY,
    DISPATCH,
    DISPATCH_WATCHED,
    MEMORY,
    CONNECT,
    IDLE,
    REPORTS_BY_DAEMONS,
    TASKS_BY_DAEMONS,
    TASKS_BY_PENDING,
    HISTORY,
    START,
    CLUSTER_REPORTS,
    CLUSTER_TASKS,
    CLUSTER_TASKS_FULL,
    CLUSTER_TAKEOVER,
)
_QUICK = 0.1


def _arguments() -> argparse.Namespace:
    names = [each.name for each in TABLE] + [each.name for each in CURVES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the relay beside its peers.")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"some of: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turns (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: a look, no figures to publish")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="measure the curves too, and draw them there")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where databases are kept: the disk that counts (default: %(default)s)",
    )
    return parser.parse_args()


def _wanted(arguments: argparse.Namespace) -> list[Measurement]:
    curves = [each.measurement() for each in CURVES]
    if arguments.only:
        wanted = [each for each in (*TABLE, *curves) if each.name in arguments.only]
    else:
        wanted = [*TABLE, *(curves if arguments.plots else [])]
    return [each for each in wanted if can_be_measured(each)]


def can_be_measured(measurement: Measurement) -> bool:
    """Whether all is here that a measurement needs; if not, that is said."""
    why = measurement.missing()
    if why:
        sys.stderr.write(f"without {measurement.name}: {why}\n")
    return not why


def prepare(directory: Path) -> None:
    """Leave the first core to the relay, and say who cannot take part.

    :param directory: where everything temporary is kept.
    """
    tempfile.tempdir = str(directory.resolve())
    machine.raise_limits()
    os.sched_setaffinity(0, machine.cores()[1])
    for each in PEERS:
        if why := each.missing():
            sys.stderr.write(f"without {each.name}: {why}\n")


def main() -> None:
    """Measure what is wanted, and show it."""
    arguments = _arguments()
    effort = Effort(_QUICK if arguments.quick else 1.0, arguments.directory.resolve())
    about = machine.described(effort.directory)
    prepare(effort.directory)
    if not arguments.json:
        print("\n".join(f"{name}: {value}" for name, value in about.items()) + "\n")
    results = []
    for measurement in _wanted(arguments):
        result = run(measurement, effort, arguments.rounds, progress)
        progress("")
        results.append(result)
        _show(result, arguments)
    if arguments.json:
        print(json.dumps({"machine": about, "measurements": {r.measurement.name: r.as_json() for r in results}}))


def _show(result: Result, arguments: argparse.Namespace) -> None:
    if not arguments.json:
        print(shown(result), flush=True)
    for curve in CURVES:
        if arguments.plots and curve.name == result.measurement.name:
            draw(curve, result, arguments.plots)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        raise SystemExit(f"benchmarks: {error}") from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(130) from None
