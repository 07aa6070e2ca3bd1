"""What is measured: the relay, and its peers, each as a process on a core of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Protocol

import attrs

from benchmarks import KEY, BenchmarkError, machine
from benchmarks.model import Column, Sample
from benchmarks.peers import node

#: How :meth:`Usage.each` is shown.
SHARE_COLUMNS: Final = (Column("busy", "busy %"), Column("kept", "kept off %"))
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0
_HERE = Path(__file__).parent


@attrs.frozen
class Place:
    """Where a process runs: its port, the server's, and a directory of its own.

    :ivar number: which of several relays it is, from 0: each has a core, as far as there are.
    """

    port: int
    server_port: int
    directory: Path
    number: int = 0


class Upstream(Protocol):
    """A server of Makima.

    :ivar port: where it listens.
    """

    port: int

    @property
    def links(self) -> Sequence[object]:
        """The authenticated connections."""


@attrs.frozen
class Command:
    """How to start one."""

    arguments: list[str]
    environment: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Subject:
    """A relay that can be measured.

    :ivar name: in the table.
    :ivar command: how to start it; none means that daemons connect to the server itself.
    :ivar missing: says what it needs and is not there, or nothing.
    :ivar one_upstream: whether it has one connection to the server for all daemons.
    """

    name: str
    command: Callable[[Place], Command] | None = None
    missing: Callable[[], str | None] = lambda: None
    one_upstream: bool = True


@attrs.define
class Usage:
    """What a subject used while something was done, in seconds.

    :ivar took: how long that was.
    :ivar waited: how long of that it was kept from its core by others.
    """

    took: float = 0.0
    cpu: float = 0.0
    waited: float = 0.0

    def each(self, number: int) -> Sample:
        """What one of so many things cost."""
        return {
            "cost": self.cpu / number * 1e6,
            "rate": number / self.took,
            "busy": self.cpu / self.took * 100,
            "kept": self.waited / self.took * 100,
        }


class Running:
    """A subject that runs.

    :ivar port: where daemons connect.
    :ivar directory: where it keeps its files.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None, place: Place, server: Upstream) -> None:
        self._process = process
        self.port = place.port
        self.directory = place.directory
        self.server = server

    def cpu(self) -> float:
        """The CPU time that it has used, in seconds."""
        return 0.0 if self._process is None else machine.cpu_time(self._process.pid)

    def waited(self) -> float:
        """How long it was kept from its core by others, in seconds."""
        return 0.0 if self._process is None else machine.waited(self._process.pid)

    def memory(self) -> float:
        """Its memory in KiB."""
        return 0.0 if self._process is None else machine.memory(self._process.pid)

    def stored(self) -> float:
        """The size of its database and write-ahead log, in MiB."""
        return sum(each.stat().st_size for each in self.directory.glob("*.sqlite3*")) / (1 << 20)

    def end(self, signal: int) -> None:
        """Have it end, and wait until it has.

        :param signal: how.
        """
        assert self._process is not None
        self._process.send_signal(signal)
        self._process.wait(_STOP_TIMEOUT)

    @contextmanager
    def usage(self) -> Iterator[Usage]:
        """Look at what it uses while something is done."""
        usage, cpu, waited, began = Usage(), self.cpu(), self.waited(), time.perf_counter()
        yield usage
        usage.took = time.perf_counter() - began
        usage.cpu, usage.waited = self.cpu() - cpu, self.waited() - waited
        self.check()

    def check(self) -> None:
        """Stop when it has ended.

        :raises BenchmarkError: with the end of what it said.
        """
        if self._process is not None and self._process.poll() is not None:
            said = (self.directory / "output").read_text(errors="replace")[-2000:]
            raise BenchmarkError(f"it ended with status {self._process.returncode}:\n{said}")


