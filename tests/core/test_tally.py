"""What is counted for the metrics."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.from_daemons import ReportReader
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.tally import Histogram, Tally


class HistogramTests(SynchronousTestCase):
    """How often something took how long."""

    def test_each_bucket_has_all_that_is_at_most_its_bound(self) -> None:
        """The bound itself too; the last has everything."""
        histogram = Histogram((1.0, 2.0))
        for value in (0.0, 1.0, 1.5, 2.0, 2.1):
            histogram.observe(value)
        self.assertEqual(histogram.buckets(), [(1.0, 2), (2.0, 4), (float("inf"), 5)])
        self.assertEqual(histogram.sum, 6.6)

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.floats(0, 10)))
    def test_any_values_are_all_counted(self, values: list[float]) -> None:
        """Each bucket as one would count it by hand."""
        histogram = Histogram((0.5, 1.0, 5.0))
        for value in values:
            histogram.observe(value)
        for bound, count in histogram.buckets():
            self.assertEqual(count, sum(value <= bound for value in values))


class TypeTests(SynchronousTestCase):
    """Types that are known have a count each, however they are spelled."""

    def test_commands(self) -> None:
        """Others are counted together."""
        tally = Tally()
        for spelling in ("spawnTask", "SPAWN_TASK", "Interrupt-Task", "whatever", "{type}"):
            tally.command(spelling)
        self.assertEqual(tally.commands, {"spawnTask": 2, "interruptTask": 1, "other": 2})

    def test_reports(self) -> None:
        """What cannot be read is not counted; what needs the careful reading is."""
        reader = ReportReader()
        for payload in (
            b'{"type":"task_output","taskId":"t"}',
            b'{"type":"TaskOutput","task_id":"t","note":"\\ud800"}',
            b'{"type":"made-up"}',
            b'{"type":"taskComplete","taskId":"t","success":true}',
        ):
            reader.read(payload)
        for payload in (b"{", b'{"type":"taskComplete","taskId":"t"}', b'{"type":"authenticate"}'):
            self.assertRaises(InvalidMessageError, reader.read, payload)
        counts = {name: count for name, count in reader.counts().items() if count}
        self.assertEqual(counts, {"taskOutput": 2, "other": 1, "taskComplete": 1})
        self.assertNotIn("authenticate", reader.counts())
