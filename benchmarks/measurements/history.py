"""What a long history costs: to look at, and when the relay starts."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from benchmarks import BenchmarkError
from benchmarks.load.daemons import connect_many
from benchmarks.load.history import make_history
from benchmarks.load.http import get
from benchmarks.load.server import Server
from benchmarks.load.tasks import Tasks
from benchmarks.measurements.latency import moments, percentiles
from benchmarks.measurements.tasks import send_at
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.subjects import RELAY, running

_TASKS = 1_000_000
_RATE = 200
_SECONDS = 10.0
#: Seconds between two looks at the history.
_PAUSE = 0.02
_PAGE = 50


@cache
def _history(directory: Path, tasks: int) -> Path:
    """A directory with a relay's database, made once and kept until this process ends."""
    made = tempfile.TemporaryDirectory(prefix="makima-history-", dir=directory)
    _kept.append(made)
    make_history(Path(made.name), tasks)
    return Path(made.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


async def _look(port: int, paths: Iterator[str], times: list[float]) -> None:
    """Ask for one page after another until cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in paths:
        began = time.perf_counter()
        body = await get(reader, writer, path)
        times.append(time.perf_counter() - began)
        if b'"taskId"' not in body:
            raise BenchmarkError(f"GET {path} shows no task")
        await asyncio.sleep(_PAUSE)


async def _pages(effort: Effort, paths: Callable[[int], Iterator[str]]) -> Sample:
    number = effort.number(_TASKS, 1_000)
    plan = list(moments(_RATE, effort.seconds(_SECONDS)))
    tasks = Tasks(2 * len(plan), 500)
    server = Server(tasks.heard)
    await server.listen()
    with tempfile.TemporaryDirectory(prefix="makima-benchmark-", dir=effort.directory) as directory:
        place = Path(shutil.copytree(_history(effort.directory, number), Path(directory) / "relay"))
        async with running(RELAY, server, directory=place) as under_test:
            await connect_many(under_test.port, 5, heard=tasks.taken)
            await send_at(tasks, server, plan)
            await tasks.finish()
            before = percentiles(tasks.dispatch_times)[1]
            tasks.dispatch_times.clear()
            times: list[float] = []
            looking = asyncio.ensure_future(_look(under_test.port, paths(number), times))
            await send_at(tasks, server, plan)
            await tasks.finish()
            await _end(looking, times)
    middle, high, _ = percentiles(times)
    meanwhile = percentiles(tasks.dispatch_times)[1]
    return {"p99": high * 1e3, "p50": middle * 1e3, "before": before * 1e3, "meanwhile": meanwhile * 1e3}


async def _end(looking: asyncio.Task[None], times: list[float]) -> None:
    while not times and not looking.done():
        await asyncio.sleep(0.001)
    if looking.done():
        looking.result()
    looking.cancel()


def _any_page(tasks: int) -> Iterator[str]:
    some = random.Random(1)
    while True:
        yield f"/tasks?limit={_PAGE}&offset={some.randrange(tasks - _PAGE)}"


def _any_text(tasks: int) -> Iterator[str]:
    """Texts that nobody asked for before; each is in a ten-thousandth of the tasks or less."""
    some = random.Random(1)
    while True:
        yield f"/tasks?limit={_PAGE}&q={some.randrange(tasks // 10, tasks)}"


_PATHS: dict[str, Callable[[int], Iterator[str]]] = {
    "first page": lambda _: itertools.repeat(f"/tasks?limit={_PAGE}"),
    "any page": _any_page,
    "by status": lambda _: itertools.repeat(f"/tasks?limit={_PAGE}&status=failed"),
    "by daemon": lambda _: itertools.repeat(f"/tasks?limit={_PAGE}&daemon=host-7"),
    "by a new text": _any_text,
    "by text": lambda _: itertools.repeat(f"/tasks?limit={_PAGE}&q=router+of+sch"),
}


def _views(effort: Effort) -> list[Row]:
    return [Row(name, partial(_pages, effort, paths)) for name, paths in _PATHS.items()]


async def _start(effort: Effort, tasks: int) -> Sample:
    directory = _history(effort.directory, tasks)
    server = Server(lambda payload: None)
    await server.listen()
    began = time.perf_counter()
    async with running(RELAY, server, directory=directory) as under_test:
        took, used = time.perf_counter() - began, under_test.cpu()
    return {"took": took * 1e3, "cpu": used * 1e3}


def _starts(effort: Effort) -> list[Row]:
    return [Row(f"{number:,} tasks", partial(_start, effort, number)) for number in (0, effort.number(_TASKS, 1_000))]


HISTORY = Measurement(
    "history",
    f"GET /tasks with 1,000,000 tasks stored (--quick: 100,000), {_RATE} tasks/s dispatched meanwhile",
    (
        Column("p99", "p99 ms", 1),
        Column("p50", "p50 ms", 1),
        Column("before", "dispatch p99 ms without", 1),
        Column("meanwhile", "meanwhile", 1),
    ),
    _views,
    "p99 10 ms the first page, 30 ms any, 100 ms filtered; dispatch as without",
)
START = Measurement(
    "start",
    "from the relay's start until it is authenticated at the server, with few and with many finished tasks stored",
    (Column("took", "ms"), Column("cpu", "CPU ms")),
    _starts,
    "1 s with 1,000,000",
)
