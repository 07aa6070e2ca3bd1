"""Time that jumps, and timers that do not."""

from __future__ import annotations

from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.task import Clock as ManualClock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.clock import keep_steady, rfc3339


class TimersOnly(ReactorBase):
    """A reactor of Twisted's whose wall clock is set by hand, and which waits for nothing else.

    :ivar wall: what its own clock tells.
    """

    def __init__(self) -> None:
        self.wall = 1_734_258_600.0
        super().__init__()

    def seconds(self) -> float:
        """The wall clock."""
        return self.wall

    def installWaker(self) -> None:
        """Nobody has to be woken."""

    def wakeUp(self) -> None:
        """Nobody sleeps."""


class SteadyTests(SynchronousTestCase):
    """A reactor that was told to keep steady."""

    def setUp(self) -> None:
        """Have one, with a call that was made before."""
        self.reactor: Any = TimersOnly()
        self.monotonic = ManualClock()
        self.monotonic.advance(1000)
        self.called: list[str] = []
        self.reactor.callLater(10, self.called.append, "before")
        keep_steady(self.reactor, self.monotonic.seconds)

    def elapse(self, seconds: float) -> None:
        """Let real time pass."""
        self.monotonic.advance(seconds)
        self.reactor.runUntilCurrent()

    def test_a_call_comes_when_its_time_has_passed(self) -> None:
        """Not before, and also one that was made before."""
        self.reactor.callLater(20, self.called.append, "after")
        self.elapse(9.9)
        self.assertEqual(self.called, [])
        self.elapse(0.2)
        self.assertEqual(self.called, ["before"])
        self.elapse(9.7)
        self.assertEqual(self.called, ["before"])
        self.elapse(0.3)
        self.assertEqual(self.called, ["before", "after"])

    def test_setting_the_wall_clock_changes_nothing(self) -> None:
        """Neither ahead nor back."""
        for jump in (3600.0, -86_400.0):
            self.reactor.wall += jump
            self.elapse(0)
            self.assertEqual(self.called, [])
        self.assertLessEqual(self.reactor.timeout(), 10)
        self.elapse(10)
        self.assertEqual(self.called, ["before"])


class MomentTests(SynchronousTestCase):
    """Moments as peers and people read them."""

    def test_milliseconds_are_cut_not_rounded(self) -> None:
        """Or the last of a second would be in the next."""
        self.assertEqual(rfc3339(1_734_258_600.9996), "2024-12-15T10:30:00.999Z")
        self.assertIsNone(rfc3339(None))
