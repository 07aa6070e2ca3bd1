"""Whatever relays do, their databases have what the plain tables have that stand for them where the core is tested."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.stage import RelayStage
from tests.script import POLICIES, play
from tests.store.twin import maker


class ScriptTests(SynchronousTestCase):
    """The scripted run of a relay."""

    def test_both_have_the_same_after_every_commit(self) -> None:
        """Whether commits are prompt or inputs come meanwhile."""
        make = maker(self)
        for policy in POLICIES:
            for delay in (0, 2):
                store = make()
                play(RelayStage(policy, store, delay))
                self.assertGreater(len(store.tasks), 10)
