"""How soon tasks flow again when a relay is gone."""

from __future__ import annotations

import asyncio
import random
import signal
from functools import partial

import attrs

from benchmarks import BenchmarkError
from benchmarks.cluster import cluster
from benchmarks.load.daemons import Daemon, connect_many
from benchmarks.load.server import Server
from benchmarks.load.tasks import Tasks
from benchmarks.measurements.cluster_tasks import hears_nothing
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.redis import missing, running_redis
from benchmarks.subjects import Running

_SIZE = 2_000
#: Seconds between two tasks, and tasks at most: for longer than a relay's absence can go unnoticed.
_PAUSE = 0.02
_NUMBER = 2_000
_WARM_UP = 20
#: Tasks that are sent when it has gone, and seconds that none waits on its ordinary way.
_AFTER, _LATE = 50, 0.5
#: Daemons of the relay that goes, and of the one that stays: with so many slots, tasks go to the one that goes first.
_MANY, _FEW = 20, 2
#: Seconds until Redis knows that a relay was killed.
_DYING = 0.1
#: A relay renews its presence so often, in seconds: it is gone at any time in between.
_INTERVAL = 5.0


@attrs.define
class _Arrivals:
    """Where tasks arrive.

    :ivar gone: how many at daemons of the relay that goes.
    """

    tasks: Tasks
    gone: int = 0

    def at_gone(self, daemon: Daemon, payload: bytes) -> None:
        """One arrived."""
        self.gone += 1
        self.tasks.taken(daemon, payload)


async def _takeover(how: int, effort: Effort) -> Sample:
    arrivals = _Arrivals(Tasks(_NUMBER, _SIZE))
    servers = [Server(arrivals.tasks.heard), Server(hears_nothing), Server(hears_nothing)]
    for server in servers:
        await server.listen()
    async with running_redis() as redis, cluster(redis, servers) as relays:
        await servers[0].live.wait()
        await connect_many(relays[1].port, _MANY, heard=arrivals.at_gone)
        await connect_many(relays[2].port, _FEW, heard=arrivals.tasks.taken, first=_MANY)
        await _warm_up(arrivals, servers[0])
        await asyncio.sleep(effort.seconds(random.uniform(0, _INTERVAL)))
        return await _without(relays[1], how, arrivals, servers[0])


async def _warm_up(arrivals: _Arrivals, server: Server) -> None:
    """Have tasks go to the relay that will be gone; until its presence is renewed it has fewer free slots."""
    while arrivals.gone < _WARM_UP:
        if arrivals.tasks.sent > _NUMBER // 2:
            raise BenchmarkError("tasks do not go to the relay with most of the free slots")
        arrivals.tasks.spawn(server)
        await arrivals.tasks.finish()
        await asyncio.sleep(_PAUSE)
    arrivals.tasks.dispatch_times.clear()


async def _without(relay: Running, how: int, arrivals: _Arrivals, server: Server) -> Sample:
    """End a relay, go on sending, and wait until all that was sent has been completed by the other."""
    tasks = arrivals.tasks
    ending = asyncio.get_running_loop().run_in_executor(None, relay.end, how)
    if how == signal.SIGKILL:
        # What it has read is with it, and waits for its return: no task may go to it as it dies.
        await ending
        await asyncio.sleep(_DYING)
    for _ in range(_AFTER):
        tasks.spawn(server)
        tasks.check()
        await asyncio.sleep(_PAUSE)
    await tasks.finish()
    await ending
    tasks.check()
    waited = [each for each in tasks.dispatch_times if each > _LATE]
    return {"longest": max(tasks.dispatch_times), "waited": len(waited)}


def _rows(effort: Effort) -> list[Row]:
    ways = {"stopped": signal.SIGTERM, "killed": signal.SIGKILL}
    return [Row(label, partial(_takeover, how, effort)) for label, how in ways.items()]


CLUSTER_TAKEOVER = Measurement(
    "cluster-takeover",
    f"a task each {_PAUSE * 1e3:.0f} ms for {_AFTER * _PAUSE:g} s after a relay with most of the free slots was "
    "stopped or killed; until they are with daemons of another",
    (
        Column("longest", "longest wait s", 2),
        Column("waited", f"tasks that waited {_LATE:g} s"),
    ),
    _rows,
    "stopped: at once; killed: 10 to 16 s, as its presence was renewed up to 5 s before and holds for 15 s, which is "
    "looked at each second",
    missing,
)
