"""What a task costs that runs at another relay than the one that got it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import attrs

from benchmarks import BenchmarkError
from benchmarks.cluster import cluster
from benchmarks.load.daemons import connect_many
from benchmarks.load.server import Server
from benchmarks.load.tasks import Tasks
from benchmarks.measurements.latency import moments, percentiles
from benchmarks.measurements.tasks import send_at
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.redis import Counts, Redis, missing, running_redis
from benchmarks.subjects import Running

_SIZE = 2_000
_DAEMONS = 20
_RATE = 200
_SECONDS = 10.0
#: Tasks before it counts.
_WARM_UP = 50
#: Tasks that are under way at a time at full speed, and how many there are.
_UNFINISHED = 500
_NUMBER = 10_000


def hears_nothing(payload: bytes) -> None:
    """For the server of a relay whose tasks are another's.

    :raises BenchmarkError: when it is told of one.
    """
    if not payload.startswith(b'{"type":"heartbeat"'):
        raise BenchmarkError(f"another server than the task's got {payload[:120]!r}")


@attrs.define
class Stage:
    """Relays with a server each; the first one's server hands out tasks.

    :ivar redis: none if there is one relay alone.
    """

    relays: list[Running]
    server: Server
    tasks: Tasks
    redis: Redis | None

    def used(self) -> tuple[list[float], Counts]:
        """What the relays and Redis have used so far."""
        for relay in self.relays:
            relay.check()
        return [relay.cpu() for relay in self.relays], self.redis.counts() if self.redis else Counts(0, 0, 0, 0.0)


@asynccontextmanager
async def _staged(where: int | None, number: int) -> AsyncIterator[Stage]:
    """Run two relays, or one alone.

    :param where: which of two has the daemons; none for one relay without Redis.
    :param number: how many tasks there will be at most.
    """
    tasks = Tasks(number, _SIZE)
    async with AsyncExitStack() as stack:
        redis = None if where is None else await stack.enter_async_context(running_redis())
        servers = [Server(tasks.heard)] + ([] if where is None else [Server(hears_nothing)])
        for server in servers:
            await server.listen()
        relays = await stack.enter_async_context(cluster(redis, servers))
        await servers[0].live.wait()
        await connect_many(relays[where or 0].port, _DAEMONS, heard=tasks.taken)
        yield Stage(relays, servers[0], tasks, redis)
        tasks.check()


async def _warm_up(stage: Stage) -> None:
    for _ in range(_WARM_UP):
        stage.tasks.spawn(stage.server)
        await stage.tasks.finish()
    stage.tasks.dispatch_times.clear()
    stage.tasks.end_times.clear()


async def _at_a_rate(where: int | None, effort: Effort) -> Sample:
    plan = list(moments(_RATE, effort.seconds(_SECONDS)))
    async with _staged(where, _WARM_UP + len(plan)) as stage:
        await _warm_up(stage)
        before, began = stage.used(), time.perf_counter()
        await send_at(stage.tasks, stage.server, plan)
        await stage.tasks.finish()
        sample = _costs(before, stage.used(), len(plan), time.perf_counter() - began)
    there, back = percentiles(stage.tasks.dispatch_times), percentiles(stage.tasks.end_times)
    times = {"there": there[0], "there99": there[1], "back": back[0], "back99": back[1]}
    return {**sample, **{name: each * 1e3 for name, each in times.items()}}


async def _at_full_speed(where: int | None, effort: Effort) -> Sample:
    number = effort.number(_NUMBER, _UNFINISHED)
    async with _staged(where, _WARM_UP + 2 * number) as stage:
        await _warm_up(stage)
        await stage.tasks.keep(stage.server, _UNFINISHED, _WARM_UP + number // 5)
        first, before, began = stage.tasks.completed, stage.used(), time.perf_counter()
        await stage.tasks.keep(stage.server, _UNFINISHED, _WARM_UP + number)
        done = stage.tasks.completed - first
        sample = _costs(before, stage.used(), done, time.perf_counter() - began)
        await stage.tasks.finish()
    return sample


def _costs(before: tuple[list[float], Counts], after: tuple[list[float], Counts], number: int, took: float) -> Sample:
    """What one of so many tasks cost."""
    used = [(now - then) / number * 1e6 for then, now in zip(before[0], after[0], strict=True)]
    redis = after[1].since(before[1])
    return {
        "cost": sum(used),
        "origin": used[0],
        "holder": sum(used[1:]),
        "redis": redis.cpu / number * 1e6,
        "asked": redis.asked / number,
        "commands": redis.commands / number,
        "size": redis.size / number / 1024,
        "rate": number / took,
    }


def _rows(work: Callable[[int | None, Effort], Coroutine[Any, Any, Sample]], effort: Effort) -> list[Row]:
    places = {"at a peer": 1, "at home": 0, "without Redis": None}
    return [Row(label, partial(work, where, effort)) for label, where in places.items()]


_COSTS = (
    Column("cost", "CPU µs/task"),
    Column("origin", "first relay"),
    Column("holder", "second"),
    Column("redis", "Redis"),
    Column("asked", "calls", 2),
    Column("commands", "commands", 2),
    Column("size", "KiB", 2),
)
CLUSTER_TASKS = Measurement(
    "cluster-tasks",
    f"spawnTask of 2 KB to the first of two relays, {_RATE} tasks/s at random moments; daemons at the second, at the "
    "first, and one relay without Redis",
    (
        *_COSTS,
        Column("there", "to daemon p50 ms", 2),
        Column("there99", "p99 ms", 2),
        Column("back", "to server p50 ms", 2),
        Column("back99", "p99 ms", 2),
    ),
    partial(_rows, _at_a_rate),
    missing=missing,
)
CLUSTER_TASKS_FULL = Measurement(
    "cluster-tasks-full",
    f"the same at full speed, {_UNFINISHED} under way at a time",
    (*_COSTS, Column("rate", "tasks/s")),
    partial(_rows, _at_full_speed),
    missing=missing,
)
