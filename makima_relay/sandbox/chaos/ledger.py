"""The books of the experiment: what was sent, read, delivered; and at the end what was lost, and whether it may be.

Told in the past tense, with times in monotonic seconds. What has wholly arrived is dropped, so that a run of hours
needs little memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from makima_relay.sandbox.chaos.figures import ReportFigures, TaskFigures
from makima_relay.sandbox.chaos.kills import Kills
from makima_relay.sandbox.chaos.machines import Machine, Machines
from makima_relay.sandbox.chaos.overlaps import Overlaps
from makima_relay.sandbox.chaos.runs import Proof, Run, Task

#: So many runs with reports that came too late are told one by one.
_MOST_TOLD: Final = 100


class Ledger:
    """Keeps the books.

    :param grace: how long a daemon may be away without losing its tasks, in seconds.
    :ivar reports: counts so far.
    :ivar tasks: likewise.
    """

    def __init__(self, grace: float) -> None:
        self._numbers = itertools.count(1)
        self._tasks: dict[str, Task] = {}
        self._runs: dict[int, Run] = {}
        self._machines = Machines(grace)
        self._kills = Kills()
        self._failed: set[str] = set()
        self._late: dict[Run, str] = {}
        self._overlaps = Overlaps()
        self.reports = ReportFigures()
        self.tasks = TaskFigures()

    # ------------------------------------------------------------------------------------------------- the server

    @property
    def unfinished(self) -> int:
        """Tasks that have not ended, but for those that a SIGKILL may have taken."""
        return sum(not task.ended and not self._may_be_unknown(task) for task in self._tasks.values())

    def task_spawned(self, task_id: str) -> None:
        """The server made a task."""
        self._tasks[task_id] = Task(task_id)
        self.tasks.spawned += 1

    def task_refused(self) -> None:
        """The relay said that it cannot take a task now."""
        self.tasks.refused += 1

    def task_read(self, task_id: str, now: float) -> None:
        """The relay's pong showed that it has read the task."""
        task = self._tasks.get(task_id)
        if task is not None:
            task.proven_at = now

    def delivered(self, run_id: int, task_id: str, number: int) -> None:
        """The server received a report."""
        run = self._runs.get(run_id)
        if run is None:
            self.reports.duplicated += 1
            return
        first, late = run.arrived(number)
        self.reports.delivered += first
        self.reports.duplicated += not first
        if late:
            self._count_late(run, number)
        self._settle(run)

    def _count_late(self, run: Run, number: int) -> None:
        if run.was_taken_by_kill(number):
            self.reports.sent_again += 1
            return
        self.reports.reordered += 1
        if len(self._late) < _MOST_TOLD:
            self._late.setdefault(run, f"late: report {number} after {run.highest} of {run}")

    def task_completed(self, task_id: str) -> None:
        """The server received a daemon's word that the task is done."""
        task = self._tasks.get(task_id)
        if task is not None and not task.completed:
            task.ended = task.completed = True
            self.tasks.completed += 1
            self._drop(task)

    def task_failed(self, task_id: str, now: float) -> None:
        """The server received the relay's word that the task is lost."""
        if task_id in self._failed:
            return
        self._failed.add(task_id)
        self.tasks.failed += 1
        task = self._tasks.get(task_id)
        if task is None or task.completed:
            self.tasks.wrongly_failed += 1
            return
        task.ended = True
        self.tasks.wrongly_failed += any(self._stands(run, now) for run in task.runs)
        self._drop(task)

    def _stands(self, run: Run, now: float) -> bool:
        """Whether the relay had no reason to give a run up."""
        if run.superseded or run.given_away_on is not None or self._machines.is_overdue(run.daemon, now):
            return False
        lost = next((proof for number, proof in run.not_delivered() if number == run.sent), None)
        return not (run.ended and lost is not None and self._kills.before(lost.at) is not None)

    # ------------------------------------------------------------------------------------------------ the daemons

    def daemon_returned(self, name: str, now: float) -> None:
        """A daemon has opened a connection; how long the relay takes to answer is not the daemon's affair."""
        self._machines.returned(name, now)

    def daemon_turned_away(self, name: str) -> None:
        """The connection that a daemon had opened is gone without an answer."""
        self._machines.turned_away(name)

    def daemon_connected(self, name: str, now: float) -> int:
        """The relay has accepted a daemon.

        :return: the ordinal of its connection.
        """
        machine = self._machines.connected(name, now)
        self._connection_changed(machine, now)
        return machine.connections

    def daemon_disconnected(self, name: str, now: float) -> None:
        """A daemon's connection is gone."""
        self._connection_changed(self._machines.disconnected(name, now), now)

    def _connection_changed(self, machine: Machine, now: float) -> None:
        for task_id in {run.task_id for run in machine.runs.values()}:
            self._look_for_overlap(task_id, now)

    def heartbeat_read(self, name: str, now: float) -> None:
        """The relay's pong showed that it has read a heartbeat that lists all of a daemon's tasks."""
        runs = self._machines[name].runs.values()
        self._overlaps.heartbeat_read(name, (run.task_id for run in runs if run.at_work), now)

    def run_begun(self, task_id: str, daemon: str, now: float) -> Run:
        """A daemon begins a task."""
        run = Run(next(self._numbers), task_id, daemon, now)
        self._runs[run.run_id] = run
        self._machines[daemon].runs[run.run_id] = run
        task = self._tasks.get(task_id)
        if task is not None:
            task.runs.append(run)
            task.begun += 1
            self.tasks.requeued += task.begun == 2
            self._look_for_overlap(task_id, now)
        return run

    def report_sent(self, run: Run) -> int:
        """A daemon made a report.

        :return: its number.
        """
        run.sent += 1
        self.reports.sent += 1
        return run.sent

    def run_ended(self, run: Run, now: float) -> None:
        """The report that was just sent is the last."""
        run.ended = True
        self._look_for_overlap(run.task_id, now)

    def task_given_away(self, task_id: str, daemon: str, now: float) -> None:
        """A daemon was told that a task is not its own any more, also if it has ended it."""
        for run in list(self._machines[daemon].runs.values()):
            if run.task_id == task_id and not run.superseded:
                self.tasks.taken_away += run.at_work and run.given_away_on is None
                run.superseded = True
                self._settle(run)
        self._look_for_overlap(task_id, now)

    def reports_read(self, run: Run, up_to: int, now: float, connection: int) -> None:
        """The relay's pong showed that it has read a run's reports up to a number."""
        run.read(Proof(up_to, now, connection))
        if run.ended and up_to == run.sent and run.task_id in self._tasks:
            self._tasks[run.task_id].end_proven = True
        self._settle(run)

    def _look_for_overlap(self, task_id: str, now: float) -> None:
        task = self._tasks.get(task_id)
        if task is not None:
            at_work = {run.daemon for run in task.runs if run.at_work and self._machines[run.daemon].is_connected}
            self._overlaps.changed(task_id, at_work, now)

    # ------------------------------------------------------------------------------------------------- the relay

    def relay_killed(self, now: float) -> None:
        """The relay is killed at this moment."""
        self._kills.add(now)
        for run in self._runs.values():
            run.relay_killed()

    def relay_ended(self, now: float) -> None:
        """The relay has ended: from now on nobody counts how long daemons are away."""
        self._machines.relay_ended(now)

    def relay_ready(self, now: float) -> None:
        """The relay has started: every daemon has a fresh grace."""
        self._machines.relay_ready(now)

    def relay_suspended(self) -> None:
        """The relay cannot write its database, or can again: it acts on nothing that it reads meanwhile."""
        self._overlaps.suspended()

    # -------------------------------------------------------------------------------------------------- dropping

    def _settle(self, run: Run) -> None:
        if run.settled and self._runs.pop(run.run_id, None) is not None:
            del self._machines[run.daemon].runs[run.run_id]
            task = self._tasks.get(run.task_id)
            if task is not None:
                self._drop(task)

    def _drop(self, task: Task) -> None:
        if task.ended and not any(run.run_id in self._runs for run in task.runs):
            del self._tasks[task.task_id]

    # --------------------------------------------------------------------------------------------------- the end

    def _may_be_unknown(self, task: Task) -> bool:
        """Whether the relay may not know of a task that it has read."""
        return not task.begun and task.proven_at is not None and self._kills.before(task.proven_at) is not None

    def _explained(self, run: Run, number: int, proof: Proof) -> bool:
        return self._kills.before(proof.at) is not None or run.was_refused(number, proof)

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come."""
        return not self.unfinished and all(
            not run.at_work
            and run.proven == run.sent
            and all(self._explained(run, number, proof) for number, proof in run.not_delivered())
            for run in self._runs.values()
        )

    def close(self, now: float) -> Iterator[str]:
        """Close the books: count what was lost.

        :return: a line for each run that lost what it must not, and for the first reports that came too late.
        """
        yield from self._late.values()
        for run in self._runs.values():
            lost = self._count_missing(run)
            if lost:
                yield self._described(run, lost)
        for task in self._tasks.values():
            self._count_unended(task)
        self.tasks.longest_overlap = self._overlaps.closed(now)

    def _count_missing(self, run: Run) -> list[tuple[int, Proof]]:
        self.reports.unproven += run.sent - run.proven
        lost = []
        for number, proof in run.not_delivered():
            before = self._kills.before(proof.at)
            if run.was_refused(number, proof):
                self.reports.refused += 1
            elif before is not None:
                self.reports.lost_in_window += 1
                self.reports.oldest_in_window = max(self.reports.oldest_in_window, before)
            else:
                lost.append((number, proof))
        self.reports.lost += len(lost)
        return lost

    def _described(self, run: Run, lost: list[tuple[int, Proof]]) -> str:
        (first, proof), (last, _) = lost[0], lost[-1]
        kill = self._kills.next_after(proof.at)
        before = "" if kill is None else f", {kill - proof.at:.3f} s before a SIGKILL"
        which = f"reports {first} to {last} ({len(lost)}) of {run}"
        return f"lost: {which}; read at {proof.at:.3f} on connection {proof.connection}{before}"

    def _count_unended(self, task: Task) -> None:
        if task.ended:
            return
        if self._may_be_unknown(task):
            self.tasks.lost_in_window += 1
        elif task.end_proven:
            self.tasks.completions_lost += 1
        else:
            self.tasks.unfinished += 1
