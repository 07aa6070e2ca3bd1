"""Measures a real relay on one core, loaded from another: ``python -m benchmarks.relay``.

CPU is the relay process's own, from ``/proc``; it is what a message costs whatever else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.peers import KEY, Peer, Server, daemon, frame

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class RelayUnderTest:
    """A relay process and the server that it is connected to."""

    def __init__(self, process: subprocess.Popen[str], port: int, server: Server, directory: Path) -> None:
        self.process = process
        self.port = port
        self.server = server
        self._directory = directory

    def cpu(self) -> float:
        """The CPU time it has used, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def rss(self) -> float:
        """The memory it has, in MiB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE / (1 << 20)

    def stored(self) -> float:
        """The size of its database and write-ahead log, in MiB."""
        return sum(each.stat().st_size for each in self._directory.glob("*.sqlite3*")) / (1 << 20)


@asynccontextmanager
async def relay(server: Server | None = None, *options: str) -> AsyncIterator[RelayUnderTest]:
    """Run a relay on the first core and everything else on the others.

    :param options: for the relay's command line.
    """
    cores = sorted(os.sched_getaffinity(0))
    server = server or Server()
    server_port = await server.listen()
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "makima-relay", *options],
            cwd=directory,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path(__file__).parents[1]),
                **{name: value for name, value in os.environ.items() if name.startswith("MAKIMA_RELAY_")},
                "MAKIMA_SERVER_URL": f"ws://127.0.0.1:{server_port}",
                "MAKIMA_API_KEY": KEY,
                "MAKIMA_RELAY_LISTEN": "tcp:0:interface=127.0.0.1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.sched_setaffinity(process.pid, cores[:1])
        os.sched_setaffinity(0, cores[1:] or cores)
        try:
            yield RelayUnderTest(process, await _port(process), server, Path(directory))
        finally:
            process.terminate()
            process.wait(10)


async def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    while line := await asyncio.to_thread(process.stdout.readline):
        if "listening on" in line:
            # Its further lines are not wanted, but must not fill the pipe.
            asyncio.get_running_loop().run_in_executor(None, process.stdout.read)
            return int(line.partition("port=")[2].partition(")")[0])
    raise RuntimeError("the relay did not start")


async def measure_reports(size: int, number: int, daemons: int, run: int = 100) -> tuple[float, float]:
    """Reports at full speed from several daemons; each must arrive as it was sent, in the order of its daemon.

    :param run: reports that a daemon writes at a time.
    :return: CPU µs per report, reports per second.
    """
    async with relay() as under_test:
        server = under_test.server
        await server.live.wait()
        peers = [await daemon(under_test.port, f"d{index}") for index in range(daemons)]
        for index, peer in enumerate(peers):
            await peer.say(frame(_report(index, 0, size), mask=True))
        await server.hear(daemons)
        each = number // daemons // run * run
        sent = [[_report(index, place, size) for place in range(each)] for index in range(daemons)]
        chunks = [_chunks([frame(report, mask=True) for report in reports], run) for reports in sent]
        server.relay.record_frames_of(len(frame(sent[0][0], mask=True)))
        cpu, start = under_test.cpu(), time.perf_counter()
        heard = asyncio.ensure_future(server.hear(each * daemons))
        await asyncio.gather(*(_flood(peer, mine) for peer, mine in zip(peers, chunks, strict=True)))
        await heard
        took = time.perf_counter() - start
        cost = (under_test.cpu() - cpu) / (each * daemons)
        arrived: dict[bytes, list[bytes]] = {}
        for payload in server.relay.recorded():
            arrived.setdefault(payload[: payload.index(b",")], []).append(payload)
        assert sorted(arrived.values()) == sorted(sent), "a report is missing, altered or out of order"
        return cost * 1e6, each * daemons / took


def _report(index: int, place: int, size: int) -> bytes:
    """A daemon's report of a place in its row."""
    head = f'{{"taskId":"task-{index}","type":"taskOutput","output":"{place:07d} '
    return (head + "x" * (size - len(head) - 2) + '"}').encode()


