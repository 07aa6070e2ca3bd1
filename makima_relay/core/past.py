"""The past: which ids the store may know although no task of that id is in mind.

It has one bit for each of very many hashes of ids. So it may take an id for one of the past that is not, which costs a
look-up, but never the other way round, and a task of a new id costs none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: 8 MiB of bits. With a million ids one new id in 67 is taken for an old one.
_HASHES: Final = 1 << 26


class Past:
    """The ids of tasks that are in the store only.

    :ivar is_whole: whether all those of earlier runs were added; before, every id may be one of them.
    """

    def __init__(self) -> None:
        #: None while there is nothing: to make them takes a millisecond.
        self._bits: bytearray | None = None
        self.is_whole = False

    def add(self, task_ids: Iterable[str]) -> None:
        """Add the ids of tasks that are not in mind, or will not be any more."""
        bits = self._bits
        if bits is None:
            self._bits = bits = bytearray(_HASHES // 8)
        for task_id in task_ids:
            place = hash(task_id) % _HASHES
            bits[place >> 3] |= 1 << (place & 7)

    def may_have(self, task_id: str) -> bool:
        """Whether the store must be asked for a task that is not in mind."""
        if not self.is_whole:
            return True
        place = hash(task_id) % _HASHES
        return self._bits is not None and bool(self._bits[place >> 3] & 1 << (place & 7))
