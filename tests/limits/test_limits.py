"""What a peer may take: each limit by itself."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.limits.addresses import origin_of
from makima_relay.limits.bucket import TokenBucket
from makima_relay.limits.crowd import Crowd
from makima_relay.limits.failures import FIRST_DELAY, LONGEST_DELAY, MOST_ORIGINS, Failures
from tests.core.builders import examples
from tests.untraced import untraced

ORIGINS = st.sampled_from([None, "a", "b", "c"])


class BucketTests(SynchronousTestCase):
    """So much a second, and so much at once."""

    def test_what_is_in_it_costs_no_wait(self) -> None:
        """A burst is let through."""
        bucket = TokenBucket(10.0, 5.0, 100.0)
        self.assertEqual([bucket.take(1, 100.0) for _ in range(5)], [0.0] * 5)

    def test_what_is_not_there_is_waited_for(self) -> None:
        """For as long as it takes to come."""
        bucket = TokenBucket(10.0, 5.0, 100.0)
        self.assertEqual(bucket.take(25, 100.0), 2.0)
        self.assertEqual(bucket.take(0, 101.0), 1.0)
        self.assertEqual(bucket.take(0, 102.0), 0.0)

    @given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 50)), min_size=1, max_size=30))
    @examples(200)
    def test_who_waits_as_told_never_gets_more_than_the_rate(self, takes: list[tuple[float, int]]) -> None:
        """Over any time, but for the burst and what was taken last."""
        bucket = TokenBucket(10.0, 20.0, 0.0)
        now, taken = 0.0, 0
        for pause, tokens in takes:
            now += pause
            self.assertLessEqual(taken, 20 + 10 * now + 1e-6)
            wait = bucket.take(tokens, now)
            taken += tokens
            self.assertGreaterEqual(wait, 0.0)
            now += wait

    @given(st.lists(st.integers(1, 9), max_size=30))
    @examples(50)
    def test_who_stays_below_the_rate_never_waits(self, takes: list[int]) -> None:
        """Not a moment."""
        bucket = TokenBucket(10.0, 10.0, 0.0)
        self.assertEqual(
            [bucket.take(tokens, float(second)) for second, tokens in enumerate(takes, 1)], [0.0] * len(takes)
        )


class CrowdTests(SynchronousTestCase):
    """Strangers are counted."""

    @untraced
    @given(st.lists(st.tuples(st.booleans(), ORIGINS), max_size=60))
    @examples(300)
    def test_there_are_never_more_than_allowed_and_room_is_never_wasted(
        self, happenings: list[tuple[bool, str | None]]
    ) -> None:
        """In total and of one origin; this machine is only counted in total."""
        crowd = Crowd(6, 2)
        inside: Counter[str | None] = Counter()
        for comes, origin in happenings:
            if comes:
                has_room = inside.total() < 6 and (origin is None or inside[origin] < 2)
                self.assertEqual(crowd.enter(origin), has_room)
                inside[origin] += has_room
            elif inside[origin]:
                crowd.leave(origin)
                inside[origin] -= 1
            self.assertEqual(len(crowd), inside.total())


class FailureTests(SynchronousTestCase):
    """Guesses at keys."""

    def setUp(self) -> None:
        self.failures = Failures(5, 60.0)

    def fail_times(self, times: int, origin: str | None = "a", now: float = 0.0) -> list[float]:
        """Fail so often in a row."""
        return [self.failures.failed(origin, now) for _ in range(times)]

    def test_each_further_failure_is_answered_later(self) -> None:
        """The first is answered at once: everybody mistypes."""
        delays = self.fail_times(10)
        self.assertEqual(delays[:4], [0.0, FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY])
        self.assertEqual(delays[-1], LONGEST_DELAY)

    def test_after_too_many_an_origin_is_refused_for_a_while(self) -> None:
        """And no other."""
        self.fail_times(4)
        self.assertEqual(self.failures.refused_for("a", 0.0), 0.0)
        self.fail_times(1, now=1.0)
        self.assertEqual([self.failures.refused_for("a", now) for now in (1.0, 31.0, 61.0)], [60.0, 30.0, 0.0])
        self.assertEqual(self.failures.refused_for("b", 1.0), 0.0)

    def test_who_goes_on_guessing_after_that_is_refused_at_once(self) -> None:
        """Until it has been quiet for long enough."""
        self.fail_times(5)
        self.fail_times(1, now=61.0)
        self.assertEqual(self.failures.refused_for("a", 61.0), 60.0)
        self.fail_times(1, now=61.0 + 120.0)
        self.assertEqual(self.failures.refused_for("a", 181.0), 0.0)

    def test_a_success_forgets_all(self) -> None:
        """As if nothing had been."""
        self.fail_times(5)
        self.failures.succeeded("a")
        self.assertEqual((self.failures.refused_for("a", 0.0), self.fail_times(1)), (0.0, [0.0]))

    def test_this_machine_is_never_refused(self) -> None:
        """A proxy on it speaks for everybody."""
        self.assertEqual(self.fail_times(20, None), [0.0] * 20)
        self.assertEqual(self.failures.refused_for(None, 0.0), 0.0)

    def test_it_can_be_switched_off(self) -> None:
        """With 0."""
        self.failures = Failures(0, 60.0)
        self.assertEqual(self.fail_times(20), [0.0] * 20)
        self.assertEqual(self.failures.refused_for("a", 0.0), 0.0)

    def test_not_endlessly_many_are_remembered(self) -> None:
        """Who failed longest ago is forgotten."""
        for number in range(MOST_ORIGINS + 5):
            self.fail_times(1, str(number))
        self.assertEqual(len(self.failures), MOST_ORIGINS)


class OriginTests(SynchronousTestCase):
    """Who is behind an address."""

    def test_neighbours_of_one_ipv6_network_are_one(self) -> None:
        """A stranger has 2**64 addresses there."""
        one, two = (origin_of(IPv6Address("TCP", host, 1)) for host in ("2001:db8:1:2::5", "2001:db8:1:2:ffff::"))
        self.assertEqual((one, two), ("2001:db8:1:2::/64",) * 2)
        self.assertNotEqual(origin_of(IPv6Address("TCP", "2001:db8:1:3::5", 1)), one)

    def test_an_ipv4_address_is_itself_however_it_is_written(self) -> None:
        """Also as IPv6 has it."""
        self.assertEqual(origin_of(IPv4Address("TCP", "10.0.0.1", 1)), "10.0.0.1")
        self.assertEqual(origin_of(IPv6Address("TCP", "::ffff:10.0.0.1", 1)), "10.0.0.1")
        self.assertEqual(origin_of(IPv6Address("TCP", "fe80::1%eth0", 1)), "fe80::/64")

    def test_this_machine_is_nobody(self) -> None:
        """By whichever way it comes."""
        for address in (
            IPv4Address("TCP", "127.0.0.1", 1),
            IPv4Address("TCP", "127.8.8.8", 1),
            IPv6Address("TCP", "::1", 1),
            IPv6Address("TCP", "::ffff:127.0.0.1", 1),
            UNIXAddress(None),
            None,
        ):
            self.assertIsNone(origin_of(address), address)
