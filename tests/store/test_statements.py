"""How many statements a commit takes: each of them hands the interpreter's lock back, and the writing thread waits."""

from __future__ import annotations

from makima_relay.core.effects import ForgetReports, KeepReport, Saved
from tests.store.case import StoreTestCase, finished, make_task, save, save_daemon, steps

#: What only a relay of a cluster has to write to or to read.
OF_CLUSTER = ("foreign_tasks", "peers", "entries")


class StatementTests(StoreTestCase):
    """A relay that has no cluster pays nothing for those that have."""

    def statements(self, *batch: Saved) -> list[str]:
        """What SQLite is asked to do for a batch."""
        asked: list[str] = []
        self.connection.set_trace_callback(asked.append)
        self.write(*batch)
        self.connection.set_trace_callback(None)
        return asked

    def test_a_tasks_whole_life_takes_as_many_as_ever(self) -> None:
        """From its arrival to the end of its report, each step in a commit of its own; none is for the cluster."""
        task = make_task(1)
        ran = task.dispatched("d1", 1100.0).running("d1", 1200.0)
        arrives, sent, starts, ends = steps(task, task.dispatched("d1", 1100.0), ran, finished(task))
        lives = [
            ([save_daemon(1, "one")], 3),
            ([save(make_task(2), message=b"m"), arrives], 8),
            ([sent], 6),
            ([starts], 6),
            ([ends, KeepReport(1, b"r")], 8),
            ([ForgetReports(1)], 3),
        ]
        for batch, number in lives:
            asked = self.statements(*batch)
            self.assertEqual(len(asked), number, asked)
            self.assertEqual([each for each in asked if any(table in each for table in OF_CLUSTER)], [])
