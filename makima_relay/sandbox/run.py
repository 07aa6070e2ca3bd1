"""One task at work at a stand-in daemon: turns what its program does into reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from makima_relay.clock import Clock
from makima_relay.sandbox.lines import percent_in
from makima_relay.sandbox.programs import Ending, ProgramUser
from makima_relay.sandbox.reports import PROGRESS_INTERVAL, RunReports


class Running(Protocol):
    """A program that was started."""

    def interrupt(self) -> None:
        """Have it end soon."""

    def pause(self) -> None:
        """Read no more of its output."""

    def resume(self) -> None:
        """Read its output again."""


#: Starts a task's command for its user; raises :class:`OSError` or :class:`ValueError` when that cannot be.
Starter = Callable[[str, ProgramUser], Running]


class Run:
    """A task's run; the user of its program.

    :param send: takes its reports, in order, but for the last.
    :param clock: the clocks.
    :param on_end: takes its last report.
    :ivar program: what runs; none before the start.
    """

    def __init__(
        self, task_id: str, send: Callable[[bytes], object], clock: Clock, on_end: Callable[[str, bytes], None]
    ) -> None:
        self._task_id = task_id
        self._reports = RunReports(task_id)
        self._send = send
        self._clock = clock
        self._on_end = on_end
        self._began = clock.monotonic()
        self._lines = 0
        self._percent: int | None = None
        self._timer: IDelayedCall | None = None
        self._rested = True
        self.program: Running | None = None

    def start(self, starter: Starter, command: str) -> None:
        """Start the program.

        :raises OSError: when it cannot be started; likewise :class:`ValueError`.
        """
        self.program = starter(command, self)
        self._send(self._reports.status("running"))

    def printed(self, stream: str, line: str) -> None:
        """The program printed a line: report it, and soon the progress."""
        self._lines += 1
        percent = percent_in(line)
        if percent is not None:
            self._percent = percent
        self._send(self._reports.output(stream, line))
        if self._timer is None:
            self._report_progress()
        else:
            self._rested = False

    def _report_progress(self) -> None:
        self._rested = True
        elapsed = self._clock.monotonic() - self._began
        self._send(self._reports.progress(self._percent, self._lines, elapsed))
        self._timer = self._clock.reactor.callLater(PROGRESS_INTERVAL, self._interval_over)

    def _interval_over(self) -> None:
        self._timer = None
        if not self._rested:
            self._report_progress()

    def ended(self, ending: Ending) -> None:
        """The program ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if ending.interrupted:
            # taskComplete has no word for it; this makes the task "cancelled", not "failed".
            self._send(self._reports.status("interrupted"))
        self._on_end(self._task_id, self._reports.complete(ending))
