"""Redis for what several relays share: started on a socket of its own, and ended with the measurement."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs

from benchmarks import BenchmarkError, machine

_PROGRAM: Final = shutil.which("redis-server")
_TIMEOUT: Final = 10.0
#: What relays ask for by the task; Redis counts what a script does besides.
_ASKED: Final = ("cmdstat_evalsha", "cmdstat_xreadgroup")


@attrs.frozen
class Counts:
    """What Redis has done so far.

    :ivar asked: scripts that relays called, and reads of an inbox.
    :ivar commands: all commands, those of scripts too.
    :ivar size: bytes that came and went.
    :ivar cpu: seconds.
    """

    asked: int
    commands: int
    size: int
    cpu: float

    def since(self, before: Counts) -> Counts:
        """What it has done since then."""
        return Counts(
            self.asked - before.asked,
            self.commands - before.commands,
            self.size - before.size,
            self.cpu - before.cpu,
        )


class Redis:
    """One that runs.

    :ivar url: where relays find it.
    """

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self._process = process
        self._path = path
        self.url = f"unix://{path}"

    def counts(self) -> Counts:
        """What it has done so far.

        :raises BenchmarkError: when it has ended.
        """
        said = read_info(self._info())
        return Counts(
            sum(int(said.get(name, "calls=0").partition("calls=")[2].partition(",")[0]) for name in _ASKED),
            int(said["total_commands_processed"]),
            int(said["total_net_input_bytes"]) + int(said["total_net_output_bytes"]),
            machine.cpu_time(self._process.pid),
        )

    def _info(self) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX) as asking, asking.makefile("rb") as answer:
                asking.settimeout(_TIMEOUT)
                asking.connect(str(self._path))
                asking.sendall(b"INFO everything\r\n")
                return answer.read(int(answer.readline()[1:]))
        except (OSError, ValueError):
            raise BenchmarkError("Redis does not answer") from None

    @property
    def answers(self) -> bool:
        """Whether it can be used."""
        if self._process.poll() is not None:
            raise BenchmarkError(f"redis-server ended with status {self._process.returncode}")
        try:
            return bool(self._info())
        except BenchmarkError:
            return False


def read_info(text: bytes) -> dict[str, str]:
    """What ``INFO`` says, by name."""
    lines = (line.partition(":") for line in text.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


def missing() -> str | None:
    """Say what is not there, or nothing."""
    return None if _PROGRAM else "redis-server is not installed"


@asynccontextmanager
async def running_redis() -> AsyncIterator[Redis]:
    """Run one that keeps nothing on disk.

    :raises BenchmarkError: when it does not start.
    """
    # The path of a socket may have 107 bytes, less than where databases are may take.
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as directory:
        path = Path(directory) / "socket"
        where = ["--port", "0", "--unixsocket", str(path), "--dir", directory, "--save", ""]
        process = subprocess.Popen([str(_PROGRAM), *where], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            redis = Redis(process, path)
            async with asyncio.timeout(_TIMEOUT):
                while not redis.answers:
                    await asyncio.sleep(0.01)
            yield redis
        finally:
            process.kill()
            process.wait()
