"""Counts those who are connected and have not said yet who they are."""

from __future__ import annotations


class Crowd:
    """Bounds how many strangers are connected, in total and from one origin.

    :param most: in total.
    :param most_of_one: from one origin; those of this machine itself are only counted in total.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._total = 0
        self._by_origin: dict[str, int] = {}

    def __len__(self) -> int:
        return self._total

    def enter(self, origin: str | None) -> bool:
        """Let one more in, if there is room.

        :param origin: see :func:`makima_relay.limits.addresses.origin_of`.
        :return: whether there was; only then it has to :meth:`leave`.
        """
        here = 0 if origin is None else self._by_origin.get(origin, 0)
        if self._total >= self._most or here >= self._most_of_one:
            return False
        self._total += 1
        if origin is not None:
            self._by_origin[origin] = here + 1
        return True

    def leave(self, origin: str | None) -> None:
        """One that was let in is gone, or is known by now."""
        self._total -= 1
        if origin is None:
            return
        left = self._by_origin[origin] - 1
        if left:
            self._by_origin[origin] = left
        else:
            del self._by_origin[origin]
