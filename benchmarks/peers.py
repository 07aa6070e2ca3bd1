"""Cheap peers: a server and daemons that speak just enough WebSocket to load a relay from one other core."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator

from websockets.speedups import apply_mask

KEY = "benchmark-key"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A


def frame(payload: bytes, *, mask: bool, first: int = _TEXT) -> bytes:
    """One whole frame (RFC 6455, section 5.2).

    :param first: its first byte.
    """
    length = len(payload)
    bit = 0x80 if mask else 0
    if length < 126:
        head = bytes([first, bit | length])
    elif length < 1 << 16:
        head = bytes([first, bit | 126]) + struct.pack("!H", length)
    else:
        head = bytes([first, bit | 127]) + struct.pack("!Q", length)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + apply_mask(payload, key)


def _extent(data: bytes, position: int) -> tuple[int, int]:
    """Where the payload of the frame at a position begins, and how long it is."""
    size = data[position + 1] & 0x7F
    start = position + 2
    extended = {126: 2, 127: 8}.get(size, 0)
    if extended:
        size = int.from_bytes(data[start : start + extended], "big")
    return start + extended + (4 if data[position + 1] & 0x80 else 0), size


class Peer(asyncio.Protocol):
    """One end of a WebSocket: splits what comes into payloads, answers pings.

    :param heard: told each text payload.
    """

    masks = True

    def __init__(self, heard: Callable[[Peer, bytes], None]) -> None:
        self._heard = heard
        self._data = b""
        self._upgraded = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.begin()

    def begin(self) -> None:
        """Ask for the upgrade."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET /ws/daemon HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def head_received(self, head: bytes) -> None:
        """The answer to the upgrade came."""
        assert b" 101 " in head.split(b"\r\n")[0], head

    def pause_writing(self) -> None:
        """The socket is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The socket has room."""
        self._writable.set()

    async def say(self, data: bytes) -> None:
        """Send bytes as they are, when there is room."""
        self.transport.write(data)
        await self._writable.wait()

    def data_received(self, data: bytes) -> None:
        """Split into frames."""
        data = self._data + data if self._data else data
        if not self._upgraded:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._data = data
                return
            self._upgraded = True
            self.head_received(head)
            self.opened.set_result(None)
            data = rest
        self._data = self._split(data)

    def _split(self, data: bytes) -> bytes:
        """Act on the whole frames of what came.

        :return: the rest.
        """
        position, end = 0, len(data)
        while end - position >= 2:
            start, size = _extent(data, position)
            if start + size > end:
                break
            payload = data[start : start + size]
            if data[position + 1] & 0x80:
                payload = apply_mask(payload, data[start - 4 : start])
            if data[position] == _TEXT:
                self._heard(self, payload)
            elif data[position] == _PING:
                self.transport.write(frame(payload, mask=self.masks, first=_PONG))
            position = start + size
        return data[position:]


class ServerPeer(Peer):
    """The server's end.

    :ivar record: the frames that came since recording began, as bytes; none while nothing is recorded.
    """

    masks = False

    def __init__(self, server: Server) -> None:
        super().__init__(server.heard)
        self._server = server
        self.record: list[bytes] | None = None
        self._stride = 0

    def begin(self) -> None:
        """Wait for the upgrade."""

    def head_received(self, head: bytes) -> None:
        """Grant the upgrade."""
        key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )

    def record_frames_of(self, size: int) -> None:
        """Record from now on: text frames of so many bytes, heads and all, and nothing else but control frames."""
        self.record = []
        self._stride = size

    def _split(self, data: bytes) -> bytes:
        """While recording only count, which costs next to nothing: what came is looked at later."""
        if self.record is None:
            return super()._split(data)
        starts = data[:: self._stride]
        count = min(len(starts) - len(starts.lstrip(b"\x81")), len(data) // self._stride)
        self.record.append(data[: count * self._stride])
        self._server.count(count)
        rest = data[count * self._stride :]
        if len(rest) < 2 or rest[0] == _TEXT or len(rest) < sum(_extent(rest, 0)):
            return rest
        stop = sum(_extent(rest, 0))
        super()._split(rest[:stop])
        return self._split(rest[stop:])

    def recorded(self) -> Iterator[bytes]:
        """The payloads that were recorded, in order."""
        for data in self.record or ():
            position = 0
            while position < len(data):
                start, size = _extent(data, position)
                yield apply_mask(data[start : start + size], data[start - 4 : start])
                position = start + size


class Server:
    """A Makima server that authenticates every relay and counts what it reports.

    :ivar reports: how many came, heartbeats left out.
    """

    def __init__(self) -> None:
        self.reports = 0
        self._wanted = 0
        self._enough = asyncio.Event()
        self._listening: asyncio.Server
        self.relay: ServerPeer
        self.live = asyncio.Event()

    async def listen(self, port: int = 0) -> int:
        """Begin.

        :return: the port.
        """
        self._listening = await asyncio.get_running_loop().create_server(lambda: ServerPeer(self), "127.0.0.1", port)
        return int(self._listening.sockets[0].getsockname()[1])

    def leave(self) -> None:
        """Cut the connection, and take no other until :meth:`listen` is called again."""
        self.live.clear()
        self._listening.close()
        self.relay.transport.abort()

    def heard(self, peer: Peer, payload: bytes) -> None:
        """A message came."""
        if payload.startswith(b'{"type":"authenticate"'):
            peer.transport.write(frame(b'{"type":"authenticated","daemonId":"b"}', mask=False))
            assert isinstance(peer, ServerPeer)
            self.relay = peer
            self.live.set()
        elif not payload.startswith(b'{"type":"heartbeat"'):
            self.report_came(payload)

    def report_came(self, payload: bytes) -> None:
        """Count a report."""
        self.count(1)

    def count(self, number: int) -> None:
        """So many reports came."""
        self.reports += number
        if self.reports >= self._wanted:
            self._enough.set()

    async def hear(self, number: int) -> None:
        """Wait for so many more reports."""
        self._wanted = self.reports + number
        self._enough.clear()
        await self._enough.wait()


async def daemon(
    port: int, hostname: str, slots: int = 1_000, heard: Callable[[Peer, bytes], None] = lambda peer, payload: None
) -> Peer:
    """Connect a daemon; it is authenticated when this returns."""
    answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def first(peer: Peer, payload: bytes) -> None:
        if answered.done():
            heard(peer, payload)
        else:
            answered.set_result(None)

    _, peer = await asyncio.get_running_loop().create_connection(lambda: Peer(first), "127.0.0.1", port)
    await peer.opened
    hello = {"type": "authenticate", "apiKey": KEY, "hostname": hostname, "maxConcurrentTasks": slots}
    await peer.say(frame(json.dumps(hello).encode(), mask=True))
    await answered
    return peer
