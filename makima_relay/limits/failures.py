"""Remembers who fails to authenticate: each further failure is answered later, after too many it is refused."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

#: Seconds that the answer to a second failure in a row waits; it doubles with each further one.
FIRST_DELAY: Final = 0.25
LONGEST_DELAY: Final = 4.0
#: Origins that are remembered; the one that failed longest ago goes first.
MOST_ORIGINS: Final = 10_000


class Failures:
    """Failed authentications by origin.

    :param most: failures in a row after which an origin is refused; 0 for never.
    :param refusal: for how long then, in seconds. After twice that time without a failure all is forgotten.
    """

    def __init__(self, most: int, refusal: float) -> None:
        self._most = most
        self._refusal = refusal
        # Failures in a row and when the last was, the latest at the end.
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failed)

    def failed(self, origin: str | None, now: float) -> float:
        """Note a failure.

        :param origin: see :func:`makima_relay.limits.addresses.origin_of`; this machine itself is never refused.
        :param now: monotonic seconds.
        :return: how long the answer is to wait, in seconds.
        """
        if origin is None or self._most == 0:
            return 0.0
        count = self._count(origin, now) + 1
        self._failed[origin] = (count, now)
        self._failed.move_to_end(origin)
        if len(self._failed) > MOST_ORIGINS:
            self._failed.popitem(last=False)
        return 0.0 if count == 1 else min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(count - 2, 64))

    def succeeded(self, origin: str | None) -> None:
        """Forget the failures of an origin: it knows a key after all."""
        if origin is not None:
            self._failed.pop(origin, None)

    def refused_for(self, origin: str | None, now: float) -> float:
        """For how many more seconds an origin is refused; 0 if it is not."""
        if origin is None or origin not in self._failed:
            return 0.0
        count, at = self._failed[origin]
        return max(0.0, at + self._refusal - now) if count >= self._most else 0.0

    def _count(self, origin: str, now: float) -> int:
        count, at = self._failed.get(origin, (0, now))
        return count if now - at < 2 * self._refusal else 0
