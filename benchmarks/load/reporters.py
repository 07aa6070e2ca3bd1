"""The load of one of several relays, in a process of its own: a server, and daemons that report.

``python -m benchmarks.load.reporters FIRST DAEMONS SIZE DIFFERENT`` prints the server's port, reads the relay's, says
``ready`` when its daemons have warmed up, reads for how many seconds they are to report, prints how many reports have
arrived, and stays until its input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar

from benchmarks import BenchmarkError
from benchmarks.load.daemons import connect_many
from benchmarks.load.reports import Reports
from benchmarks.load.server import Server
from benchmarks.runner import run_once

_WARM_UP = 0.5


async def _report(first: int, daemons: int, size: int, different: int) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    reports = Reports(daemons, size, different=different, first=first)
    server = Server(reports.heard)
    await server.listen()
    print(server.port, flush=True)
    port = int(await asked.readline())
    connected = await connect_many(port, daemons, first=first)
    for index, daemon in enumerate(connected):
        reports.send_one(daemon, index)
    await reports.all_arrived()
    await reports.flow(connected, _WARM_UP)
    print("ready", flush=True)
    seconds, before = float(await asked.readline()), reports.arrived
    await reports.flow(connected, seconds)
    print(reports.arrived - before, flush=True)
    await asked.read()


class Reporters:
    """The process as it is seen by who measures.

    :ivar port: where its server listens.
    :ivar links: who is connected there is not seen from here.
    """

    links: ClassVar[tuple[()]] = ()

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.port = 0

    async def hear(self) -> str:
        """The next line that it says.

        :raises BenchmarkError: when it has ended, with why.
        """
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = await self._process.stdout.readline()
        if not line:
            why = (await self._process.stderr.read()).decode(errors="replace").strip()
            raise BenchmarkError(why.rpartition("\n")[2] or "the load has ended")
        return line.decode().strip()

    def tell(self, what: float) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())


@asynccontextmanager
async def reporters(
    first: int, daemons: int, size: int, different: int, cores: Iterable[int]
) -> AsyncIterator[Reporters]:
    """Have the load of a relay; its server listens when this is entered.

    :param first: the number of its first daemon.
    :param cores: where it runs.
    """
    pipe = asyncio.subprocess.PIPE
    words = [str(each) for each in (first, daemons, size, different)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, *words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=Path(__file__).parents[2]
    )
    try:
        os.sched_setaffinity(process.pid, cores)
        load = Reporters(process)
        load.port = int(await load.hear())
        yield load
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    try:
        run_once(partial(_report, *map(int, sys.argv[1:])))
    except BenchmarkError as error:
        raise SystemExit(f"{error}") from None
