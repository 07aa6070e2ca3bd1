"""Readers of events: they read all that comes, and count it."""

from __future__ import annotations

import asyncio
from typing import cast

_REQUEST = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#: How many connections are being made at a time.
_AT_ONCE = 100
_TIMEOUT = 30.0


class Reader(asyncio.Protocol):
    """One reader of ``GET /events``.

    :ivar ready: done when the answer has begun.
    :ivar events: how many have come.
    """

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        cast("asyncio.Transport", transport).write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        """Count."""
        if not self.ready.done():
            self.ready.set_result(None)
        self.events += data.count(b"event: ")


async def read_events(port: int, number: int) -> list[Reader]:
    """Have so many readers read; all of them do when this returns."""
    loop = asyncio.get_running_loop()
    left = iter(range(number))
    readers: list[Reader] = []

    async def some() -> None:
        for _ in left:
            _, reader = await loop.create_connection(Reader, "127.0.0.1", port)
            await asyncio.wait_for(reader.ready, _TIMEOUT)
            readers.append(reader)

    await asyncio.gather(*(some() for _ in range(min(number, _AT_ONCE))))
    return readers
