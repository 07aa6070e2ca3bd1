"""Three relays of a cluster, each with a server of its own, and daemons that go from one to the other.

Daemons are honest here: they list what they have when they come, report on nothing else, and stop what they are told to
stop. What is checked is written from ``cluster.md``.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import attrs

from makima_relay.core.from_daemons import read_report
from makima_relay.core.policy import Policy
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, NOW, hello, wire
from tests.core.bus import Bus
from tests.core.cluster_member import Member
from tests.core.model import ModelStore

RELAYS = ("r1", "r2", "r3")
MACHINES = ("m1", "m2", "m3")
#: So many things are never done before all is quiet.
MOST_STEPS = 2_000
_ENDS = ("taskComplete",)


@attrs.define
class HonestDaemon:
    """A machine.

    :ivar tasks: what it is at.
    """

    machine: str
    member: Member | None = None
    connection: int = 0
    tasks: dict[str, None] = attrs.Factory(dict)


class ClusterWorld:
    """All of it.

    :ivar slow: whether everything takes its time; else it is done at once.
    :ivar incidents: what happened that ``cluster.md`` says may cost more than one run or one end.
    """

    #: Makes what a relay keeps its memory in.
    make_store: Callable[[], ModelStore] = ModelStore

    def __init__(self, **settings: Any) -> None:
        self.now = NOW
        self.slow = False
        self.incidents = 0
        self._count = 0
        self._last_of: dict[tuple[str, str, str], int] = {}
        self.ends: Counter[str] = Counter()
        self.interrupted: deque[tuple[HonestDaemon, str]] = deque()
        self.bus = Bus()
        self.daemons = {machine: HonestDaemon(machine) for machine in MACHINES}
        self.members = {
            each: Member(self, each, Policy(relay_id=each, agent_name=f"name-{each}", **settings)) for each in RELAYS
        }
        for member in self.members.values():
            self.bus.open(member)
        self.rest()

    @property
    def wall(self) -> float:
        """The time that it is, in seconds since the epoch."""
        return AT + self.now - NOW

    def number(self) -> int:
        """A number that nothing has yet."""
        self._count += 1
        return self._count

    def up(self) -> list[Member]:
        """The relays that run."""
        return [each for each in self.members.values() if each.is_up]

    # ------------------------------------------------------------------------------------------------------- time

    def step(self) -> bool:
        """Do one thing that takes time for each; false when there is none."""
        did = [each.go_on() | self.bus.go_on(each.relay_id) for each in self.up()]
        return any(did)

    def settle(self) -> None:
        """Do all that takes time, unless everything is slow."""
        steps = 0
        while not self.slow and self.step():
            steps += 1
            assert steps < MOST_STEPS, "it never comes to rest"

    def rest(self) -> None:
        """Do all that takes time."""
        for member in self.up():
            member.queue.commit()
        steps = 0
        while self.step():
            steps += 1
            assert steps < MOST_STEPS, "it never comes to rest"
            for member in self.up():
                member.queue.commit()

    def pass_time(self, seconds: float) -> None:
        """Let time pass: presences are renewed every five seconds, and no session or commit takes so long."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 5)
            for member in self.up():
                member.told(member.relay.time_passed(self.now, self.wall))
                self.bus.ask(member.relay_id, "announce")
            self.rest()

    # -------------------------------------------------------------------------------------------------- accidents

    def lose_redis(self, member: Member) -> None:
        """End a relay's session."""
        if member.relay_id in self.bus.sessions:
            member.lose_redis()
            member.redis_lost()

    def empty_redis(self) -> None:
        """FLUSHALL; everybody notices."""
        up = [each for each in self.up() if each.relay_id in self.bus.sessions]
        for member in up:
            self.lose_redis(member)
        self.bus.clear()
        for member in up:
            self.bus.open(member)

    def crash(self, member: Member, *, lands: bool, performed: int) -> None:
        """Have the power of one fail; its daemons notice."""
        member.crash(lands=lands, performed=performed)
        for daemon in self.daemons.values():
            if daemon.member is member:
                daemon.member = None

    # --------------------------------------------------------------------------------------------------- daemons

    def join(self, daemon: HonestDaemon, member: Member, capacity: int) -> None:
        """Connect a daemon to a relay, and from another away; it lists what it has."""
        self.leave(daemon)
        daemon.member, daemon.connection = member, self.number()
        decided = member.relay.daemon_joined(daemon.connection, hello(daemon.machine, capacity), "a", self.now)
        listed = sorted(daemon.tasks)
        member.told(decided)
        self.say(daemon, wire("heartbeat", activeTasks=listed))

    def leave(self, daemon: HonestDaemon) -> None:
        """End a daemon's connection."""
        member, daemon.member = daemon.member, None
        if member is not None:
            member.told(member.relay.daemon_lost(daemon.connection, "gone", self.now))

    def say(self, daemon: HonestDaemon, payload: bytes) -> None:
        """Have a daemon send something."""
        if daemon.member is not None:
            member = daemon.member
            member.told(member.relay.reports_received(daemon.connection, [read_report(payload)], self.now))

    def report(self, daemon: HonestDaemon, task_id: str, kind: str, **members: Any) -> None:
        """Have a daemon report on a task of its own."""
        if kind in _ENDS:
            daemon.tasks.pop(task_id, None)
        by = f"{daemon.machine} on {daemon.connection}"
        self.say(daemon, wire(kind, taskId=task_id, by=by, n=self.number(), **members))

    def to_daemon(self, member: Member, connection: int, payload: bytes) -> None:
        """A daemon gets a message."""
        daemon = next((each for each in self.daemons.values() if each.connection == connection), None)
        if daemon is None or daemon.member is not member:
            return
        message = json.loads(payload)
        task_id = message.get("taskId")
        if message["type"] == "spawnTask":
            daemon.tasks[task_id] = None
            self._look_at_runs(task_id)
        elif message["type"] in ("interruptTask", "cancelTask") and task_id in daemon.tasks:
            self.interrupted.append((daemon, task_id))

    def obey(self) -> None:
        """Have daemons stop what they were told to stop."""
        while self.interrupted:
            daemon, task_id = self.interrupted.popleft()
            if task_id in daemon.tasks:
                if daemon.member is None:
                    daemon.tasks.pop(task_id)
                else:
                    self.report(daemon, task_id, "taskComplete", success=False, error="interrupted")

    def closed(self, member: Member, connection: int) -> None:
        """A relay closes a daemon's connection."""
        for daemon in self.daemons.values():
            if daemon.member is member and daemon.connection == connection:
                daemon.member = None

    # --------------------------------------------------------------------------------------------------- looking

    def _look_at_runs(self, task_id: str) -> None:
        at_it = [each.machine for each in self.daemons.values() if task_id in each.tasks]
        assert len(at_it) == 1 or self.incidents, f"{task_id} runs on {at_it}"

    def look_at_acceptance(self, member: Member, task_id: str) -> None:
        """A relay takes a task from its server: it is nobody else's, unless several servers hand it out at once."""
        others = [each for each in self.up() if each is not member and task_id in each.own()]
        assert not others or self.slow or self.incidents, f"{task_id} is another's"
        self.incidents += bool(others)

    def first_received(self, member: Member, payload: bytes) -> None:
        """A server gets a report that it has not had."""
        message = json.loads(payload)
        if message["type"] in _ENDS:
            self.ends[message["taskId"]] += 1
        if "by" in message:
            about = member.relay_id, message["by"], message["taskId"]
            assert message["n"] > self._last_of.get(about, 0), "reports on a task out of order"
            self._last_of[about] = message["n"]

    def look_around(self) -> None:
        """Check what must hold after everything that happens."""
        for member in self.up():
            self._look_at(member)

    def _look_at(self, member: Member) -> None:
        relay, own, foreign = member.relay, member.own(), member.foreign()
        at_work = {task_id: task for task_id, task in own.items() if task.at_work}
        assert sorted(relay.active_tasks()) == sorted(at_work)
        assert relay.pending_tasks == len(own) - len(at_work)
        assert relay.foreign_tasks == len(foreign)
        assert not own.keys() & foreign.keys(), "own and a peer's"
        at_home = [each for each in (*at_work.values(), *foreign.values()) if each.relay is None]
        for daemon in relay.daemons():
            expected = {each.task_id for each in at_home if each.daemon_id == daemon.daemon_id}
            assert daemon.tasks == expected, (daemon.machine_id, daemon.tasks, expected)
        for peer in relay._state.peers:
            assert peer.tasks == {each.task_id for each in at_work.values() if each.relay == peer.relay}
        for task in (*own.values(), *foreign.values()):
            waits = task.relay is None and task.at_work and task.status is not TaskStatus.ORPHANED
            holder = relay.daemon(str(task.daemon_id))
            assert not waits or holder is not None, f"{task} is nowhere"
        self._look_at_store(member)

    def _look_at_store(self, member: Member) -> None:
        """Another relay would take up from the store what this one has in memory."""
        store = member.queue.would_be()
        stored = {each.task_id: each for each in store.tasks.values() if not each.finished}
        assert {each: (task.relay, task.attempts, task.at_work) for each, task in stored.items()} == {
            each: (task.relay, task.attempts, task.at_work) for each, task in member.own().items()
        }
        assert {each.task_id for each in store.foreign.values()} == set(member.foreign())
        for peer in member.relay._state.peers:
            kept = sorted(number for each, number in store.peer_entries if each == peer.relay)
            assert kept == [number for number, _ in peer.box], "entries"

    def look_at_end(self) -> None:
        """Check, when all are present and quiet and every daemon has done its work, that nothing is left over."""
        for member in self.members.values():
            assert not member.own(), f"{member.relay_id} has {member.own()}"
            assert not member.foreign(), f"{member.relay_id} has {member.foreign()}"
            store = member.queue.store
            assert store.begins == store.ends, (member.relay_id, store.begins, store.ends)
            assert not store.peer_entries, "an entry is left over"
        assert not self.bus.directory, self.bus.directory
        assert not any(self.bus.inboxes.values()), "an inbox is not empty"
        for daemon in self.daemons.values():
            assert not daemon.tasks, f"{daemon.machine} runs {daemon.tasks}, which nobody knows"
        accepted = sum((member.queue.store.begins for member in self.members.values()), Counter())
        for task_id, number in accepted.items():
            least = 1 if self.incidents else number
            assert self.ends[task_id] >= least, f"no server knows how {task_id} ended"
            assert self.ends[task_id] == number or self.incidents, f"{task_id} ended {self.ends[task_id]} times"
