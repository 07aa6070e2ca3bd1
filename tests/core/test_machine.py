"""Whatever happens in whatever order, no rule of the relay is broken: random walks through its life.

Each walk is a sequence of things that a server, daemons, operators, time and power cuts do to one relay. What must
hold is in :mod:`tests.core.world`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.operators import TaskFinishedError, UnknownTaskError
from makima_relay.core.policy import LossPolicy, Policy
from tests.core.builders import examples, hello, wire
from tests.core.mortal_world import MortalWorld
from tests.core.world import MACHINES, ModelDaemon
from tests.untraced import untraced

machines = st.sampled_from(MACHINES)
task_ids = st.sampled_from(["t1", "t2", "t3"])
capacities = st.sampled_from([1, 0, 2])
#: Which of several, counted around.
choices = st.integers(0, 5)
reports = st.sampled_from(
    [
        ("taskOutput", {}),
        ("taskComplete", {"success": True}),
        ("taskComplete", {"success": False, "error": "boom"}),
        ("taskStatusChange", {"newStatus": "running"}),
        ("taskStatusChange", {"newStatus": "cancelled"}),
    ]
)
#: A walk that is cut short every few steps gets nowhere: so many steps lie between two power cuts, or two rests.
STEPS_BETWEEN = 8


class RelayMachine(RuleBasedStateMachine):
    """Everything that can happen to a relay."""

    policy = Policy()

    def __init__(self) -> None:
        super().__init__()
        self.world = MortalWorld(self.policy)
        self.steps = 0

    @initialize(capacity=capacities, slow=st.booleans())
    def two_daemons_are_at_work(self, capacity: int, slow: bool) -> None:
        self.server_connects()
        self.daemon_connects("m1", 1)
        self.daemon_connects("m2", capacity)
        for task_id in ("t1", "t2"):
            self.server_sends(task_id, "spawnTask")
        self.world.slow = slow

    @invariant()
    def all_is_well(self) -> None:
        self.steps += 1
        self.world.look_around()
        self.world.look_at_store()

    def live(self) -> list[ModelDaemon]:
        """The daemons that can speak and be heard."""
        return [each for each in self.world.daemons.values() if each.connection in self.world.links]

    def some_live(self, choice: int) -> tuple[ModelDaemon, int]:
        """One of them and its connection."""
        live = self.live()
        daemon = live[choice % len(live)]
        assert daemon.connection is not None
        return daemon, daemon.connection

    # ------------------------------------------------------------------------------------------------ the server

    @precondition(lambda self: self.world.upstream is not None)
    @rule(task_id=task_ids, kind=st.sampled_from(["spawnTask", "spawnTask", "sendInput", "interruptTask"]))
    def server_sends(self, task_id: str, kind: str) -> None:
        world = self.world
        payload = wire(kind, taskId=task_id, n=world.number())
        if kind == "spawnTask":
            world.spawned[payload] = task_id
        world.told(world.relay.command_received(read_command(payload), world.now))

    @rule()
    def server_leaves_or_connects(self) -> None:
        if self.world.upstream is None:
            self.server_connects()
        else:
            self.world.lose_server()
            self.world.told(self.world.relay.upstream_lost(self.world.now, "gone"))

    def server_connects(self) -> None:
        """Have the server accept the relay."""
        self.world.upstream = self.world.number()
        self.world.told(self.world.relay.upstream_ready(self.world.upstream, self.world.now))

    @precondition(lambda self: self.world.in_flight or self.world.read_up_to)
    @rule(number=st.integers(0, 3), less=st.integers(0, 2))
    def server_reads_and_proves_what_it_read(self, number: int, less: int) -> None:
        self.world.deliver(number)
        self.world.told(self.world.relay.acknowledged(max(0, self.world.read_up_to - less)))

    # ------------------------------------------------------------------------------------------------ the daemons

    @rule(machine=machines, capacity=capacities, change=st.sampled_from(["returns", "connects", "leaves"]))
    def daemon_comes_or_goes(self, machine: str, capacity: int, change: str) -> None:
        """One that connects may have a connection already."""
        daemon = next(each for each in self.world.daemons.values() if each.machine == machine)
        if change != "connects" and daemon.connection is not None:
            self.world.end(daemon.connection)
        if change != "leaves":
            self.daemon_connects(machine, capacity)

    def daemon_connects(self, machine: str, capacity: int) -> None:
        """Have a daemon authenticate."""
        world = self.world
        connection = world.number()
        world.machines[connection] = machine
        world.links.add(connection)
        daemon = world.daemon_on(connection)
        daemon.connection, daemon.capacity, daemon.last_seen = connection, capacity, world.now
        daemon.joined_at = world.now
        world.told(world.relay.daemon_joined(connection, hello(machine, capacity), "a", world.now))

    @precondition(lambda self: self.live())
    @rule(choice=choices, listed=st.just("its own") | st.none() | st.sets(task_ids))
    def daemon_lists_tasks(self, choice: int, listed: Any) -> None:
        daemon, connection = self.some_live(choice)
        listed = daemon.tasks if listed == "its own" else listed
        self.report(connection, wire("heartbeat", activeTasks=None if listed is None else sorted(listed)))

    @precondition(lambda self: self.world.links)
    @rule(choice=choices, said=st.lists(st.tuples(st.just("its own") | task_ids, reports), min_size=1, max_size=4))
    def daemon_reports(self, choice: int, said: list[tuple[str, tuple[str, dict[str, Any]]]]) -> None:
        """On any connection that is read, also on one that is about to be closed; several reports in one read."""
        world = self.world
        connection = sorted(world.links)[choice % len(world.links)]
        daemon = world.daemon_on(connection)
        self.report(connection, *(self.report_of(daemon, task_id, kind) for task_id, kind in said))

    def report_of(self, daemon: ModelDaemon, task_id: str, kind: tuple[str, dict[str, Any]]) -> bytes:
        """What a daemon says of a task of its own or of any, noted as owed to the server."""
        world = self.world
        if task_id == "its own":
            task_id = min(daemon.tasks, default="t1")
        if kind[0] == "taskComplete":
            daemon.tasks.discard(task_id)
        payload = wire(kind[0], taskId=task_id, **kind[1], by=daemon.machine, n=world.number())
        world.owed[payload] = daemon.machine, task_id
        world.acted_on[payload] = world.now
        return payload

    def report(self, connection: int, *payloads: bytes) -> None:
        """Have a daemon send messages, which are read together."""
        daemon = self.world.daemon_on(connection)
        if daemon.connection == connection:
            daemon.last_seen = self.world.now
        self.world.told(self.world.relay.reports_received(connection, list(map(read_report, payloads)), self.world.now))

    @precondition(lambda self: self.live())
    @rule(choice=choices, times=st.sampled_from([0, 1, 9]))
    def daemon_answers_a_ping_or_sends_nonsense(self, choice: int, times: int) -> None:
        daemon, connection = self.some_live(choice)
        daemon.last_seen = self.world.now
        if not times:
            self.world.told(self.world.relay.daemon_seen(connection, self.world.now))
        for _ in range(times):
            if connection in self.world.links:
                self.world.told(self.world.relay.invalid_report_received(connection, "nonsense", self.world.now))

    # ---------------------------------------------------------------------------------------------- the operators

    @rule(task_id=task_ids)
    def operator_cancels(self, task_id: str) -> None:
        world = self.world
        known = world.mind.get(task_id)
        try:
            world.told(world.relay.cancel_requested(task_id, world.now))
        except (UnknownTaskError, TaskFinishedError):
            assert known is None or known.finished
        else:
            assert known is not None
            assert not known.finished

    @precondition(lambda self: self.live())
    @rule(choice=choices, draining=st.booleans())
    def operator_drains_or_resumes(self, choice: int, draining: bool) -> None:
        daemon = self.some_live(choice)[0]
        daemon.draining = draining
        self.world.told(self.world.relay.drain_requested(daemon.daemon_id, draining=draining, now=self.world.now))

    # ------------------------------------------------------------------------------------------ time and accidents

    @rule(seconds=st.sampled_from([1, 30, 61, 91]))
    def time_passes(self, seconds: int) -> None:
        """No commit takes longer than a few seconds."""
        while seconds > 1 and self.world.go_on():
            pass
        self.world.pass_time(seconds)

    @rule(slow=st.booleans())
    def all_becomes_slow_or_fast(self, slow: bool) -> None:
        self.world.slow = slow
        self.world.told([])

    @precondition(lambda self: self.world.slow)
    @rule(times=st.integers(1, 3))
    def something_slow_is_done(self, times: int) -> None:
        self.world.queue.commit()
        for _ in range(times):
            self.world.go_on()

    @precondition(lambda self: self.steps > STEPS_BETWEEN)
    @rule(lands=st.booleans(), performed=st.integers(0, 4), after=st.sampled_from([0.0, 0.09]))
    def power_fails(self, lands: bool, performed: int, after: float) -> None:
        """At once, or when what was not proved has just been handed to the store."""
        self.steps = 0
        self.world.pass_time(after)
        self.world.crash(lands=lands, performed=performed)

    @precondition(lambda self: self.steps > STEPS_BETWEEN)
    @rule()
    def relay_stops(self) -> None:
        self.steps = 0
        self.world.stop()

    @precondition(lambda self: self.steps > STEPS_BETWEEN)
    @rule()
    def all_comes_to_rest(self) -> None:
        self.steps = 0
        world = self.world
        if world.upstream is None:
            self.server_connects()
        world.rest()
        world.look_at_arrivals()

    def teardown(self) -> None:
        self.all_comes_to_rest()
        self.all_is_well()


class RequeueMachine(RelayMachine):
    """The same with ``--on-daemon-loss requeue``."""

    policy = Policy(on_loss=LossPolicy.REQUEUE)


class RelayMachineTests(SynchronousTestCase):
    """Random walks; see :func:`tests.core.builders.examples`."""

    @untraced
    def test_no_walk_breaks_a_rule_when_lost_tasks_fail(self) -> None:
        """``--on-daemon-loss fail``."""
        run_state_machine_as_test(RelayMachine, settings=examples(120, stateful_step_count=100))

    @untraced
    def test_no_walk_breaks_a_rule_when_lost_tasks_are_requeued(self) -> None:
        """``--on-daemon-loss requeue``."""
        run_state_machine_as_test(RequeueMachine, settings=examples(120, stateful_step_count=100))
