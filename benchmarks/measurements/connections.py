"""What connections cost: to make, to have, and to keep alive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from benchmarks.load.daemons import Daemon, connect_many
from benchmarks.load.frames import PING, masked_frame
from benchmarks.load.server import Server
from benchmarks.machine import most_connections
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.subjects import AUTOBAHN, NODE, RELAY, SHARE_COLUMNS, WEBSOCKETS, Subject, present, running

_CONNECTIONS = 4_000
_HEARTBEAT_INTERVAL = 30.0
_HEARTBEAT = masked_frame(b'{"type":"heartbeat","activeTasks":[]}')
_SECONDS = 30.0
#: Seconds between probes; a pause that is longer is seen.
_PROBE_INTERVAL = 0.005


def _nothing(payload: bytes) -> None:
    """What the server hears does not matter here."""


async def _connect(subject: Subject, effort: Effort) -> Sample:
    number = effort.number(_CONNECTIONS, 50)
    server = Server(_nothing)
    await server.listen()
    async with running(subject, server) as under_test:
        await connect_many(under_test.port, 20)
        with under_test.usage() as usage:
            await connect_many(under_test.port, number)
    return usage.each(number)


async def _memory(subject: Subject, effort: Effort) -> Sample:
    number = min(effort.number(_CONNECTIONS, 200), most_connections())
    server = Server(_nothing)
    await server.listen()
    async with running(subject, server) as under_test:
        await connect_many(under_test.port, 200)
        before = under_test.memory()
        await connect_many(under_test.port, number)
        await asyncio.sleep(effort.seconds(1))
        after = under_test.memory()
    return {"each": (after - before) / number, "idle": before / 1024}


class _Pauses:
    """Pings a relay all the time and notes how long it takes to answer."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._left = 0.0
        self._waits = False
        self.longest = 0.0
        daemon.ponged = self._ponged

    def _ponged(self) -> None:
        self._waits = False
        self.longest = max(self.longest, time.perf_counter() - self._left)

    async def look(self, seconds: float) -> None:
        """Do so for a while."""
        until = time.perf_counter() + seconds
        ping = masked_frame(b"", PING)
        while time.perf_counter() < until or self._waits:
            if not self._waits:
                self._waits, self._left = True, time.perf_counter()
                self._daemon.write(ping)
            await asyncio.sleep(_PROBE_INTERVAL)


async def _beat(daemons: list[Daemon]) -> None:
    """Have each daemon send a heartbeat in its turn, evenly, until cancelled."""
    gap, began, sent = _HEARTBEAT_INTERVAL / len(daemons), time.perf_counter(), 0
    while True:
        while sent * gap < time.perf_counter() - began:
            daemons[sent % len(daemons)].write(_HEARTBEAT)
            sent += 1
        await asyncio.sleep(0.001)


async def _idle(subject: Subject, effort: Effort) -> Sample:
    number = min(effort.number(10_000, 50), most_connections())
    server = Server(_nothing)
    await server.listen()
    async with running(subject, server) as under_test:
        daemons = await connect_many(under_test.port, number)
        beating = asyncio.ensure_future(_beat(daemons))
        seconds = effort.seconds(_SECONDS)
        with under_test.usage() as usage:
            await asyncio.sleep(seconds)
        pauses = _Pauses(daemons[0])
        await pauses.look(seconds)
        beating.cancel()
    return {"busy": usage.cpu / usage.took * 100, "pause": pauses.longest * 1e3, "daemons": number}


def _rows(
    work: Callable[[Subject, Effort], Coroutine[Any, Any, Sample]], *subjects: Subject, effort: Effort
) -> list[Row]:
    return [Row(each.name, partial(work, each, effort)) for each in subjects]


CONNECT = Measurement(
    "connect",
    "daemons connect and authenticate, 100 at a time",
    (Column("cost", "CPU µs/daemon"), Column("rate", "daemons/s"), *SHARE_COLUMNS),
    lambda effort: _rows(_connect, RELAY, *present(NODE, WEBSOCKETS, AUTOBAHN), effort=effort),
    "4,000/s; 5,500/s",
)
MEMORY = Measurement(
    "memory",
    "memory of the relay's process for each idle, authenticated daemon",
    (Column("each", "KiB/daemon", 1), Column("idle", "MiB with 200", 1)),
    lambda effort: _rows(_memory, RELAY, *present(NODE, WEBSOCKETS, AUTOBAHN), effort=effort),
    "6 KiB; 4 KiB",
)
IDLE = Measurement(
    "idle",
    f"daemons with a heartbeat each {_HEARTBEAT_INTERVAL:.0f} s, the relay's pings on",
    (Column("busy", "% of a core", 2), Column("pause", "longest pause ms", 1), Column("daemons", "daemons")),
    lambda effort: _rows(_idle, RELAY, effort=effort),
    "under 5 % with 10,000 daemons, no pause over 20 ms",
)
