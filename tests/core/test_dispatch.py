"""Which daemon gets which task, and when (``protocol.md``, *Dispatch*)."""

from __future__ import annotations

from makima_relay.core.effects import (
    Effect,
    RecallTasks,
    SaveDaemon,
    SaveTask,
    SendToDaemon,
)
from makima_relay.core.from_server import read_command
from makima_relay.core.operators import UnknownDaemonError
from makima_relay.core.policy import Policy
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, D2, NOW, hello, logged, shown, wire
from tests.core.cases import RelayTestCase


class DispatchTests(RelayTestCase):
    """Who gets what (``protocol.md``, *Dispatch*)."""

    def dispatches(self, decided: list[Effect]) -> list[tuple[str, str | None]]:
        """Which tasks were dispatched to whom, in order."""
        return [
            (each.task.task_id, each.task.daemon_id)
            for each in decided
            if isinstance(each, SaveTask) and each.task.status is TaskStatus.DISPATCHED
        ]

    def fill(self, *task_ids: str, now: float = NOW) -> list[tuple[str, str | None]]:
        """Have the server ask for tasks; which were dispatched to whom."""
        return [
            pair for each in task_ids for pair in self.dispatches(self.command(wire("spawnTask", taskId=each), now))
        ]

    def test_the_daemon_with_the_fewest_tasks_gets_the_next(self) -> None:
        """Of equals the one that has waited longest."""
        self.join("m1")
        self.join("m2")
        self.assertEqual(self.fill("a", "b", "c"), [("a", D1), ("b", D2), ("c", D1)])
        self.report(1, wire("taskComplete", taskId="a", success=True))
        self.assertEqual(self.fill("d", "e"), [("d", D2), ("e", D1)])

    def test_waiting_tasks_go_oldest_first_as_soon_as_a_daemon_connects(self) -> None:
        """As many as it has slots."""
        self.assertEqual(self.fill("a", "b", "c"), [])
        decided = self.relay.daemon_joined(1, hello(capacity=2), "a", NOW)
        self.assertEqual(self.dispatches(decided), [("a", D1), ("b", D1)])
        self.assertEqual(self.relay.pending_tasks, 1)

    def test_a_daemon_without_slots_gets_nothing(self) -> None:
        """A capacity of 0 is allowed."""
        self.join(capacity=0)
        self.assertEqual(self.fill("a"), [])

    def test_a_drained_daemon_gets_nothing_until_it_resumes(self) -> None:
        """Then it gets what waits, at once."""
        self.join()
        self.relay.drain_requested(D1, draining=True, now=NOW)
        self.assertEqual(self.fill("a"), [])
        decided = self.relay.drain_requested(D1, draining=False, now=NOW)
        self.assertEqual(self.dispatches(decided), [("a", D1)])

    def test_an_unhealthy_daemon_gets_nothing_until_it_is_heard_of(self) -> None:
        """A message or a pong will do; then it gets what waits, at once."""
        self.join(capacity=2)
        self.assertEqual(self.fill("a", now=NOW + 91), [])
        self.assertEqual(self.dispatches(self.relay.daemon_seen(1, NOW + 92)), [("a", D1)])
        self.assertEqual(self.fill("b", now=NOW + 183), [])
        self.assertEqual(self.dispatches(self.report(1, wire("news"), NOW + 184)), [("b", D1)])

    def test_a_silent_daemon_keeps_its_tasks(self) -> None:
        """Unhealthy is not lost."""
        self.join()
        self.fill("a")
        self.relay.time_passed(NOW + 1_000, AT + 1_000)
        self.assertEqual(self.known("a").status, TaskStatus.DISPATCHED)

    def test_another_health_timeout(self) -> None:
        """``--daemon-health-timeout``."""
        self.start(Policy(health_timeout=5))
        self.join()
        self.assertEqual(self.fill("a", now=NOW + 6), [])

    def test_the_slot_of_a_lost_task_is_free_as_soon_as_its_grace_is_over(self) -> None:
        """Though its daemon has returned, and is silent about it."""
        self.join(capacity=1)
        self.fill("a", "b")
        self.relay.daemon_lost(1, "gone", NOW)
        self.join(capacity=1)
        self.assertEqual(self.dispatches(self.relay.time_passed(NOW + 60, AT + 60)), [("b", D1)])

    def test_why_tasks_wait(self) -> None:
        """The words of ``http-api.md``."""
        self.assertEqual(self.relay.why_pending(NOW), "no daemon connected")
        self.join(capacity=1)
        self.fill("a", "b")
        self.assertEqual(self.relay.why_pending(NOW), "no free slot")
        self.relay.drain_requested(D1, draining=True, now=NOW)
        self.assertEqual(self.relay.why_pending(NOW), "all daemons draining or unhealthy")

    def test_times_are_by_the_clock_on_the_wall(self) -> None:
        """Which may be set while the relay runs."""
        self.join()
        self.relay.time_passed(NOW + 1, AT + 3_600)
        self.fill("a", now=NOW + 2)
        self.assertEqual(self.known("a").dispatched_at, AT + 3_601)


