"""Which ids the store may know."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core import effects
from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.ledger import MOST_FINISHED, Ledger
from makima_relay.core.past import Past
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, NOW, examples, of_kind, task, wire
from tests.core.cases import RelayTestCase


class PastTests(SynchronousTestCase):
    """The ids alone."""

    def test_before_it_is_whole_every_id_may_be_old(self) -> None:
        """Whatever was added so far."""
        past = Past()
        past.add(["old"])
        self.assertEqual((past.may_have("old"), past.may_have("new")), (True, True))

    @given(st.sets(st.text(min_size=1, max_size=20), max_size=20))
    @examples(50)
    def test_no_old_id_is_ever_taken_for_a_new_one(self, old: set[str]) -> None:
        """However it is spelled."""
        past = Past()
        past.is_whole = True
        past.add(old)
        self.assertTrue(all(map(past.may_have, old)))

    def test_hardly_a_new_id_is_taken_for_an_old_one(self) -> None:
        """Of 20,000 new ids beside 20,000 old ones some six are."""
        past = Past()
        past.is_whole = True
        past.add(f"old-{number}" for number in range(20_000))
        self.assertLess(sum(past.may_have(f"new-{number}") for number in range(20_000)), 60)


class NewTaskTests(RelayTestCase):
    """A relay that knows its past."""

    def setUp(self) -> None:
        """Connect a server and a daemon."""
        super().setUp()
        self.start()
        self.connect_server()
        self.join()

    def spawn_asks(self, task_id: str) -> bool:
        """Whether the store is asked for a task that the server spawns."""
        decided = self.relay.command_received(read_command(wire("spawnTask", taskId=task_id)), NOW)
        asked = of_kind(decided, effects.RecallTasks)
        if not asked:
            self.assertEqual(len(of_kind(decided, effects.SendToDaemon)), 1)
        return bool(asked)

    def test_a_new_task_is_dispatched_without_a_question(self) -> None:
        """Once all old ids were told, not before."""
        self.relay.past_learnt(["old"], is_all=False)
        self.assertTrue(self.spawn_asks("one"))
        self.relay.tasks_recalled(("one",), [], NOW)
        self.relay.past_learnt(["older"], is_all=True)
        self.assertFalse(self.spawn_asks("two"))
        self.assertTrue(self.spawn_asks("older"))
        self.relay.tasks_recalled(("older",), [], NOW)
        self.assertTrue(self.spawn_asks("old"))

    def test_a_task_that_the_store_does_not_know_is_adopted_without_a_question(self) -> None:
        """A report on it goes on at once."""
        self.relay.past_learnt([], is_all=True)
        payload = wire("taskOutput", taskId="new")
        decided = self.relay.reports_received(1, [read_report(payload)], NOW)
        self.assertEqual([type(each) for each in decided], [effects.SaveTask, effects.SendUpstream])


class LedgerTests(SynchronousTestCase):
    """Tasks that leave the mind."""

    def test_a_finished_task_that_leaves_the_mind_is_of_the_past(self) -> None:
        """The store is asked for it when it is named again, and not for those that are in mind still."""
        ledger = Ledger()
        ledger.past.is_whole = True
        for key in range(MOST_FINISHED + 1):
            ledger.put(task(f"t{key}", key, status=TaskStatus.COMPLETED, finished_at=AT))
        self.assertEqual([ledger.is_certain(each) for each in ("t0", "t1", "t2", "new")], [False, True, True, True])
