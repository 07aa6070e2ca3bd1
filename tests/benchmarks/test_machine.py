"""Where the benchmarks have what they measure run."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import machine
from benchmarks.machine import cores, cores_of


class CoresTests(SynchronousTestCase):
    """The relay has a core that the load keeps off."""

    def test_the_load_leaves_the_relays_core_and_the_relay_keeps_it(self) -> None:
        """Also for those who ask after the load has left it; a single core is for both."""
        before = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, before)
        relays, loads = cores()
        os.sched_setaffinity(0, loads)
        self.assertEqual(cores(), (relays, loads))
        self.assertEqual(relays.isdisjoint(loads), len(before) > 1)

    def test_several_relays_have_a_core_each_and_their_loads_others(self) -> None:
        """As far as there are; a load never has its own relay's core unless that is the only one."""
        for there, places in (
            ((0, 1, 2, 3), [({0}, {2}), ({1}, {3})]),
            ((0, 1, 2), [({0}, {2}), ({1}, {2})]),
            ((0, 1), [({0}, {1}), ({1}, {0})]),
            ((5,), [({5}, {5}), ({5}, {5})]),
        ):
            self.patch(machine, "_CORES", there)
            self.assertEqual([cores_of(number, 2) for number in (0, 1)], places)
