"""What a measurement is, and what comes out of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import attrs

#: What one run of a row finds out, by the keys of the measurement's columns.
Sample = dict[str, float]


@attrs.frozen
class Effort:
    """How thorough a run is.

    :ivar factor: 1 for figures to publish, less for a quick look.
    :ivar directory: where databases are kept.
    """

    factor: float
    directory: Path

    def number(self, full: int, least: int = 1) -> int:
        """How many of something, where a thorough run takes so many."""
        return max(least, int(full * self.factor))

    def seconds(self, full: float) -> float:
        """How long, where a thorough run takes so long."""
        return max(0.05, full * self.factor)


@attrs.frozen
class Column:
    """A figure.

    :ivar key: what samples call it.
    :ivar title: with its unit.
    :ivar digits: behind the point.
    """

    key: str
    title: str
    digits: int = 0


@attrs.frozen
class Row:
    """One thing that is measured.

    :ivar run: measures it once.
    """

    label: str
    run: partial[Coroutine[Any, Any, Sample]]


@attrs.frozen
class Measurement:
    """A table.

    :ivar name: for the command line.
    :ivar title: what is done.
    :ivar columns: the first is the one whose ratios are shown.
    :ivar rows: what is measured in turn; the first is what the others are compared with.
    :ivar goal: what is to be reached, for people.
    :ivar missing: says what it needs and is not there, or nothing.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Effort], list[Row]]
    goal: str = ""
    missing: Callable[[], str | None] = lambda: None


@attrs.define
class Result:
    """What came out of a measurement: the samples of each row, round by round."""

    measurement: Measurement
    samples: dict[str, list[Sample]] = attrs.field(factory=dict)

    def values(self, label: str, key: str) -> list[float]:
        """One figure of one row in each round."""
        return [sample[key] for sample in self.samples[label] if key in sample]

    def median(self, label: str, key: str) -> float | None:
        """The middle of them."""
        values = self.values(label, key)
        return statistics.median(values) if values else None

    def spread(self, label: str, key: str) -> float:
        """From the middle to the value furthest from it, as a part of it."""
        values = self.values(label, key)
        middle = statistics.median(values)
        return max(abs(value - middle) for value in values) / middle if middle else 0.0

    def ratio(self, label: str) -> float | None:
        """The first row's first figure divided by this row's: the median over the rounds, each by itself."""
        key = self.measurement.columns[0].key
        first = next(iter(self.samples))
        pairs = zip(self.samples[first], self.samples[label], strict=False)
        ratios = [ours[key] / theirs[key] for ours, theirs in pairs if theirs.get(key)]
        return statistics.median(ratios) if ratios else None

    def as_json(self) -> dict[str, object]:
        """All of it in plain types."""
        keys = [column.key for column in self.measurement.columns]
        rows = {
            label: {key: {"median": self.median(label, key), "rounds": self.values(label, key)} for key in keys}
            for label in self.samples
        }
        ratios = {label: self.ratio(label) for label in self.samples}
        return {"title": self.measurement.title, "goal": self.measurement.goal, "rows": rows, "ratios": ratios}