class DrainTests(RelayTestCase):
    """An operator's drain and resume."""

    def test_it_is_recorded_and_logged(self) -> None:
        """So that it holds after a restart."""
        self.join()
        for draining, event in ((True, "daemon_draining"), (False, "daemon_resumed")):
            decided = self.relay.drain_requested(D1, draining=draining, now=NOW)
            expected = [
                SaveDaemon(D1, "m1", "host-m1", draining=draining, seen_at=AT),
                logged(event, daemonId=D1, hostname="host-m1"),
            ]
            self.assertEqual(shown(decided), expected)

    def test_asked_twice_it_changes_nothing(self) -> None:
        """It is so already."""
        self.join()
        self.assertEqual(self.relay.drain_requested(D1, draining=False, now=NOW), [])
        self.relay.drain_requested(D1, draining=True, now=NOW)
        self.assertEqual(self.relay.drain_requested(D1, draining=True, now=NOW), [])

    def test_a_daemon_that_is_not_connected_is_an_error(self) -> None:
        """Never seen, or lost with its tasks."""
        self.assertRaises(UnknownDaemonError, self.relay.drain_requested, D1, draining=True, now=NOW)
        self.join()
        self.spawn()
        self.relay.daemon_lost(1, "gone", NOW)
        self.assertRaises(UnknownDaemonError, self.relay.drain_requested, D1, draining=True, now=NOW)

    def test_it_outlasts_the_connection(self) -> None:
        """A daemon that returns is draining still."""
        self.join()
        self.relay.drain_requested(D1, draining=True, now=NOW)
        self.relay.daemon_lost(1, "gone", NOW)
        self.join()
        self.assertTrue(self.relay.daemons()[0].draining)

    def test_its_tasks_go_on(self) -> None:
        """Only new ones stay away."""
        self.join()
        self.spawn()
        self.relay.drain_requested(D1, draining=True, now=NOW)
        command = wire("sendInput", taskId="t1")
        self.assertEqual(self.command(command), [SendToDaemon(1, command)])


class LookUpTests(RelayTestCase):
    """A task that is not in mind is looked up first."""

    def test_tasks_that_come_during_a_look_up_are_looked_up_together(self) -> None:
        """One question at a time costs little, however many tasks come."""
        self.start()
        spawns = [read_command(wire("spawnTask", taskId=task_id)) for task_id in ("a", "b", "c", "b")]
        decided = [self.relay.command_received(spawn, NOW) for spawn in spawns]
        self.assertEqual(decided, [[RecallTasks(("a",))], [], [], []])
        self.assertEqual(self.relay.tasks_recalled(("a",), [], NOW)[-1], RecallTasks(("b", "c")))
        self.relay.tasks_recalled(("b", "c"), [], NOW)
        self.assertEqual(self.relay.pending_tasks, 3)
