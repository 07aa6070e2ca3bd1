"""The schedule of the chaos experiment."""

from __future__ import annotations

import itertools

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox.chaos.faults import DAEMONS, LINK, PLAIN, REDIS, RELAY, UPSTREAM, Kind, Planned
from makima_relay.sandbox.chaos.schedule import QUIET_END, Plan, schedule
from tests.untraced import untraced

cluster_plans = st.builds(
    Plan,
    seed=st.integers(0, 1_000_000),
    seconds=st.floats(5, 500),
    daemons=st.integers(1, 50),
    grace=st.floats(0.5, 10),
    kinds=st.lists(st.sampled_from(list(Kind)), unique=True).map(tuple),
    every=st.none() | st.floats(0.1, 20),
    relays=st.integers(2, 5),
    patience=st.floats(1, 30),
)
plans = st.builds(
    Plan,
    seed=st.integers(0, 1_000_000),
    seconds=st.floats(5, 500),
    daemons=st.integers(1, 50),
    grace=st.floats(0.5, 10),
    kinds=st.lists(st.sampled_from(PLAIN), unique=True).map(tuple),
    every=st.none() | st.floats(0.1, 20),
)


class ScheduleTests(SynchronousTestCase):
    """Any schedule, and some."""

    @untraced
    @given(plans)
    def test_faults_come_in_order_and_are_healed_before_a_quiet_end(self, plan: Plan) -> None:
        """Also the longest of them."""
        planned = schedule(plan)
        self.assertEqual([each.at for each in planned], sorted(each.at for each in planned))
        quiet = min(QUIET_END, plan.seconds / 4)
        for each in planned:
            self.assertGreaterEqual(each.at, 0)
            self.assertLessEqual(each.healed_at, plan.seconds - quiet + 1e-6)

    @untraced
    @given(plans)
    def test_the_same_seed_makes_the_same_schedule(self, plan: Plan) -> None:
        """And only faults that are wanted are in it."""
        planned = schedule(plan)
        self.assertEqual(planned, schedule(attrs.evolve(plan)))
        self.assertLessEqual({each.fault.kind for each in planned}, set(plan.kinds))

    @untraced
    @given(plans)
    def test_faults_of_a_group_do_not_overlap(self, plan: Plan) -> None:
        """But for those of daemons, of which there are many."""
        for group in (UPSTREAM, RELAY):
            planned = [each for each in schedule(plan) if each.fault.kind in group]
            for earlier, later in itertools.pairwise(planned):
                self.assertLess(earlier.healed_at, later.at)

    @untraced
    @given(plans)
    def test_a_relay_that_is_to_start_again_has_the_time_to(self, plan: Plan) -> None:
        """Else a loop of kills would show nothing."""
        planned = [each for each in schedule(plan) if each.fault.kind in RELAY]
        for earlier, later in itertools.pairwise(planned):
            if earlier.fault.kind is not Kind.DISK:
                self.assertGreater(later.at - earlier.healed_at, 1.0)

    @untraced
    @given(plans)
    def test_daemons_are_away_for_as_long_as_the_kind_says(self, plan: Plan) -> None:
        """Within the grace, or for longer; and only daemons that there are."""
        for each in schedule(plan):
            fault = each.fault
            self.assertEqual(bool(fault.daemons), fault.kind in DAEMONS)
            self.assertLessEqual(set(fault.daemons), set(range(plan.daemons)))
            if fault.kind is Kind.LOSS:
                self.assertGreater(fault.seconds, plan.grace)
            elif fault.kind is Kind.ABSENCE:
                self.assertLess(fault.seconds, plan.grace)
            elif fault.kind in (Kind.CUT, Kind.RESET):
                self.assertEqual(fault.seconds, 0)

    @untraced
    @given(cluster_plans)
    def test_several_relays_have_faults_of_their_own(self, plan: Plan) -> None:
        """Those of one relay, and those of Redis, do not overlap; all are healed before a quiet end."""
        planned = schedule(plan)
        for group in (UPSTREAM, RELAY):
            for relay in range(plan.relays):
                self.assert_apart([each for each in planned if each.fault.kind in group and each.fault.relay == relay])
        self.assert_apart([each for each in planned if each.fault.kind in REDIS])
        for each in planned:
            self.assertLess(each.fault.relay, plan.relays)
            self.assertLessEqual(each.healed_at, plan.end + 1e-6)

    def assert_apart(self, planned: list[Planned]) -> None:
        """One is over before the next begins."""
        for earlier, later in itertools.pairwise(planned):
            self.assertLess(earlier.healed_at, later.at)

    def test_a_long_run_has_every_kind_at_every_relay(self) -> None:
        """And some of them for as long as the others wait for a relay."""
        plan = Plan(seed=1, seconds=600, daemons=12, grace=3.0, kinds=tuple(Kind), relays=3, patience=23.0)
        faults = [each.fault for each in schedule(plan)]
        self.assertEqual({fault.kind for fault in faults}, set(Kind))
        for kind in (*UPSTREAM, *RELAY, *LINK, Kind.MOVE):
            self.assertEqual({fault.relay for fault in faults if fault.kind is kind}, {0, 1, 2}, kind)
        self.assertGreater(sum(fault.seconds >= 23.0 for fault in faults), 5)

    @untraced
    @given(st.integers(0, 1_000_000), st.floats(60, 300))
    def test_every_kind_comes_about_once_a_minute(self, seed: int, seconds: float) -> None:
        """As long as there is time for it."""
        plan = Plan(seed=seed, seconds=seconds, daemons=20, grace=3.0)
        for kind in PLAIN:
            times = [0.0, *(each.at for each in schedule(plan) if each.fault.kind is kind), plan.end]
            self.assertLess(max(later - earlier for earlier, later in itertools.pairwise(times)), 75.0, kind)

    @untraced
    @given(st.integers(0, 1_000_000))
    def test_a_short_run_has_every_kind_too(self, seed: int) -> None:
        """They just come faster."""
        planned = schedule(Plan(seed=seed, seconds=14, daemons=4, grace=3.0))
        self.assertEqual({each.fault.kind for each in planned}, set(PLAIN))

    def test_different_seeds_make_different_schedules(self) -> None:
        """That is what they are for."""
        made = [schedule(Plan(seed=seed, seconds=60, daemons=20, grace=3.0)) for seed in range(5)]
        self.assertEqual(len({tuple(each) for each in made}), 5)

    def test_leaving_out_a_group_leaves_the_order_of_the_others(self) -> None:
        """So that one can look for the fault that makes the difference."""
        both = schedule(Plan(seed=1, seconds=100, daemons=5, grace=3.0, every=2.0))
        alone = schedule(Plan(seed=1, seconds=100, daemons=5, grace=3.0, every=2.0, kinds=UPSTREAM))
        kinds = [each.fault.kind for each in both if each.fault.kind in UPSTREAM]
        self.assertEqual([each.fault.kind for each in alone][:4], kinds[:4])

    def test_a_fault_says_what_it_is(self) -> None:
        """In a few words, for the screen."""
        planned = schedule(Plan(seed=1, seconds=60, daemons=20, grace=3.0))
        words = {each.fault.kind: str(each.fault) for each in planned}
        self.assertEqual(words[Kind.CUT], "cut")
        self.assertRegex(words[Kind.LOSS], r"^loss of \d+ for \d\.\d s$")
        self.assertRegex(words[Kind.KILL], r"^kill for \d\.\d s$")
