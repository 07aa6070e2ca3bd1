"""The relay: told in the past tense what happened, it answers with what shall be done.

Each public method is one input. It changes the relay's memory at once and returns the effects, in the order in which
they are to be performed. Times are arguments, in monotonic seconds. Connections are numbered by whoever has them; the
numbers of daemons' connections are greater than 0 and never used again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from makima_relay.core import effects
from makima_relay.core.attendance import Attendance
from makima_relay.core.claims import Claims
from makima_relay.core.cluster import Cluster
from makima_relay.core.cluster_inputs import ClusterInputs
from makima_relay.core.clustered import ClusteredState
from makima_relay.core.commands import Commands
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.from_holders import FromHolders
from makima_relay.core.from_origins import FromOrigins
from makima_relay.core.heard import Heard
from makima_relay.core.inputs import told
from makima_relay.core.keys import DaemonKey
from makima_relay.core.lookups import LookUps
from makima_relay.core.losses import Losses
from makima_relay.core.messages import DaemonMessage, Hello
from makima_relay.core.policy import Policy
from makima_relay.core.recovery import Recovery
from makima_relay.core.reports import Reports
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.state import State
from makima_relay.core.takeovers import Takeovers
from makima_relay.core.tasks import Task

#: How often it is looked, while reports come, whether some have waited too long, in seconds.
_LOOK_INTERVAL = 0.02

_Effects = list[effects.Effect]


class Relay(ClusterInputs):
    """Decides for one relay.

    :param policy: the settings that it obeys.
    :param snapshot: what an earlier run left.
    :param redact: blacks out secrets in what is logged.
    :param draw: draws a number from 0 up to, and without, 1.
    """

    def __init__(
        self,
        policy: Policy,
        snapshot: Snapshot | None = None,
        redact: Callable[[str], str] = str,
        draw: Callable[[], float] = random.random,
    ) -> None:
        snapshot = snapshot or Snapshot()
        in_cluster = policy.relay_id is not None
        state = (ClusteredState if in_cluster else State)(policy, snapshot, redact)
        state.peers.draw = draw
        look_ups = (Claims if in_cluster else LookUps)(state)
        self._losses = losses = Losses(state, look_ups)
        self._reports = reports = Reports(state, losses)
        self._look_at_outbox_at = 0.0
        recovery = Recovery(state, losses, snapshot)
        commands = Commands(state, Takeovers(state, losses))
        self._from_origins = FromOrigins(state, losses)
        self._from_holders = holders = FromHolders(state, losses, reports)
        self._cluster = Cluster(state, losses, commands, holders)
        self._entry_doers = self._make_entry_doers()
        super().__init__(state, look_ups, recovery, commands, Attendance(state, losses))

    # ------------------------------------------------------------------------------------------------ the relay

    @told
    def started(self, now: float, wall: float) -> None:
        """The relay runs: it takes up what an earlier run left; what was at work has a fresh grace.

        Of very many tasks these are the first: :meth:`taken_up` goes on, and until :attr:`is_taking_up` is false nobody
        may connect.

        :param wall: the same moment, in seconds since the epoch.
        """
        self._state.set_clock(now, wall)
        self._state.outputs.began(wall)
        self._recovery.begin(now)
        self._state.log(now, "relay_started", "the relay has started")

    @told
    def taken_up(self, now: float) -> None:
        """Others have had their turn: the next of the tasks that an earlier run left are taken up."""
        self._recovery.go_on(now)

    @told
    def stopping(self) -> None:
        """The relay is about to send everybody away: no task is taken or begun, what was read until now is kept."""
        self._state.is_stopping = True
        self._state.keep_reports()

    @told
    def stopped(self, now: float) -> None:
        """Nobody is connected any more: what the server may not have is written out whole."""
        self._state.keep_reports()
        self._state.log(now, "relay_stopped", "the relay stops")

    @told
    def time_passed(self, now: float, wall: float) -> None:
        """Some time passed: whatever was to happen by now happens.

        :param wall: the same moment, in seconds since the epoch.
        """
        self._state.set_clock(now, wall)
        self._losses.expire(now)
        self._cluster.expire(now)
        self._keyring.expire(now)
        due = self._state.outbox.next_to_keep()
        if due is not None and (due <= now or not self._state.flow.has_room):
            self._state.keep_reports()
        self._state.dispatch_waiting(now)

    def suspended(self, now: float) -> None:
        """The database cannot be written, so daemons are not read: no grace goes by until that is over."""
        self._losses.deaf(now)
        self._state.peers.are_welcome = False

    def resumed(self, now: float) -> None:
        """The database can be written again."""
        self._losses.hearing(now)
        self._state.peers.are_welcome = True

    def next_deadline(self) -> float | None:
        """When :meth:`time_passed` has something to do, in monotonic seconds."""
        loss, keep = self._losses.next_deadline(), self._state.outbox.next_to_keep()
        if loss is None or keep is None:
            return keep if loss is None else loss
        return min(loss, keep)

    @told
    def noted(self, now: float, event: str, detail: str, /, **fields: str | int | None) -> None:
        """Something happened at the edge that only the journal needs to know."""
        self._state.log(now, event, detail, **fields)

    def past_learnt(self, task_ids: Sequence[str], *, is_all: bool) -> None:
        """See :meth:`makima_relay.recollection.Learner.past_learnt`: nothing is to be done about it."""
        past = self._state.ledger.past
        if task_ids:
            past.add(task_ids)
        past.is_whole = past.is_whole or is_all

    @told
    def tasks_recalled(
        self,
        task_ids: Sequence[str],
        found: Iterable[Task],
        now: float,
        entries: Mapping[str, DirectoryEntry] = MappingProxyType({}),
    ) -> None:
        """The store was asked for tasks, and the directory if there is one; what waited for the answer goes on.

        :param task_ids: what was asked.
        :param found: the finished tasks among them.
        :param entries: what the directory had of them before it was asked.
        """
        directory = self._state.directory
        directory.reading(entries)
        for message in self._look_ups.answered(task_ids, found):
            if isinstance(message, tuple):
                self._reports.received(*message, now)
            elif isinstance(message, Heard):
                self._act_on_entry(message, now)
            else:
                self._act_on_command(message, now)
        directory.has_read(task_ids, self._state.ledger.unfinished, is_outdated=self._look_ups.is_outdated)
        self._look_ups.ask()
        self._state.flow.release()

    # ----------------------------------------------------------------------------------------------- downstream

    @told
    def daemon_joined(
        self, connection: int, hello: Hello, address: str, now: float, key: DaemonKey | None = None
    ) -> None:
        """A daemon has authenticated.

        :param connection: its number.
        :param address: where it comes from, to show.
        :param key: the daemon key that it presented; none for the shared one.
        """
        if key is not None:
            self._keyring.used(key, hello.machine_id, address, now)
        self._attendance.joined(connection, hello, address, now, key)

    @told
    def daemon_parting(self, connection: int, reason: str, now: float) -> None:
        """A daemon's connection is being closed: it takes nothing more, but what it had sent may still come."""
        self._attendance.parting(connection, reason, now)

    @told
    def daemon_lost(self, connection: int, reason: str, now: float) -> None:
        """A daemon's connection is gone."""
        self._attendance.lost(connection, reason, now)

    def reports_received(self, connection: int, reports: Sequence[DaemonMessage], now: float) -> _Effects:
        """A daemon sent messages.

        Messages of a connection that is being closed count as long as they come.
        """
        daemon = self._attendance.heard_from(connection, now)
        if daemon is None:
            return []
        place = 0
        while place < len(reports):
            if self._look_ups.is_clear(daemon):
                place = self._reports.relay_steady(daemon, reports, place, now)
            if place < len(reports):
                if self._look_ups.pass_report(connection, daemon, reports[place]):
                    self._reports.received(connection, daemon, reports[place], now)
                place += 1
        if now >= self._look_at_outbox_at:
            self._look_at_outbox(now)
        if daemon.connection == connection and self._state.flow.hold_if_needed(connection):
            daemon.held = True
        return self._state.take_effects()

    def _look_at_outbox(self, now: float) -> None:
        """Have reports kept that have waited long enough: what many daemons send at once may hold up the timers."""
        self._look_at_outbox_at = now + _LOOK_INTERVAL
        due = self._state.outbox.next_to_keep()
        if due is not None and due <= now:
            self._state.keep_reports()

    @told
    def invalid_report_received(self, connection: int, reason: str, now: float) -> None:
        """A daemon sent something that cannot be read; too much of it ends the connection."""
        daemon = self._attendance.heard_from(connection, now)
        # What comes on a connection that was replaced is not held against the newer one.
        if daemon is None or daemon.connection != connection:
            return
        if self._reports.invalid(connection, daemon, reason, now):
            self._attendance.parting(connection, "too many invalid messages", now)

    @told
    def daemon_seen(self, connection: int, now: float) -> None:
        """A daemon answered a ping."""
        daemon = self._attendance.heard_from(connection, now)
        if daemon is not None and connection in self._state.flow.held:
            # The pong came in one read with what it is held for.
            daemon.held = True
