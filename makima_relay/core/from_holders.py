"""What peers say of this relay's own tasks, which they hold for it (``cluster.md``, *Rules*).

The rule is that for daemons: who reports on a task must be the daemon that has it, or last had it, by whichever relay
it comes; so a daemon that has moved brings its task along.
"""

from __future__ import annotations

from makima_relay.core.entries import Ended, Holding, Interrupt, Moved, Placed, Reported, Returned
from makima_relay.core.fleet import Daemon
from makima_relay.core.from_daemons import read_report
from makima_relay.core.losses import Losses
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Heartbeat, Report
from makima_relay.core.peers import Peer
from makima_relay.core.policy import LossPolicy
from makima_relay.core.reports import Reports
from makima_relay.core.state import State
from makima_relay.core.tasks import BEFORE_DISPATCH, FINISHED, Task, TaskStatus


class FromHolders:
    """Notes where tasks are and what became of them, and relays what daemons of peers report.

    :param state: the relay's memory.
    :param losses: takes tasks back, or gives them up.
    :param reports: relays.
    """

    def __init__(self, state: State, losses: Losses, reports: Reports) -> None:
        self._state = state
        self._losses = losses
        self._reports = reports

    def placed(self, peer: Peer, entry: Placed, now: float) -> None:
        """Note which daemon has a task."""
        task = self._had(peer, entry.task_id, entry.attempt, entry.daemon_id)
        if task is None or task.finished or task.is_new_attempt:
            self._interrupt(peer, entry.task_id, entry.attempt)
        else:
            is_new = task.status is TaskStatus.DISPATCHED and entry.status is TaskStatus.DISPATCHED
            self._shown(task, peer, entry.daemon_id, entry.hostname, now, runs=not is_new)

    def _shown(self, task: Task, peer: Peer, daemon_id: str, hostname: str, now: float, *, runs: bool = True) -> Task:
        """Note that a daemon at a peer has a task."""
        is_there = task.at_work and task.relay == peer.relay
        if is_there and not runs:
            shown = task.placed(daemon_id, hostname)
            self._state.save(shown, now)
            self._state.send_waiting_commands(shown, peer)
        elif is_there and task.status is TaskStatus.RUNNING and task.daemon_id == daemon_id:
            return task
        else:
            shown = self._losses.regain_from(task, peer, daemon_id, hostname, now)
        if self._state.policy.on_loss is LossPolicy.FAIL:
            self._state.waiting.drop_message(task.task_id)
        return shown

    def reported(self, peer: Peer, entry: Reported, now: float) -> None:
        """Relay what a daemon said of a task, as if it had said it here."""
        task = self._had(peer, entry.task_id, entry.attempt, entry.daemon_id)
        if task is None:
            self._interrupt(peer, entry.task_id, entry.attempt)
            return
        if not task.finished and not task.is_new_attempt:
            self._shown(task, peer, entry.daemon_id, task.hostname or entry.daemon_id, now)
        for payload in entry.payloads:
            self._relay(peer, entry.task_id, payload, now)

    def _relay(self, peer: Peer, task_id: str, payload: bytes, now: float) -> None:
        task = self._state.ledger.get(task_id)
        try:
            report = read_report(payload)
        except InvalidMessageError:
            return
        if task is None or isinstance(report, Heartbeat) or report.task_id != task_id:
            return
        if isinstance(report, Report):
            self._reports.pass_on(task, report, now)
        else:
            if report.status in FINISHED and task_id in peer.tasks:
                peer.frees()
            self._reports.decide(task, report, now)

    def returned(self, peer: Peer, entry: Returned, now: float) -> None:
        """Take a task back: it was lost with its daemon, or no daemon got it."""
        task = self._has(peer, entry.task_id, entry.attempt)
        if not entry.lost:
            peer.turns_away()
        if task is not None and entry.lost:
            self._losses.lose(task, now, entry.hostname)
        elif task is not None:
            self._losses.end_grace(task.task_id)
            self.take_back(task, now)
        self._state.dispatch_waiting(now)

    def take_back(self, task: Task, now: float) -> None:
        """Have a task wait again that no daemon ever got."""
        state = self._state
        if task.status is TaskStatus.RUNNING or not state.waiting.has_message(task.task_id):
            self._losses.lose(task, now)
            return
        pending = task.given_back(state.held_before.pop(task.task_id, None))
        state.save(pending, now)
        if state.waiting.will_stop(pending.task_id):
            state.fail_unreported(pending, TaskStatus.CANCELLED, BEFORE_DISPATCH, now)

    def ended(self, peer: Peer, entry: Ended, now: float) -> None:
        """Note the end of a task, which the peer's own server knows."""
        task = self._has(peer, entry.task_id, entry.attempt)
        if task is not None and entry.status in FINISHED:
            peer.frees()
            self._losses.end_grace(task.task_id)
            self._state.finish(task, entry.status, entry.error, now)
            self._state.dispatch_waiting(now)

    def holding(self, peer: Peer, entry: Holding, now: float) -> None:
        """Compare what a peer has with what it should have: what it does not list is lost."""
        if entry.inquiry != peer.inquiry:
            return
        peer.awaited_until = None
        for task_id, attempt, daemon_id, hostname in entry.tasks:
            self.placed(peer, Placed(task_id, attempt, daemon_id, hostname, TaskStatus.RUNNING), now)
        listed = {each[0] for each in entry.tasks}
        for task_id in sorted(peer.tasks - listed - peer.offered):
            task = self._state.ledger.get(task_id)
            if task is not None:
                self._losses.lose(task, now)
        self._state.dispatch_waiting(now)

    def moved(self, peer: Peer, entry: Moved, now: float) -> None:
        """Let a task go that a peer has got from its own server while this relay was away."""
        state = self._state
        task = state.ledger.get(entry.task_id)
        if task is None or task.finished:
            return
        holder = state.holder(task)
        self._losses.end_grace(task.task_id)
        state.finish(task, TaskStatus.CANCELLED, f"moved to {entry.agent_name}", now)
        if isinstance(holder, Daemon):
            state.interrupt(holder, task.task_id)
        elif holder is not None and holder is not peer:
            holder.box.put(Interrupt(task.task_id, task.attempts))
        state.dispatch_waiting(now)

    def _has(self, peer: Peer, task_id: str, attempt: int) -> Task | None:
        """The task, if a peer has it, and that attempt of it."""
        task = self._state.ledger.get(task_id)
        has = task is not None and task.at_work and task.relay == peer.relay and task.attempts == attempt
        return task if has else None

    def _had(self, peer: Peer, task_id: str, attempt: int, daemon_id: str) -> Task | None:
        """The task, if a daemon at a peer has it, or last had it."""
        task = self._state.ledger.get(task_id)
        if task is None or task.daemon_id == daemon_id:
            return task
        is_first = task.daemon_id is None and task.relay == peer.relay and task.attempts == attempt
        return task if is_first else None

    def _interrupt(self, peer: Peer, task_id: str, attempt: int) -> None:
        """Have a peer stop what it should not have, once since it came."""
        if (task_id, attempt) not in peer.interrupted:
            peer.interrupted.add((task_id, attempt))
            peer.box.put(Interrupt(task_id, attempt))
