"""When a daemon is lost, and when it returns (``protocol.md``, *A daemon is lost*)."""

from __future__ import annotations

import heapq
from typing import Final

from makima_relay.core.fleet import Daemon
from makima_relay.core.policy import LossPolicy
from makima_relay.core.state import State
from makima_relay.core.tasks import Task, TaskStatus

#: What daemons that are read again have to say needs so long to be read, in seconds.
_TO_BE_HEARD: Final = 1.0


class Losses:
    """Orphans tasks, waits out their grace, takes them back or gives them up.

    :param state: the relay's memory.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        # Deadlines are in seconds during which daemons could be heard.
        self._deadlines: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []
        self._deaf_for = 0.0
        self._deaf_since: float | None = None

    def next_deadline(self) -> float | None:
        """When the next grace runs out, in monotonic seconds; none if no task is orphaned, or nobody can be heard."""
        if self._deaf_since is not None:
            return None
        while self._due:
            deadline, task_id = self._due[0]
            if self._deadlines.get(task_id) == deadline:
                return deadline + self._deaf_for
            heapq.heappop(self._due)
        return None

    def deaf(self, now: float) -> None:
        """No daemon is read from now on: whether one still has its tasks cannot be known, so no grace goes by."""
        if self._deaf_since is None:
            self._deaf_since = now

    def hearing(self, now: float) -> None:
        """Daemons are read again."""
        if self._deaf_since is not None:
            self._deaf_for += now - self._deaf_since + _TO_BE_HEARD
            self._deaf_since = None

    def _heard_until(self, now: float) -> float:
        """For how long daemons could be heard until now."""
        return (now if self._deaf_since is None else self._deaf_since) - self._deaf_for

    def orphan(self, task: Task, now: float) -> None:
        """Let a task wait for its daemon, with a fresh grace."""
        if task.status is not TaskStatus.ORPHANED:
            self._state.save(task.to(TaskStatus.ORPHANED), now)
        self._begin_grace(task.task_id, now)

    def taken_up(self, task: Task, now: float) -> None:
        """Wait for the daemon of a task that an earlier run left orphaned."""
        self._begin_grace(task.task_id, now)

    def _begin_grace(self, task_id: str, now: float) -> None:
        self._deadlines[task_id] = deadline = self._heard_until(now) + self._state.policy.daemon_grace
        heapq.heappush(self._due, (deadline, task_id))

    def orphan_all(self, daemon: Daemon, now: float) -> None:
        """Orphan all that a daemon holds; those that are orphaned already keep their grace."""
        for task_id in sorted(daemon.tasks):
            task = self._state.ledger.get(task_id)
            assert task is not None, "a daemon holds unfinished tasks only"
            if task.status is not TaskStatus.ORPHANED:
                self.orphan(task, now)

    def regain(self, task: Task, daemon: Daemon, now: float) -> Task:
        """Note that a daemon shows to have a task still, which was orphaned or pending again."""
        self._deadlines.pop(task.task_id, None)
        regained = task.running(daemon.daemon_id, self._state.wall(now))
        self._state.save(regained, now)
        self._state.send_waiting_commands(regained, daemon)
        return regained

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
                self._lose(task, now)

    def _orphaned(self, daemon: Daemon) -> list[Task]:
        tasks = [self._state.ledger.get(task_id) for task_id in sorted(daemon.tasks)]
        return [task for task in tasks if task is not None and task.status is TaskStatus.ORPHANED]

    def expire(self, now: float) -> None:
        """Give up the tasks whose grace is over."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, task_id = heapq.heappop(self._due)
            task = self._state.ledger.get(task_id)
            del self._deadlines[task_id]
            if task is None or task.status is not TaskStatus.ORPHANED:
                continue
            holder = self._state.holder(task)
            if holder is not None and holder.connection is not None and holder.held:
                # It has returned, and is not read: what it would say of the task may be waiting in the socket.
                self._begin_grace(task_id, now)
            else:
                self._lose(task, now)

    def _lose(self, task: Task, now: float) -> None:
        state = self._state
        self._deadlines.pop(task.task_id, None)
        holder = state.holder(task)
        hostname = task.daemon_id if holder is None else holder.hostname
        error = f"daemon {hostname} lost"
        requeue = (
            state.policy.on_loss is LossPolicy.REQUEUE
            and task.tries < state.policy.most_attempts
            and state.waiting.has_message(task.task_id)
            and not state.is_to_stop(task)
        )
        state.log(
            now,
            "task_lost",
            f"task lost with its daemon, {'queued again' if requeue else 'failed'}",
            taskId=task.task_id,
            daemonId=task.daemon_id,
            hostname=hostname,
        )
        if requeue:
            state.save(task.to(TaskStatus.PENDING), now)
        else:
            state.fail_unreported(task, TaskStatus.FAILED, error, now)
