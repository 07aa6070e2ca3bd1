"""All that measures, in its smallest form, against the real relay: so that nothing of it rots."""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from io import StringIO
from pathlib import Path
from unittest import SkipTest

try:
    import picows
    import pygal
    import uvloop
except ImportError:
    raise SkipTest("needs what the benchmarks need") from None

import attrs
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import BenchmarkError
from benchmarks.__main__ import TABLE, can_be_measured
from benchmarks.against import compared, other
from benchmarks.measurements.cluster_reports import CLUSTER_REPORTS
from benchmarks.measurements.curves import CURVES
from benchmarks.measurements.reports import cost
from benchmarks.model import Effort, Result, Sample
from benchmarks.outage import measure
from benchmarks.peers import node
from benchmarks.plots import draw
from benchmarks.redis import missing
from benchmarks.runner import run_once
from benchmarks.subjects import AUTOBAHN, DIRECT, HAPROXY, NODE, WEBSOCKETS, Command, Subject
from tests.untraced import untraced

assert picows, pygal
assert uvloop


class MeasurementTests(SynchronousTestCase):
    """They run, and find something out."""

    def setUp(self) -> None:
        """Have a directory."""
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.effort = Effort(0.001, self.directory)

    @untraced
    def test_every_measurement_finds_out_all_that_it_shows(self) -> None:
        """About the relay; of those that do the same with other numbers the first is enough."""
        # That of relays which work as one has a test of its own.
        seen = {CLUSTER_REPORTS.rows(self.effort)[0].run.func}
        for measurement in TABLE:
            run = measurement.rows(self.effort)[0].run
            if measurement.missing() is None and run.func not in seen:
                seen.add(run.func)
                sample = run_once(run)
                self.assertLessEqual({column.key for column in measurement.columns}, set(sample), measurement.name)
                self.assertGreater(sample[measurement.columns[0].key], 0, measurement.name)

    @untraced
    def test_peers_deliver_everything(self) -> None:
        """Those that are here."""
        peers = [AUTOBAHN, WEBSOCKETS, DIRECT, HAPROXY]
        if node.is_fetched():
            peers.append(NODE)
        for peer in peers:
            if peer.missing() is None:
                self.assertGreater(run_once(partial(cost, peer, self.effort))["rate"], 0, peer.name)

    def test_a_subject_that_does_not_start_is_told(self) -> None:
        """With what it said."""
        broken = Subject("broken", lambda place: Command(["sh", "-c", "echo no such luck; exit 3"]))
        error = self.assertRaises(BenchmarkError, run_once, partial(cost, broken, self.effort))
        self.assertIn("status 3", str(error))
        self.assertIn("no such luck", str(error))

    @untraced
    def test_a_checkout_is_measured_beside_another(self) -> None:
        """Here it is the same one; anything else is no checkout."""
        here = Path(__file__).parents[2]
        for measurement in compared(other(here)):
            this, that = measurement.rows(self.effort)
            self.assertNotEqual(this.label, that.label)
            self.assertGreater(run_once(that.run)["cost"], 0)
        self.assertRaises(BenchmarkError, other, self.directory)

    def test_what_reports_of_relays_that_work_as_one_cost_needs_all_of_them(self) -> None:
        """The loads of both arrive."""
        _, both, *_ = CLUSTER_REPORTS.rows(self.effort)
        sample = run_once(both.run)
        self.assertLessEqual({column.key for column in CLUSTER_REPORTS.columns}, set(sample))
        self.assertGreater(sample["cost"], 0)
        self.assertGreater(sample["redis"], 0)

    test_what_reports_of_relays_that_work_as_one_cost_needs_all_of_them.skip = missing()  # type: ignore[attr-defined]

    def test_what_cannot_be_measured_here_is_told(self) -> None:
        """In one line."""
        said = StringIO()
        self.patch(sys, "stderr", said)
        self.assertFalse(can_be_measured(attrs.evolve(CLUSTER_REPORTS, missing=lambda: "no such luck")))
        self.assertEqual(said.getvalue(), "without cluster-reports: no such luck\n")

    @untraced
    def test_an_outage_is_measured(self) -> None:
        """All that is sent is delivered."""
        figures = run_once(partial(measure, "away", 0.2, 500.0, around=0.1))
        self.assertEqual(figures.delivered, figures.sent)
        self.assertGreater(figures.sent, 0)

    def test_curves_are_drawn(self) -> None:
        """One line for each subject."""
        curve = CURVES[0]
        labels = [curve.label(subject, point) for subject in curve.subjects() for point in curve.points]
        samples: dict[str, list[Sample]] = {label: [{"cost": 1.0 + index}] for index, label in enumerate(labels)}
        drawn = draw(curve, Result(curve.measurement(), samples), self.directory).read_text()
        self.assertIn("<svg", drawn)
        for subject in curve.subjects():
            self.assertIn(subject, drawn)
