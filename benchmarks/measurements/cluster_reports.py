"""What reports cost when several relays share the daemons."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from functools import partial

from benchmarks import machine
from benchmarks.cluster import cluster
from benchmarks.load.reporters import Reporters, reporters
from benchmarks.load.reports import DIFFERENT
from benchmarks.measurements.reports import DAEMONS
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.redis import Redis, missing, running_redis
from benchmarks.subjects import SHARE_COLUMNS, Running

_SIZE = 200
_SECONDS = 3.0


async def _report(relays: list[Running], redis: Redis | None, loads: list[Reporters], seconds: float) -> Sample:
    """Have all daemons report at once, and see what the relays together used."""
    for relay, load in zip(relays, loads, strict=True):
        load.tell(relay.port)
    for load in loads:
        await load.hear()
    cpu, waited, asked = _used(relays), sum(relay.waited() for relay in relays), _asked(redis)
    began = time.perf_counter()
    for load in loads:
        load.tell(seconds)
    arrived = sum([int(await load.hear()) for load in loads])
    took = time.perf_counter() - began
    used, kept = _used(relays) - cpu, sum(relay.waited() for relay in relays) - waited
    return {
        "cost": used / arrived * 1e6,
        "redis": (_asked(redis) - asked) / arrived * 1e6,
        "rate": arrived / took,
        "busy": used / took / len(relays) * 100,
        "kept": kept / took / len(relays) * 100,
    }


def _used(relays: list[Running]) -> float:
    for relay in relays:
        relay.check()
    return sum(relay.cpu() for relay in relays)


def _asked(redis: Redis | None) -> float:
    return 0.0 if redis is None else redis.counts().cpu


async def _loaded(redis: Redis | None, number: int, effort: Effort) -> Sample:
    async with AsyncExitStack() as stack:
        loads = [
            await stack.enter_async_context(
                # With its relay, on a core that has nothing else: two are then twice one, if they share nothing.
                reporters(each * DAEMONS, DAEMONS, _SIZE, effort.number(DIFFERENT), machine.cores_of(each, number)[0])
            )
            for each in range(number)
        ]
        relays = await stack.enter_async_context(cluster(redis, loads))
        return await _report(relays, redis, loads, effort.seconds(_SECONDS))


async def _apart(number: int, effort: Effort) -> Sample:
    return await _loaded(None, number, effort)


async def _together(number: int, effort: Effort) -> Sample:
    async with running_redis() as redis:
        return await _loaded(redis, number, effort)


def _rows(effort: Effort) -> list[Row]:
    # Those apart show what of a difference is the machine's: they share nothing else.
    ways = {"": _together, " without Redis": _apart}
    return [
        Row(f"{name}{how}", partial(work, number, effort))
        for how, work in ways.items()
        for number, name in enumerate(("1 relay", "2 relays"), 1)
    ]


CLUSTER_REPORTS = Measurement(
    "cluster-reports",
    f"reports of {_SIZE} B at full speed, {DAEMONS} daemons and a server for each relay of one cluster; each relay has "
    "a core, which it shares with its own load",
    (
        Column("rate", "reports/s"),
        Column("cost", "CPU µs/report", 2),
        Column("redis", "Redis CPU µs/report", 3),
        *SHARE_COLUMNS,
    ),
    _rows,
    "2 relays 1.8 times 1: a ratio of 0.56 or less",
    missing,
)
