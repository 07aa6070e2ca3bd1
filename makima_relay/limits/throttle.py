"""Bounds how fast one daemon is read."""

from __future__ import annotations

from collections.abc import Sequence

from makima_relay.limits.guard import Limits

#: Stands for no limit; infinity would make nonsense of no time at all.
_UNBOUNDED = 1e18


class Throttle:
    """Two token buckets in one, of a second each: messages, and their bytes.

    :param limits: the rates.
    :param now: monotonic seconds.
    """

    __slots__ = ("_at", "_bytes", "_limits", "_messages")

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._at = now
        self._messages = float(limits.messages or _UNBOUNDED)
        self._bytes = float(limits.traffic or _UNBOUNDED)

    def spend(self, payloads: Sequence[bytes], now: float) -> float:
        """Count messages that came.

        :param now: monotonic seconds.
        :return: for how many seconds no more should be read.
        """
        messages, traffic = self._limits.messages or _UNBOUNDED, self._limits.traffic or _UNBOUNDED
        elapsed, self._at = now - self._at, now
        self._messages = min(messages, self._messages + elapsed * messages) - len(payloads)
        self._bytes = min(traffic, self._bytes + elapsed * traffic) - sum(map(len, payloads))
        if self._messages >= 0 and self._bytes >= 0:
            return 0.0
        return max(-self._messages / messages, -self._bytes / traffic)
