"""Numbered reports: built beforehand, sent at full speed or at a rate, and looked at when they arrive."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

from benchmarks import BenchmarkError
from benchmarks.load.daemons import Daemon
from benchmarks.load.frames import masked_frame

#: Bytes of reports that may be under way at full speed, and bytes that a daemon writes at a time.
WINDOW = 1_280 << 10
CHUNK = 16 << 10
#: How many different reports there are in all, before they are sent again, when a report has 200 bytes.
DIFFERENT = 40_000
_HEAD = '{"type":"taskOutput","taskId":"task-%05d","n":"%08d","output":"'
_TAIL = '"}'
#: Where the task's number is in a report.
_TASK = slice(36, 41)
_OUTPUT = "   Compiling module 12 of 480 (src/net/session.rs)\\n\\u001b[32m    Finished\\u001b[0m in 0.42 s\\n"
_SMALLEST = len(_HEAD % (0, 0)) + len(_TAIL)


def report(task: int, number: int, size: int) -> bytes:
    """A report of output.

    :param size: bytes in all.
    """
    room = max(0, size - _SMALLEST)
    output = _OUTPUT * (room // len(_OUTPUT))
    return (_HEAD % (task, number) + output + "." * (room - len(output)) + _TAIL).encode()


class Reports:
    """All that some daemons report, over and over, and what of it has arrived.

    :param daemons: how many there are; each reports on a task of its own.
    :param size: bytes of a report.
    :param together: how many a daemon writes at a time; by default as many as fill a chunk.
    :param different: about how many of 200 bytes there are before they are sent again.
    :param first: the number of the first daemon's task.
    :ivar sent: how many were sent so far, all daemons together.
    :ivar arrived: how many have arrived so far.
    """

    def __init__(
        self, daemons: int, size: int, together: int | None = None, different: int = DIFFERENT, first: int = 0
    ) -> None:
        self.together = together or max(1, CHUNK // size)
        self._room = max(self.together, WINDOW // size)
        rounds = max(1, different * 200 // max(size, 200) // daemons // self.together)
        payloads = [
            [report(task, number, size) for number in range(rounds * self.together)]
            for task in range(first, first + daemons)
        ]
        self._due = {each[0][_TASK]: itertools.cycle(each) for each in payloads}
        self._chunks = [itertools.cycle(self._joined(each)) for each in payloads]
        self.sent = self.arrived = 0
        self._wrong: bytes | None = None
        self._turns = itertools.cycle(range(daemons))

    def _joined(self, payloads: Sequence[bytes]) -> list[bytes]:
        frames = [masked_frame(each) for each in payloads]
        return [b"".join(frames[at : at + self.together]) for at in range(0, len(frames), self.together)]

    def heard(self, payload: bytes) -> None:
        """A message has arrived: it has to be the very one that this daemon sent next."""
        due = self._due.get(payload[_TASK])
        if due is not None and payload == next(due):
            self.arrived += 1
        elif not payload.startswith(b'{"type":"heartbeat"'):
            self._wrong = self._wrong or payload

    def check(self) -> None:
        """Stop when something has arrived that should not have.

        :raises BenchmarkError: with its beginning.
        """
        if self._wrong is not None:
            raise BenchmarkError(f"altered, out of order, or never sent: {self._wrong[:80]!r}")

    async def flow(self, daemons: Sequence[Daemon], seconds: float, rate: float | None = None) -> None:
        """Send, a daemon after the other, and wait until all has arrived.

        :param rate: reports a second, all daemons together; none for as many as get through.
        :raises BenchmarkError: when something arrives that should not.
        """
        began, before = time.perf_counter(), self.sent
        while (passed := time.perf_counter() - began) < seconds:
            limit = self.arrived + self._room
            if rate is not None:
                limit = min(limit, before + int(passed * rate))
            self._send_up_to(limit, daemons)
            self.check()
            await asyncio.sleep(0)
        await self.all_arrived()

    def _send_up_to(self, limit: int, daemons: Sequence[Daemon]) -> None:
        while self.sent + self.together <= limit:
            turn = next(self._turns)
            daemons[turn].write(next(self._chunks[turn]))
            self.sent += self.together

    def send_one(self, daemon: Daemon, index: int) -> None:
        """Have one daemon send its next chunk."""
        daemon.write(next(self._chunks[index]))
        self.sent += self.together

    async def all_arrived(self) -> None:
        """Wait for what is under way."""
        while self.arrived < self.sent:
            self.check()
            await asyncio.sleep(0)
