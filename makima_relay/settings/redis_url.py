"""The URL of a Redis server: ``redis://``, ``rediss://`` or ``unix://``, with user, password and number of database."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import attrs

#: Where Redis listens unless it is told otherwise.
_PORT = 6379
#: A server may be configured to have more databases than its 16; nobody has more than this.
_MOST_DATABASES = 1 << 16


@attrs.frozen(kw_only=True)
class RedisURL:
    """Where Redis is, and as whom to present oneself.

    :ivar host: its name or address; empty for a socket of this machine.
    :ivar path: the socket of this machine; empty for a host.
    :ivar encrypted: whether to speak TLS.
    :ivar username: none for Redis's default user.
    :ivar password: none if there is nothing to present.
    :ivar database: the number of the database.
    """

    host: str = ""
    port: int = _PORT
    path: str = ""
    encrypted: bool = False
    username: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    database: int = 0

    def __str__(self) -> str:
        """As it may be shown: without user and password."""
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.encrypted else 'redis'}://{host}:{self.port}"

    def secrets(self) -> Iterator[str]:
        """What must not be shown: the password, as it is and as it is written in a URL."""
        if self.password:
            yield self.password
            yield quote(self.password, safe="")


def read_redis_url(text: str) -> RedisURL:
    """Read a URL.

    :raises ValueError: when it is none that leads to Redis.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("not printable")
    parts = urlsplit(text)
    if parts.fragment or parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("no URL of Redis")
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if username is not None and password is None:
        # A user without password presents an empty one, and Redis says what it makes of it.
        password = ""
    place = _socket(parts) if parts.scheme == "unix" else _host(parts)
    return attrs.evolve(place, username=username, password=password)


def _host(parts: SplitResult) -> RedisURL:
    port = _PORT if parts.port is None else parts.port
    if not parts.hostname or port == 0 or parts.query:
        raise ValueError("no host")
    number = _database(parts.path.removeprefix("/") or "0")
    return RedisURL(host=parts.hostname, port=port, encrypted=parts.scheme == "rediss", database=number)


def _socket(parts: SplitResult) -> RedisURL:
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    path = unquote(parts.path)
    if parts.hostname or len(path) < 2 or "\0" in path or not options.keys() <= {"db"}:
        raise ValueError("no socket")
    return RedisURL(path=path, database=_database(options.get("db", "0")))


def _database(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) >= _MOST_DATABASES:
        raise ValueError("no number of a database")
    return int(text)
