"""The way to Redis, made of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from makima_relay.cluster.connection import TIMEOUT, Dial
from makima_relay.endpoints import StartError
from makima_relay.settings import RedisURL
from makima_relay.tls import ServerTrust, TLSFilesError


def redis_trust(url: RedisURL, authorities: Path | None) -> ServerTrust | None:
    """Whom to trust as the Redis of a URL.

    :param authorities: a file of certificates; none for the system's.
    :return: none where there is nothing to verify, because the URL is no ``rediss://``.
    :raises StartError: when the file, or the host of the URL, cannot be used.
    """
    if not url.encrypted:
        return None
    try:
        return ServerTrust(url.host, authorities)
    except TLSFilesError as error:
        raise StartError(f"--redis-ca: {error}") from None
    except UnicodeError:
        raise StartError(f"--redis: {url.host!r} is no host name that a certificate can be for") from None


def redis_dial(reactor: Any, url: RedisURL, trust: ServerTrust | None) -> Dial:
    """Make the way to a Redis.

    :param trust: what :func:`redis_trust` has for the URL.
    """
    endpoint: IStreamClientEndpoint
    if url.path:
        endpoint = UNIXClientEndpoint(reactor, url.path, timeout=TIMEOUT)
    else:
        endpoint = HostnameEndpoint(reactor, url.host, url.port, timeout=TIMEOUT)
    return Dial(url, endpoint if trust is None else wrapClientTLS(trust, endpoint))
