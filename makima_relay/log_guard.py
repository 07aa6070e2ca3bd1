"""Stands before every observer of the log: nothing secret and no control character gets past it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from makima_relay.core.journal import escaped

#: What is longer is cut, in characters: of what is said, and of a traceback behind it.
LONGEST_MESSAGE: Final = 8_000
LONGEST_TRACEBACK: Final = 64_000
#: What observers go by besides the text; the latter two are text themselves.
_KEPT: Final = ("log_level", "log_time")
_NAMES: Final = ("log_namespace", "log_system")
#: Members of an event that are told by other means than its fields.
_TOLD: Final = frozenset({"event", "detail", "fields", "line", "text", "time", "system", "isError"})
#: Fields of one event at most.
_MOST_FIELDS: Final = 50
#: Numbers above are no quantities.
_LARGEST: Final = 2**63
_GUARDED: Final = object()


@implementer(ILogObserver)
class LogGuard:
    """Makes harmless text of each event, before any observer behind it sees the event.

    Observers that tell its parts apart find them as ``message``, ``event``, ``fields`` and ``traceback``, if wanted.

    It changes the event itself, as Twisted's wrapper of older observers does: an observer of its own kind could be
    added beside it at any time, by ``--logger``, ``--syslog`` or a library, and would see the event as it was.

    :param redact: blacks out secrets.
    :param in_parts: whether anybody tells the parts apart; to make them takes as long as the text.
    """

    def __init__(self, redact: Callable[[str], str], *, in_parts: bool = False) -> None:
        self._redact = redact
        self._in_parts = in_parts

    def __call__(self, event: LogEvent) -> None:
        """Leave nothing of an event but its level, its time, whose it is, and text."""
        if event.get("guarded") is _GUARDED:
            # Twisted repeats what came before there was a log.
            return
        try:
            left = self._guarded(event)
        except Exception as error:
            # Not even its message: that may be what is wrong.
            left = {"text": f"(an event that cannot be shown: {type(error).__name__})"}
        kept: dict[str, Any] = {name: event[name] for name in _KEPT if name in event}
        event.clear()
        event.update(kept, log_format="{text}", guarded=_GUARDED, **left)

    def _guarded(self, event: LogEvent) -> dict[str, Any]:
        left: dict[str, Any] = {name: self._line(str(event[name])) for name in _NAMES if event.get(name) is not None}
        left["text"] = left["message"] = self._line(formatEvent(event).strip())
        failure = event.get("log_failure")
        if isinstance(failure, Failure):
            left["traceback"] = self._traceback(failure)
            left["text"] += "\n" + left["traceback"]
        if self._in_parts:
            left.update(self._parts(event))
        return left

    def _parts(self, event: LogEvent) -> dict[str, Any]:
        """What observers may tell apart: for an event of the journal its name, its sentence and its fields."""
        fields = event.get("fields")
        if "event" in event and "detail" in event and isinstance(fields, dict):
            about = {"event": self._line(str(event["event"])), "message": self._line(str(event["detail"]))}
            return {**about, "fields": self._fields(fields)}
        others = {name: event[name] for name in event if not name.startswith("log_") and name not in _TOLD}
        return {"fields": self._fields(others)} if others else {}

    def _fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        some = itertools.islice(fields.items(), _MOST_FIELDS)
        return {self._line(str(name)): self._field(value) for name, value in some}

    def _field(self, value: Any) -> Any:
        """A value as it is if it is none that could hide something, else as text."""
        is_plain = value is None or isinstance(value, bool)
        if isinstance(value, int | float):
            is_plain = is_plain or (
                math.isfinite(value) and abs(value) < _LARGEST and self._redact(str(value)) == str(value)
            )
        return value if is_plain else self._line(str(value))

    def _line(self, text: str) -> str:
        return escaped(_cut(self._redact(text), LONGEST_MESSAGE))

    def _traceback(self, failure: Failure) -> str:
        lines = _cut(self._redact(failure.getTraceback()), LONGEST_TRACEBACK).rstrip("\n").split("\n")
        return "\n".join(map(escaped, lines))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def guard_log(redact: Callable[[str], str], publisher: Any = globalLogPublisher, *, in_parts: bool = False) -> None:
    """Guard all that is logged from now on, and what is to be repeated to the observers that come.

    :param redact: blacks out secrets.
    :param publisher: whose observers are added later, so that they come behind.
    :param in_parts: whether any of them tells the parts of an event apart.
    """
    publisher.addObserver(LogGuard(redact, in_parts=in_parts))
