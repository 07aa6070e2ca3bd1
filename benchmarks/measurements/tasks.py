"""What a task costs on its whole way, and how soon it is with a daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.load.daemons import connect_many
from benchmarks.load.metrics import read_histogram
from benchmarks.load.readers import read_events
from benchmarks.load.server import Server
from benchmarks.load.tasks import Tasks
from benchmarks.machine import most_connections
from benchmarks.measurements.latency import moments, percentiles
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.subjects import AUTOBAHN, RELAY, SHARE_COLUMNS, Running, Subject, running

_COLUMNS = (Column("cost", "CPU µs/task", 1), Column("rate", "tasks/s"), *SHARE_COLUMNS)
_SIZE = 2_000
_DAEMONS = 20
#: Tasks that are under way at a time, and how many are completed in all, a part of them before it counts.
_UNFINISHED = 1_000
_NUMBER = 30_000
_WARM_UP = 0.1
_MANY_SLOTS = 10_000


@asynccontextmanager
async def with_tasks(
    tasks: Tasks, subject: Subject, daemons: int, slots: int = _MANY_SLOTS
) -> AsyncIterator[tuple[Running, Server]]:
    """Run a relay with daemons that complete what they get."""
    server = Server(tasks.heard)
    await server.listen()
    async with running(subject, server) as under_test:
        await connect_many(under_test.port, daemons, slots, tasks.taken)
        yield under_test, server
        tasks.check()


async def cost(
    subject: Subject,
    effort: Effort,
    *,
    daemons: int = _DAEMONS,
    slots: int = _MANY_SLOTS,
    pending: int = 0,
    unfinished: int = _UNFINISHED,
) -> Sample:
    """Keep tasks under way.

    :param slots: of each daemon.
    :param pending: how many tasks wait for a slot all the time.
    :param unfinished: how many are with daemons all the time.
    """
    number = effort.number(_NUMBER, 2 * unfinished)
    tasks = Tasks(number + pending + unfinished, _SIZE)
    async with with_tasks(tasks, subject, daemons, slots) as (under_test, server):
        tasks.holding = True
        while tasks.sent < pending + unfinished:
            tasks.spawn(server, min(500, pending + unfinished - tasks.sent))
            await server.settled()
        tasks.release()
        warm = int(number * _WARM_UP)
        await tasks.keep(server, pending + unfinished, warm)
        before = tasks.completed
        with under_test.usage() as usage:
            await tasks.keep(server, pending + unfinished, number)
        done = tasks.completed - before
    return usage.each(done)


def _compared(effort: Effort) -> list[Row]:
    return [Row(each.name, partial(cost, each, effort)) for each in (RELAY, AUTOBAHN)]


def _by_daemons(effort: Effort) -> list[Row]:
    numbers = (10, min(effort.number(10_000, 50), most_connections()))
    return [Row(f"{number:,} daemons", partial(cost, RELAY, effort, daemons=number)) for number in numbers]


def _by_pending(effort: Effort) -> list[Row]:
    return [
        Row(
            f"{number:,} pending",
            partial(cost, RELAY, effort, daemons=10, slots=20, pending=number, unfinished=200),
        )
        for number in (10, effort.number(100_000, 100))
    ]


_RATE = 500
_SECONDS = 10.0
#: Seconds from a task's receipt to its dispatch, as the relay counts them, within which it is soon.
_SOON = 0.005


async def _dispatch(subject: Subject, effort: Effort, *, readers: int = 0) -> Sample:
    """Send tasks.

    :param readers: how many read events meanwhile.
    """
    seconds = effort.seconds(_SECONDS)
    plan = list(moments(_RATE, seconds))
    tasks = Tasks(len(plan), _SIZE)
    async with with_tasks(tasks, subject, _DAEMONS) as (under_test, server):
        reading = await read_events(under_test.port, readers)
        with under_test.usage() as usage:
            await send_at(tasks, server, plan)
            await tasks.finish()
        inside = await read_histogram(under_test.port, "dispatch_seconds")
    middle, high, highest = (each * 1e3 for each in percentiles(tasks.dispatch_times))
    heard = sum(each.events for each in reading) / usage.took
    within = {"inside": inside.mean * 1e3, "within": 100 * inside.share_within(_SOON)}
    return {"p50": middle, "p99": high, "highest": highest, "heard": heard, **within, **usage.each(len(plan))}


async def send_at(tasks: Tasks, server: Server, plan: list[float]) -> None:
    """Have the server send a task at each of these moments, in seconds from now."""
    began = time.perf_counter()
    for moment in plan:
        while time.perf_counter() - began < moment:
            await asyncio.sleep(0)
        tasks.spawn(server)


def _dispatched(effort: Effort) -> list[Row]:
    return [Row(each.name, partial(_dispatch, each, effort)) for each in (RELAY, AUTOBAHN)]


_READERS = 1_000


def _watched(effort: Effort) -> list[Row]:
    # A quick look has as many, because that is what it is about.
    many = min(_READERS, effort.number(10 * _READERS, 5), most_connections())
    return [Row(f"{number:,} readers", partial(_dispatch, RELAY, effort, readers=number)) for number in (0, many)]


_DISPATCH_COLUMNS = (
    Column("p50", "p50 ms", 2),
    Column("p99", "p99 ms", 2),
    Column("highest", "highest ms", 2),
    Column("inside", "in the relay ms", 2),
    Column("within", f"in {_SOON * 1e3:.0f} ms %", 2),
)
TASKS = Measurement(
    "tasks",
    "spawnTask of 2 KB, committed, to a daemon, taskComplete, committed, to the server",
    _COLUMNS,
    _compared,
    "60 µs and 15,000/s; 45 µs",
)
TASKS_BY_DAEMONS = Measurement(
    "tasks-by-daemons", "the same with few and with many daemons", _COLUMNS, _by_daemons, "within 10 %"
)
TASKS_BY_PENDING = Measurement(
    "tasks-by-pending", "the same while few and while many other tasks wait", _COLUMNS, _by_pending, "within 10 %"
)
DISPATCH = Measurement(
    "dispatch",
    f"from the server's write of a spawnTask to the daemon's read, {_RATE} tasks/s at random moments",
    (*_DISPATCH_COLUMNS, *SHARE_COLUMNS),
    _dispatched,
    "1 / 5 ms on a disk whose fsync takes 0.3 ms",
)
DISPATCH_WATCHED = Measurement(
    "dispatch-watched",
    "the same while nobody and while many read GET /events",
    (*_DISPATCH_COLUMNS, Column("heard", "events/s read"), *SHARE_COLUMNS),
    _watched,
    "no slower",
)
