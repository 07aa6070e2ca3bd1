"""What the daemons' messages do (``protocol.md``, *Downstream*)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from makima_relay.core import effects
from makima_relay.core.fleet import Daemon
from makima_relay.core.losses import Losses
from makima_relay.core.messages import MOST_SLOTS, Completion, DaemonMessage, Heartbeat, Listed, Report, StatusChange
from makima_relay.core.rejections import Rejection
from makima_relay.core.state import State
from makima_relay.core.tasks import AT_WORK, Task, TaskStatus

#: An invalid message of this number closes the connection.
MOST_FAULTS = 10
#: Tasks that a daemon may hold to be given further ones by its own reports: so many slots a daemon may have.
MOST_HELD = MOST_SLOTS
#: Seconds between two journal entries that say that there was no room for one.
_OVERLOAD_LOG_INTERVAL = 10.0
#: Close code for invalid messages.
CLOSE_INVALID = 4400


class Reports:
    """Checks who may report on what, relays it, and notes what it says about tasks.

    :param state: the relay's memory.
    :param losses: takes tasks back that a report shows to be still at work.
    """

    def __init__(self, state: State, losses: Losses) -> None:
        self._state = state
        self._losses = losses
        self._log_overload_at = 0.0

    def received(self, connection: int, daemon: Daemon, report: DaemonMessage | Listed, now: float) -> None:
        """Act on one message of an authenticated daemon.

        :param connection: the connection that it came on; the daemon may have another by now, or none.
        """
        kind = type(report)
        if kind is Report:
            self._plain(connection, daemon, report, now)  # type: ignore[arg-type]
        elif kind is Heartbeat:
            self._heartbeat(connection, daemon, report, now)  # type: ignore[arg-type]
        elif kind is Listed:
            self._listed(connection, daemon, report, now)  # type: ignore[arg-type]
        else:
            self._decisive(connection, daemon, report, now)  # type: ignore[arg-type]

    def relay_steady(self, daemon: Daemon, reports: Sequence[DaemonMessage], place: int, now: float) -> int:
        """Relay reports that change nothing, from a place on, up to the first that may change something.

        :return: the place of that.
        """
        unfinished = self._state.ledger.unfinished
        daemon_id = daemon.daemon_id
        steady: list[bytes] = []
        runs: list[tuple[str | None, int]] = []
        last: str | None = None
        for report in itertools.islice(reports, place, None):
            if type(report) is not Report:
                break
            task_id = report.task_id
            # Most are about the same task as the one before.
            if task_id != last:
                if task_id is not None:
                    task = unfinished(task_id)
                    if task is None or task.status is not TaskStatus.RUNNING or task.daemon_id != daemon_id:
                        break
                    if task.relay is not None:
                        # Its daemon was at a peer until now.
                        break
                last = task_id
                runs.append((task_id, len(steady)))
            steady.append(report.payload)
        if steady:
            self._state.relay_reports(steady, now)
        if runs:
            self._state.keep_output(runs, steady, now)
        return place + len(steady)

    def _plain(self, connection: int, daemon: Daemon, report: Report, now: float) -> None:
        if report.task_id is None:
            self._state.relay_report(None, report.payload, now)
            return
        task = self._task_of(connection, daemon, report.task_id, now)
        if task is not None:
            self.pass_on(task, report, now)

    def pass_on(self, task: Task, report: Report, now: float) -> None:
        """Relay a report that changes nothing, by whoever has the task or last had it, and keep it for people to see.

        Of a task that has finished it is kept only if there is more of it, and of a peer's task not at all.
        """
        self._state.relay_report(task, report.payload, now)
        if task.origin is None and (not task.finished or task.task_id in self._state.outputs):
            self._state.keep_output([(task.task_id, 0)], [report.payload], now)

    def _task_of(self, connection: int, daemon: Daemon, task_id: str, now: float) -> Task | None:
        """The task that a daemon reports on, as it is now; none if the report is refused."""
        task = self._state.ledger.find(task_id)
        if task is None or (task.finished and self._has_begun_anew(task)):
            if not self._may_adopt(connection, daemon, task_id, now):
                return None
            task = self._adopt(connection, daemon, task_id, now)
        if task.daemon_id != daemon.daemon_id:
            self._refuse(connection, daemon, task, now)
            return None
        return self._show_running(connection, daemon, task, now)

    def _decisive(self, connection: int, daemon: Daemon, report: Completion | StatusChange, now: float) -> None:
        task = self._task_of(connection, daemon, report.task_id, now)
        if task is not None:
            self.decide(task, report, now)

    def decide(self, task: Task, report: Completion | StatusChange, now: float) -> None:
        """Relay a report by whoever has the task or last had it, and note where that stands now."""
        status = report.status
        # Whoever does not hold the task ends nothing: it is finished already, or a new attempt waits for a daemon.
        ends = task.at_work and status is not TaskStatus.RUNNING
        if ends:
            self._state.finish(task, status, None if status is TaskStatus.COMPLETED else report.error, now)
        self._state.relay_report(task, report.payload, now, kept=ends)
        if ends:
            if task.detached:
                self._losses.hosting.ended(task, report, now)
            self._state.dispatch_waiting(now)

    def _listed(self, connection: int, daemon: Daemon, listed: Listed, now: float) -> None:
        """Hold the task of a peer's that a daemon has brought along."""
        is_at_rest = self._state.ledger.is_at_rest(listed.task_id)
        if is_at_rest and self._is_peers(listed.task_id) and self._may_adopt(connection, daemon, listed.task_id, now):
            self._adopt(connection, daemon, listed.task_id, now)

    def _has_begun_anew(self, task: Task) -> bool:
        """Whether a finished task is at work as a peer's, and not only one whose end the peer has not heard of yet."""
        entry = self._state.directory.others(task.task_id)
        is_same = entry is not None and task.origin == entry.origin and task.attempts >= entry.attempt
        # One that was let go, and not ended by its daemon, is cancelled.
        return self._is_peers(task.task_id) and not (is_same and task.status is not TaskStatus.CANCELLED)

    def _is_peers(self, task_id: str) -> bool:
        """Whether the directory has just said that a task is a peer's, and not finished."""
        entry = self._state.directory.others(task_id)
        return entry is not None and not entry.has_ended

    def _may_adopt(self, connection: int, daemon: Daemon, task_id: str, now: float) -> bool:
        """Whether there is room for a task that the server did not hand out; else whoever made it up is told so.

        Each is kept in memory, and in every heartbeat to the server, until it ends.
        """
        state = self._state
        counts = state.ledger.counts
        if len(daemon.tasks) < MOST_HELD and sum(counts[each] for each in AT_WORK) < state.policy.most_pending:
            return True
        state.rejected[Rejection.OVERLOADED] += 1
        if daemon.composer is not None:
            error = daemon.composer.error("overloaded", "too many tasks are at work to take up one more", task_id)
            state.note(effects.SendToDaemon(connection, error))
        if now >= self._log_overload_at:
            self._log_overload_at = now + _OVERLOAD_LOG_INTERVAL
            detail = "report about an unknown task refused: too many are at work"
            state.log(now, "overloaded", detail, taskId=task_id, daemonId=daemon.daemon_id, hostname=daemon.hostname)
        return False

    def _adopt(self, connection: int, daemon: Daemon, task_id: str, now: float) -> Task:
        """Record a task that the relay does not know on the daemon that reports on it."""
        state = self._state
        if state.fleet.get(daemon.daemon_id) is None:
            # It was lost without a task, and forgotten, while its report waited for a look-up.
            state.fleet.enlist(daemon)
        at = state.wall(now)
        key = state.ledger.number()
        # A task of a peer's has come with its daemon: this relay becomes its holder (``cluster.md``, *Rules*).
        entry = state.directory.others(task_id)
        task = Task(
            key=key,
            position=key,
            task_id=task_id,
            status=TaskStatus.RUNNING,
            daemon_id=daemon.daemon_id,
            attempts=0 if entry is None else max(1, entry.attempt),
            received_at=at,
            started_at=at,
            origin=None if entry is None else entry.origin,
            detached=entry is not None and state.peers.is_deserted(entry.origin),
        )
        state.save(task, now)
        self._losses.hosting.placed(task, now)
        if daemon.connection != connection:
            self._losses.orphan(task, now)
        return task

    def _show_running(self, connection: int, daemon: Daemon, task: Task, now: float) -> Task:
        """Note that a daemon reports on a task which is its own, whatever was thought of it.

        A report that had to wait for a look-up may come out when its connection is gone: then it shows nothing. Nor
        does a late one when the server has asked for a new attempt since.
        """
        if daemon.connection != connection or task.finished or task.is_new_attempt:
            return self._state.ledger.find(task.task_id) or task
        if task.status is TaskStatus.DISPATCHED and task.relay is None:
            task = task.running(daemon.daemon_id, self._state.wall(now))
            self._state.save(task, now)
        elif task.status is not TaskStatus.RUNNING or task.relay is not None:
            task = self._losses.regain(task, daemon, now)
        return task

    def _refuse(self, connection: int, daemon: Daemon, task: Task, now: float) -> None:
        """Turn away a report about another daemon's task (``not_your_task``)."""
        state = self._state
        state.rejected[Rejection.NOT_YOUR_TASK] += 1
        if daemon.composer is not None:
            error = daemon.composer.error("not_your_task", "another daemon has this task", task.task_id)
            state.note(effects.SendToDaemon(connection, error))
        if task.task_id not in daemon.refused:
            daemon.refused.add(task.task_id)
            state.log(
                now,
                "not_your_task",
                "report about another daemon's task refused",
                taskId=task.task_id,
                daemonId=daemon.daemon_id,
                hostname=daemon.hostname,
            )
        if task.at_work:
            state.interrupt(daemon, task.task_id)

    def _heartbeat(self, connection: int, daemon: Daemon, report: Heartbeat, now: float) -> None:
        # One that had to wait for a look-up may belong to a connection that is gone: then it says nothing of today.
        if report.active_tasks is None or daemon.connection != connection:
            return
        for task_id in sorted(report.active_tasks):
            task = self._state.ledger.find(task_id)
            if task is None or task.daemon_id is None:
                continue
            if task.daemon_id != daemon.daemon_id:
                if task.at_work:
                    self._state.interrupt(daemon, task_id)
            elif (task.status is TaskStatus.PENDING and not task.is_new_attempt) or (task.at_work and task.relay):
                self._losses.regain(task, daemon, now)
        if not daemon.reconciled:
            daemon.reconciled = True
            self._losses.reconcile(daemon, report.active_tasks, now)
            self._state.dispatch_waiting(now)

    def invalid(self, connection: int, daemon: Daemon, reason: str, now: float) -> bool:
        """Answer a message that cannot be read.

        :return: whether it was the tenth, which closes the connection.
        """
        state = self._state
        daemon.faults += 1
        state.rejected[Rejection.INVALID_MESSAGE] += 1
        if daemon.composer is not None:
            state.note(effects.SendToDaemon(connection, daemon.composer.error("invalid_message", reason)))
        state.log(
            now,
            "invalid_message",
            f"from a daemon: {reason}",
            source="downstream",
            daemonId=daemon.daemon_id,
            hostname=daemon.hostname,
        )
        if daemon.faults < MOST_FAULTS:
            return False
        state.note(effects.CloseDaemon(connection, CLOSE_INVALID, "too many invalid messages"))
        return True
