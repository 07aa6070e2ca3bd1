"""A relay takes up what an earlier run left."""

from __future__ import annotations

from makima_relay.core.effects import (
    ForgetCommands,
    ForgetReports,
    KeepReport,
    KeepReports,
    LoadReports,
    OrphanTasks,
    SendMore,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.flow import PAGE
from makima_relay.core.journal import Entry
from makima_relay.core.outbox import Backlog
from makima_relay.core.policy import LossPolicy, Policy
from makima_relay.core.snapshot import Snapshot, StoredDaemon, StoredTask
from makima_relay.core.tasks import Task, TaskStatus
from tests.core.builders import AT, D1, D2, NOW, SERVER, events, hello, logged, of_kind, shown, task, wire
from tests.core.cases import GRACE, RelayTestCase

HOST = StoredDaemon(daemon_id=D1, machine_id="m1", hostname="host-m1")
SPAWN = wire("spawnTask", taskId="t1")


def held(status: TaskStatus, task_id: str = "t1", key: int = 1) -> Task:
    """A task of the first daemon, dispatched by an earlier run."""
    return task(task_id, key, status=status, daemon_id=D1, attempts=1, tries=1, dispatched_at=AT - 50)


class RestartTests(RelayTestCase):
    """Tasks, commands, reports, daemons and the journal of an earlier run."""

    def test_what_was_at_work_is_orphaned_with_a_fresh_grace(self) -> None:
        """All in one, however many; orphans of the earlier run have a fresh grace too."""
        tasks = [
            held(status, f"t{key}", key)
            for key, status in enumerate((TaskStatus.DISPATCHED, TaskStatus.RUNNING, TaskStatus.ORPHANED), 1)
        ]
        snapshot = Snapshot(tasks=tuple(StoredTask(task=each) for each in tasks), daemons=(HOST,), next_key=4)
        self.assertEqual(shown(self.start(snapshot=snapshot)), [OrphanTasks(AT), logged("relay_started")])
        self.assertEqual({self.known(each.task_id).status for each in tasks}, {TaskStatus.ORPHANED})
        self.assertEqual(self.relay.active_tasks(), ["t1", "t2", "t3"])
        self.assertEqual(self.relay.next_deadline(), NOW + GRACE)
        decided = self.relay.time_passed(NOW + GRACE, AT + GRACE)
        self.assertEqual(events(decided), ["task_lost"] * 3)
        self.assertEqual({self.known(each.task_id).error for each in tasks}, {"daemon host-m1 lost"})

    def test_very_many_tasks_are_taken_up_in_pieces(self) -> None:
        """So that the reactor is never blocked for long; in the end all are there."""
        tasks = [
            held(TaskStatus.ORPHANED if key % 2 else TaskStatus.RUNNING, f"t{key}", key) for key in range(1, 12_001)
        ]
        snapshot = Snapshot(tasks=tuple(StoredTask(task=each) for each in tasks), daemons=(HOST,), next_key=12_001)
        self.assertEqual(of_kind(self.start(snapshot=snapshot), OrphanTasks), [OrphanTasks(AT)])
        there = [len(self.relay.active_tasks())]
        while self.relay.is_taking_up:
            self.assertEqual(self.relay.taken_up(NOW), [])
            there.append(len(self.relay.active_tasks()))
        self.assertEqual(there, [5_000, 10_000, 12_000])

    def test_its_daemon_may_return_for_it(self) -> None:
        """As after any loss; the task counts in its slots."""
        snapshot = Snapshot(tasks=(StoredTask(task=held(TaskStatus.RUNNING)),), daemons=(HOST,), next_key=2)
        self.start(snapshot=snapshot)
        self.spawn("t2")
        connection = self.join(capacity=1)
        self.report(connection, wire("heartbeat", activeTasks=["t1"]))
        self.assertEqual((self.known("t1").status, self.known("t2").status), ("running", "pending"))

    def test_waiting_tasks_wait_on_in_their_order_with_their_commands(self) -> None:
        """And go with the message that asked for them."""
        first, second = wire("sendInput", taskId="t1", n=1), wire("sendInput", taskId="t1", n=2)
        other = wire("spawnTask", taskId="t2")
        snapshot = Snapshot(
            tasks=(
                StoredTask(task=task("t2", 5), message=other),
                StoredTask(task=task("t1", 3), message=SPAWN, commands=(first, second)),
            ),
            next_key=6,
        )
        self.start(snapshot=snapshot)
        self.assertEqual(self.relay.pending_tasks, 2)
        decided = self.relay.daemon_joined(1, hello(), "a", NOW)
        sent = [SendToDaemon(1, payload) for payload in (SPAWN, first, second, other)]
        self.assertEqual(of_kind(decided, SendToDaemon)[1:], sent)
        self.assertEqual(of_kind(decided, ForgetCommands), [ForgetCommands(3)])

    def test_an_operators_interrupt_waits_on_for_an_orphan(self) -> None:
        """It is spelled as the daemon spells when it returns."""
        snapshot = Snapshot(tasks=(StoredTask(task=held(TaskStatus.ORPHANED), commands=(None,)),), daemons=(HOST,))
        self.start(snapshot=snapshot)
        decided = self.relay.daemon_joined(1, hello(), "a", NOW)
        self.assertEqual(decided[-2:], [ForgetCommands(1), SendToDaemon(1, wire("interruptTask", taskId="t1"))])

    def test_a_lost_task_can_be_requeued_after_a_restart(self) -> None:
        """Its message and its tries are those of the store."""
        snapshot = Snapshot(tasks=(StoredTask(task=held(TaskStatus.RUNNING), message=SPAWN),), daemons=(HOST,))
        self.start(Policy(on_loss=LossPolicy.REQUEUE), snapshot)
        self.join("m2")
        decided = self.relay.time_passed(NOW + GRACE, AT + GRACE)
        self.assertEqual(decided[-1], SendToDaemon(1, SPAWN))
        self.assertEqual((self.known().daemon_id, self.known().attempts, self.known().tries), (D2, 2, 2))

    def test_reports_that_the_server_may_not_have_go_first(self) -> None:
        """With the numbers that they had; new ones go behind them."""
        self.start(snapshot=Snapshot(backlog=Backlog(5, 9, 2, 8)))
        self.assertEqual(self.relay.reports_waiting, 2)
        decided = self.relay.upstream_ready(SERVER, NOW)
        self.assertEqual(decided[2:], [LoadReports(SERVER, 4, 9, PAGE)])
        self.join()
        payload = wire("news")
        self.assertEqual(self.report(1, payload), [])
        decided = self.relay.reports_loaded(SERVER, [(5, b"five")], 5)
        self.assertEqual(decided, [SendUpstream(SERVER, b"five", 5), SendMore(SERVER)])
        self.assertEqual(self.relay.more_wanted(SERVER), [LoadReports(SERVER, 5, 9, PAGE)])
        decided = self.relay.reports_loaded(SERVER, [(9, b"nine")], 9)
        self.assertEqual(decided, [SendUpstream(SERVER, b"nine", 9), SendMore(SERVER)])
        self.assertEqual(self.relay.more_wanted(SERVER), [SendUpstream(SERVER, payload, 10)])
        self.assertEqual(self.report(1, payload), [SendUpstream(SERVER, payload, 11)])
        self.assertEqual(self.relay.acknowledged(5), [ForgetReports(5)])

    def test_reports_that_waited_are_kept_and_go_first_after_a_restart(self) -> None:
        """Those that had not waited long enough are kept at a clean stop: before the daemons leave, and after it."""
        self.start()
        self.join()
        payloads = [wire("news", n=number) for number in range(4)]
        self.report(1, payloads[0])
        self.report(1, payloads[1], NOW + 0.05)
        self.assertEqual(self.relay.time_passed(NOW + 0.079, AT + 0.079), [])
        kept = KeepReports(((1, payloads[0]), (2, payloads[1])))
        self.assertEqual(self.relay.time_passed(NOW + 0.08, AT + 0.08), [kept])
        self.report(1, payloads[2], NOW + 0.09)
        self.assertEqual(self.relay.stopping(), [KeepReports(((3, payloads[2]),))])
        self.report(1, payloads[3], NOW + 0.09)
        self.assertEqual(self.relay.stopped(NOW + 0.1)[0], KeepReports(((4, payloads[3]),)))

    def test_numbers_of_tasks_go_on(self) -> None:
        """No key and no position is used again, and finishes are counted on."""
        self.start(snapshot=Snapshot(next_key=42, total_finished=7))
        self.spawn()
        self.assertEqual((self.known().key, self.relay.total_finished), (42, 7))
        self.command(wire("killTask", taskId="t1"))
        self.assertEqual(self.relay.total_finished, 8)

    def test_a_daemon_is_drained_still(self) -> None:
        """An operator's word holds over restarts."""
        draining = StoredDaemon(daemon_id=D1, machine_id="m1", hostname="host-m1", draining=True)
        self.start(snapshot=Snapshot(daemons=(draining,)))
        self.join()
        self.spawn()
        self.assertEqual(self.known().status, TaskStatus.PENDING)
        self.assertEqual(self.relay.why_pending(NOW), "all daemons draining or unhealthy")

    def test_the_journal_goes_on(self) -> None:
        """The older entries are shown behind the new ones."""
        left = Entry(41, AT - 9, "relay_stopped", "the relay stops", {})
        self.start(snapshot=Snapshot(entries=(left,)))
        self.assertEqual([(each.number, each.event) for each in self.relay.journal(9)][1:], [(41, "relay_stopped")])
        self.assertEqual(self.relay.journal(1)[0].number, 42)

    def test_a_task_that_finished_in_an_earlier_run_is_looked_up(self) -> None:
        """A command for it is for nobody, and a late report of its last holder is relayed."""
        self.start(snapshot=Snapshot(next_key=2))
        self.stored["t1"] = held(TaskStatus.RUNNING).ended(TaskStatus.COMPLETED, AT - 9, None)
        self.connect_server()
        self.join()
        self.assertEqual(events(self.command(wire("sendInput", taskId="t1"))), ["unroutable"])
        late = wire("taskComplete", taskId="t1", success=True)
        self.assertEqual(self.report(1, late), [SendUpstream(SERVER, late, 1)])
        self.assertEqual(of_kind(self.report(1, late), KeepReport), [])
