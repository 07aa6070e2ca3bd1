"""What can be seen of a relay from outside, without changing anything."""

from __future__ import annotations

from collections import Counter

import attrs

from makima_relay.core.fleet import Daemon
from makima_relay.core.journal import Entry
from makima_relay.core.keys import DaemonKeys
from makima_relay.core.lookups import LookUps
from makima_relay.core.output import Outputs
from makima_relay.core.peers import Presence
from makima_relay.core.recovery import Recovery
from makima_relay.core.rejections import Rejection
from makima_relay.core.state import State
from makima_relay.core.tally import Tally
from makima_relay.core.tasks import FINISHED, Task, TaskStatus


@attrs.define
class Census:
    """The connected daemons and their slots, counted.

    :ivar draining: those that an operator has withdrawn; the others are healthy or not.
    :ivar free: slots that a task could go to now: those of healthy daemons that are not draining.
    :ivar busy: tasks of all of them.
    """

    healthy: int = 0
    unhealthy: int = 0
    draining: int = 0
    free: int = 0
    busy: int = 0


class View:
    """The part of a :class:`~makima_relay.core.relay.Relay` that only looks.

    :param state: the relay's memory.
    :param look_ups: what waits for the store.
    :param recovery: what is left of an earlier run.
    """

    def __init__(self, state: State, look_ups: LookUps, recovery: Recovery) -> None:
        self._state = state
        self._look_ups = look_ups
        self._recovery = recovery

    def daemons(self) -> list[Daemon]:
        """The connected daemons, in the order in which they came."""
        return list(self._state.fleet.connected())

    def connected_ids(self) -> list[str]:
        """The ids of the connected daemons."""
        return [daemon.daemon_id for daemon in self.daemons()]

    def daemon(self, daemon_id: str) -> Daemon | None:
        """A connected daemon by id."""
        daemon = self._state.fleet.get(daemon_id)
        return daemon if daemon is not None and daemon.connection is not None else None

    @property
    def keys(self) -> DaemonKeys:
        """The daemon keys."""
        return self._state.keys

    @property
    def rejected(self) -> Counter[Rejection]:
        """How often what was turned away, for whoever counts along: those at the edge count here too."""
        return self._state.rejected

    @property
    def tally(self) -> Tally:
        """What else was counted, for whoever counts along."""
        return self._state.tally

    def census(self, now: float) -> Census:
        """Count the connected daemons and their slots, one by one: there are at most ``--max-daemons``."""
        census = Census()
        healthy = self._state.fleet.healthy
        for daemon in self._state.fleet.connected():
            tasks = len(daemon.tasks)
            census.busy += tasks
            if daemon.draining:
                census.draining += 1
            elif healthy(daemon, now):
                census.healthy += 1
                census.free += max(0, daemon.capacity - tasks)
            else:
                census.unhealthy += 1
        return census

    def healthy(self, daemon: Daemon, now: float) -> bool:
        """Whether a daemon was heard of lately enough."""
        return self._state.fleet.healthy(daemon, now)

    def task(self, task_id: str) -> Task | None:
        """A task that is kept in mind: unfinished, or finished lately."""
        return self._state.ledger.get(task_id)

    @property
    def outputs(self) -> Outputs:
        """What tasks have put out lately; who follows a task says so here."""
        return self._state.outputs

    def hostname(self, daemon_id: str) -> str | None:
        """The name of a daemon that is connected, or holds tasks, or is drained."""
        daemon = self._state.fleet.get(daemon_id)
        return None if daemon is None else daemon.hostname

    def heartbeat(self) -> bytes:
        """What a heartbeat to the server says now."""
        return self._state.composer.heartbeat(self.active_tasks())

    def agent_name_of(self, relay_id: str) -> str | None:
        """The name of a peer that was heard of."""
        peer = self._state.peers.get(relay_id)
        return None if peer is None else peer.agent_name

    @property
    def cluster_session(self) -> int:
        """How often Redis has come: what is decided for an earlier session is not for this one."""
        return self._state.peers.session

    @property
    def foreign_tasks(self) -> int:
        """How many tasks of peers daemons of this relay have."""
        return len(self._state.ledger.foreign)

    def presence(self, now: float, version: str, *, upstream_connected: bool) -> Presence:
        """What this relay says of itself to its peers."""
        census = self.census(now)
        return Presence(
            relay_id=self._state.policy.relay_id or "",
            agent_name=self._state.policy.agent_name,
            version=version,
            upstream_connected=upstream_connected,
            connected_daemons=len(self._state.fleet),
            free_slots=census.free if self._state.peers.are_welcome else 0,
            busy_slots=census.busy,
            active_tasks=len(self.active_tasks()),
            pending_tasks=self.pending_tasks,
            foreign_tasks=self.foreign_tasks,
            oldest_pending_seconds=self.oldest_pending(now),
        )

    def all_unfinished(self) -> list[Task]:
        """All tasks of this relay's own that are not finished."""
        ledger = self._state.ledger
        return [task for task_id in ledger.all_unfinished() if (task := ledger.get(task_id)) is not None]

    def active_tasks(self) -> list[str]:
        """The ids of all tasks that some daemon has: what a heartbeat to the server lists."""
        return self._state.ledger.at_work()

    @property
    def is_taking_up(self) -> bool:
        """Whether tasks of an earlier run are still to be taken up."""
        return self._recovery.is_under_way

    @property
    def pending_tasks(self) -> int:
        """How many tasks wait for a daemon."""
        return self._state.ledger.counts[TaskStatus.PENDING]

    def unfinished_tasks(self) -> dict[TaskStatus, int]:
        """How many tasks have each status that is not their last."""
        return {status: self._state.ledger.counts[status] for status in TaskStatus if status not in FINISHED}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do: no task, no message, and nothing that the server or a peer may not have yet.

        Tasks of peers count as well. What waits for peers that have been away for too long does not.
        """
        state = self._state
        is_busy = any(self.unfinished_tasks().values()) or self.foreign_tasks or self.messages_waiting
        return not (is_busy or self.reports_waiting or state.peers.size)

    def oldest_pending(self, now: float) -> float:
        """For how long the oldest pending task has waited, in seconds; 0 without one."""
        task = self._state.ledger.oldest_pending()
        return 0.0 if task is None else max(0.0, self._state.wall(now) - task.received_at)

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
    def report_bytes(self) -> int:
        """Bytes of all reports that were taken for the server."""
        return self._state.outbox.taken

    @property
    def reports_waiting(self) -> int:
        """How many reports the server may not have yet."""
        return len(self._state.outbox)

    def why_pending(self, now: float) -> str:
        """Why pending tasks wait."""
        return self._state.fleet.why_none(now)

    @property
    def last_to_wait(self) -> int:
        """The number of the last message that had to wait for a look-up; they count from 1."""
        return self._look_ups.lanes.last

    @property
    def oldest_waiting(self) -> int | None:
        """The number of the message that waits longest for a look-up, if one does."""
        return self._look_ups.lanes.oldest

    @property
    def messages_waiting(self) -> int:
        """How many messages wait for a look-up, or behind one that does."""
        return len(self._look_ups)

    def journal(self, limit: int) -> list[Entry]:
        """The latest events, newest first."""
        return self._state.journal.latest(limit)
