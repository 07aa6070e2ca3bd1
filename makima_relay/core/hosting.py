"""What this relay tells peers of their tasks, which daemons of its own have (``cluster.md``, *Rules*)."""

from __future__ import annotations

import msgspec

from makima_relay.core.entries import Ended, Placed, Reported, Returned
from makima_relay.core.from_daemons import read_report
from makima_relay.core.messages import Completion, StatusChange
from makima_relay.core.peers import Peer
from makima_relay.core.state import State
from makima_relay.core.tasks import FINISHED, Task, TaskStatus


class Hosting:
    """The moves of tasks of peers besides those that all tasks make.

    :param state: the relay's memory.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def placed(self, task: Task, now: float) -> None:
        """Tell the origin of a task that a daemon has it; of this relay's own tasks nobody is told."""
        if task.origin is None:
            return
        daemon_id = str(task.daemon_id)
        daemon = self._state.fleet.get(daemon_id)
        hostname = daemon_id if daemon is None else daemon.hostname
        entry = Placed(task.task_id, task.attempts, daemon_id, hostname, task.status)
        number = self._state.peers.known(task.origin, now).box.put(entry)
        self._state.ledger.foreign.told[task.task_id] = number

    def was_told_after(self, task: Task, number: int) -> bool:
        """Whether a task's origin was told where it is after an entry of a number."""
        return self._state.ledger.foreign.told.get(task.task_id, 0) > number

    def lost(self, task: Task, hostname: str | None, now: float) -> None:
        """Give a task back to its origin, which decides what becomes of it: its daemon is lost."""
        state = self._state
        assert task.origin is not None
        origin = state.peers.known(task.origin, now)
        if task.detached:
            error = f"daemon {hostname} lost"
            state.fail_unreported(task, TaskStatus.FAILED, error, now)
            origin.box.put(Ended(task.task_id, task.attempts, TaskStatus.FAILED, error))
        else:
            self.let_go(task, now)
            origin.box.put(Returned(task.task_id, task.attempts, lost=True, hostname=hostname))

    def let_go(self, task: Task, now: float) -> None:
        """Have a task no more, but remember for late reports whose it was."""
        self._state.finish(task, TaskStatus.CANCELLED, None, now)

    def forget(self, task: Task, now: float) -> None:
        """Have a task no more, as if it had never been here."""
        self.let_go(task, now)
        self._state.ledger.foreign.forget(task.task_id)

    def desert(self, origin: Peer, now: float) -> None:
        """Have this relay's own server told of a peer's tasks: that peer has been away for too long.

        It is told what the peer cannot have read, or may have, and all that comes; the peer is told how they end.
        """
        origin.is_deserted = True
        for task in self._state.ledger.foreign.of(str(origin.relay)):
            self._state.save(msgspec.structs.replace(task, detached=True), now)
        for entry in self.take_reports(origin):
            for payload in entry.payloads:
                self._state.relay_report(None, payload, now, kept=True)
                report = read_report(payload)
                if isinstance(report, Completion | StatusChange) and report.status in FINISHED:
                    origin.box.put(_ended(entry.task_id, entry.attempt, report))

    def ended(self, task: Task, report: Completion | StatusChange, now: float) -> None:
        """Tell the origin of a task how that ended, as this relay's own server was told."""
        origin = self._state.peers.known(str(task.origin), now)
        origin.box.put(_ended(task.task_id, task.attempts, report))

    def take_reports(self, origin: Peer, task_id: str | None = None) -> list[Reported]:
        """Take back the reports that an origin may not have.

        :param task_id: the task that they are about; none for all.
        """
        taken = {
            number: entry
            for number, entry in origin.box
            if isinstance(entry, Reported) and task_id in (None, entry.task_id)
        }
        origin.box.drop(taken)
        return list(taken.values())


def _ended(task_id: str, attempt: int, report: Completion | StatusChange) -> Ended:
    error = None if report.status is TaskStatus.COMPLETED else report.error
    return Ended(task_id, attempt, report.status, error)
