"""The load: frames, and what is noticed of what arrives."""

from __future__ import annotations

from unittest import SkipTest

try:
    import picows
except ImportError:
    raise SkipTest("needs what the benchmarks need") from None

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import BenchmarkError
from benchmarks.load.frames import PING, TEXT, masked_frame, plain_frame, split
from benchmarks.load.reports import Reports, report
from benchmarks.load.tasks import Tasks
from tests.frames import Frame, decode_frames
from tests.untraced import untraced

assert picows
SIZES = st.sampled_from([0, 1, 125, 126, 65_535, 65_536])
HEARTBEAT = b'{"type":"heartbeat","activeTasks":[]}'


class FrameTests(SynchronousTestCase):
    """Frames are those of RFC 6455."""

    @given(st.lists(SIZES, max_size=4), st.data())
    def test_frames_are_split_wherever_they_are_cut(self, sizes: list[int], data: st.DataObject) -> None:
        """What is not whole yet is kept."""
        sent = [(PING if size < 126 else TEXT, bytes(size)) for size in sizes]
        joined = b"".join(plain_frame(payload, first) for first, payload in sent)
        cut = data.draw(st.integers(0, len(joined)))
        before, rest = split(joined[:cut])
        after, nothing = split(rest + joined[cut:])
        self.assertEqual((before + after, nothing), (sent, b""))

    @untraced
    @given(SIZES)
    def test_a_masked_frame_is_read_by_others(self, size: int) -> None:
        """Its mask is a real one."""
        payload = (b"0123456789" * 7000)[:size]
        self.assertEqual(decode_frames(masked_frame(payload)), ([Frame(1, payload)], b""))


class ReportsTests(SynchronousTestCase):
    """What is noticed of reports."""

    def setUp(self) -> None:
        """Have two daemons."""
        self.reports = Reports(2, 200)

    def test_reports_have_the_size_that_is_wanted(self) -> None:
        """Each of them."""
        for size in (100, 200, 4096):
            self.assertEqual({len(report(task, number, size)) for task in (0, 99_999) for number in (0, 9)}, {size})

    def test_each_daemons_reports_are_counted_in_their_order(self) -> None:
        """Whatever the order of the daemons; heartbeats are none."""
        for payload in (report(0, 0, 200), HEARTBEAT, report(1, 0, 200), report(1, 1, 200), report(0, 1, 200)):
            self.reports.heard(payload)
        self.reports.check()
        self.assertEqual(self.reports.arrived, 4)

    @untraced
    def test_what_should_not_arrive_stops_the_measurement(self) -> None:
        """Out of order, twice, altered, or never sent."""
        first = report(0, 0, 200)
        for wrong in ([report(0, 1, 200)], [first, first], [first[:-3] + b'y"}'], [report(2, 0, 200)], [b"{}"]):
            reports = Reports(2, 200)
            for payload in wrong:
                reports.heard(payload)
            self.assertRaises(BenchmarkError, reports.check)


class TasksTests(SynchronousTestCase):
    """What is noticed of tasks."""

    @untraced
    def test_what_should_not_arrive_stops_the_measurement(self) -> None:
        """An end before its task was with a daemon, an altered one, or one of a task that does not exist."""
        for wrong in (b"task-00000000", b"task-0000000x", b"task-00000009"):
            tasks = Tasks(2, 200)
            tasks.heard(HEARTBEAT)
            tasks.check()
            tasks.heard(b'{"type":"taskComplete","taskId":"%b","success":true}' % wrong)
            self.assertRaises(BenchmarkError, tasks.check)
            self.assertEqual(tasks.completed, 0)
