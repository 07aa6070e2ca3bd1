"""Tasks: sent by the server, taken and completed by daemons, and heard of again by the server."""

from __future__ import annotations

import asyncio
import time

from benchmarks import BenchmarkError
from benchmarks.load.daemons import Daemon
from benchmarks.load.frames import masked_frame, plain_frame
from benchmarks.load.server import Server

_SPAWN = b'{"type":"spawnTask","taskId":"task-%08d","taskName":"Build %d","plan":"'
_COMPLETE = b'{"type":"taskComplete","taskId":"task-%08d","success":true}'
#: Where the task's number is in either message.
_SPAWNED = slice(35, 43)
_COMPLETED = slice(38, 46)


class Tasks:
    """Tasks with running numbers, built beforehand.

    :param number: how many.
    :param size: bytes of a ``spawnTask``.
    :ivar sent: how many the server has sent.
    :ivar dispatched: how many daemons have got.
    :ivar completed: how many the server has heard the end of.
    :ivar dispatch_times: seconds from the server's write to a daemon's read, of each that was sent by :meth:`spawn`.
    :ivar end_times: seconds from a daemon's write to the server's read, of each that was completed.
    :ivar holding: whether daemons keep what they get instead of completing it.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self._spawns = [self._spawn(each, size) for each in range(number)]
        self._frames = [plain_frame(each) for each in self._spawns]
        self._completes = [_COMPLETE % each for each in range(number)]
        self._answers = [masked_frame(each) for each in self._completes]
        self._state = bytearray(number)
        self._left: dict[int, float] = {}
        self._held: list[tuple[Daemon, int]] = []
        self._ended: dict[int, float] = {}
        self.dispatch_times: list[float] = []
        self.end_times: list[float] = []
        self.sent = self.dispatched = self.completed = 0
        self.holding = False
        self._wrong: bytes | None = None

    @staticmethod
    def _spawn(number: int, size: int) -> bytes:
        head = _SPAWN % (number, number)
        return head + b"x" * (size - len(head) - 2) + b'"}'

    def spawn(self, server: Server, how_many: int = 1) -> None:
        """Have the server send the next tasks in one write."""
        first, self.sent = self.sent, min(self.number, self.sent + how_many)
        now = time.perf_counter()
        self._left.update(dict.fromkeys(range(first, self.sent), now))
        server.relay.write(b"".join(self._frames[first : self.sent]))

    def taken(self, daemon: Daemon, payload: bytes) -> None:
        """A daemon got a message: it has to be a task that nobody got before."""
        number = self._number(payload, _SPAWNED, self._spawns, 0)
        if number is None:
            return
        self.dispatched += 1
        self.dispatch_times.append(time.perf_counter() - self._left.pop(number))
        if self.holding:
            self._held.append((daemon, number))
        else:
            self._complete(daemon, number)

    def _complete(self, daemon: Daemon, number: int) -> None:
        self._ended[number] = time.perf_counter()
        daemon.write(self._answers[number])

    def release(self) -> None:
        """Have daemons complete what they hold, and whatever they get from now on."""
        self.holding = False
        for daemon, number in self._held:
            self._complete(daemon, number)
        self._held.clear()

    def heard(self, payload: bytes) -> None:
        """The server got a message: it has to be the end of a task, the first of it."""
        if payload.startswith(b'{"type":"heartbeat"'):
            return
        number = self._number(payload, _COMPLETED, self._completes, 1)
        if number is not None:
            self.completed += 1
            self.end_times.append(time.perf_counter() - self._ended.pop(number))

    def _number(self, payload: bytes, where: slice, due: list[bytes], state: int) -> int | None:
        digits = payload[where]
        number = int(digits) if digits.isdigit() else self.number
        if number >= self.number or payload != due[number] or self._state[number] != state:
            self._wrong = self._wrong or payload
            return None
        self._state[number] += 1
        return number

    def check(self) -> None:
        """Stop when something has arrived that should not have.

        :raises BenchmarkError: with its beginning.
        """
        if self._wrong is not None:
            raise BenchmarkError(f"altered, twice, or never sent: {self._wrong[:120]!r}")

    async def keep(self, server: Server, unfinished: int, until: int) -> None:
        """Send a task for each that ends, so that there are always so many, until so many have been completed."""
        while self.completed < until:
            room = min(self.completed + unfinished, self.number) - self.sent
            if room > 0:
                self.spawn(server, room)
            self.check()
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Wait until all that were sent have been completed."""
        while self.completed < self.sent:
            self.check()
            await asyncio.sleep(0)
