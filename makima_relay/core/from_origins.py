"""What peers ask of this relay about their tasks, which it holds for them (``cluster.md``, *Rules*)."""

from __future__ import annotations

import msgspec

from makima_relay.core.entries import Adopted, Holding, Interrupt, Offer, Relayed, Released, Reported, Returned
from makima_relay.core.fleet import Daemon
from makima_relay.core.from_server import read_command
from makima_relay.core.losses import Losses
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Spawn
from makima_relay.core.peers import Peer
from makima_relay.core.state import State
from makima_relay.core.tasks import Task


class FromOrigins:
    """Takes tasks for peers, hands on their commands, and lets go of what they do not want here any more.

    :param state: the relay's memory.
    :param losses: waits for daemons.
    """

    def __init__(self, state: State, losses: Losses) -> None:
        self._state = state
        self._losses = losses

    def offered(self, peer: Peer, entry: Offer, now: float) -> None:
        """Place a task on a daemon at once, or return it."""
        state = self._state
        held = state.ledger.foreign.unfinished(entry.task_id)
        if held is not None and held.origin == peer.relay:
            # Its origin gave it up for lost, and has found out too late that it is here.
            self._renew(held, peer, entry.attempt, now)
            return
        daemon = None if self._cannot_take(entry) else state.fleet.least_loaded(now)
        if daemon is None:
            peer.box.put(Returned(entry.task_id, entry.attempt, lost=False, hostname=None))
        else:
            self._place(peer, entry, daemon, now)

    def _cannot_take(self, entry: Offer) -> bool:
        own = self._state.ledger.get(entry.task_id)
        is_known = own is not None and not own.finished
        is_known = is_known or self._state.ledger.foreign.unfinished(entry.task_id) is not None
        return self._state.is_stopping or is_known or not _is_spawn_of(entry)

    def _place(self, peer: Peer, entry: Offer, daemon: Daemon, now: float) -> None:
        state = self._state
        key = state.ledger.number()
        at = state.wall(now)
        task = Task(
            key=key,
            position=key,
            task_id=entry.task_id,
            name=entry.name,
            attempts=entry.attempt - 1,
            received_at=at,
            traceparent=entry.traceparent,
            origin=peer.relay,
        ).dispatched(daemon.daemon_id, at)
        state.fleet.dispatched(daemon, task.task_id)
        state.save(task, now)
        state.relay_command(daemon, entry.message)
        self._losses.hosting.placed(task, now)

    def _renew(self, task: Task, peer: Peer, attempt: int, now: float) -> None:
        """Go on with a task as the attempt that its origin counts now, whoever was its origin before."""
        renewed = msgspec.structs.replace(task, origin=peer.relay, attempts=attempt, detached=False)
        self._state.save(renewed, now)
        self._losses.hosting.placed(renewed, now)

    def adopted(self, peer: Peer, entry: Adopted, now: float) -> None:
        """Note that a task has another origin now: what its former one has not read is for this one."""
        task = self._state.ledger.foreign.unfinished(entry.task_id)
        if task is None:
            peer.box.put(Returned(entry.task_id, entry.attempt, lost=False, hostname=None))
            return
        self._renew(task, peer, entry.attempt, now)
        former = None if task.origin is None else self._state.peers.get(task.origin)
        if former is not None and former is not peer:
            for waiting in self._losses.hosting.take_reports(former, task.task_id):
                peer.box.put(Reported(task.task_id, entry.attempt, waiting.daemon_id, waiting.payloads))

    def commanded(self, peer: Peer, entry: Relayed, now: float) -> None:
        """Hand on a command; it waits for a daemon that is gone."""
        state = self._state
        task = self._task(peer, entry)
        if task is None:
            return
        holder = state.holder(task)
        if holder is not None and holder.is_there:
            state.hand_on(holder, task, entry.payload)
        elif len(state.waiting.commands(task.task_id)) < state.policy.most_commands:
            state.keep_command(task, entry.payload)

    def interrupted(self, peer: Peer, entry: Interrupt, now: float) -> None:
        """Stop a task that runs elsewhere, or was given up; one whose daemon is gone is stopped when that returns."""
        state = self._state
        task = self._task(peer, entry)
        if task is None:
            return
        daemon = state.fleet.get(str(task.daemon_id))
        if daemon is not None and daemon.is_there:
            state.interrupt(daemon, task.task_id)
            self._losses.hosting.let_go(task, now)
            state.dispatch_waiting(now)
        elif not state.waiting.will_stop(task.task_id):
            state.keep_command(task, None)

    def released(self, peer: Peer, entry: Released, now: float) -> None:
        """Forget a task that has gone elsewhere with its daemon, unless that is back and its origin knows."""
        task = self._task(peer, entry)
        if task is not None and not self._losses.hosting.was_told_after(task, entry.heard):
            self._losses.end_grace(task.task_id)
            self._losses.hosting.forget(task, now)
            self._state.dispatch_waiting(now)

    def asked(self, peer: Peer, inquiry: int) -> None:
        """Tell a peer which of its tasks are here."""
        state = self._state
        tasks = []
        for task in state.ledger.foreign.of(peer.relay):
            daemon_id = str(task.daemon_id)
            daemon = state.fleet.get(daemon_id)
            hostname = daemon_id if daemon is None else daemon.hostname
            tasks.append((task.task_id, task.attempts, daemon_id, hostname))
        peer.box.put(Holding(inquiry, tuple(tasks)))

    def _task(self, peer: Peer, entry: Relayed | Interrupt | Released) -> Task | None:
        """The task that a peer means, if it is its own, and the same attempt."""
        task = self._state.ledger.foreign.unfinished(entry.task_id)
        is_meant = task is not None and task.origin == peer.relay and task.attempts == entry.attempt
        return task if is_meant else None


def _is_spawn_of(entry: Offer) -> bool:
    """Whether an offer has the message that a daemon is to get."""
    try:
        message = read_command(entry.message)
    except InvalidMessageError:
        return False
    return isinstance(message, Spawn) and message.task_id == entry.task_id and entry.attempt > 0