def _relay_environment(place: Place) -> dict[str, str]:
    return {
        "MAKIMA_SERVER_URL": f"ws://127.0.0.1:{place.server_port}",
        "MAKIMA_API_KEY": KEY,
        "MAKIMA_RELAY_LISTEN": f"tcp:{place.port}:interface=127.0.0.1:backlog=1024",
        "MAKIMA_RELAY_MAX_DAEMONS": "20000",
        "MAKIMA_RELAY_RECONNECT_MAX_DELAY": "1",
        "MAKIMA_RELAY_MAX_RECONNECT_ATTEMPTS": "0",
        # A checkout measures itself, whatever is installed.
        "PYTHONPATH": str(_HERE.parent),
    }


def relay_command(place: Place, *before: str) -> Command:
    """How to start the relay.

    :param before: the program with its first arguments, instead of ``twistd``.
    """
    program = before or (str(Path(sys.executable).with_name("twistd")),)
    return Command([*program, "-n", "--pidfile=", "makima-relay"], _relay_environment(place))


def _autobahn(place: Place) -> Command:
    command = relay_command(place)
    return attrs.evolve(command, environment={**command.environment, "MAKIMA_RELAY_FAST_FRAMES": "off"})


def _websockets(place: Place) -> Command:
    arguments = [sys.executable, "-m", "benchmarks.peers.websockets_relay"]
    return Command([*arguments, str(place.server_port), str(place.port), KEY], {"PYTHONPATH": str(_HERE.parent)})


def _node(place: Place) -> Command:
    return Command(node.command(place.server_port, place.port, KEY))


_HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


def _haproxy(place: Place) -> Command:
    return Command(
        [str(_HAPROXY), "-db", "-f", str(_HERE / "peers" / "haproxy.cfg")],
        {"PORT": str(place.port), "SERVER_PORT": str(place.server_port)},
    )


RELAY = Subject("relay", relay_command)
#: Its server may be out of sight.
MEMBER = Subject("relay in a cluster", relay_command, one_upstream=False)
AUTOBAHN = Subject("relay on plain Autobahn", _autobahn)
HAPROXY = Subject("HAProxy", _haproxy, lambda: None if _HAPROXY else "haproxy is not installed", one_upstream=False)
NODE = Subject("Node ws, corked", _node, node.missing)
WEBSOCKETS = Subject("websockets on uvloop", _websockets)
DIRECT = Subject("no relay", one_upstream=False)
PEERS = (HAPROXY, NODE, WEBSOCKETS, AUTOBAHN)


def present(*subjects: Subject) -> list[Subject]:
    """Those of some subjects that can be run here."""
    return [each for each in subjects if each.missing() is None]


@asynccontextmanager
async def running(
    subject: Subject,
    server: Upstream,
    settings: Mapping[str, str] | None = None,
    directory: Path | None = None,
    number: int = 0,
) -> AsyncIterator[Running]:
    """Run a subject beside a server that listens already.

    :param settings: variables for the relay's environment.
    :param directory: where it finds a database; by default an empty one, which is removed in the end.
    :param number: which of several relays it is, from 0.
    :raises BenchmarkError: when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="makima-benchmark-") as made:
        if subject.command is None:
            yield Running(None, Place(server.port, server.port, Path(made)), server)
            return
        place = Place(_free_port(), server.port, directory or Path(made), number)
        process = _started(subject.command(place), place, settings or {})
        try:
            started = Running(process, place, server)
            await _ready(started, subject)
            yield started
        finally:
            _stop(process)


def _started(command: Command, place: Place, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    own, _ = machine.cores_of(place.number, 1)
    with (place.directory / "output").open("wb") as output:
        process = subprocess.Popen(
            command.arguments,
            cwd=place.directory,
            env={"PATH": os.environ["PATH"], **command.environment, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    os.sched_setaffinity(process.pid, own)
    return process


async def _ready(started: Running, subject: Subject) -> None:
    """Wait until it listens, and is authenticated at the server if it will ever be."""
    async with asyncio.timeout(_START_TIMEOUT):
        while not _listens(started.port) or (subject.one_upstream and not started.server.links):
            started.check()
            await asyncio.sleep(0.01)


def _listens(port: int) -> bool:
    """Say whether somebody listens at a port, without connecting to it."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])
