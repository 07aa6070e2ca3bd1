"""Takes up what an earlier run left: a few tasks at a time, so that the reactor is never blocked for long."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from makima_relay.core import effects
from makima_relay.core.fleet import Daemon
from makima_relay.core.losses import Losses
from makima_relay.core.snapshot import Snapshot, StoredTask
from makima_relay.core.state import State
from makima_relay.core.tasks import TaskStatus

#: Tasks that are taken up at a time: some 20 ms.
_AT_A_TIME: Final = 5_000


class Recovery:
    """What is left to be taken up.

    :param state: the relay's memory.
    :param losses: waits for the daemons of what was at work.
    :param snapshot: what an earlier run left.
    """

    def __init__(self, state: State, losses: Losses, snapshot: Snapshot) -> None:
        self._state = state
        self._losses = losses
        self._daemons = snapshot.daemons
        self._tasks = deque(snapshot.tasks)
        self._has_orphaned = False

    @property
    def is_under_way(self) -> bool:
        """Whether something is left."""
        return bool(self._tasks)

    def begin(self, now: float) -> None:
        """Take up the daemons, and the first of the tasks."""
        for each in self._daemons:
            self._state.fleet.enlist(Daemon(each.daemon_id, each.machine_id, each.hostname, draining=each.draining))
        self._daemons = ()
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Take up the next tasks; what was at work has a fresh grace."""
        for _ in range(min(_AT_A_TIME, len(self._tasks))):
            stored = self._tasks.popleft()
            if stored.task.at_work:
                stored = self._at_work(stored, now)
            self._state.take_up(stored)
            if stored.task.relay is not None and stored.task.at_work and self._state.policy.relay_id is None:
                # The relay has left its cluster: nobody will say what becomes of the task.
                self._losses.orphan(stored.task, now)

    def _at_work(self, stored: StoredTask, now: float) -> StoredTask:
        """A task that somebody has, or had: a peer has it still, as long as that is not known to be away."""
        task = stored.task
        for relay_id in filter(None, (task.relay, task.origin)):
            self._state.peers.known(relay_id, now)
        if task.relay is None:
            stored = self._orphaned(stored, now)
        if stored.task.status is TaskStatus.ORPHANED:
            self._losses.taken_up(stored.task, now)
        if task.origin is not None and self._state.policy.relay_id is None:
            # Nor does its origin hear of this one any more.
            stored = msgspec.structs.replace(stored, task=msgspec.structs.replace(stored.task, detached=True))
        return stored

    def _orphaned(self, stored: StoredTask, now: float) -> StoredTask:
        """A task whose daemon is not connected any more, or not yet."""
        if stored.task.status is TaskStatus.ORPHANED:
            return stored
        if not self._has_orphaned:
            # All of them at once: they may be very many.
            self._has_orphaned = True
            self._state.note(effects.OrphanTasks(self._state.wall(now)))
        return msgspec.structs.replace(stored, task=stored.task.to(TaskStatus.ORPHANED))
