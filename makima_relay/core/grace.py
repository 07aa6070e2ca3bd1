"""Grace: how long what is gone has to return, on a clock that can stand still."""

from __future__ import annotations

import heapq


class Graces:
    """Deadlines by name, in seconds during which those that are waited for could be heard."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []
        self._deaf_for = 0.0
        self._deaf_since: float | None = None

    def deaf(self, now: float) -> None:
        """Nobody can be heard from now on: no grace goes by."""
        if self._deaf_since is None:
            self._deaf_since = now

    def hearing(self, now: float, after: float = 0.0) -> None:
        """They can be heard again.

        :param after: what they have to say needs so long to be heard, in seconds.
        """
        if self._deaf_since is not None:
            self._deaf_for += now - self._deaf_since + after
            self._deaf_since = None

    def __contains__(self, name: str) -> bool:
        """Whether one is waited for."""
        return name in self._deadlines

    def begin(self, name: str, grace: float, now: float) -> None:
        """Wait for one, with a fresh grace in seconds."""
        heard_until = (now if self._deaf_since is None else self._deaf_since) - self._deaf_for
        self._deadlines[name] = deadline = heard_until + grace
        heapq.heappush(self._due, (deadline, name))

    def end(self, name: str) -> None:
        """Wait no more; nothing happens if nobody does."""
        self._deadlines.pop(name, None)

    def next_deadline(self) -> float | None:
        """When the next grace runs out, in monotonic seconds; none if nobody is waited for, or can be heard."""
        if self._deaf_since is not None:
            return None
        while self._due:
            deadline, name = self._due[0]
            if self._deadlines.get(name) == deadline:
                return deadline + self._deaf_for
            heapq.heappop(self._due)
        return None

    def pop(self, now: float) -> str | None:
        """The next one whose grace is over, which is waited for no more; none if there is none."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now:
            return None
        _, name = heapq.heappop(self._due)
        del self._deadlines[name]
        return name
