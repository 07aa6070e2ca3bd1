"""When the relay was killed, and what of that may be lost."""

from __future__ import annotations

from bisect import bisect
from typing import Final

#: What the relay read so long before a SIGKILL may be lost (``protocol.md``, *Nothing is lost*), in seconds.
KILL_WINDOW: Final = 0.1
#: How much later a pong may be noted than it came, or a commit end than it should, in seconds.
WINDOW_TOLERANCE: Final = 0.05
#: What the relay answered before its death may be noted so long after it, in seconds; no relay starts that fast.
_AFTERWARDS: Final = 0.2


class Kills:
    """All times at which the relay was killed, in monotonic seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float) -> None:
        """It is killed at this moment."""
        self._times.append(now)

    def before(self, at: float) -> float | None:
        """How long before a SIGKILL something was read.

        :return: seconds; none unless that was so shortly before that it may be lost.
        """
        place = bisect(self._times, at)
        if place and at - self._times[place - 1] <= _AFTERWARDS:
            return 0.0
        if place < len(self._times) and self._times[place] - at <= KILL_WINDOW + WINDOW_TOLERANCE:
            return self._times[place] - at
        return None

    def next_after(self, at: float) -> float | None:
        """The first of them after a moment."""
        place = bisect(self._times, at)
        return self._times[place] if place < len(self._times) else None
