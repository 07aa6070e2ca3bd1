"""The relay: told in the past tense what happened, it answers with what shall be done.

Each public method is one input. It changes the relay's memory at once and returns the effects, in the order in which
they are to be performed. Times are arguments, in monotonic seconds. Connections are numbered by whoever has them; the
numbers of daemons' connections are greater than 0 and never used again.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Concatenate, ParamSpec, cast

import msgspec

from makima_relay.core import effects
from makima_relay.core.commands import Commands
from makima_relay.core.fleet import Daemon
from makima_relay.core.journal import Entry
from makima_relay.core.lanes import Lanes
from makima_relay.core.losses import Losses
from makima_relay.core.messages import (
    Authenticated,
    Command,
    DaemonMessage,
    Heartbeat,
    Hello,
    ServerError,
    ServerMessage,
    Spawn,
)
from makima_relay.core.presence import Presence
from makima_relay.core.reports import Reports
from makima_relay.core.state import Policy, Snapshot, State, StoredTask
from makima_relay.core.tasks import Task, TaskStatus

#: The lane of the server's messages. A daemon has one lane, whatever its connections, so that what it said on an
#: older one goes before what it says on a newer.
UPSTREAM_LANE = "upstream"

#: How often it is looked, while reports come, whether some have waited too long, in seconds.
_LOOK_INTERVAL = 0.02
#: What a message takes besides its payload, and an id in a heartbeat, about, in bytes.
_OVERHEAD, _ID = 512, 128
#: Tasks of an earlier run that are taken up at a time: some 20 ms.
_TASKS_AT_A_TIME = 5_000

_Effects = list[effects.Effect]
_P = ParamSpec("_P")


class UnknownTaskError(Exception):
    """No task has this id."""


class TaskFinishedError(Exception):
    """The task has finished, so there is nothing to cancel."""


class UnknownDaemonError(Exception):
    """No connected daemon has this id."""


def _input(method: Callable[Concatenate[Relay, _P], None]) -> Callable[Concatenate[Relay, _P], _Effects]:
    """Make a method an input: it returns the effects that were noted while it ran."""

    @functools.wraps(method)
    def told(self: Relay, /, *args: _P.args, **kwargs: _P.kwargs) -> _Effects:
        method(self, *args, **kwargs)
        return self._state.take_effects()

    return cast("Callable[Concatenate[Relay, _P], _Effects]", told)


def _weight(message: DaemonMessage | ServerMessage) -> int:
    """About how many bytes of memory a message takes while it waits."""
    if isinstance(message, Heartbeat):
        return _OVERHEAD + _ID * len(message.active_tasks or ())
    return _OVERHEAD + len(getattr(message, "payload", b""))


class Relay:
    """Decides for one relay.

    :param policy: the settings that it obeys.
    :param snapshot: what an earlier run left.
    :param redact: blacks out secrets in what is logged.
    """

    def __init__(self, policy: Policy, snapshot: Snapshot | None = None, redact: Callable[[str], str] = str) -> None:
        snapshot = snapshot or Snapshot()
        self._state = State(policy, snapshot, redact)
        self._left_daemons = snapshot.daemons
        self._left_tasks = deque(snapshot.tasks)
        self._has_orphaned = False
        self._losses = Losses(self._state)
        self._commands = Commands(self._state)
        self._presence = Presence(self._state, self._losses)
        self._reports = Reports(self._state, self._losses)
        self._asking = False
        self._look_at_outbox_at = 0.0
        self._lanes: Lanes[tuple[int, Daemon, DaemonMessage] | ServerMessage] = Lanes(self._state.ledger.is_certain)

    # ------------------------------------------------------------------------------------------------ the relay

    @_input
    def started(self, now: float, wall: float) -> None:
        """The relay runs: it takes up what an earlier run left; what was at work has a fresh grace.

        Of very many tasks these are the first: :meth:`taken_up` goes on, and until :attr:`is_taking_up` is false nobody
        may connect.

        :param wall: the same moment, in seconds since the epoch.
        """
        state = self._state
        state.set_clock(now, wall)
        for daemon in self._left_daemons:
            state.fleet.enlist(Daemon(daemon.daemon_id, daemon.machine_id, daemon.hostname, draining=daemon.draining))
        self._left_daemons = ()
        self._take_up(now)
        state.log(now, "relay_started", "the relay has started")

    @_input
    def taken_up(self, now: float) -> None:
        """Others have had their turn: the next of the tasks that an earlier run left are taken up."""
        self._take_up(now)

    def _take_up(self, now: float) -> None:
        for _ in range(min(_TASKS_AT_A_TIME, len(self._left_tasks))):
            stored = self._left_tasks.popleft()
            if stored.task.at_work:
                stored = self._orphaned(stored, now)
                self._losses.taken_up(stored.task, now)
            self._state.take_up(stored)

    def _orphaned(self, stored: StoredTask, now: float) -> StoredTask:
        """A task whose daemon is not connected any more, or not yet."""
        if stored.task.status is TaskStatus.ORPHANED:
            return stored
        if not self._has_orphaned:
            # All of them at once: they may be very many.
            self._has_orphaned = True
            self._state.note(effects.OrphanTasks(self._state.wall(now)))
        return msgspec.structs.replace(stored, task=stored.task.to(TaskStatus.ORPHANED))

    @_input
    def stopping(self) -> None:
        """The relay is about to send everybody away: no new task is taken, what was read until now is written out."""
        self._commands.stopping()
        self._state.keep_reports()

    @_input
    def stopped(self, now: float) -> None:
        """Nobody is connected any more: what the server may not have is written out whole."""
        self._state.keep_reports()
        self._state.log(now, "relay_stopped", "the relay stops")

    @_input
    def time_passed(self, now: float, wall: float) -> None:
        """Some time passed: whatever was to happen by now happens.

        :param wall: the same moment, in seconds since the epoch.
        """
        self._state.set_clock(now, wall)
        self._losses.expire(now)
        due = self._state.outbox.next_to_keep()
        if due is not None and (due <= now or not self._state.flow.has_room):
            self._state.keep_reports()
        self._state.dispatch_waiting(now)

    def suspended(self, now: float) -> None:
        """The database cannot be written, so daemons are not read: no grace goes by until that is over."""
        self._losses.deaf(now)

    def resumed(self, now: float) -> None:
        """The database can be written again."""
        self._losses.hearing(now)

    def next_deadline(self) -> float | None:
        """When :meth:`time_passed` has something to do, in monotonic seconds."""
        loss, keep = self._losses.next_deadline(), self._state.outbox.next_to_keep()
        if loss is None or keep is None:
            return keep if loss is None else loss
        return min(loss, keep)

    @_input
    def noted(self, now: float, event: str, detail: str, /, **fields: str | int | None) -> None:
        """Something happened at the edge that only the journal needs to know."""
        self._state.log(now, event, detail, **fields)

    def past_learnt(self, task_ids: Sequence[str], *, is_all: bool) -> None:
        """See :meth:`makima_relay.recollection.Learner.past_learnt`: nothing is to be done about it."""
        past = self._state.ledger.past
        past.add(task_ids)
        past.is_whole = past.is_whole or is_all

    @_input
    def tasks_recalled(self, task_ids: Sequence[str], found: Iterable[Task], now: float) -> None:
        """The store was asked for tasks; what waited for the answer goes on.

        :param task_ids: what was asked.
        :param found: the finished tasks among them.
        """
        self._asking = False
        stored = set()
        for task in found:
            stored.add(task.task_id)
            self._state.ledger.recall(task)
        for _lane, message in self._lanes.answered(task_ids, stored):
            if isinstance(message, tuple):
                self._reports.received(*message, now)
            else:
                self._act_on_command(message, now)
        self._let_wait()
        self._state.flow.release()

    def _let_wait(self) -> None:
        self._state.flow.waiting = self._lanes.size
        self._ask_for_tasks()

    def _ask_for_tasks(self) -> None:
        """Have tasks looked up: one question at a time, so that those that come meanwhile are asked for together."""
        if not self._asking:
            task_ids = self._lanes.to_ask()
            if task_ids:
                self._asking = True
                self._state.note(effects.RecallTasks(task_ids))

    # ------------------------------------------------------------------------------------------------- upstream

    @_input
    def upstream_ready(self, connection: int, now: float, /, **fields: str | int | None) -> None:
        """The server has authenticated a connection: after a heartbeat, what it may not have goes first."""
        state = self._state
        state.flow.upstream_ready(connection)
        self._commands.new_connection()
        state.log(now, "upstream_connected", "the server accepted the connection", **fields)
        self._beat()
        state.flow.send_on()

    @_input
    def heartbeat_due(self) -> None:
        """The server is to be told which tasks are at work."""
        self._beat()

    def _beat(self) -> None:
        if self._state.flow.upstream is not None:
            self._state.note(effects.SendHeartbeat(self._state.flow.upstream))

    @_input
    def upstream_lost(self, now: float, reason: str) -> None:
        """The live upstream connection is gone."""
        self._state.flow.upstream_lost()
        self._state.log(now, "upstream_disconnected", f"the connection to the server is lost: {reason}")

    @_input
    def upstream_congested(self) -> None:
        """The server does not take what it was sent as fast as it comes."""
        self._state.flow.congested()

    @_input
    def upstream_drained(self) -> None:
        """The server has taken most of what it was sent."""
        self._state.flow.drained()

    @_input
    def more_wanted(self, connection: int) -> None:
        """Others have had their turn: the backlog goes on, if the connection still stands."""
        if connection == self._state.flow.upstream:
            self._state.flow.send_on()

    @_input
    def release_wanted(self) -> None:
        """Others have had their turn: more of the daemons that are held are read again, if there is room still."""
        self._state.flow.release_more()

    @_input
    def reports_loaded(self, connection: int, reports: Sequence[tuple[int, bytes]], up_to: int) -> None:
        """Kept reports were read back.

        :param connection: the upstream connection that they are for.
        :param reports: as (number, payload), oldest first.
        :param up_to: no report up to this number was left out.
        """
        self._state.flow.loaded(connection, reports, up_to)

    @_input
    def reports_stored(self, up_to: int) -> None:
        """All reports up to a number that were to be kept are in the database."""
        self._state.outbox.stored(up_to)
        self._state.flow.release()

    @_input
    def acknowledged(self, number: int) -> None:
        """The server has read every report up to and with this number."""
        if self._state.outbox.acknowledged(number):
            self._state.note(effects.ForgetReports(number))
        if self._state.flow.held:
            self._state.flow.release()

    @_input
    def command_received(self, message: ServerMessage, now: float) -> None:
        """The server sent a message."""
        task_id = message.task_id if isinstance(message, Spawn | Command) else None
        if self._lanes.passes(UPSTREAM_LANE, task_id, message, _weight(message)):
            self._act_on_command(message, now)
        else:
            self._let_wait()

    def _act_on_command(self, message: object, now: float) -> None:
        match message:
            case Spawn():
                self._commands.spawn(message, now)
            case Command():
                self._commands.route(message, now)
            case ServerError():
                self._commands.server_error(message, now)
            case Authenticated():
                # It was authenticated before: there is nothing to change.
                return

    @_input
    def invalid_command_received(self, reason: str, now: float) -> None:
        """The server sent something that cannot be read."""
        self._commands.invalid(reason, now)

    # ----------------------------------------------------------------------------------------------- downstream

    @_input
    def daemon_joined(self, connection: int, hello: Hello, address: str, now: float) -> None:
        """A daemon has authenticated.

        :param connection: its number.
        :param address: where it comes from, to show.
        """
        self._presence.joined(connection, hello, address, now)

    @_input
    def daemon_parting(self, connection: int, reason: str, now: float) -> None:
        """A daemon's connection is being closed: it takes nothing more, but what it had sent may still come."""
        self._presence.parting(connection, reason, now)

    @_input
    def daemon_lost(self, connection: int, reason: str, now: float) -> None:
        """A daemon's connection is gone."""
        self._presence.lost(connection, reason, now)

    def reports_received(self, connection: int, reports: Sequence[DaemonMessage], now: float) -> _Effects:
        """A daemon sent messages.

        Messages of a connection that is being closed count as long as they come.
        """
        daemon = self._presence.heard_from(connection, now)
        if daemon is None:
            return []
        place = 0
        while place < len(reports):
            if self._lanes.is_clear(daemon.daemon_id):
                place = self._reports.relay_steady(daemon, reports, place, now)
            if place < len(reports):
                self._report_received(connection, daemon, reports[place], now)
                place += 1
        if now >= self._look_at_outbox_at:
            self._look_at_outbox(now)
        if daemon.connection == connection and self._state.flow.hold_if_needed(connection):
            daemon.held = True
        return self._state.take_effects()

    def _report_received(self, connection: int, daemon: Daemon, report: DaemonMessage, now: float) -> None:
        task_id = None if type(report) is Heartbeat else report.task_id  # type: ignore[union-attr]
        if self._lanes.passes(daemon.daemon_id, task_id, (connection, daemon, report), _weight(report)):
            self._reports.received(connection, daemon, report, now)
        else:
            self._let_wait()

    def _look_at_outbox(self, now: float) -> None:
        """Have reports kept that have waited long enough: what many daemons send at once may hold up the timers."""
        self._look_at_outbox_at = now + _LOOK_INTERVAL
        due = self._state.outbox.next_to_keep()
        if due is not None and due <= now:
            self._state.keep_reports()

    @_input
    def invalid_report_received(self, connection: int, reason: str, now: float) -> None:
        """A daemon sent something that cannot be read; too much of it ends the connection."""
        daemon = self._presence.heard_from(connection, now)
        # What comes on a connection that was replaced is not held against the newer one.
        if daemon is None or daemon.connection != connection:
            return
        if self._reports.invalid(connection, daemon, reason, now):
            self._presence.parting(connection, "too many invalid messages", now)

    @_input
    def daemon_seen(self, connection: int, now: float) -> None:
        """A daemon answered a ping."""
        self._presence.heard_from(connection, now)

    # ------------------------------------------------------------------------------------------------ operators

    @_input
    def cancel_requested(self, task_id: str, now: float) -> None:
        """An operator wants a task stopped.

        :raises UnknownTaskError: if it is not in mind: then it is unknown or long finished.
        :raises TaskFinishedError: if it has finished.
        """
        task = self._state.ledger.get(task_id)
        if task is None:
            raise UnknownTaskError(task_id)
        if task.finished:
            raise TaskFinishedError(task_id)
        self._commands.cancel(task, now)

    @_input
    def drain_requested(self, daemon_id: str, draining: bool, now: float) -> None:
        """An operator wants a daemon to get no new tasks, or to get them again.

        :raises UnknownDaemonError: if no such daemon is connected.
        """
        daemon = self.daemon(daemon_id)
        if daemon is None:
            raise UnknownDaemonError(daemon_id)
        self._presence.drain(daemon, draining, now)

    # ------------------------------------------------------------------------------------------------ to look at

    def daemons(self) -> list[Daemon]:
        """The connected daemons, in the order in which they came."""
        return list(self._state.fleet.connected())

    def daemon(self, daemon_id: str) -> Daemon | None:
        """A connected daemon by id."""
        daemon = self._state.fleet.get(daemon_id)
        return daemon if daemon is not None and daemon.connection is not None else None

    def healthy(self, daemon: Daemon, now: float) -> bool:
        """Whether a daemon was heard of lately enough."""
        return self._state.fleet.healthy(daemon, now)

    def task(self, task_id: str) -> Task | None:
        """A task that is kept in mind: unfinished, or finished lately."""
        return self._state.ledger.get(task_id)

    def heartbeat(self) -> bytes:
        """What a heartbeat to the server says now."""
        return self._state.composer.heartbeat(self.active_tasks())

    def active_tasks(self) -> list[str]:
        """The ids of all tasks that some daemon has: what a heartbeat to the server lists."""
        return self._state.ledger.at_work()

    @property
    def is_taking_up(self) -> bool:
        """Whether tasks of an earlier run are still to be taken up."""
        return bool(self._left_tasks)

    @property
    def pending_tasks(self) -> int:
        """How many tasks wait for a daemon."""
        return self._state.ledger.counts[TaskStatus.PENDING]

    @property
    def total_finished(self) -> int:
        """How often a task finished, ever."""
        return self._state.ledger.total_finished

    @property
    def has_room_for_reports(self) -> bool:
        """Whether the outbox takes reports, or daemons are held until it does."""
        return self._state.flow.has_room

    @property
    def outbox_bytes(self) -> tuple[int, int]:
        """Bytes of reports that the server may not have: in memory, and in the database."""
        return self._state.outbox.memory, self._state.outbox.disk

    @property
    def reports_waiting(self) -> int:
        """How many reports the server may not have yet."""
        return len(self._state.outbox)

    def refusal(self, message: ServerMessage) -> bytes | None:
        """What to answer the server while nothing can be stored; none for what can wait until that is over."""
        return self._commands.refusal(message) if isinstance(message, Spawn) else None

    def why_pending(self, now: float) -> str:
        """Why pending tasks wait."""
        return self._state.fleet.why_none(now)

    @property
    def last_to_wait(self) -> int:
        """The number of the last message that had to wait for a look-up; they count from 1."""
        return self._lanes.last

    @property
    def oldest_waiting(self) -> int | None:
        """The number of the message that waits longest for a look-up, if one does."""
        return self._lanes.oldest

    @property
    def messages_waiting(self) -> int:
        """How many messages wait for a look-up, or behind one that does."""
        return len(self._lanes)

    def journal(self, limit: int) -> list[Entry]:
        """The latest events, newest first."""
        return self._state.journal.latest(limit)
