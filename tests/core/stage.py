"""The stage for a relay without an engine: its decisions are performed one by one, and may be cut short anywhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from makima_relay.commits import LINGER
from makima_relay.core.effects import (
    Effect,
    LoadReports,
    RecallTasks,
    SendHeartbeat,
    SendMore,
    SendReports,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.messages import DaemonMessage, Hello, ServerMessage
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from tests.book import Book
from tests.core.builders import AT, NOW
from tests.core.model import ModelQueue, ModelStore
from tests.stage import Stage


def nothing() -> None:
    """Look at nothing."""


class RelayStage(Stage):
    """Has the core, a model of the commit queue and a model of the store.

    :param delay: how many inputs come while one thing is done that takes time: a commit, or an answer of the store.
    :param look: called wherever the power might fail: before and after each effect and each commit.
    :ivar queue: has the store.
    :ivar is_between: whether all that was decided is in the queue.
    """

    def __init__(
        self,
        policy: Policy,
        store: ModelStore,
        delay: int = 0,
        look: Callable[[], None] = nothing,
        now: float = NOW,
    ) -> None:
        super().__init__(Book())
        self.queue = ModelQueue(store, self._perform, self._stored)
        self._policy = policy
        self._delay = delay
        self._look = look
        self._now = now
        self._age = 0
        self._questions: deque[RecallTasks | LoadReports | SendMore] = deque()
        self._machines: dict[int, str] = {}
        self._upstream: int | None = None
        self.is_between = False
        self._count = 0

    # ----------------------------------------------------------------------------------------------- performing

    def _told(self, decided: list[Effect]) -> None:
        self.is_between = True
        self._look()
        self.is_between = False
        self.queue.put(decided)
        self._age += 1
        if self._delay == 0:
            self._rest_of_turn()
        elif self._age % self._delay == 0:
            self._go_on()

    def _rest_of_turn(self) -> None:
        while self._go_on():
            self._look()

    def _go_on(self) -> bool:
        """Do the next thing that takes time; false when there is none."""
        if self.queue.committing:
            self.queue.committed()
        elif self._questions:
            self._answer(self._questions.popleft())
        else:
            return False
        return True

    def _rest(self) -> None:
        """Do all that takes time."""
        self.queue.commit()
        self._rest_of_turn()

    def _answer(self, question: RecallTasks | LoadReports | SendMore) -> None:
        store = self.queue.store
        match question:
            case RecallTasks(task_ids):
                self._told(self.relay.tasks_recalled(task_ids, store.recall(task_ids), self.now))
            case LoadReports(connection, after, up_to):
                page = store.page(after, up_to)
                self._told(self.relay.reports_loaded(connection, page, page[-1][0] if len(page) == 2 else up_to))
            case SendMore(connection):
                self._told(self.relay.more_wanted(connection))

    def _stored(self, up_to: int) -> None:
        self._told(self.relay.reports_stored(up_to))

    def _perform(self, effect: Effect) -> None:
        self._look()
        match effect:
            case SendToDaemon(connection, payload) if connection in self._connections.values():
                self.sent_to_daemon(self._machines[connection], payload)
            case SendUpstream(connection, payload, number) if connection == self._upstream:
                self.sent_to_server(payload, number)
            case SendReports(connection, payloads, number) if connection == self._upstream:
                for place, payload in enumerate(payloads, number - len(payloads) + 1):
                    self.sent_to_server(payload, place)
            case SendHeartbeat(connection) if connection == self._upstream:
                self.sent_to_server(self.relay.heartbeat(), None)
            case RecallTasks() | LoadReports() | SendMore():
                self._questions.append(effect)

    # ---------------------------------------------------------------------------------------------------- inputs

    @property
    def now(self) -> float:
        return self._now

    @property
    def _wall(self) -> float:
        return AT + self._now - NOW

    def begin(self) -> None:
        self.relay = Relay(self._policy, self.queue.store.snapshot())
        self._told(self.relay.started(self.now, self._wall))

    def stopping(self) -> None:
        self._told(self.relay.stopping())
        self._rest()

    def stop(self) -> None:
        self._rest()
        self._told(self.relay.stopped(self.now))
        self._rest()

    def time_passes(self, seconds: float) -> None:
        """No commit takes longer than a second, and no look-up any time."""
        while self.relay.messages_waiting and self._go_on():
            pass
        if seconds >= 1:
            self._rest()
        elif seconds >= LINGER:
            self.queue.commit()
            self._told([])
        end = self._now + seconds
        while self._now < end:
            self._now = max(self._now, min(end, self.relay.next_deadline() or end))
            self._told(self.relay.time_passed(self._now, self._wall))
        self.queue.commit()
        self._told([])

    def _number(self) -> int:
        self._count += 1
        return self._count

    def ask_if_safe(self, lines: int) -> None:
        """It is for the engine to say."""

    def upstream_ready(self) -> None:
        self._upstream = self._number()
        self._told(self.relay.upstream_ready(self._upstream, self.now))

    def upstream_lost(self) -> None:
        self._upstream = None
        self._told(self.relay.upstream_lost(self.now, "gone"))

    def command_received(self, message: ServerMessage) -> None:
        self._told(self.relay.command_received(message, self.now))

    def acknowledged(self, number: int) -> None:
        self._told(self.relay.acknowledged(number))

    def daemon_joined(self, machine: str, said: Hello) -> int:
        number = self._number()
        self._machines[number] = machine
        self._connections[machine] = number
        self._told(self.relay.daemon_joined(number, said, "a", self.now))
        return number

    def daemon_lost(self, connection: int) -> None:
        self._told(self.relay.daemon_lost(connection, "gone", self.now))

    def report_received(self, connection: int, report: DaemonMessage) -> None:
        self._told(self.relay.reports_received(connection, [report], self.now))

    def cancel_requested(self, task_id: str) -> None:
        self._told(self.relay.cancel_requested(task_id, self.now))

    def drain_requested(self, daemon_id: str, *, draining: bool) -> None:
        self._told(self.relay.drain_requested(daemon_id, draining, self.now))
