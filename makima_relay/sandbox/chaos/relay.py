"""The relay under test: a real ``twistd`` process that is stopped, killed and started again."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from shutil import copy
from typing import Any, Final

import attrs
import treq
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web import http

from makima_relay.core.journal import printable
from makima_relay.sandbox import SandboxError, own_session
from makima_relay.sandbox.chaos.disk import Disk
from makima_relay.sandbox.chaos.figures import RelayFigures
from makima_relay.sandbox.lines import Lines

#: How long the relay may take until it listens, in seconds.
START_TIMEOUT: Final = 30.0
#: How long it has to end after SIGTERM before it is killed, in seconds.
STOP_TIMEOUT: Final = 15.0
_ANSWER_TIMEOUT: Final = 2.0
_READY: Final = re.compile(r"listening on ")
_LAST_LINES: Final = 12


@attrs.frozen
class Ended:
    """How the process ended.

    :ivar status: its exit status; none when a signal killed it.
    """

    status: int | None


class ProgramLife(ProcessProtocol):
    """One life of a program.

    :param name: what it is, for people.
    :param says_ready: the line with which it says that it listens.
    :param log: takes what it prints.
    :param on_end: told when it has ended.
    :ivar ready: fires when it listens; fails when it ends before.
    :ivar words: the last that it said.
    """

    def __init__(self, name: str, says_ready: re.Pattern[str], log: Any, on_end: Callable[[ProgramLife], None]) -> None:
        self._name = name
        self._says_ready = says_ready
        self.ready: Deferred[None] = Deferred()
        self._ended: Ended | None = None
        self._waiting: list[Deferred[Ended]] = []
        self._on_end = on_end
        self.words: deque[str] = deque(maxlen=_LAST_LINES)
        self._lines = {1: Lines(), 2: Lines()}
        self._log = log

    def spawn(self, reactor: Any, directory: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Begin it."""
        # In a session of its own: Ctrl-C is for the experiment, which ends the program itself.
        words = [sys.executable, "-I", "-S", own_session.__file__, str(directory), *command]
        reactor.spawnProcess(self, sys.executable, words, dict(environment), childFDs={0: "w", 1: "r", 2: "r"})

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        transport: Any = self.transport
        pid: int | None = None if transport is None else transport.pid
        return pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self.pid is not None:
            os.kill(self.pid, number)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It printed something."""
        self._log.write(data)
        for line in self._lines[childFD].feed(data):
            self.words.append(printable(line))
            if not self.ready.called and self._says_ready.search(line):
                self.ready.callback(None)

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and printed all that it will."""
        error = reason.value
        ended = self._ended = Ended(error.exitCode if isinstance(error, ProcessTerminated) else 0)
        if not self.ready.called:
            words = "".join(f"\n  {line}" for line in self.words) or " (it said nothing)"
            self.ready.errback(SandboxError(f"the {self._name} does not start; the last that it said:{words}"))
        self._on_end(self)
        for waiting in self._waiting:
            waiting.callback(ended)

    def when_ended(self) -> Deferred[Ended]:
        """Fires when it has ended."""
        if self._ended is not None:
            return succeed(self._ended)
        self._waiting.append(Deferred())
        return self._waiting[-1]


