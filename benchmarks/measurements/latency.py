"""How much later a report is at the server because of a relay."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import Iterator
from functools import partial

from benchmarks.load.daemons import Daemon, connect_many
from benchmarks.load.reports import DIFFERENT, Reports
from benchmarks.load.server import Server
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.subjects import DIRECT, PEERS, RELAY, SHARE_COLUMNS, Subject, present, running

_DAEMONS = 20
_RATE = 5_000
_SECONDS = 4.0
_WARM_UP = 0.5


def percentiles(times: list[float]) -> tuple[float, float, float]:
    """The median, the 99th percentile and the highest."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1]


def moments(rate: float, seconds: float, seed: int = 1) -> Iterator[float]:
    """When to send, in seconds from now: independent of each other, as from many who know nothing of each other."""
    gaps, now = random.Random(seed), 0.0
    while (now := now + gaps.expovariate(rate)) < seconds:
        yield now


class _Timed:
    """Notes when each report leaves and how long it took."""

    def __init__(self, different: int) -> None:
        self.reports = Reports(_DAEMONS, 200, together=1, different=different)
        self._left: dict[bytes, deque[float]] = {}
        self.took: list[float] = []

    def heard(self, payload: bytes) -> None:
        """A message has arrived; the reports of a daemon arrive in the order in which they left."""
        before = self.reports.arrived
        self.reports.heard(payload)
        if self.reports.arrived > before:
            self.took.append(time.perf_counter() - self._left[payload[36:41]].popleft())

    async def send(self, daemons: list[Daemon], rate: float, seconds: float) -> None:
        """Have daemons in turn send at random moments, and wait until all has arrived."""
        began = time.perf_counter()
        turns = itertools.cycle(range(len(daemons)))
        for moment in moments(rate, seconds):
            while time.perf_counter() - began < moment:
                await asyncio.sleep(0)
            index = next(turns)
            self._left.setdefault(b"%05d" % index, deque()).append(time.perf_counter())
            self.reports.send_one(daemons[index], index)
        await self.reports.all_arrived()


async def _latency(subject: Subject, effort: Effort) -> Sample:
    timed = _Timed(effort.number(DIFFERENT))
    server = Server(timed.heard)
    await server.listen()
    async with running(subject, server) as under_test:
        daemons = await connect_many(under_test.port, _DAEMONS)
        await timed.send(daemons, _RATE, effort.seconds(_WARM_UP))
        timed.took.clear()
        with under_test.usage() as usage:
            await timed.send(daemons, _RATE, effort.seconds(_SECONDS))
    middle, high, highest = (each * 1e6 for each in percentiles(timed.took))
    return {"p50": middle, "p99": high, "highest": highest, **usage.each(len(timed.took))}


def _rows(effort: Effort) -> list[Row]:
    return [Row(each.name, partial(_latency, each, effort)) for each in (RELAY, *present(*PEERS), DIRECT)]


LATENCY = Measurement(
    "latency",
    f"from a daemon's write to the server's read, {_RATE:,} reports/s at random moments; what 'no relay' takes is not "
    "the relay's",
    (Column("p50", "p50 µs"), Column("p99", "p99 µs"), Column("highest", "highest µs"), *SHARE_COLUMNS),
    _rows,
    "120 / 400 µs added; below Node's",
)
