"""In how long a time daemons are asked back when the relay stops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.farewell import farewell, moment_to_return


class FarewellTests(SynchronousTestCase):
    """What the relay says."""

    def test_the_time_grows_with_the_fleet(self) -> None:
        """A second for each 500, which is what the next relay takes in beside its other work."""
        for daemons, seconds in ((0, 1), (1, 1), (500, 1), (501, 2), (10_000, 20), (100_000, 30)):
            self.assertEqual(farewell(daemons, 2_000, 60.0), f"the relay stops, come back within {seconds} s")
            self.assertEqual(farewell(daemons, 0, 60.0), f"the relay stops, come back within {seconds} s")

    def test_a_relay_that_accepts_fewer_asks_for_more_time(self) -> None:
        """Or they would wait to be accepted."""
        self.assertIn("within 10 s", farewell(500, 50, 60.0))

    def test_everybody_is_asked_back_well_before_the_grace_is_over(self) -> None:
        """Half of it is left to those who come late."""
        self.assertIn("within 5 s", farewell(10_000, 2_000, 10.0))
        self.assertIn("within 1 s", farewell(10_000, 2_000, 0.5))


class ReturnTests(SynchronousTestCase):
    """What a daemon makes of it."""

    def test_each_comes_at_a_moment_of_its_own(self) -> None:
        """Anywhere in the time that is named, whatever stands around it."""
        reason = f"closed with 1001 ({farewell(10_000, 2_000, 60.0)})"
        self.assertEqual([moment_to_return(reason, lambda at=at: at) for at in (0.0, 0.25, 1.0)], [0.0, 5.0, 20.0])
        self.assertGreater(len({moment_to_return(reason) for _ in range(5)}), 1)

    def test_no_other_reason_is_taken_for_it(self) -> None:
        """Then it is for the daemon to say when it comes."""
        for reason in (
            "",
            "no pong in time",
            "come back within s",
            "come back within -1 s",
            "come back within 9999999 s",
        ):
            self.assertIsNone(moment_to_return(reason), reason)

    @given(st.text())
    def test_any_reason_is_read(self, reason: str) -> None:
        """It is a peer who says it."""
        moment_to_return(reason)
