"""When this relay's server hands out a task that is a peer's (``cluster.md``, *The same task from two servers*)."""

from __future__ import annotations

import msgspec

from makima_relay.core.entries import Adopted, Moved
from makima_relay.core.losses import Losses
from makima_relay.core.peers import Peer
from makima_relay.core.state import State
from makima_relay.core.tasks import Task, TaskStatus


class Takeovers:
    """Refuses such a task while its origin is present, and else has this relay become its origin.

    :param state: the relay's memory.
    :param losses: waits for the daemon of what was a peer's.
    """

    def __init__(self, state: State, losses: Losses) -> None:
        self._state = state
        self._losses = losses

    def _origin(self, task_id: str) -> str | None:
        """The peer whose task it is."""
        held = self._state.ledger.foreign.unfinished(task_id)
        if held is not None:
            return held.origin
        entry = self._state.directory.others(task_id)
        return None if entry is None or entry.has_ended else entry.origin

    def refuses(self, task_id: str, now: float) -> bool:
        """Whether it is the task of a peer that is present; one that was never heard of has time to be seen."""
        origin = self._origin(task_id)
        return origin is not None and not self._state.peers.known(origin, now).is_away

    def begin(self, task: Task, now: float) -> None:
        """Be the origin of a task that is pending here; of one that was nobody's nothing is to be done."""
        state = self._state
        origin = self._origin(task.task_id)
        if origin is None:
            entry = state.directory.others(task.task_id)
            if entry is not None:
                state.directory.record(task, instead_of=entry.origin)
            return
        held = state.ledger.foreign.unfinished(task.task_id)
        former = state.peers.known(origin, now)
        former.box.put(Moved(task.task_id, state.policy.agent_name or str(state.policy.relay_id)))
        if held is not None:
            self._keep_at_home(task, held, former, now)
        else:
            self._keep_at_holder(task, origin, now)
        now_it_is = state.ledger.get(task.task_id)
        assert now_it_is is not None, "it has just been saved"
        state.directory.record(now_it_is, instead_of=origin)

    def _keep_at_home(self, task: Task, held: Task, former: Peer, now: float) -> None:
        """A daemon of this relay's own has it: what that said, and waits for the former origin, is for the server."""
        state = self._state
        self._losses.end_grace(task.task_id)
        daemon = state.fleet.get(str(held.daemon_id))
        self._losses.hosting.forget(held, now)
        if daemon is not None:
            # One that is gone, and had nothing else, has just been forgotten too.
            state.fleet.enlist(daemon)
        given = task.dispatched(held.daemon_id, state.wall(now))
        state.save(given, now)
        if held.status is TaskStatus.RUNNING:
            state.save(given.running(str(held.daemon_id), state.wall(now)), now)
        elif held.status is TaskStatus.ORPHANED:
            self._losses.orphan(given, now)
        for entry in self._losses.hosting.take_reports(former, task.task_id):
            for payload in entry.payloads:
                state.relay_report(None, payload, now, kept=True)

    def _keep_at_holder(self, task: Task, origin: str, now: float) -> None:
        """A peer has it: if that is there, it is told who is the origin now; else the task waits for a daemon."""
        state = self._state
        entry = state.directory.others(task.task_id)
        holder = None if entry is None or entry.holder == origin else state.peers.get(entry.holder)
        if entry is not None and holder is not None and holder.is_there:
            given = msgspec.structs.replace(task, attempts=max(0, entry.attempt - 1))
            state.save(given.dispatched(None, state.wall(now), holder.relay), now)
            holder.offered.add(task.task_id)
            holder.box.put(Adopted(task.task_id, max(1, entry.attempt)))
