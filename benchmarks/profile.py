"""Shows where the relay spends the CPU of a report: ``python -m benchmarks.profile``.

What a report costs is measured without a profiler. A second run under Python's own tells the shares: it makes calls of
Python functions dearer than they are, so a share is a hint, not a figure.
"""

from __future__ import annotations

import argparse
import pstats
import re
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from benchmarks.__main__ import prepare
from benchmarks.measurements.reports import cost
from benchmarks.model import Effort
from benchmarks.runner import progress, run_once
from benchmarks.subjects import RELAY, Command, Place, Subject, relay_command

_PLACES = (
    (re.compile(r"of 'select\.epoll'"), None),
    (re.compile(r"'(send|sendmsg|recv|recv_into|writev)'|of '_socket\.socket'"), "sockets (kernel)"),
    (re.compile(r"msgspec"), "msgspec"),
    (re.compile(r"/makima_relay/core/"), "the relay's core"),
    (re.compile(r"/makima_relay/store/|sqlite3"), "the relay's store"),
    (re.compile(r"/makima_relay/"), "the relay's shells"),
    (re.compile(r"/autobahn/"), "Autobahn"),
    (re.compile(r"/twisted/"), "Twisted"),
    (re.compile(r"^~"), "Python's built-ins"),
)
_SHOWN = 20
_SECONDS = 3.0


def _place(function: tuple[str, int, str]) -> str | None:
    """Whose a function is; none for waiting."""
    text = f"{function[0]} {function[2]}"
    return next((place for pattern, place in _PLACES if pattern.search(text)), "other")


def _profiled(file: Path, place: Place) -> Command:
    twistd = str(Path(sys.executable).with_name("twistd"))
    return relay_command(place, twistd, "--profiler=cprofile", "--savestats", f"--profile={file}")


def measure(size: int, seconds: float) -> tuple[float, pstats.Stats]:
    """Measure without, then with a profiler.

    :return: CPU µs per report without; what the profiler says.
    """
    with tempfile.TemporaryDirectory() as directory:
        effort, file = Effort(seconds / _SECONDS, Path(directory)), Path(directory) / "stats"
        without = run_once(partial(cost, RELAY, effort, size=size))["cost"]
        run_once(partial(cost, Subject("relay", partial(_profiled, file)), effort, size=size))
        return without, pstats.Stats(str(file))


def _shown(each: float, stats: pstats.Stats) -> str:
    own = {function: values[2] for function, values in stats.stats.items()}  # type: ignore[attr-defined]
    spent = {function: time for function, time in own.items() if _place(function) is not None}
    total, places = sum(spent.values()), Counter[str]()
    for function, time in spent.items():
        places[str(_place(function))] += time / total
    lines = [f"a report costs {each:.2f} µs of CPU; of that"]
    lines += [f"  {each * share:6.2f} µs  {share:4.0%}  {place}" for place, share in places.most_common()]
    lines += ["", "the functions that take most by themselves:"]
    for function in sorted(spent, key=spent.__getitem__, reverse=True)[:_SHOWN]:
        share = spent[function] / total
        lines.append(f"  {each * share:6.2f} µs  {share:4.0%}  {_named(function)}")
    return "\n".join(lines)


def _named(function: tuple[str, int, str]) -> str:
    file, line, name = function
    return name if file == "~" else f"{'/'.join(Path(file).parts[-2:])}:{line} {name}"


def main() -> None:
    """Measure and show it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--size", type=int, default=200, help="bytes of a report (default: 200)")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="how long reports are sent (default: 3)")
    arguments = parser.parse_args()
    prepare(Path(tempfile.gettempdir()))
    progress("reports, without and with a profiler")
    each, stats = measure(arguments.size, arguments.seconds)
    progress("")
    print(_shown(each, stats))


if __name__ == "__main__":
    main()
