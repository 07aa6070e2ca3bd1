"""One relay of three in a cluster, with its database and its server, as :mod:`tests.core.cluster_world` has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from makima_relay.core.cluster_effects import (
    AcknowledgeEntries,
    AnnouncePresence,
    ForgetTasks,
    RecordHolder,
    RecordMore,
    SendEntry,
    TakeBack,
)
from makima_relay.core.effects import (
    CloseDaemon,
    Effect,
    LoadReports,
    RecallTasks,
    SaveTask,
    SendMore,
    SendReports,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.from_server import read_command
from makima_relay.core.peers import Presence
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.tasks import Task
from tests.core.model import ModelQueue, ModelStore

if TYPE_CHECKING:
    from tests.core.cluster_world import ClusterWorld


class Member:
    """One relay, its database, and its server.

    :ivar is_up: whether the process runs.
    :ivar received: what its server has got, each once, in order.
    """

    def __init__(self, world: ClusterWorld, relay_id: str, policy: Policy) -> None:
        self._world = world
        self.relay_id = relay_id
        self._policy = policy
        self.received: dict[bytes, None] = {}
        self._to_be_proved = 0
        self._begin(world.make_store())

    def _begin(self, store: ModelStore) -> None:
        self.is_up = True
        self.queue = ModelQueue(store, self._perform, self._reports_stored)
        self._questions: deque[Callable[[], None]] = deque()
        self.relay = Relay(self._policy, store.snapshot(), draw=Random(self.relay_id).random)
        self._tell("started", self._world.now, self._world.wall)
        self._upstream = self._world.number()
        self._tell("upstream_ready", self._upstream, self._world.now)

    def crash(self, *, lands: bool, performed: int) -> None:
        """End in the middle of everything."""
        self.queue.crash(lands=lands, performed=performed)
        self._world.bus.close(self.relay_id)
        self.is_up = False

    def start(self) -> None:
        """Begin anew on what the store has."""
        self._begin(self.queue.store)
        self._world.bus.open(self)

    def lose_redis(self) -> None:
        """Have its session end."""
        if self.relay_id in self._world.bus.sessions:
            self._world.bus.close(self.relay_id)
            self._tell("cluster_lost", self._world.now, "gone")

    def presence(self) -> Presence:
        """See :meth:`tests.core.bus.Hearing.presence`."""
        return self.relay.presence(self._world.now, "1", upstream_connected=True)

    # ---------------------------------------------------------------------------------------------------- inputs

    def hear(self, what: str, *args: Any) -> None:
        """See :meth:`tests.core.bus.Hearing.hear`."""
        if what == "answered":
            answer, found = args
            answer(found)
        elif what == "directory_listed":
            self._tell(what, *args)
        elif what == "cluster_ready":
            self._tell(what, self._world.now, *args)
        else:
            self._tell(what, *args, self._world.now)

    def _tell(self, what: str, *args: Any) -> None:
        self.told(getattr(self.relay, what)(*args))

    def told(self, decided: list[Effect]) -> None:
        """Note what the relay decided, and have it done."""
        for effect in decided:
            if isinstance(effect, SaveTask) and effect.message is not None:
                self._world.look_at_acceptance(self, effect.task.task_id)
            elif isinstance(effect, SaveTask) and effect.before is None:
                assert self._world.incidents, f"{effect.task} was somebody's"
        self.queue.put(decided)

    def command(self, payload: bytes) -> None:
        """Have its server send something."""
        self._tell("command_received", read_command(payload), self._world.now)

    def go_on(self) -> bool:
        """Do the next thing that takes time; false when there is none."""
        if self.queue.committing:
            self.queue.committed()
        elif self._questions:
            self._questions.popleft()()
        elif self._to_be_proved:
            number, self._to_be_proved = self._to_be_proved, 0
            self._tell("acknowledged", number)
        else:
            return False
        return True

    # ------------------------------------------------------------------------------------------------ performing

    def _reports_stored(self, up_to: int) -> None:
        self._tell("reports_stored", up_to)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendToDaemon(connection, payload):
                self._world.to_daemon(self, connection, payload)
            case CloseDaemon(connection):
                self._world.closed(self, connection)
            case SendReports(connection, payloads, number) if connection == self._upstream:
                for payload in payloads:
                    self._served(payload, number)
            case SendUpstream(connection, payload, int(number)) if connection == self._upstream:
                self._served(payload, number)
            case RecallTasks(task_ids):
                self._questions.append(lambda: self._recall(task_ids))
            case LoadReports(connection, after, up_to):
                self._questions.append(lambda: self._load(connection, after, up_to))
            case SendMore(connection):
                self._questions.append(lambda: self._tell("more_wanted", connection))
            case RecordMore():
                self._questions.append(lambda: self._tell("record_wanted"))
            case _:
                self._perform_for_peers(effect)

    def _perform_for_peers(self, effect: Effect) -> None:
        bus, relay_id = self._world.bus, self.relay_id
        match effect:
            case SendEntry(peer, number, payload, session) if session == self.relay.cluster_session:
                bus.ask(relay_id, "send", peer, number, payload)
            case AcknowledgeEntries(peer, number):
                assert self.queue.store.received[peer] >= number, "acknowledged before it was stored"
                bus.ask(relay_id, "acknowledge", peer, number)
            case TakeBack(peer, session) if session == self.relay.cluster_session:
                bus.ask(relay_id, "take_back", peer)
            case RecordHolder(task_id, attempt, origin, holder, instead_of):
                bus.ask(relay_id, "record", task_id, attempt, origin, holder, instead_of)
            case ForgetTasks(task_ids):
                bus.ask(relay_id, "forget", task_ids)
            case AnnouncePresence():
                bus.ask(relay_id, "announce")

    def _recall(self, task_ids: tuple[str, ...]) -> None:
        if self.relay_id in self._world.bus.sessions:
            self._world.bus.ask(self.relay_id, "claim", task_ids, lambda found: self._recalled(task_ids, found))
            self._claiming = task_ids
        else:
            self._recalled(task_ids, {})

    def _recalled(self, task_ids: tuple[str, ...], entries: dict[str, Any]) -> None:
        found = self.queue.store.recall(task_ids)
        self._claiming = ()
        self._tell("tasks_recalled", task_ids, found, self._world.now, entries)

    _claiming: tuple[str, ...] = ()

    def redis_lost(self) -> None:
        """An answer that is waited for will not come."""
        if self._claiming:
            self._recalled(self._claiming, {})

    def _load(self, connection: int, after: int, up_to: int) -> None:
        page = self.queue.store.page(after, up_to)
        self._tell("reports_loaded", connection, page, page[-1][0] if len(page) == 2 else up_to)

    def _served(self, payload: bytes, number: int) -> None:
        self._to_be_proved = number
        if payload not in self.received:
            self.received[payload] = None
            self._world.first_received(self, payload)

    # --------------------------------------------------------------------------------------------------- looking

    def own(self) -> dict[str, Task]:
        """The unfinished tasks that are this relay's own."""
        ledger = self.relay._state.ledger
        return {task_id: task for task_id in ledger.all_unfinished() if (task := ledger.get(task_id)) is not None}

    def foreign(self) -> dict[str, Task]:
        """The unfinished tasks of peers."""
        return dict(self.relay._state.ledger.foreign._unfinished)
