"""What the operating system knows: cores, what a process has used, how fast the disk is."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

#: The cores that there are for all. Asked once: the load leaves the first to the relay, and would not see it later.
_CORES: Final = tuple(sorted(os.sched_getaffinity(0)))
#: File descriptors that a process needs beside its connections.
_SPARE = 200


def cores() -> tuple[set[int], set[int]]:
    """The cores for the relay that is measured, and for the load; the same one when there is only one."""
    return {_CORES[0]}, set(_CORES[1:]) or {_CORES[0]}


def cores_of(number: int, relays: int) -> tuple[set[int], set[int]]:
    """The cores for one of several relays, and for its load: others than those of the relays, as far as there are.

    :param number: which relay, from 0.
    :param relays: how many there are.
    """
    others = _CORES[relays:] or _CORES[::-1]
    return {_CORES[number % len(_CORES)]}, {others[number % len(others)]}


def cpu_time(pid: int) -> float:
    """The CPU time that all threads of a process have used so far, in seconds.

    The kernel has a clock for it (``clock_getcpuclockid(3)``), which is finer than the ticks in ``/proc``.
    """
    return time.clock_gettime((~pid << 3) | 2)


def waited(pid: int) -> float:
    """How long the threads of a process were ready to run but had to wait for the core, in seconds."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[1]) for each in files) / 1e9


def memory(pid: int) -> float:
    """The memory that belongs to a process alone, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith(("Private_", "Swap:")))


def raise_limits() -> None:
    """Allow as many open files as the system lets us; processes started later inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_connections() -> int:
    """How many connections one process can have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE


def fsync_times(directory: Path, number: int = 200) -> tuple[float, float]:
    """Append 4 KiB and have it written to the disk, again and again.

    :return: the median and the 99th percentile, in ms.
    """
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(number):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times), sorted(times)[int(number * 0.99)]


def described(directory: Path) -> dict[str, str]:
    """The machine in a few words."""
    middle, high = fsync_times(directory)
    return {
        "processor": _processor(),
        "cores": f"{len(_CORES)} ({_numbers(0)} for the relay, {_numbers(1)} for the load)",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "fsync": f"{middle:.2f} ms (p99 {high:.2f} ms)",
    }


def _numbers(which: int) -> str:
    return ", ".join(str(each) for each in sorted(cores()[which]))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
