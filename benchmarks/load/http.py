"""Asks the relay by HTTP, on a connection that is kept."""

from __future__ import annotations

import asyncio

from benchmarks import BenchmarkError


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    """Ask.

    :return: the body of the answer.
    :raises BenchmarkError: when that is an error.
    """
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise BenchmarkError(f"GET {path} was answered with {head[:60]!r}")
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)
