"""When a daemon is lost, and when it returns (``protocol.md``, *A daemon is lost*)."""

from __future__ import annotations

from typing import Final

from makima_relay.core.fleet import Daemon
from makima_relay.core.grace import Graces
from makima_relay.core.hosting import Hosting
from makima_relay.core.lookups import LookUps
from makima_relay.core.peers import Peer
from makima_relay.core.policy import LossPolicy
from makima_relay.core.state import Holder, State
from makima_relay.core.tasks import Task, TaskStatus

#: What daemons that are read again have to say needs so long to be read, in seconds.
_TO_BE_HEARD: Final = 1.0


class Losses:
    """Orphans tasks, waits out their grace, takes them back or gives them up.

    :param state: the relay's memory.
    :param look_ups: knows whose messages wait to be acted on.
    """

    def __init__(self, state: State, look_ups: LookUps) -> None:
        self._state = state
        self._look_ups = look_ups
        self.hosting = Hosting(state)
        self._daemons = Graces()
        self._peers = Graces()
        if state.policy.relay_id is not None:
            self.peers_deaf(0.0)

    def next_deadline(self) -> float | None:
        """When the next daemon's grace runs out, in monotonic seconds; none if no task waits, or nobody can be heard.

        Those of peers are so long that it is enough to look at them now and then.
        """
        return self._daemons.next_deadline()

    def deaf(self, now: float) -> None:
        """No daemon is read from now on: whether one still has its tasks cannot be known, so no grace goes by."""
        self._daemons.deaf(now)

    def hearing(self, now: float) -> None:
        """Daemons are read again."""
        self._daemons.hearing(now, _TO_BE_HEARD)

    def peers_deaf(self, now: float) -> None:
        """No peer can be heard from now on: no grace of theirs goes by."""
        self._peers.deaf(now)

    def peers_hearing(self, now: float) -> None:
        """Peers can be heard again."""
        self._peers.hearing(now)

    def orphan(self, task: Task, now: float) -> None:
        """Let a task wait for its daemon, with a fresh grace."""
        if task.status is not TaskStatus.ORPHANED:
            self._state.save(task.to(TaskStatus.ORPHANED), now)
        self._begin_grace(task, now)

    def taken_up(self, task: Task, now: float) -> None:
        """Wait for the daemon of a task that an earlier run left orphaned."""
        self._begin_grace(task, now)

    def _begin_grace(self, task: Task, now: float) -> None:
        policy = self._state.policy
        if task.relay is None:
            self._daemons.begin(task.task_id, policy.daemon_grace, now)
        else:
            self._peers.begin(task.task_id, policy.peer_grace, now)

    def end_grace(self, task_id: str) -> None:
        """Wait no more for whoever has a task."""
        self._daemons.end(task_id)
        self._peers.end(task_id)

    def orphan_all(self, holder: Holder, now: float) -> None:
        """Orphan all that a daemon or a peer holds; those that are orphaned already keep their grace."""
        for task_id in sorted(holder.tasks):
            task = self._state.ledger.find(task_id)
            assert task is not None, "a daemon holds unfinished tasks only"
            if task.status is not TaskStatus.ORPHANED:
                self.orphan(task, now)

    def regain(self, task: Task, daemon: Daemon, now: float) -> Task:
        """Note that a daemon shows to have a task still, which was orphaned, or pending again, or at a peer."""
        former = self._state.holder(task)
        regained = task.shown(self._state.wall(now), daemon.daemon_id)
        self._regained(regained, daemon, now)
        self.hosting.placed(regained, now)
        self._state.moved(former, task, regained)
        return regained

    def regain_from(self, task: Task, peer: Peer, daemon_id: str, hostname: str, now: float) -> Task:
        """Note that a daemon at a peer shows to have a task, wherever that was thought to be."""
        former = self._state.holder(task)
        regained = task.shown(self._state.wall(now), daemon_id, peer.relay, hostname)
        self._regained(regained, peer, now)
        self._state.moved(former, task, regained)
        return regained

    def _regained(self, task: Task, holder: Holder, now: float) -> None:
        self.end_grace(task.task_id)
        self._state.save(task, now)
        self._state.send_waiting_commands(task, holder)

    def reconcile(self, daemon: Daemon, listed: frozenset[str], now: float) -> None:
        """Compare a returned daemon's first list with what it held: what it lists goes on, what it does not is lost.

        While an older connection of its is not quite gone the losses wait: the end of a task may still come there.
        """
        for task in self._orphaned(daemon):
            if task.task_id in listed:
                self.regain(task, daemon, now)
        if daemon.parting:
            daemon.listed = listed
        else:
            self.lose_unlisted(daemon, listed, now)

    def lose_unlisted(self, daemon: Daemon, listed: frozenset[str], now: float) -> None:
        """Give up what a returned daemon held and does not list."""
        daemon.listed = None
        for task in self._orphaned(daemon):
            if task.task_id not in listed:
                self.lose(task, now)

    def _orphaned(self, daemon: Daemon) -> list[Task]:
        tasks = [self._state.ledger.find(task_id) for task_id in sorted(daemon.tasks)]
        return [task for task in tasks if task is not None and task.status is TaskStatus.ORPHANED]

    def expire(self, now: float) -> None:
        """Give up the tasks whose grace is over."""
        for graces in (self._daemons, self._peers):
            while (task_id := graces.pop(now)) is not None:
                task = self._state.ledger.find(task_id)
                if task is not None and task.status is TaskStatus.ORPHANED:
                    self._expired(task, now)

    def _expired(self, task: Task, now: float) -> None:
        holder = self._state.holder(task)
        if holder is not None and holder.is_there and (holder.held or not self._look_ups.is_clear(holder)):
            # It has returned, and what it says of the task may be waiting: in the socket, or for a look-up.
            self._begin_grace(task, now)
        else:
            self.lose(task, now)

    def lose(self, task: Task, now: float, hostname: str | None = None) -> None:
        """Give up a task that nobody has any more; the task of a peer is given back to that.

        :param hostname: of the daemon that had it, if another knows.
        """
        state = self._state
        self.end_grace(task.task_id)
        hostname = hostname or self._name_of_holder(task)
        if task.origin is not None:
            self.hosting.lost(task, hostname, now)
            return
        requeue = self._is_to_be_requeued(task)
        state.log(
            now,
            "task_lost",
            f"task lost with its daemon, {'queued again' if requeue else 'failed'}",
            taskId=task.task_id,
            daemonId=task.daemon_id,
            hostname=hostname,
        )
        if requeue:
            orphaned = task if task.status is TaskStatus.ORPHANED else task.to(TaskStatus.ORPHANED)
            state.save(orphaned.to(TaskStatus.PENDING), now)
        else:
            state.fail_unreported(task, TaskStatus.FAILED, f"daemon {hostname} lost", now)

    def _name_of_holder(self, task: Task) -> str | None:
        holder = self._state.holder(task)
        return task.hostname or (task.daemon_id if holder is None else holder.hostname)

    def _is_to_be_requeued(self, task: Task) -> bool:
        state = self._state
        return (
            state.policy.on_loss is LossPolicy.REQUEUE
            and task.tries < state.policy.most_attempts
            and state.waiting.has_message(task.task_id)
            and not state.waiting.will_stop(task.task_id)
        )
