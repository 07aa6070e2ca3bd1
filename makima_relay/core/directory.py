"""The directory of the cluster: whose each task is, and where it is (``cluster.md``, *Links*)."""

from __future__ import annotations

import msgspec


class DirectoryEntry(msgspec.Struct, frozen=True, gc=False):
    """Where a task is.

    :ivar origin: the id of the relay that got it from its server; that relay alone writes the entry.
    :ivar holder: the id of the relay whose daemon has it, or may get it.
    :ivar attempt: how often the origin has handed it out.
    """

    origin: str
    holder: str
    attempt: int = 0
