"""Counts what goes wrong in the experiment itself: one that fails has shown nothing."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText
from zope.interface import implementer


@implementer(ILogObserver)
class Errors:
    """Takes what this process logs.

    :param note: takes the text of each error.
    :ivar count: how many there were.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self.count = 0

    def __call__(self, event: LogEvent) -> None:
        """Look at one event."""
        if event["log_level"] is LogLevel.critical:
            self.count += 1
            self._note(eventAsText(event))
