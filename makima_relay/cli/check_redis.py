"""The part of ``makima-relay check`` that goes to Redis, as the relay would; only where the settings name one."""

from __future__ import annotations

from typing import Any

from makima_relay.cli.findings import Finding, fail, ok
from makima_relay.cluster.connection import TIMEOUT, Connection, RedisUnusableError, open_connection
from makima_relay.cluster.dialling import redis_dial, redis_trust
from makima_relay.endpoints import StartError
from makima_relay.settings import RedisURL, Settings

_REMEDY = "see MAKIMA_RELAY_REDIS, and docs/cluster.md for what its user needs"


async def check_redis(reactor: Any, settings: Settings, url: RedisURL) -> Finding:
    """Whether the relay would reach Redis, and be taken; without it the relay works alone."""
    what = "redis"
    try:
        trust = redis_trust(url, settings.redis_ca)
    except StartError as error:
        return fail(what, str(error), "name a file of PEM certificates that can be read")
    connection = Connection(reactor, TIMEOUT)
    try:
        await open_connection(redis_dial(reactor, url, trust), connection)
    except RedisUnusableError as error:
        return fail(what, f"{url}: {error}", _REMEDY)
    connection.transport.loseConnection()
    return ok(what, f"{url} takes the relay's user")
