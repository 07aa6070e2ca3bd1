"""Time for the shells: durations from a clock that never jumps, moments from the one that people set."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime


@attrs.frozen
class Clock:
    """The clocks of a running relay.

    :ivar reactor: calls later, in a relay by :func:`keep_steady`'s clock.
    :ivar monotonic: tells seconds that only ever pass.
    :ivar wall: tells seconds since the epoch.
    """

    reactor: IReactorTime
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


def keep_steady(reactor: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Have a reactor time its calls by a clock that never jumps.

    Twisted's reactors ask the wall clock: set back by an hour, it would make every timer an hour late; set ahead, it
    would end every time-out at once.

    :param reactor: one of Twisted's own; whatever anyone has it call later is timed so from now on.
    :param monotonic: tells seconds that only ever pass.
    """
    behind = monotonic() - reactor.seconds()
    for call in reactor.getDelayedCalls():
        call.delay(behind)
    reactor.seconds = monotonic


def rfc3339(at: float | None) -> str | None:
    """Write a moment as ``protocol.md``, *Frames* asks: UTC, with milliseconds.

    :param at: seconds since the epoch, or none.
    """
    if at is None:
        return None
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
