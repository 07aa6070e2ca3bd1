"""How much memory and disk the relay takes, over time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import linear_regression
from typing import Final

import attrs

from makima_relay.sandbox.chaos.relay import RelayProcess

#: Seconds between two readings.
INTERVAL: Final = 1.0
#: Fewer readings than this say nothing of a slope.
_FEWEST: Final = 100


@attrs.frozen
class Reading:
    """One reading. Sizes are in bytes.

    :ivar at: seconds after the beginning.
    :ivar rss: none while the relay does not run.
    """

    at: float
    rss: int | None
    database: int


@attrs.define
class Gauges:
    """Reads them, and keeps what it read.

    :ivar readings: all of them.
    """

    relay: RelayProcess
    readings: list[Reading] = attrs.field(factory=list)

    def read(self, at: float) -> None:
        """Read them, unless that was done lately.

        :param at: seconds after the beginning.
        """
        if self.readings and at - self.readings[-1].at < INTERVAL:
            return
        reading = Reading(at, self.relay.resident_memory(), self.relay.size_of_database())
        self.readings.append(reading)
        figures = self.relay.figures
        figures.largest_rss = max(figures.largest_rss, reading.rss or 0)
        figures.largest_database = max(figures.largest_database, reading.database)


def slope(readings: Sequence[Reading]) -> float | None:
    """How fast the memory of one relay process grows, once it is warm, in bytes an hour.

    :param readings: those of its whole life; of their time the first half is not looked at.
    :return: none if there are too few to tell, or it was away in between.
    """
    warm = readings[len(readings) // 2 :]
    points = [(each.at / 3600, each.rss) for each in warm if each.rss is not None]
    if len(points) < max(_FEWEST, len(warm)):
        return None
    return linear_regression(*zip(*points, strict=True)).slope
