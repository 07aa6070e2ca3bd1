"""Runs a program with all that it starts: reads its lines, interrupts it, leaves nothing of it behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from makima_relay.sandbox.lines import Lines

#: How long a program has to end by itself after SIGTERM, in seconds.
KILL_AFTER: Final = 5.0
_OWN_SESSION = str(Path(__file__).with_name("own_session.py"))


@attrs.frozen
class Ending:
    """How a program ended.

    :ivar status: its exit status; none when a signal killed it.
    :ivar signal: the signal that killed it, if one did.
    :ivar interrupted: whether it was asked to end before it did.
    """

    status: int | None
    signal: int | None = None
    interrupted: bool = False

    @property
    def success(self) -> bool:
        """Whether it did all that it should."""
        return self.status == 0 and not self.interrupted

    @property
    def error(self) -> str | None:
        """What went wrong in a few words, if anything did."""
        if self.interrupted:
            return "interrupted"
        if self.signal is not None:
            return f"killed by {_signal_name(self.signal)}"
        return None if self.status == 0 else f"exit status {self.status}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class ProgramUser(Protocol):
    """Whose program it is."""

    def printed(self, stream: str, line: str) -> None:
        """It printed a line on ``stdout`` or ``stderr``."""

    def ended(self, ending: Ending) -> None:
        """It ended, and has printed all that it will."""


class Program(ProcessProtocol):
    """One program and its process group.

    :param user: told what it does.
    :param reactor: runs and times it.
    """

    def __init__(self, user: ProgramUser, reactor: Any) -> None:
        self._user = user
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._streams = {1: ("stdout", Lines()), 2: ("stderr", Lines())}
        self._pid = 0
        self._leader_runs = False
        self._gone = False
        self._interrupted = False
        self._timer: IDelayedCall | None = None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], path: str = ".") -> None:
        """Start it, with nothing on its standard input.

        :param arguments: the program by its absolute path, and its arguments.
        :param path: its working directory.
        :raises OSError: when it cannot be started; likewise :class:`ValueError` for a NUL in an argument.
        """
        command = [sys.executable, "-I", "-S", _OWN_SESSION, path, *arguments]
        # Without a path of its own, spawnProcess need not fork: a signal that comes between fork and exec would find
        # this process's handlers, and be lost.
        transport = self._reactor.spawnProcess(
            self, sys.executable, command, dict(environment), childFDs={0: "w", 1: "r", 2: "r"}
        )
        transport.closeStdin()

    def connectionMade(self) -> None:
        """It runs; it may be found to have ended before :meth:`start` returns."""
        self._pid = self.transport.pid  # type: ignore[union-attr]
        self._leader_runs = True

    # ------------------------------------------------------------------------------------------------ its signals

    def interrupt(self, kill_after: float = KILL_AFTER) -> None:
        """Ask it to end, and kill it if it does not.

        :param kill_after: seconds that it has.
        """
        if self._leader_runs and not self._interrupted:
            self._interrupted = True
            self._terminate(kill_after)

    def _terminate(self, kill_after: float) -> None:
        self._signal(signal.SIGTERM)
        if self._timer is None:
            self._timer = self._clock.callLater(kill_after, self._overdue)

    def _overdue(self) -> None:
        self._timer = None
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group, if there still is one."""
        if self._gone:
            return
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            if self._leader_runs:
                # So young that it has no session of its own yet.
                os.kill(self._pid, number)
            else:
                # From now on the number may be given to a stranger.
                self._gone = True
        except PermissionError:
            # macOS says so of a group whose processes have all ended.
            self._gone = not self._leader_runs

    # ------------------------------------------------------------------------------------------------- its output

    def pause(self) -> None:
        """Read no more of its output; it will wait when it has printed much."""
        if self.transport is not None:
            self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read its output again."""
        if self.transport is not None:
            self.transport.resumeProducing()  # type: ignore[attr-defined]

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It printed something."""
        stream, lines = self._streams[childFD]
        for line in lines.feed(data):
            self._user.printed(stream, line)

    def childConnectionLost(self, childFD: int) -> None:
        """It will print nothing more there."""
        if childFD in self._streams:
            stream, lines = self._streams[childFD]
            for line in lines.end():
                self._user.printed(stream, line)

    # ---------------------------------------------------------------------------------------------------- its end

    def processExited(self, reason: Failure) -> None:
        """The first of its processes has ended; whatever it left behind has to follow."""
        self._leader_runs = False
        self._terminate(KILL_AFTER)

    def processEnded(self, reason: Failure) -> None:
        """Nobody is left who could print anything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._signal(signal.SIGKILL)
        error = reason.value
        if isinstance(error, ProcessTerminated):
            self._user.ended(Ending(error.exitCode, error.signal, self._interrupted))
        else:
            self._user.ended(Ending(0, None, self._interrupted))
