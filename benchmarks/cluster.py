"""Several relays that work as one, as they are measured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.load.http import get
from benchmarks.redis import Redis
from benchmarks.subjects import MEMBER, Running, Upstream, running

_TIMEOUT = 30.0


@asynccontextmanager
async def cluster(redis: Redis | None, servers: Sequence[Upstream]) -> AsyncIterator[list[Running]]:
    """Run relays that know each other when this is entered.

    :param redis: what they share; without it each is alone.
    :param servers: of each its own; they listen already.
    :raises BenchmarkError: when one does not start.
    """
    async with AsyncExitStack() as stack:
        relays = []
        for number, server in enumerate(servers):
            settings = {"MAKIMA_AGENT_NAME": f"relay-{number}"}
            if redis is not None:
                settings["MAKIMA_RELAY_REDIS"] = redis.url
            relays.append(await stack.enter_async_context(running(MEMBER, server, settings, number=number)))
        if redis is not None:
            async with asyncio.timeout(_TIMEOUT):
                await asyncio.gather(*(_met(relay, len(relays) - 1) for relay in relays))
        yield relays


async def _met(relay: Running, others: int) -> None:
    """Wait until a relay has met so many others, and Redis."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    seen: list[str] = []
    while seen.count("peer_connected") < others or "redis_connected" not in seen:
        relay.check()
        await asyncio.sleep(0.02)
        seen = [each["event"] for each in json.loads(await get(reader, writer, "/logs"))["logs"]]
    writer.close()
