"""Time for the shells: durations from a clock that never jumps, moments from the one that people set."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import attrs
from twisted.internet.interfaces import IReactorTime


@attrs.frozen
class Clock:
    """The clocks of a running relay.

    The reactor's own ``seconds`` is the wall clock, which jumps; so durations are not taken from it.

    :ivar reactor: calls later.
    :ivar monotonic: tells seconds that only ever pass.
    :ivar wall: tells seconds since the epoch.
    """

    reactor: IReactorTime
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


def rfc3339(at: float | None) -> str | None:
    """Write a moment as ``protocol.md``, *Frames* asks: UTC, with milliseconds.

    :param at: seconds since the epoch, or none.
    """
    if at is None:
        return None
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
