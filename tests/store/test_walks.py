"""Whatever happens among three relays, their databases have what the plain tables have."""

from __future__ import annotations

from hypothesis.stateful import invariant, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from tests.core.builders import examples
from tests.core.cluster_world import ClusterWorld
from tests.core.test_cluster_machine import ClusterMachine
from tests.store.twin import maker
from tests.untraced import untraced


class WalkTests(SynchronousTestCase):
    """The walks of :mod:`tests.core.test_cluster_machine`, with a look at the stores alone."""

    @untraced
    def test_both_have_the_same_after_every_commit(self) -> None:
        """Also where relays are killed, and go on with what they left."""
        make = maker(self)

        class World(ClusterWorld):
            make_store = staticmethod(make)

        class Walk(ClusterMachine):
            world_class = World

            @invariant()
            def all_is_well(self) -> None:
                self.world.settle()

            def teardown(self) -> None:
                self.world.rest()

        run_state_machine_as_test(Walk, settings=examples(40, stateful_step_count=60))
