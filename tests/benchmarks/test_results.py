"""What becomes of samples: medians, spread, ratios, tables, plots."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.model import Column, Measurement, Result
from benchmarks.table import shown

COLUMNS = (Column("cost", "µs", 1), Column("rate", "/s"))


def result(**samples: list[tuple[float, float]]) -> Result:
    """One with these costs and rates."""
    measurement = Measurement("reports", "some reports", COLUMNS, lambda effort: [], "fewer")
    return Result(
        measurement,
        {label: [{"cost": cost, "rate": rate} for cost, rate in some] for label, some in samples.items()},
    )


class ResultTests(SynchronousTestCase):
    """Figures."""

    def test_the_median_and_the_furthest_from_it_are_told(self) -> None:
        """As a part of the median."""
        found = result(relay=[(10, 1), (8, 1), (11, 1)])
        self.assertEqual(found.median("relay", "cost"), 10)
        self.assertAlmostEqual(found.spread("relay", "cost"), 0.2)

    def test_ratios_compare_what_was_measured_in_the_same_round(self) -> None:
        """So a round in which the machine was slow for all changes none."""
        found = result(relay=[(10, 1), (100, 1), (10, 1)], other=[(5, 1), (50, 1), (5, 1)], nothing=[(0, 1)] * 3)
        self.assertEqual(found.ratio("other"), 2)
        self.assertIsNone(found.ratio("nothing"))

    def test_json_has_every_round(self) -> None:
        """And the medians."""
        found = result(relay=[(10, 7), (20, 8)]).as_json()
        self.assertEqual(
            found["rows"],
            {"relay": {"cost": {"median": 15, "rounds": [10, 20]}, "rate": {"median": 7.5, "rounds": [7, 8]}}},
        )

    def test_a_table_shows_medians_spread_and_ratios(self) -> None:
        """Its columns stand in line."""
        self.assertEqual(
            shown(result(relay=[(10, 1000), (12, 1000)], other=[(5, 2000), (6, 2000)])).splitlines(),
            [
                "reports: some reports",
                "  wanted: fewer",
                "               µs         /s  relay ÷ it",
                "  relay  11.0 ±9%  1,000 ±0%        1.00",
                "  other   5.5 ±9%  2,000 ±0%        2.00",
            ],
        )
