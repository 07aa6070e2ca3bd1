"""A seeded swarm of offenders against a real relay: each does one thing that no good client does, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.frames import BINARY, CLOSE, PING, TEXT, encode_frame, upgrade_request
from tests.processes.harness import KEY

#: How long one offence takes at most, in seconds.
_PATIENCE = 2.0
_CONTINUATION = 0
_COMPRESSED = 0x40

Offence = Callable[["Offender"], Awaitable[None]]


class Offender:
    """One connection of the swarm.

    :ivar chance: decides what is not said.
    """

    def __init__(self, chance: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.chance = chance
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        """Send bytes; wait until they are taken."""
        self._writer.write(data)
        await self._writer.drain()

    async def drip(self, data: bytes) -> None:
        """Send bytes slowly."""
        for place in range(len(data)):
            await self.say(data[place : place + 1])
            await asyncio.sleep(0.05)

    async def upgrade(self, **headers: str) -> None:
        """Get as far as the upgrade."""
        await self.say(upgrade_request(headers={name.replace("_", "-"): value for name, value in headers.items()}))
        await self._reader.readuntil(b"\r\n\r\n")

    async def authenticate(self, key: str = KEY, **headers: str) -> None:
        """Get in as a daemon, one of few."""
        await self.upgrade(**headers)
        machine = f"offender-{self.chance.randrange(20)}"
        await self.text(type="authenticate", apiKey=key, machineId=machine, hostname=machine)

    async def text(self, **members: object) -> None:
        """Send one message."""
        await self.say(encode_frame(TEXT, json.dumps(members).encode(), masked=True))

    async def hear(self) -> None:
        """Read until the relay ends the connection."""
        while await self._reader.read(1 << 16):
            pass

    def leave(self) -> None:
        """Go, half of the time without a word."""
        if self.chance.random() < 0.5:
            reset = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        self._writer.transport.abort()


async def _says_nothing(offender: Offender) -> None:
    await offender.hear()


async def _drips_a_head(offender: Offender) -> None:
    await offender.drip(upgrade_request())


async def _drips_a_body(offender: Offender) -> None:
    await offender.say(b"POST /keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
    await offender.drip(b"x" * 1000)


async def _says_anything(offender: Offender) -> None:
    start = offender.chance.choice((b"", b"GET / HTTP/1.1\r\n", upgrade_request()))
    await offender.say(start + offender.chance.randbytes(offender.chance.randrange(5_000)) + b"\r\n\r\n")
    await offender.hear()


async def _asks_and_does_not_listen(offender: Offender) -> None:
    for _ in range(50):
        await offender.say(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)


async def _sends_a_long_head(offender: Offender) -> None:
    await offender.say(b"GET /status HTTP/1.1\r\n" + b"X: y\r\n" * 100_000)


async def _sends_a_long_body(offender: Offender) -> None:
    await offender.say(b"POST /keys HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        await offender.say(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")


async def _upgrades_and_says_nothing(offender: Offender) -> None:
    await offender.upgrade()
    await offender.hear()


async def _guesses(offender: Offender) -> None:
    await offender.authenticate("a-guess")
    await offender.hear()


async def _begins_with_much(offender: Offender) -> None:
    await offender.upgrade()
    await offender.say(encode_frame(TEXT, b"x" * (1 << 20), masked=True)[: 1 << 19])
    await offender.hear()


async def _floods(offender: Offender) -> None:
    await offender.authenticate()
    report = encode_frame(TEXT, b'{"type":"log","text":"' + b"x" * 100 + b'"}', masked=True)
    for _ in range(3):
        await offender.say(report * 200)


async def _sends_fragments_of_nothing(offender: Offender) -> None:
    await offender.authenticate()
    await offender.say(encode_frame(TEXT, b"", masked=True, final=False))
    while True:
        await offender.say(encode_frame(_CONTINUATION, b"", masked=True, final=False) * 2_000)
        await asyncio.sleep(0.1)


async def _pings_and_does_not_listen(offender: Offender) -> None:
    await offender.authenticate()
    for _ in range(50):
        await offender.say(encode_frame(PING, b"x" * 125, masked=True) * 200)


async def _sends_nonsense(offender: Offender) -> None:
    await offender.authenticate()
    nested = b'{"type":"taskComplete","taskId":"t","success":false,"error":' + b"[" * 970 + b"]" * 970 + b"}"
    for payload in (b"{}", b"[]", b"no JSON", nested, b'{"type":"heartbeat","activeTasks":5}') * 3:
        await offender.say(encode_frame(TEXT, payload, masked=True))
    await offender.hear()


async def _breaks_the_protocol(offender: Offender) -> None:
    await offender.authenticate()
    frames = (
        encode_frame(TEXT, b"\xff", masked=True),
        encode_frame(TEXT, b"x", masked=False),
        encode_frame(BINARY, b"x", masked=True),
        encode_frame(_CONTINUATION, b"x", masked=True),
        encode_frame(PING, b"x" * 200, masked=True),
        encode_frame(CLOSE, b"\x03", masked=True),
        bytes([0x81, 0xFF]) + b"\xff" * 12,
    )
    await offender.say(offender.chance.choice(frames))
    await offender.hear()


def _compressed(payload: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    packed = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    frame = encode_frame(TEXT, packed, masked=True)
    return bytes([frame[0] | _COMPRESSED]) + frame[1:]


@functools.cache
def _bomb() -> bytes:
    """64 KiB that want to be 64 MiB."""
    return _compressed(b'{"type":"log","x":"' + b"x" * (64 << 20) + b'"}')


async def _sends_a_bomb(offender: Offender) -> None:
    await offender.upgrade(Sec_WebSocket_Extensions="permessage-deflate")
    hello = {"type": "authenticate", "apiKey": KEY, "hostname": f"bomber-{offender.chance.randrange(5)}"}
    await offender.say(_compressed(json.dumps(hello).encode()))
    await offender.say(_bomb())
    await offender.hear()


OFFENCES: tuple[Offence, ...] = (
    _says_nothing,
    _drips_a_head,
    _drips_a_body,
    _says_anything,
    _asks_and_does_not_listen,
    _sends_a_long_head,
    _sends_a_long_body,
    _upgrades_and_says_nothing,
    _guesses,
    _begins_with_much,
    _floods,
    _sends_fragments_of_nothing,
    _pings_and_does_not_listen,
    _sends_nonsense,
    _breaks_the_protocol,
    _sends_a_bomb,
)


class Swarm:
    """Very many offenders at a time, from several addresses of this machine.

    :param port: where the relay listens.
    :param size: how many at a time.
    :param seed: decides what they do.
    :ivar done: how often each offence was committed.
    """

    def __init__(self, port: int, size: int, seed: int) -> None:
        self._port = port
        self._size = size
        self._chance = random.Random(seed)
        self._until = 0.0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._attack()))
        self.done: Counter[str] = Counter()

    def attack(self, seconds: float) -> None:
        """Begin, for so long."""
        self._until = time.monotonic() + seconds
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end."""
        self._thread.join()

    async def _attack(self) -> None:
        await asyncio.gather(*[self._offend(random.Random(self._chance.random())) for _ in range(self._size)])

    async def _offend(self, chance: random.Random) -> None:
        while time.monotonic() < self._until:
            offence = chance.choice(OFFENCES)
            self.done[offence.__name__] += 1
            # That the relay ends it is what should happen.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await asyncio.wait_for(self._commit(offence, chance), min(_PATIENCE, self._until - time.monotonic()))

    async def _commit(self, offence: Offence, chance: random.Random) -> None:
        here = (f"127.0.{chance.randrange(4)}.{chance.randint(1, 250)}", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=here)
        offender = Offender(chance, reader, writer)
        try:
            await offence(offender)
        finally:
            offender.leave()
