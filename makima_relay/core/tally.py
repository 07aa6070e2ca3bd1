"""What is counted for ``GET /metrics`` (``http-api.md``, *Metrics*). No key of any count comes from a peer."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from makima_relay.core.spelling import folded
from makima_relay.core.tasks import TaskStatus

#: What the type of a message is counted as if it is none of those that ``protocol.md`` names.
OTHER: Final = "other"
COMMAND_TYPES: Final = ("spawnTask", "interruptTask", "cancelTask", "killTask")
_COMMANDS: Final = {folded(name): name for name in COMMAND_TYPES}
#: Upper bounds of the buckets, in seconds: a dispatch takes a commit, or as long as there is no slot.
DISPATCH_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)
COMMIT_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """How often something took how long.

    :param bounds: the greatest values of the buckets, ascending; one more takes what is above.
    :ivar sum: of all values.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[float, int]]:
        """How many values were at most so great, for each bound and for infinity."""
        found, below = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            below += count
            found.append((bound, below))
        return found


class Tally:
    """The counts of a relay since its start.

    :ivar commands: what the server sent for daemons, by type.
    :ivar relayed_down: bytes of that which were sent to daemons.
    :ivar finished: how often a task finished, by its last status.
    :ivar dispatch: seconds from the receipt of a task to its being sent.
    :ivar upstream_connections: how often the server accepted a connection.
    """

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        self.relayed_down = 0
        self.finished: Counter[TaskStatus] = Counter()
        self.dispatch = Histogram(DISPATCH_BOUNDS)
        self.upstream_connections = 0

    def command(self, spelling: str) -> None:
        """Count a command by its type, however that is spelled."""
        self.commands[_COMMANDS.get(folded(spelling), OTHER)] += 1