def _chunks(frames: list[bytes], run: int) -> list[bytes]:
    return [b"".join(frames[first : first + run]) for first in range(0, len(frames), run)]


async def _flood(peer: Peer, chunks: list[bytes]) -> None:
    for chunk in chunks:
        await peer.say(chunk)
        await asyncio.sleep(0)


async def measure_tasks(number: int) -> tuple[float, float]:
    """The whole way of tasks: spawnTask, committed, daemon, taskComplete, committed, server.

    :return: CPU µs per task, tasks per second.
    """

    def complete(peer: Peer, payload: bytes) -> None:
        task_id = json.loads(payload)["taskId"]
        peer.transport.write(
            frame(f'{{"type":"taskComplete","taskId":"{task_id}","success":true}}'.encode(), mask=True)
        )

    async with relay() as under_test:
        await under_test.server.live.wait()
        for index in range(4):
            await daemon(under_test.port, f"d{index}", heard=complete)
        spawns = [
            frame(json.dumps({"type": "spawnTask", "taskId": f"t-{index}", "plan": "x" * 2000}).encode(), mask=False)
            for index in range(number)
        ]
        cpu, start = under_test.cpu(), time.perf_counter()
        heard = asyncio.ensure_future(under_test.server.hear(number))
        for first in range(0, number, 20):
            await under_test.server.relay.say(b"".join(spawns[first : first + 20]))
            await asyncio.sleep(0)
        await heard
        took = time.perf_counter() - start
        return (under_test.cpu() - cpu) / number * 1e6, number / took


async def measure_memory(daemons: int) -> tuple[float, float]:
    """Memory without and with idle daemons.

    :return: MiB without, MiB with.
    """
    async with relay() as under_test:
        await under_test.server.live.wait()
        idle = under_test.rss()
        kept = [await daemon(under_test.port, f"d{index}") for index in range(daemons)]
        assert len(kept) == daemons
        return idle, under_test.rss()


async def measure_joins(number: int) -> tuple[float, float]:
    """Daemons that connect and authenticate.

    :return: CPU µs per daemon, daemons per second.
    """
    async with relay() as under_test:
        await under_test.server.live.wait()
        cpu, start = under_test.cpu(), time.perf_counter()
        joined: list[Peer] = []
        for first in range(0, number, 100):
            some = range(first, min(first + 100, number))
            joined += await asyncio.gather(*(daemon(under_test.port, f"d{index}") for index in some))
        took = time.perf_counter() - start
        return (under_test.cpu() - cpu) / len(joined) * 1e6, len(joined) / took


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each, of which the median is shown")
    runs = parser.parse_args().runs

    def median(results: list[tuple[float, float]]) -> tuple[float, float]:
        first, second = zip(*results, strict=True)
        return statistics.median(first), statistics.median(second)

    cost, rate = median([asyncio.run(measure_reports(200, 200_000, 20)) for _ in range(runs)])
    print(f"report of 200 B, 20 daemons at full speed: {cost:.1f} µs CPU, {rate:,.0f}/s")
    cost, rate = median([asyncio.run(measure_reports(4_096, 40_000, 20)) for _ in range(runs)])
    print(f"report of 4 KiB, 20 daemons at full speed: {cost:.1f} µs CPU, {rate:,.0f}/s")
    cost, rate = median([asyncio.run(measure_tasks(10_000)) for _ in range(runs)])
    print(f"task of 2 KB, whole way: {cost:.1f} µs CPU, {rate:,.0f}/s")
    cost, rate = median([asyncio.run(measure_joins(2_000)) for _ in range(runs)])
    print(f"daemon that connects and authenticates: {cost:.1f} µs CPU, {rate:,.0f}/s")
    idle, full = asyncio.run(measure_memory(1_000))
    print(f"memory: {idle:.1f} MiB idle, {full:.1f} MiB with 1,000 daemons ({(full - idle) * 1.024:.1f} KiB each)")


if __name__ == "__main__":
    main()
