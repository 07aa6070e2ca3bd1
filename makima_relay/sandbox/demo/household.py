"""The processes of the demo: starts them, knows their last words, stops them in every case."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import attrs
from twisted.internet.defer import Deferred, DeferredList

from makima_relay.core.journal import printable
from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.programs import Ending, Program

#: How long a process may take until it is ready, in seconds.
START_TIMEOUT: Final = 20.0
#: How long it has to end after SIGTERM, in seconds; the relay takes at most 4 by itself.
STOP_TIMEOUT: Final = 5.0
_LAST_LINES: Final = 12


class Member:
    """One process; the user of its program.

    :param name: for people.
    :param ready: the line that says that it is ready; its first group is what :meth:`start` answers.
    :param log: takes each line that it prints, and is closed at its end.
    :ivar complaint: set when it ended and was not asked to.
    """

    def __init__(self, name: str, ready: re.Pattern[str], log: TextIO, reactor: Any) -> None:
        self.name = name
        self.complaint: SandboxError | None = None
        self._ready = ready
        self._log = log
        self._reactor = reactor
        self._program = Program(self, reactor)
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._started: Deferred[str] | None = None
        self._ended: Deferred[None] | None = None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], path: str) -> Deferred[str]:
        """Start it.

        :return: fires when it is ready; fails with :class:`SandboxError` when it will not be.
        """
        try:
            self._program.start(arguments, environment, path)
        except OSError as error:
            self._log.close()
            raise SandboxError(f"{self.name} cannot be started: {error}") from None
        self._ended = Deferred()
        started = self._started = Deferred()
        return started.addTimeout(START_TIMEOUT, self._reactor, self._overdue)

    def _overdue(self, _cancelled: object, timeout: float) -> Any:
        raise self._error(f"was not ready within {timeout:.0f} s")

    def _error(self, what: str) -> SandboxError:
        """An error with its last words."""
        said = "".join(f"\n  {line}" for line in self._lines) or " (it said nothing)"
        return SandboxError(f"{self.name} {what}; the last that it said:{said}")

    def printed(self, stream: str, line: str) -> None:
        """It printed a line; perhaps the one that is waited for."""
        self._lines.append(printable(line))
        self._log.write(f"{line}\n")
        found = self._ready.search(line)
        if found and self._started is not None and not self._started.called:
            self._started.callback(found[1])

    def ended(self, ending: Ending) -> None:
        """It ended."""
        assert self._started is not None, "it was started"
        assert self._ended is not None, "it was started"
        self._log.close()
        if not ending.interrupted:
            self.complaint = self._error(f"ended ({ending.error or 'exit status 0'})")
            if not self._started.called:
                self._started.errback(self.complaint)
        self._ended.callback(None)

    def stop(self) -> Deferred[None]:
        """Have it end, and kill it if it does not.

        :return: fires when it has ended.
        """
        stopped: Deferred[None] = Deferred()
        if self._ended is None:
            stopped.callback(None)
        else:
            self._program.interrupt(STOP_TIMEOUT)
            self._ended.addBoth(stopped.callback)
        return stopped


@attrs.define(eq=False)
class Household:
    """All processes of the demo.

    :ivar directory: where they work, and where their logs are.
    :ivar environment: what they get.
    """

    reactor: Any
    directory: Path
    environment: Mapping[str, str]
    _members: list[Member] = attrs.field(factory=list)

    def start(self, name: str, arguments: Sequence[str], ready: str) -> Deferred[str]:
        """Start a process.

        :param ready: a regular expression for the line that says that it is ready.
        :return: fires with the expression's first group; fails with :class:`SandboxError`.
        """
        log = (self.directory / f"{name}.log").open("a", encoding="utf-8", buffering=1)
        member = Member(name, re.compile(ready), log, self.reactor)
        self._members.append(member)
        return member.start(arguments, self.environment, str(self.directory))

    def check(self) -> None:
        """Make sure that all are still there.

        :raises SandboxError: with the last words of one that is not.
        """
        for member in self._members:
            if member.complaint is not None:
                raise member.complaint

    async def stop(self) -> None:
        """Stop all of them, and wait for that."""
        await DeferredList([member.stop() for member in self._members])
