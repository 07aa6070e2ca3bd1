"""How the log looks: ``twistd``'s text or one JSON object a line, and how much of it there is."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)

from makima_relay.clock import rfc3339


class LogFormat(enum.StrEnum):
    """What a line of the log is: ``--log-format``."""

    TEXT = "text"
    JSON = "json"


class LeastLevel(enum.StrEnum):
    """What is logged at least: ``--log-level``."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    CRITICAL = "critical"


_encode: Final = msgspec.json.Encoder().encode


def json_line(event: LogEvent) -> str:
    """Write an event that :class:`~makima_relay.log_guard.LogGuard` has left as one JSON object on a line."""
    level = event.get("log_level")
    line = {
        "time": rfc3339(event.get("log_time")),
        "level": None if level is None else level.name,
        "logger": event.get("log_namespace"),
        "event": event.get("event"),
        "message": event.get("message", event.get("text", "")),
        "fields": event.get("fields", {}),
        **({"traceback": event["traceback"]} if "traceback" in event else {}),
    }
    return _encode(line).decode() + "\n"


def shape_log(log_format: LogFormat, least: LeastLevel, beginner: Any = globalLogBeginner) -> None:
    """Have the observers that ``twistd`` is about to set up show the log like this.

    ``twistd`` makes its observer after it has made the service, from options of its own (``--logfile``, ``--syslog``,
    ``--logger``), and begins with it: what it begins with is shaped on the way. Those that write lines to a file or to
    the standard output write JSON; what goes to syslog or to an observer of the operator's own stays text.

    :param beginner: what ``twistd`` begins the log with.
    """
    begin = beginner.beginLoggingTo
    predicate = LogLevelFilterPredicate(LogLevel.levelWithName(least.value))

    def begin_shaped(observers: Iterable[ILogObserver], *args: Any, **options: Any) -> None:
        shaped = []
        for observer in observers:
            if log_format is LogFormat.JSON and isinstance(observer, FileLogObserver):
                observer.formatEvent = json_line
            shaped.append(FilteringLogObserver(observer, [predicate]))
        begin(shaped, *args, **options)

    beginner.beginLoggingTo = begin_shaped
