"""Timers for many connections: they ring in time, or not at all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.alarms import STEP, Alarm, Alarms
from tests.untraced import untraced

delays = st.one_of(st.sampled_from([0.0, STEP, 0.1]), st.floats(0, 1))


class AlarmTests(SynchronousTestCase):
    """Alarms on a clock."""

    def setUp(self) -> None:
        """Have none."""
        self.clock = Clock()
        self.alarms = Alarms(self.clock)
        self.rung: list[str] = []

    def set(self, name: str, delay: float) -> Alarm:
        """Set one."""
        return self.alarms.callLater(delay, lambda: self.rung.append(name))

    def test_what_is_due_together_takes_one_call_of_the_reactor(self) -> None:
        """And is done in the order in which it was set."""
        for name in "abc":
            self.set(name, 1.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(1.0 + STEP)
        self.assertEqual(self.rung, ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_when_all_are_cancelled_nothing_is_left(self) -> None:
        """Not in the reactor either; cancelling again changes nothing."""
        alarms = [self.set(name, 1.0) for name in "abc"]
        for alarm in alarms * 2:
            alarm.cancel()
            self.assertFalse(alarm.active())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(2)
        self.assertEqual(self.rung, [])

    def test_one_may_cancel_others_and_set_new_ones(self) -> None:
        """Also those that are due in the same step."""
        later = []

        def first() -> None:
            for alarm in later[:2]:
                alarm.cancel()
            self.set("new", 0)

        self.alarms.callLater(1.0, first)
        later += [self.set(name, 1.0) for name in "abc"]
        self.clock.advance(1.0 + STEP)
        self.clock.advance(STEP)
        self.assertEqual(self.rung, ["c", "new"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_raises_does_not_keep_the_others(self) -> None:
        """The reactor tells of it."""
        self.set("a", 1.0)
        self.alarms.callLater(1.0, [].pop)
        self.set("b", 1.0)
        self.assertRaises(IndexError, self.clock.advance, 1.0 + STEP)
        self.clock.advance(0)
        self.assertEqual(self.rung, ["a", "b"])

    def test_one_is_put_off(self) -> None:
        """It keeps only its new time, whether it has rung or not."""
        alarm = self.set("a", 1.0)
        self.clock.advance(0.5)
        alarm.reset(1.0)
        self.clock.advance(0.9)
        self.assertEqual(self.rung, [])
        self.clock.advance(0.1 + STEP)
        alarm.reset(1.0)
        self.clock.advance(1.0 + STEP)
        self.assertEqual(self.rung, ["a", "a"])

    @untraced
    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.tuples(delays, delays, st.one_of(st.none(), delays)), max_size=12))
    def test_each_rings_once_never_early_and_at_most_a_step_late(
        self, plans: list[tuple[float, float, float | None]]
    ) -> None:
        """Unless it is cancelled before."""
        self.setUp()
        rung: dict[int, float] = {}
        for number, (begin, delay, cancelled) in enumerate(plans):

            def begins(number: int = number, delay: float = delay, cancelled: float | None = cancelled) -> None:
                alarm = self.alarms.callLater(delay, lambda: rung.setdefault(number, self.clock.seconds()))
                if cancelled is not None:
                    self.clock.callLater(cancelled, alarm.cancel)

            self.clock.callLater(begin, begins)
        self.clock.pump([STEP / 4] * 900)
        for number, (begin, delay, cancelled) in enumerate(plans):
            if cancelled is None or cancelled > delay + 2 * STEP:
                self.assertGreaterEqual(rung[number], begin + delay - 1e-6)
                self.assertLessEqual(rung[number], begin + delay + 2 * STEP)
            elif cancelled < delay - STEP:
                self.assertNotIn(number, rung)
        self.assertEqual(self.clock.getDelayedCalls(), [])
