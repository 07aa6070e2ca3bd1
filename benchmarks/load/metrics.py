"""Reads what the relay itself has measured, from ``GET /metrics``."""

from __future__ import annotations

import asyncio

import attrs
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import BenchmarkError
from benchmarks.load.http import get


@attrs.frozen
class Histogram:
    """How often something took how long.

    :ivar total: of all values, in seconds.
    :ivar up_to: how many took at most so long, by seconds.
    """

    total: float
    up_to: dict[float, float]

    @property
    def number(self) -> float:
        """How many values there are."""
        return self.up_to[float("inf")]

    @property
    def mean(self) -> float:
        """Seconds, or 0 if there is no value."""
        return self.total / self.number if self.number else 0.0

    def share_within(self, bound: float) -> float:
        """The part of all values that is at most a bound, in seconds; the bound has to be one of a bucket."""
        return self.up_to[bound] / self.number if self.number else 1.0


async def read_histogram(port: int, name: str) -> Histogram:
    """Ask the relay for one of its histograms.

    :param name: without what all names of the relay's metrics begin with.
    :raises BenchmarkError: when there is none.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        text = (await get(reader, writer, "/metrics")).decode()
    finally:
        writer.close()
    for family in text_string_to_metric_families(text):
        if family.name == f"makima_relay_{name}":
            samples = family.samples
            total = next(each.value for each in samples if each.name.endswith("_sum"))
            return Histogram(
                total, {float(each.labels["le"]): each.value for each in samples if each.name.endswith("_bucket")}
            )
    raise BenchmarkError(f"the relay has no metric {name!r}")
