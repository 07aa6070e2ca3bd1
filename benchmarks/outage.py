"""What a server that is away, or does not read, costs a real relay: ``python -m benchmarks.outage``.

Daemons send numbered reports at a steady rate before, during and after the outage. Measured are the relay's memory and
database, and how fast the backlog goes when the server is back; checked is that every report arrives, in order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from benchmarks import machine
from benchmarks.load.daemons import Daemon, connect_many
from benchmarks.load.frames import masked_frame
from benchmarks.load.server import Server
from benchmarks.runner import progress, run_once
from benchmarks.subjects import RELAY, Running, running

_DAEMONS = 20
_TICK = 0.02
#: Seconds that all may take besides the outage itself and the catching up.
_PATIENCE = 120.0
_WARM_UP = 5.0
#: Bytes that wait in a daemon when it is kept from sending.
_FULL = 64 << 10


class Arrivals:
    """Checks that each daemon's reports come in order, none left out.

    :ivar delivered: how many different ones came.
    :ivar repeated: how many came again.
    """

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}
        self.delivered = 0
        self.repeated = 0

    def heard(self, payload: bytes) -> None:
        """Look at its number."""
        if payload.startswith(b'{"type":"heartbeat"'):
            return
        _, task, _, number, _ = payload.split(b"|", 4)
        due = self._last.get(task, 0) + 1
        if int(number) > due:
            raise SystemExit(f"{task.decode()}: report {due} is missing before {int(number)}")
        if int(number) == due:
            self._last[task] = due
            self.delivered += 1
        else:
            self.repeated += 1


@attrs.define
class Load:
    """Daemons that send together so many reports a second.

    :ivar sent: how many they have sent so far.
    """

    daemons: list[Daemon]
    rate: float
    sent: int = 0

    async def run(self) -> None:
        """Send until cancelled; who was kept from sending by the relay catches up."""
        started = time.perf_counter()
        while True:
            due = int((time.perf_counter() - started) * self.rate / len(self.daemons)) - self.sent // len(self.daemons)
            for index, daemon in enumerate(self.daemons):
                first = self.sent // len(self.daemons) + 1
                daemon.write(b"".join(_report(index, first + place) for place in range(due)))
            self.sent += due * len(self.daemons)
            while any(daemon.transport.get_write_buffer_size() > _FULL for daemon in self.daemons):
                await asyncio.sleep(_TICK)
            await asyncio.sleep(_TICK)


def _report(index: int, number: int) -> bytes:
    text = '{"type":"taskOutput","taskId":"|%d|","n":"|%d|","output":"%s"}'
    return masked_frame((text % (index, number, "x" * 130)).encode())


@attrs.define(kw_only=True)
class Figures:
    """What was measured: MiB, seconds, reports."""

    memory_before: float = 0.0
    memory_peak: float = 0.0
    memory_after: float = 0.0
    stored_peak: float = 0.0
    stored_after: float = 0.0
    backlog: int = 0
    drained_in: float = 0.0
    drain_rate: float = 0.0
    sent_meanwhile: int = 0
    sent: int = 0
    delivered: int = 0
    repeated: int = 0


@contextmanager
def _sending(load: Load) -> Iterator[None]:
    task = asyncio.ensure_future(load.run())
    try:
        yield
    finally:
        task.cancel()


async def _watch(under_test: Running, figures: Figures, seconds: float, say: str) -> None:
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        figures.memory_peak = max(figures.memory_peak, _rss(under_test))
        figures.stored_peak = max(figures.stored_peak, under_test.stored())
        shown = f"{say}: {left:4.0f} s left, memory {_rss(under_test):.0f} MiB, stored {under_test.stored():.0f} MiB"
        progress(shown)
        await asyncio.sleep(min(left, 0.5))


async def measure(kind: str, seconds: float, rate: float, around: float = _WARM_UP) -> Figures:
    """Have one outage.

    :param kind: ``away`` or ``stalled``.
    :param seconds: how long it lasts.
    :param rate: reports a second, all daemons together.
    :param around: seconds that are looked at before it, and afterwards.
    """
    arrivals, figures = Arrivals(), Figures()
    server = Server(arrivals.heard)
    await server.listen()
    async with running(RELAY, server) as under_test:
        load = Load(await connect_many(under_test.port, _DAEMONS), rate)
        with _sending(load):
            await _watch(under_test, figures, around, "warming up")
            figures.memory_before = figures.memory_peak = _rss(under_test)
            _take_away(server, kind)
            await _watch(under_test, figures, seconds, f"server {kind}")
            await _bring_back(server, kind)
            await _drain(under_test, arrivals, load, figures)
            await _watch(under_test, figures, around, "afterwards")
        while arrivals.delivered < load.sent:
            await asyncio.sleep(0.01)
        figures.sent, figures.delivered, figures.repeated = load.sent, arrivals.delivered, arrivals.repeated
        figures.memory_after, figures.stored_after = _rss(under_test), under_test.stored()
    return figures


def _rss(under_test: Running) -> float:
    """Its memory in MiB."""
    return under_test.memory() / 1024


def _take_away(server: Server, kind: str) -> None:
    if kind == "stalled":
        server.stall()
    else:
        server.leave()


async def _bring_back(server: Server, kind: str) -> None:
    if kind == "stalled":
        server.go_on()
    else:
        await server.listen(server.port)
    await server.live.wait()


async def _drain(under_test: Running, arrivals: Arrivals, load: Load, figures: Figures) -> None:
    """Wait until no more is under way than in a tenth of a second comes anyway."""
    before, sent, began = arrivals.delivered, load.sent, time.perf_counter()
    figures.backlog = sent - before
    while load.sent - arrivals.delivered > load.rate / 10:
        await asyncio.sleep(0.01)
        figures.memory_peak = max(figures.memory_peak, _rss(under_test))
    figures.drained_in = time.perf_counter() - began
    figures.sent_meanwhile = load.sent - sent
    figures.drain_rate = (arrivals.delivered - before) / figures.drained_in


def main() -> None:
    """Have an outage and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("away", "stalled"), help="what the server is")
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    parser.add_argument("--rate", type=float, default=5_000, help="reports a second, of 200 bytes, from 20 daemons")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, machine.cores()[1])
    limit = _PATIENCE + 2 * arguments.seconds
    figures = run_once(lambda: measure(arguments.kind, arguments.seconds, arguments.rate), limit)
    progress("")
    if arguments.json:
        print(json.dumps(attrs.asdict(figures)))
        return
    f = figures
    print(f"server {arguments.kind} for {arguments.seconds:g} s under {arguments.rate:,.0f} reports/s of 200 B:")
    print(f"  memory: {f.memory_before:.1f} MiB before, {f.memory_peak:.1f} at most, {f.memory_after:.1f} afterwards")
    print(f"  database: {f.stored_peak:.0f} MiB at most, {f.stored_after:.0f} afterwards")
    print(f"  backlog: {f.backlog:,} reports, gone {f.drained_in:.1f} s after the server was back,")
    print(f"    {f.drain_rate:,.0f}/s, {f.sent_meanwhile:,} new ones among them")
    print(f"  {f.sent:,} sent, {f.delivered:,} delivered in order, {f.repeated:,} of them more than once")


if __name__ == "__main__":
    main()