class RelayProcess:
    """Starts the relay and ends it, as often as wanted.

    :param command: the program by its absolute path, and its arguments.
    :param directory: where it works, and where its log is.
    :param disk: where its database is.
    :param url: where it answers HTTP.
    :param name: for its log.
    :ivar database: its database.
    :ivar figures: what is found on the way.
    """

    def __init__(
        self,
        reactor: Any,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        disk: Disk,
        url: str,
        name: str = "relay",
    ) -> None:
        self._reactor = reactor
        self._command = command
        self._environment = environment
        self._directory = directory
        self._disk = disk
        self._url = url
        self._log = (directory / f"{name}.log").open("ab", buffering=0)
        self._process: ProgramLife | None = None
        self._ending = False
        self.database = disk.path / "relay.sqlite3"
        self.figures = RelayFigures()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it, and wait until it listens.

        :raises SandboxError: when it does not.
        """
        began = time.monotonic()
        self._ending = False
        process = self._process = ProgramLife("relay", _READY, self._log, self._ended)
        process.spawn(self._reactor, self._directory, self._command, self._environment)
        self.figures.starts += 1
        await process.ready.addTimeout(START_TIMEOUT, self._reactor, overdue)
        self.figures.slowest_start = max(self.figures.slowest_start, time.monotonic() - began)

    def _ended(self, process: ProgramLife) -> None:
        if self._process is process:
            self._process = None
        if not self._ending:
            self.figures.deaths += 1

    async def stop(self) -> None:
        """Stop it as an operator does, and note how that went."""
        began = time.monotonic()
        process = self._process
        if process is None:
            return
        ended = await self._end(signal.SIGTERM)
        self.figures.slowest_stop = max(self.figures.slowest_stop, time.monotonic() - began)
        if ended.status != 0:
            self.figures.bad_stops.append(ended.status)

    async def kill(self) -> None:
        """Have it end at once."""
        if self._process is not None:
            await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> Ended:
        process = self._process
        assert process is not None, "there is one"
        self._ending = True
        process.signal(number)
        late = self._reactor.callLater(STOP_TIMEOUT, process.signal, signal.SIGKILL)
        try:
            return await process.when_ended()
        finally:
            if late.active():
                late.cancel()

    # ------------------------------------------------------------------------------------------------- its disk

    def fill_disk(self) -> None:
        """Let it write no more."""
        if self.pid is not None:
            self._disk.fill(self.pid)

    def empty_disk(self) -> None:
        """Let it write again."""
        if self.pid is not None:
            self._disk.empty(self.pid)

    async def can_write(self) -> bool:
        """Whether it says that it can write its database."""
        try:
            response = await treq.get(f"{self._url}/health", timeout=_ANSWER_TIMEOUT, persistent=False)
            await treq.content(response)
        except Exception:
            # Whatever it is, it has not said so.
            return False
        return bool(response.code == http.OK)

    async def is_linked(self) -> bool:
        """Whether it says that it can reach the other relays."""
        try:
            response = await treq.get(f"{self._url}/cluster", timeout=_ANSWER_TIMEOUT, persistent=False)
            answer = await response.json()
            return bool(answer["redis"]["connected"])
        except Exception:
            # Whatever it is, it has not said so.
            return False

    # --------------------------------------------------------------------------------------------- its database

    def size_of_database(self) -> int:
        """Its bytes, with the write-ahead log."""
        return sum(_size(self.database.with_name(f"{self.database.name}{end}")) for end in ("", "-wal"))

    def resident_memory(self) -> int | None:
        """Its resident bytes, while it runs."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return None
        return pages * resource.getpagesize()

    async def check_database(self) -> None:
        """Look whether its database is whole, while it does not run."""
        self.figures.checks += 1
        complaint = await deferToThread(_complaint_about, self.database)
        if complaint != "ok":
            self.figures.damaged.append(complaint)

    def close(self) -> None:
        """Close what is open here."""
        self._log.close()
        self.figures.final_database = self.size_of_database()
        self.figures.reports_left = _reports_in(self.database)


def overdue(_cancelled: object, timeout: float) -> None:
    """Say that something was not ready in time."""
    raise SandboxError(f"it was not ready within {timeout:.0f} s")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _complaint_about(database: Path) -> str:
    """Check a copy: whoever opens a database brings its log in, and that is the relay's own affair."""
    with tempfile.TemporaryDirectory(prefix="makima-relay-chaos-check-") as directory:
        copied = Path(directory) / database.name
        for end in ("", "-wal"):
            source = database.with_name(f"{database.name}{end}")
            if source.exists():
                copy(source, copied.with_name(source.name))
        try:
            with closing(sqlite3.connect(copied)) as connection:
                return "; ".join(row[0] for row in connection.execute("PRAGMA integrity_check(5)"))
        except sqlite3.Error as error:
            return str(error)


def _reports_in(database: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM reports").fetchone()[0])
    except sqlite3.Error:
        return 0
