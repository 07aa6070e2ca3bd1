"""Curves: what a report costs against the daemons, the size of a report, the rate, and the writes."""

from __future__ import annotations

from functools import partial

import attrs

from benchmarks.measurements.reports import COLUMNS, cost
from benchmarks.model import Effort, Measurement, Row
from benchmarks.subjects import HAPROXY, NODE, RELAY, Subject, present

_RATE = 10_000


@attrs.frozen
class Curve:
    """One plot: for each subject its cost at some points.

    :ivar keyword: what :func:`benchmarks.measurements.reports.cost` calls that which changes.
    :ivar points: its values.
    :ivar fixed: all else.
    """

    name: str
    title: str
    axis: str
    keyword: str
    points: tuple[int, ...]
    fixed: dict[str, int]

    @staticmethod
    def label(subject: str, point: int) -> str:
        """The row of a subject at a point."""
        return f"{subject}, {point:,}"

    def subjects(self) -> list[str]:
        """The names of those that are compared."""
        return [each.name for each in self._compared()]

    @staticmethod
    def _compared() -> list[Subject]:
        return [RELAY, *present(HAPROXY, NODE)]

    def measurement(self) -> Measurement:
        """It as a table."""
        return Measurement(self.name, self.title, COLUMNS, self._rows)

    def _rows(self, effort: Effort) -> list[Row]:
        return [
            Row(self.label(each.name, point), partial(cost, each, effort, **{self.keyword: point}, **self.fixed))
            for each in self._compared()
            for point in self.points
        ]


CURVES = (
    Curve(
        "curve-daemons",
        f"CPU per report of 200 B at {_RATE:,}/s, 10 in a write",
        "daemons",
        "daemons",
        (1, 10, 100, 1_000),
        {"rate": _RATE, "together": 10},
    ),
    Curve(
        "curve-size",
        "CPU per report at full speed, 20 daemons",
        "bytes of a report",
        "size",
        (100, 200, 1_000, 4_096, 16_384, 65_536),
        {},
    ),
    Curve(
        "curve-write",
        "CPU per report of 200 B at full speed, 20 daemons",
        "reports in a write",
        "together",
        (1, 2, 5, 20, 80),
        {},
    ),
    Curve(
        "curve-rate",
        "CPU per report of 200 B, each in a write of its own, 20 daemons",
        "reports/s",
        "rate",
        (1_000, 2_000, 5_000, 10_000, 20_000, 50_000),
        {"together": 1},
    ),
)
