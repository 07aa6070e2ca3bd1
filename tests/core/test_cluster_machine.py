"""Whatever happens among three relays in whatever order, no rule of ``cluster.md`` is broken: random walks.

What must hold is in :mod:`tests.core.cluster_world`. ``MAKIMA_CLUSTER_WALKS`` sets how many walks there are.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

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

from makima_relay.core.operators import TaskFinishedError, UnknownTaskError
from makima_relay.core.policy import LossPolicy
from tests.core.builders import examples, wire
from tests.core.cluster_member import Member
from tests.core.cluster_world import MACHINES, RELAYS, ClusterWorld, HonestDaemon
from tests.untraced import untraced

relays = st.sampled_from(RELAYS)
machines = st.sampled_from(MACHINES)
task_ids = st.sampled_from(["t1", "t2", "t3", "t4"])
WALKS = int(os.environ.get("MAKIMA_CLUSTER_WALKS", "30"))


class ClusterMachine(RuleBasedStateMachine):
    """Everything that can happen to relays in a cluster."""

    settings: ClassVar[dict[str, Any]] = {}
    has_accidents = True
    world_class: type[ClusterWorld] = ClusterWorld

    def __init__(self) -> None:
        super().__init__()
        self.world = self.world_class(**self.settings)

    @initialize(slow=st.booleans(), at_home=st.integers(0, 1))
    def tasks_are_at_work_elsewhere(self, slow: bool, at_home: int) -> None:
        """The first relay has hardly a slot, so that its tasks go to the others."""
        for machine, relay_id, capacity in (("m1", "r2", 2), ("m2", "r3", 2), ("m3", "r1", at_home)):
            self.join(machine, relay_id, capacity)
        self.world.settle()
        for task_id in ("t1", "t2", "t3"):
            self.server_hands_out_a_task("r1", task_id)
            self.world.settle()
        self.world.slow = slow

    @invariant()
    def all_is_well(self) -> None:
        self.world.settle()
        self.world.look_around()

    def member(self, relay_id: str) -> Member:
        """A relay that runs."""
        up = self.world.up()
        return next((each for each in up if each.relay_id == relay_id), up[0])

    # --------------------------------------------------------------------------------------- servers and operators

    @rule(relay_id=relays, task_id=task_ids)
    def server_hands_out_a_task(self, relay_id: str, task_id: str) -> None:
        self.member(relay_id).command(wire("spawnTask", taskId=task_id, n=self.world.number()))

    @rule(relay_id=relays, task_id=task_ids, kind=st.sampled_from(["sendInput", "interruptTask"]))
    def server_commands(self, relay_id: str, task_id: str, kind: str) -> None:
        self.member(relay_id).command(wire(kind, taskId=task_id, n=self.world.number()))

    @rule(relay_id=relays, task_id=task_ids)
    def operator_cancels(self, relay_id: str, task_id: str) -> None:
        member = self.member(relay_id)
        try:
            member.told(member.relay.cancel_requested(task_id, self.world.now))
        except (UnknownTaskError, TaskFinishedError):
            assert task_id not in member.own()
        else:
            assert task_id in {task.task_id for task in member.queue.would_be().tasks.values()}

    # ------------------------------------------------------------------------------------------------ the daemons

    def join(self, machine: str, relay_id: str, capacity: int) -> None:
        self.world.join(self.world.daemons[machine], self.member(relay_id), capacity)

    @rule(machine=machines, relay_id=relays, capacity=st.sampled_from([1, 2, 0]))
    def daemon_goes_to_a_relay(self, machine: str, relay_id: str, capacity: int) -> None:
        # One that goes there and back sooner than its reports are passed on may be thought to have lost its task.
        if not self.has_accidents:
            self.world.rest()
        elif self.world.slow and self.world.daemons[machine].tasks:
            self.world.incidents += 1
        self.join(machine, relay_id, capacity)

    @rule(machine=machines)
    def daemon_leaves(self, machine: str) -> None:
        self.world.leave(self.world.daemons[machine])

    def at_work(self) -> list[tuple[HonestDaemon, str]]:
        """Who is at which task, and can say so."""
        return [(each, task_id) for each in self.world.daemons.values() if each.member for task_id in each.tasks]

    @precondition(lambda self: self.at_work())
    @rule(
        choice=st.integers(0, 5), kind=st.sampled_from(["taskOutput", "taskOutput", "taskStatusChange", "taskComplete"])
    )
    def daemon_reports(self, choice: int, kind: str) -> None:
        at_work = self.at_work()
        daemon, task_id = at_work[choice % len(at_work)]
        members = {"taskComplete": {"success": True}, "taskStatusChange": {"newStatus": "running"}}.get(kind, {})
        self.world.report(daemon, task_id, kind, **members)

    @rule()
    def daemons_obey(self) -> None:
        self.world.obey()

    # ------------------------------------------------------------------------------------------ time and accidents

    @rule(slow=st.booleans())
    def all_becomes_slow_or_fast(self, slow: bool) -> None:
        self.world.slow = slow

    @precondition(lambda self: self.world.slow)
    @rule(relay_id=relays, times=st.integers(1, 6), commits=st.booleans())
    def something_slow_is_done(self, relay_id: str, times: int, commits: bool) -> None:
        member = self.member(relay_id)
        for _ in range(times):
            if commits:
                member.queue.commit()
                member.go_on()
            self.world.bus.go_on(member.relay_id)

    @rule(seconds=st.sampled_from([5, 5, 20, 65, 330]))
    def time_passes(self, seconds: int) -> None:
        seconds = seconds if self.has_accidents else min(20, seconds)
        gone = any(daemon.tasks and daemon.member is None for daemon in self.world.daemons.values())
        self.world.incidents += seconds > 20 or gone
        self.world.pass_time(seconds)

    @rule(relay_id=relays, kind=st.sampled_from(["entries come twice", "session", "session", "emptied"]))
    def something_is_with_redis(self, relay_id: str, kind: str) -> None:
        world, member = self.world, self.member(relay_id)
        if kind == "entries come twice":
            world.bus.deliver_again(relay_id)
        if kind == "entries come twice" or not self.has_accidents:
            return
        world.incidents += 1
        if kind == "emptied":
            world.empty_redis()
        elif member.relay_id in world.bus.sessions:
            world.lose_redis(member)
        else:
            world.bus.open(member)

    @precondition(lambda self: self.has_accidents and len(self.world.up()) > 1)
    @rule(relay_id=relays, lands=st.booleans(), performed=st.integers(0, 6), says_so=st.booleans())
    def power_fails(self, relay_id: str, lands: bool, performed: int, says_so: bool) -> None:
        member = self.member(relay_id)
        self.world.incidents += 1
        self.world.crash(member, lands=lands, performed=performed)
        if says_so:
            self.world.bus.leave(member.relay_id)

    @precondition(lambda self: len(self.world.up()) < len(RELAYS))
    @rule(seconds=st.sampled_from([0, 20, 20, 330]))
    def relays_return(self, seconds: int) -> None:
        self.world.pass_time(seconds)
        for member in self.world.members.values():
            if not member.is_up:
                member.start()

    # ---------------------------------------------------------------------------------------------------- the end

    def teardown(self) -> None:
        """All are present and quiet in the end, and every daemon does its work."""
        world = self.world
        self.relays_return(0)
        for member in world.up():
            if member.relay_id not in world.bus.sessions:
                world.bus.open(member)
        world.rest()
        for machine, relay_id in zip(MACHINES, RELAYS, strict=True):
            self.join(machine, relay_id, 3)
        for _ in range(8):
            world.rest()
            world.obey()
            for daemon, task_id in self.at_work():
                if task_id in daemon.tasks:
                    world.report(daemon, task_id, "taskComplete", success=True)
            world.pass_time(90)
        world.look_around()
        world.look_at_end()


class RequeueMachine(ClusterMachine):
    """The same with ``--on-daemon-loss requeue``."""

    settings: ClassVar[dict[str, Any]] = {"on_loss": LossPolicy.REQUEUE}


class CalmMachine(ClusterMachine):
    """The same without accidents: every task runs on one daemon, and ends once."""

    has_accidents = False


class ClusterMachineTests(SynchronousTestCase):
    """Random walks; see :func:`tests.core.builders.examples`."""

    @untraced
    def test_no_walk_breaks_a_rule_when_lost_tasks_fail(self) -> None:
        """``--on-daemon-loss fail``."""
        run_state_machine_as_test(ClusterMachine, settings=examples(WALKS, stateful_step_count=60))

    @untraced
    def test_no_walk_breaks_a_rule_when_lost_tasks_are_requeued(self) -> None:
        """``--on-daemon-loss requeue``."""
        run_state_machine_as_test(RequeueMachine, settings=examples(WALKS, stateful_step_count=60))

    @untraced
    def test_without_accidents_every_task_runs_once_and_ends_once(self) -> None:
        """Whatever is slow, and wherever daemons go."""
        run_state_machine_as_test(CalmMachine, settings=examples(WALKS, stateful_step_count=60))
