"""Where the benchmarks have what they measure run."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.machine import cores


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
