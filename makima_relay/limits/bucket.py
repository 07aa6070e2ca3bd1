"""A token bucket: so much a second, and so much at once."""

from __future__ import annotations


class TokenBucket:
    """Says how long somebody has to wait who has taken too much.

    It is never refused: what was taken is owed, and whoever owes waits.

    :param rate: tokens that come in a second.
    :param burst: tokens that it holds.
    :param now: monotonic seconds; it begins full.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, tokens: float, now: float) -> float:
        """Take tokens, also such as are not there yet.

        :param now: monotonic seconds, never less than before.
        :return: seconds until nothing is owed; 0 if nothing is.
        """
        left = min(self._burst, self._tokens + (now - self._at) * self._rate) - tokens
        self._tokens = left
        self._at = now
        return 0.0 if left >= 0 else -left / self._rate
