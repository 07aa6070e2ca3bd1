"""The daemons of the benchmarks: bare protocols that write frames which are built already."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Callable
from typing import cast

from benchmarks import KEY, BenchmarkError
from benchmarks.load.frames import CLOSE, PING, PONG, TEXT, masked_frame, split

_NONCE = base64.b64encode(os.urandom(16)).decode()
_ACCEPT = base64.b64encode(hashlib.sha1(f"{_NONCE}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
_UPGRADE = (
    "GET /ws/daemon HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_NONCE}\r\n\r\n"
).encode()
#: How many connections are being made at a time.
_AT_ONCE = 100
_TIMEOUT = 30.0

Heard = Callable[["Daemon", bytes], None]


def unexpected(_: Daemon, payload: bytes) -> None:
    """For daemons that get no commands.

    :raises BenchmarkError: always.
    """
    raise BenchmarkError(f"a daemon got {payload[:120]!r}")


class Daemon(asyncio.Protocol):
    """One daemon's connection.

    :param name: its host name.
    :param slots: how many tasks it takes at a time.
    :param heard: told each text message after the answer to ``authenticate``.
    :ivar ready: done when it is authenticated.
    :ivar ponged: called when a pong comes.
    """

    transport: asyncio.Transport

    def __init__(self, name: str, slots: int, heard: Heard) -> None:
        hello = {"type": "authenticate", "apiKey": KEY, "hostname": name, "maxConcurrentTasks": slots}
        self._hello = masked_frame(json.dumps(hello, separators=(",", ":")).encode())
        self._heard = heard
        self._data = b""
        self._upgraded = False
        self._closing = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ponged: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        """Act on what came."""
        data = self._data + data if self._data else data
        if self._upgraded:
            self._take_frames(data)
            return
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            self._data = data
        elif head.startswith(b"HTTP/1.1 101") and _ACCEPT in head:
            self._upgraded = True
            self.transport.write(self._hello)
            self._take_frames(rest)
        else:
            self._fail(f"the upgrade was answered with {head[:80]!r}")

    def _take_frames(self, data: bytes) -> None:
        frames, self._data = split(data)
        for first, payload in frames:
            if first == TEXT and self.ready.done():
                self._heard(self, payload)
            elif first == TEXT:
                self._answered(payload)
            elif first == PING:
                self.transport.write(masked_frame(payload, PONG))
            elif first == PONG:
                self.ponged()
            elif first == CLOSE:
                self._fail(f"closed with {payload!r}")

    def _answered(self, payload: bytes) -> None:
        if b'"authenticated"' in payload:
            self.ready.set_result(None)
        else:
            self._fail(f"authenticate was answered with {payload[:80]!r}")

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(BenchmarkError(why))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody cuts it but this end."""
        self._fail("a daemon's connection was cut")

    def write(self, frames: bytes) -> None:
        """Send whole frames."""
        self.transport.write(frames)

    def leave(self) -> None:
        """Cut the connection."""
        self.transport.abort()


async def connect(port: int, name: str, slots: int = 10_000, heard: Heard = unexpected) -> Daemon:
    """Connect one daemon; it is authenticated when this returns.

    :raises BenchmarkError: when the relay does not want it.
    """
    loop = asyncio.get_running_loop()
    _, daemon = await loop.create_connection(lambda: Daemon(name, slots, heard), "127.0.0.1", port)
    await asyncio.wait_for(daemon.ready, _TIMEOUT)
    return daemon


async def connect_many(
    port: int, number: int, slots: int = 10_000, heard: Heard = unexpected, first: int = 0
) -> list[Daemon]:
    """Connect daemons, some at a time; all are authenticated when this returns.

    :param first: the number of the first, for those of several relays: the same name is the same daemon.
    """
    names = iter([f"d{index}" for index in range(first, first + number)])
    daemons: list[Daemon] = []

    async def some() -> None:
        for name in names:
            daemons.append(await connect(port, name, slots, heard))  # noqa: PERF401 - others take from the same names

    await asyncio.gather(*(some() for _ in range(min(number, _AT_ONCE))))
    return daemons
