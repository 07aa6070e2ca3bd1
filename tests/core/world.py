"""A relay among a server and daemons that do as they please, with everything that must hold whatever they do.

What is checked is written from ``protocol.md``. What the relay wants saved is taken for what it thinks; its own memory
is looked at only to be compared with that.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator

import attrs
import msgspec

from makima_relay.core.effects import (
    CloseDaemon,
    Effect,
    ForgetReports,
    KeepReport,
    KeepReports,
    LoadReports,
    OrphanTasks,
    RecallTasks,
    SaveTask,
    SendMore,
    SendReports,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.messages import Heartbeat
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.tasks import Task, TaskStatus
from tests.core.builders import AT, NOW, hello
from tests.core.model import ModelQueue, ModelStore

MACHINES = ("m1", "m2", "m3")


@attrs.define
class ModelDaemon:
    """One machine as the relay ought to see it.

    :ivar connection: the number of its live connection, as far as the relay was told and did not end it itself.
    :ivar tasks: what it was sent and has not ended, as far as it knows itself.
    """

    machine: str
    connection: int | None = None
    capacity: int = 0
    draining: bool = False
    joined_at: float = 0.0
    last_seen: float = 0.0
    tasks: set[str] = attrs.Factory(set)

    @property
    def daemon_id(self) -> str:
        """Its id, by which tasks name it."""
        return daemon_id_of(self.machine)


class World:
    """Tells one relay what happens, performs what it decides, and looks that all is well.

    :ivar slow: whether commits, look-ups and the network take their time; else they are done at once.
    :ivar mind: every task as the relay last wanted it saved.
    :ivar machines: whose every connection is or was.
    :ivar links: the connections that are read; of those that were replaced, until they are closed.
    :ivar spawned: which task every ``spawnTask`` is for.
    :ivar owed: the reports that this run of the relay has read and the server has not: by machine and task.
    :ivar acted_on: when the relay acted on each report: at once, or when it had looked its task up.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = NOW
        self.slow = False
        self.daemons = {daemon_id_of(machine): ModelDaemon(machine) for machine in MACHINES}
        self.machines: dict[int, str] = {}
        self.links: set[int] = set()
        self.upstream: int | None = None
        self.in_flight: deque[tuple[int, bytes]] = deque()
        self.read_up_to = 0
        self.received: dict[bytes, int] = {}
        self.spawned: dict[bytes, str] = {}
        self._spawns_sent: Counter[tuple[str, str | None]] = Counter()
        self._last_of: dict[str, int] = {}
        self._count = 0
        self.begin(ModelStore())

    # ------------------------------------------------------------------------------------------ beginning anew

    def begin(self, store: ModelStore) -> None:
        """Start a relay on what the store has."""
        self.queue = ModelQueue(store, self._perform, self._reports_stored)
        self.questions: deque[RecallTasks | LoadReports | SendMore] = deque()
        self.ended: list[int] = []
        self.kept = dict(store.reports)
        self.waited: dict[int, bytes] = {}
        self.owed: dict[bytes, tuple[str, str]] = {}
        self.acted_on: dict[bytes, float] = {}
        self.refused: Counter[tuple[str, str]] = Counter()
        self.mind = {task.task_id: task for task in store.tasks.values()}
        self.relay = Relay(self.policy, store.snapshot())
        self.told(self.relay.started(self.now, self.wall))

    @property
    def wall(self) -> float:
        """The time that it is, in seconds since the epoch."""
        return AT + self.now - NOW

    def number(self) -> int:
        """A number that nothing has yet: connections and messages have one each."""
        self._count += 1
        return self._count

    # ------------------------------------------------------------------------------------------------ performing

    def told(self, decided: list[Effect]) -> None:
        """Look at what the relay decided, and do it; unless all is slow, until nothing is left to be done."""
        for place, effect in enumerate(decided):
            self._look_at(effect, decided[place:])
        self.queue.put(decided)
        while not self.slow and self.go_on():
            pass

    def go_on(self) -> bool:
        """Do the next thing that takes time; false when there is none."""
        if self.queue.committing:
            self.queue.committed()
        elif self.questions:
            self._answer(self.questions.popleft())
        elif self.ended:
            self.end(self.ended.pop(0))
        elif self.in_flight:
            self.deliver(len(self.in_flight))
        else:
            return False
        return True

    def _reports_stored(self, up_to: int) -> None:
        self.told(self.relay.reports_stored(up_to))

    def _answer(self, question: RecallTasks | LoadReports | SendMore) -> None:
        match question:
            case RecallTasks(task_ids):
                self._answer_recall(task_ids)
            case LoadReports(connection, after, up_to):
                page = self.queue.store.page(after, up_to)
                end = page[-1][0] if len(page) == 2 else up_to
                self.told(self.relay.reports_loaded(connection, page, end))
            case SendMore(connection):
                self.told(self.relay.more_wanted(connection))

    def _answer_recall(self, asked: tuple[str, ...]) -> None:
        found = self.queue.store.recall(asked)
        assert all(task.finished for task in found), "an unfinished task was not in mind"
        self.acted_on.update(dict.fromkeys(self.waiting_for_look_ups(), self.now))
        self.told(self.relay.tasks_recalled(asked, found, self.now))

    def waiting_for_look_ups(self) -> Iterator[bytes]:
        """The reports that the relay has read and not acted on."""
        for lane in self.relay._look_ups.lanes._waiting.values():
            for *_, message in lane:
                if isinstance(message, tuple) and not isinstance(message[2], Heartbeat):
                    yield message[2].payload

    def end(self, connection: int) -> None:
        """End a connection to a daemon."""
        self.links.discard(connection)
        for daemon in self.daemons.values():
            if daemon.connection == connection:
                daemon.connection = None
        self.told(self.relay.daemon_lost(connection, "closed", self.now))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendToDaemon(connection, payload) if connection in self.links and payload in self.spawned:
                self._spawn_arrives(self.daemon_on(connection), self.spawned[payload])
            case SendReports(connection, payloads, number) if connection == self.upstream:
                for place, payload in enumerate(payloads, number - len(payloads) + 1):
                    self._perform(SendUpstream(connection, payload, place))
            case SendUpstream(connection, payload, int(number)) if connection == self.upstream:
                assert not self.in_flight or number > self.in_flight[-1][0], "out of order"
                store = self.queue.store
                stored = payload in store.ever_kept or payload in store.ever_waited
                assert stored or number not in self.kept, "sent before it was kept"
                self.in_flight.append((number, payload))
            case CloseDaemon(connection):
                self.links.discard(connection)
                self.ended.append(connection)
            case RecallTasks() | LoadReports() | SendMore():
                self.questions.append(effect)

    def daemon_on(self, connection: int) -> ModelDaemon:
        """The daemon that a connection belongs or belonged to."""
        return self.daemons[daemon_id_of(self.machines[connection])]

    def _spawn_arrives(self, daemon: ModelDaemon, task_id: str) -> None:
        pair = task_id, daemon.daemon_id
        self._spawns_sent[pair] += 1
        assert self._spawns_sent[pair] <= self.queue.store.dispatches[pair], "sent before it was stored as dispatched"
        daemon.tasks.add(task_id)

    # ------------------------------------------------------------------------------------------------ the server

    def deliver(self, number: int) -> None:
        """Have the server read some of what is under way to it."""
        for _ in range(min(number, len(self.in_flight))):
            place, payload = self.in_flight.popleft()
            self.read_up_to = place
            self.owed.pop(payload, None)
            if payload not in self.received:
                self.received[payload] = place
                self._first_time(payload)

    def _first_time(self, payload: bytes) -> None:
        message = json.loads(payload)
        if payload in self.queue.store.ever_kept:
            assert self.queue.store.ends[message["taskId"]], "an end was sent before it was stored"
        if "by" in message:
            assert message["n"] > self._last_of.get(message["by"], 0), "reports of one daemon out of order"
            self._last_of[message["by"]] = message["n"]

    def lose_server(self) -> None:
        """Lose the connection to the server with all that is under way on it."""
        self.upstream = None
        self.in_flight.clear()
        self.read_up_to = 0

    # --------------------------------------------------------------------------------------- looking at decisions

    def _look_at(self, effect: Effect, rest: list[Effect]) -> None:
        match effect:
            case SaveTask(task):
                if task.status is TaskStatus.DISPATCHED:
                    assert self.has_room(self.daemons[str(task.daemon_id)]), f"dispatched to one without room: {task}"
                before = self.mind.get(task.task_id, task)
                assert task.position == before.position or before.finished, "lost its place"
                self.mind[task.task_id] = task
                if task.finished:
                    self._look_at_end(task, rest)
            case OrphanTasks():
                self._orphan_tasks()
            case KeepReport(number, payload):
                self.kept[number] = payload
            case KeepReports(reports):
                self.waited.update(reports)
            case CloseDaemon(connection) if self.daemon_on(connection).connection == connection:
                self.daemon_on(connection).connection = None
                self.links.remove(connection)
            case ForgetReports(up_to):
                stored = [*self.kept.items(), *self.waited.items()]
                early = [each for number, each in stored if number <= up_to and each not in self.received]
                assert not early, "forgotten before the server had it"
            case SendToDaemon(connection, payload) if b"not_your_task" in payload:
                task_id = json.loads(payload)["taskId"]
                self.refused[self.machines[connection], task_id] += 1
                assert self.mind[task_id].daemon_id != self.daemon_on(connection).daemon_id, "its own task"

    def _orphan_tasks(self) -> None:
        for task in self.mind.values():
            if task.status in (TaskStatus.DISPATCHED, TaskStatus.RUNNING):
                self.mind[task.task_id] = task.to(TaskStatus.ORPHANED)

    @staticmethod
    def _look_at_end(task: Task, rest: list[Effect]) -> None:
        told = [json.loads(each.payload)["taskId"] for each in rest if isinstance(each, KeepReport)]
        assert task.task_id in told, "finished, and the server is not told"

    def active(self, daemon: ModelDaemon) -> list[str]:
        """The tasks that count as a daemon's."""
        return [each.task_id for each in self.mind.values() if each.at_work and each.daemon_id == daemon.daemon_id]

    def has_room(self, daemon: ModelDaemon) -> bool:
        """Whether a task may go to a daemon (``protocol.md``, *Dispatch*)."""
        healthy = daemon.connection is not None and self.now - daemon.last_seen <= self.policy.health_timeout
        return healthy and not daemon.draining and len(self.active(daemon)) < daemon.capacity

    def _may_be_back(self, task: Task) -> bool:
        """Whether the daemon that was lost with a task may be about to say that it has it still."""
        daemon = self.daemons.get(str(task.daemon_id))
        known = self.relay.daemon(str(task.daemon_id))
        is_late = daemon is None or self.now >= daemon.joined_at + 1.0
        return task.tries > 0 and not is_late and known is not None and known.is_there and not known.reconciled

    # -------------------------------------------------------------------------------------- looking at the whole

    def look_around(self) -> None:
        """Check what must hold after everything that happens."""
        unfinished = {each.task_id: each for each in self.mind.values() if not each.finished}
        pending = [each for each in unfinished.values() if each.status is TaskStatus.PENDING]
        oldest = min(pending, key=lambda each: each.position, default=None)
        for daemon in self.daemons.values():
            waits = oldest is not None and not self._may_be_back(oldest)
            assert not (waits and self.has_room(daemon)), f"{oldest} waits and {daemon} has room"
        for task in unfinished.values():
            self._look_at_unfinished(task)
        assert {task_id: self.relay.task(task_id) for task_id in unfinished} == unfinished
        assert self.relay.pending_tasks == len(pending)
        assert sorted(self.relay.active_tasks()) == sorted(set(unfinished) - {each.task_id for each in pending})
        held = {each.daemon_id: sorted(each.tasks) for each in self.relay.daemons()}
        live = {each.daemon_id: sorted(self.active(each)) for each in self.daemons.values() if each.connection}
        assert held == live, "counted as another's"

    def _look_at_unfinished(self, task: Task) -> None:
        if task.status is TaskStatus.ORPHANED:
            deadline = self.relay.next_deadline() or 0.0
            assert self.now < deadline <= self.now + self.policy.daemon_grace, "an orphan would wait for too long"
        elif task.at_work:
            assert self.daemons[str(task.daemon_id)].connection is not None, f"{task} is nowhere"

    def look_at_store(self) -> None:
        """Check that another relay would take up from the store what this one has in memory."""
        store = self.queue.would_be()
        again = Relay(self.policy, store.snapshot())
        again.started(self.now, self.wall)
        for task in self.mind.values():
            if not task.finished:
                status = TaskStatus.ORPHANED if task.at_work else task.status
                assert again.task(task.task_id) == msgspec.structs.replace(task, status=status)
        assert again.pending_tasks == self.relay.pending_tasks
        assert sorted(again.active_tasks()) == sorted(self.relay.active_tasks())
        assert again.total_finished == self.relay.total_finished
        waiting = self.relay._state.waiting
        assert again._state.waiting._commands == waiting._commands
        commands = [payload for each in waiting._commands.values() for payload in each]
        assert waiting.size == sum(len(each or b"") for each in [*waiting._messages.values(), *commands])
        arrived = self.relay._state.outbox.acknowledged_up_to
        assert set(store.reports) == {number for number in {*self.kept, *self.waited} if number > arrived}
        assert {each for each, daemon in self.daemons.items() if daemon.draining} == {
            each for each, daemon in store.daemons.items() if daemon.draining
        }
        self._look_at_order(again)

    def _look_at_order(self, again: Relay) -> None:
        """A newcomer with room for everything is sent all that waits, oldest first."""
        pending = [each for each in self.mind.values() if each.status is TaskStatus.PENDING]
        decided = again.daemon_joined(self.number(), hello("fresh", 10_000), "a", self.now)
        sent = [self.spawned[e.payload] for e in decided if isinstance(e, SendToDaemon) and e.payload in self.spawned]
        assert sent == [each.task_id for each in sorted(pending, key=lambda each: each.position)]

    def look_at_arrivals(self) -> None:
        """Check, when nothing is under way any more, that the server has all that it ought to have."""
        store = self.queue.store
        assert store.ever_kept | store.ever_waited <= set(self.received), "what was stored never arrived"
        assert Counter(self.owed.values()) == self.refused, "neither relayed nor refused"
        self.owed.clear()
        self.refused.clear()
