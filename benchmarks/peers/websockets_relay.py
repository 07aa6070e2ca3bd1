"""A relay on ``websockets`` and uvloop: ``python -m benchmarks.peers.websockets_relay SERVER_PORT PORT KEY``."""

from __future__ import annotations

import json
import sys

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

_CLOSE_UNAUTHORIZED = 4401


async def _authenticated(daemon: ServerConnection, key: str) -> bool:
    hello = json.loads(await daemon.recv())
    return bool(hello["type"] == "authenticate" and hello["apiKey"] == key)


async def _relay(daemon: ServerConnection, upstream: ClientConnection, key: str) -> None:
    if not await _authenticated(daemon, key):
        await daemon.close(_CLOSE_UNAUTHORIZED)
        return
    await daemon.send('{"type":"authenticated","daemonId":"d"}')
    while True:
        await upstream.send(await daemon.recv(decode=False), text=True)


async def _run(server_port: int, port: int, key: str) -> None:
    url = f"ws://127.0.0.1:{server_port}/ws/daemon"
    async with connect(url, compression=None, ping_interval=None) as upstream:
        hello = {"type": "authenticate", "apiKey": key, "hostname": "websockets"}
        await upstream.send(json.dumps(hello, separators=(",", ":")))
        await upstream.recv()

        async def accept(daemon: ServerConnection) -> None:
            await _relay(daemon, upstream, key)

        async with serve(accept, "127.0.0.1", port, compression=None, ping_interval=None, backlog=1024):
            await upstream.wait_closed()


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
