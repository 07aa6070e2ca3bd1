"""How long tasks are at work at two connected daemons, after the relay could know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import attrs


@attrs.define
class _Overlap:
    daemons: frozenset[str]
    unread: set[str]
    since: float | None = None


class Overlaps:
    """Measures the longest overlap.

    It counts from when the relay has read a heartbeat of each of the daemons: before that it cannot know. (It reads
    nothing while it cannot write its database, and while its server takes nothing.)

    :ivar longest: in seconds.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Overlap] = {}
        self.longest = 0.0

    def changed(self, task_id: str, daemons: Collection[str], now: float) -> None:
        """A task is at work at other daemons than before.

        :param daemons: the connected ones.
        """
        known = self._open.get(task_id)
        if known is not None and known.daemons == frozenset(daemons):
            return
        self._close(task_id, now)
        if len(daemons) > 1:
            self._open[task_id] = _Overlap(frozenset(daemons), set(daemons))

    def _close(self, task_id: str, now: float) -> None:
        overlap = self._open.pop(task_id, None)
        if overlap is not None and overlap.since is not None:
            self.longest = max(self.longest, now - overlap.since)

    def heartbeat_read(self, daemon: str, task_ids: Iterable[str], now: float) -> None:
        """The relay has read a heartbeat that listed tasks."""
        if not self._open:
            return
        for task_id in task_ids:
            overlap = self._open.get(task_id)
            if overlap is not None:
                overlap.unread.discard(daemon)
                if not overlap.unread and overlap.since is None:
                    overlap.since = now

    def suspended(self, concerns: Callable[[str], bool]) -> None:
        """A relay cannot act on what it reads: what overlaps now counts from the next heartbeats on.

        :param concerns: whether that concerns a task.
        """
        for task_id, overlap in self._open.items():
            if concerns(task_id):
                overlap.unread = set(overlap.daemons)
                overlap.since = None

    def closed(self, now: float) -> float:
        """Close the books.

        :return: the longest overlap, in seconds.
        """
        for task_id in list(self._open):
            self._close(task_id, now)
        return self.longest
