"""The books of the experiment: what was sent, read, delivered; and at the end what was lost, and whether it may be.

Told in the past tense, with times in monotonic seconds. What has wholly arrived is dropped, so that a run of hours
needs little memory.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from makima_relay.sandbox.chaos.books import Books
from makima_relay.sandbox.chaos.machines import Machine
from makima_relay.sandbox.chaos.runs import Proof, Run, Task

#: So many runs with reports that came too late are told one by one.
_MOST_TOLD: Final = 100


class Ledger(Books):
    """Writes the books: told whatever happens."""

    # ------------------------------------------------------------------------------------------------- the server

    def task_spawned(self, task_id: str, relay: int = 0) -> None:
        """A server made a task."""
        self._tasks[task_id] = Task(task_id, relay)
        self._origins[task_id] = relay
        self.tasks.spawned += 1

    def task_refused(self) -> None:
        """The relay said that it cannot take a task now."""
        self.tasks.refused += 1

    def task_read(self, task_id: str, now: float) -> None:
        """The relay's pong showed that it has read the task."""
        task = self._tasks.get(task_id)
        if task is not None:
            task.proven_at = now

    def delivered(self, run_id: int, task_id: str, number: int, relay: int = 0) -> None:
        """A server received a report."""
        run = self._runs.get(run_id)
        if run is None:
            self.reports.duplicated += 1
            return
        task = self._tasks.get(task_id)
        other = relay if task is not None and task.relay != relay else None
        self.reports.elsewhere += other is not None
        first, late = run.arrived(number, other)
        self.reports.delivered += first
        self.reports.duplicated += not first
        if late:
            self._count_late(run, number)
        self._settle(run)

    def _count_late(self, run: Run, number: int) -> None:
        if run.was_taken_by_kill(number):
            self.reports.sent_again += 1
            return
        if run.moved_in_trouble:
            self.reports.overtaken += 1
            return
        self.reports.reordered += 1
        self._tell(run, f"late: report {number} after {run.highest} of {run}")

    def _tell(self, run: Run, line: str) -> None:
        if len(self._told) < _MOST_TOLD:
            self._told.setdefault(run, line)

    def task_completed(self, task_id: str, run_id: int = 0, relay: int = 0) -> None:
        """A server received a daemon's word that the task is done."""
        task = self._tasks.get(task_id)
        if task is None:
            return
        if task.completed_again(relay, run_id):
            self.tasks.ended_twice += 1
            for run in task.runs:
                self._tell(run, f"ended twice at the server of relay {relay + 1}: {run}")
        if not task.completed:
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

    # ------------------------------------------------------------------------------------------------ the daemons

    def daemon_returned(self, name: str, now: float) -> None:
        """A daemon has opened a connection; how long the relay takes to answer is not the daemon's affair."""
        self._machines.returned(name, now)

    def daemon_turned_away(self, name: str) -> None:
        """The connection that a daemon had opened is gone without an answer."""
        self._machines.turned_away(name)

    def daemon_connected(self, name: str, now: float, relay: int = 0) -> int:
        """A relay has accepted a daemon.

        :return: the ordinal of its connection.
        """
        self._note_move(self._machines.get(name), relay)
        machine = self._machines.connected(name, now, relay)
        self._connection_changed(machine, now)
        return machine.connections

    def _note_move(self, machine: Machine | None, relay: int) -> None:
        """See whether a daemon comes from another relay, and which of these does not hear of the other."""
        if machine is None or machine.relay == relay:
            return
        for run in machine.runs.values():
            # Three relays have to do with it: the one that had it, the one that gets it, and its task's own.
            since = self._troubles.stuck_since((machine.relay, relay, self._origin(run)))
            if since is not None:
                run.moved_in_trouble = True
                run.given_away_in_trouble(since)

    def daemon_disconnected(self, name: str, now: float) -> None:
        """A daemon's connection is gone."""
        self._connection_changed(self._machines.disconnected(name, now), now)

    def _connection_changed(self, machine: Machine, now: float) -> None:
        for task_id in {run.task_id for run in machine.runs.values()}:
            self._look_for_overlap(task_id, now)

    def heartbeat_read(self, name: str, now: float) -> None:
        """The relay's pong showed that it has read a heartbeat that lists all of a daemon's tasks."""
        runs = self._machines[name].runs.values()
        # What a relay that cannot reach the others has read, it alone knows.
        at_work = (run for run in runs if run.at_work and not self._is_in_trouble(run))
        self._overlaps.heartbeat_read(name, (run.task_id for run in at_work), now)

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
            self.tasks.moved += task.relay != self._machines[daemon].relay
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
                self._note_absence(run, now)
                if run.at_work and not run.may_be_given_away:
                    self.tasks.taken_away += 1
                    self._tell(run, f"wrongly taken away at {now:.3f}: {run}")
                run.superseded = True
                self._settle(run)
        self._look_for_overlap(task_id, now)

    def reports_read(self, run: Run, up_to: int, now: float, connection: int) -> None:
        """The relay's pong showed that it has read a run's reports up to a number."""
        run.read(Proof(up_to, now, connection, self._machines[run.daemon].relay))
        if run.ended and up_to == run.sent and run.task_id in self._tasks:
            self._tasks[run.task_id].end_proven = True
        self._settle(run)

    def _look_for_overlap(self, task_id: str, now: float) -> None:
        task = self._tasks.get(task_id)
        if task is not None:
            at_work = {run.daemon for run in task.runs if run.at_work and self._machines[run.daemon].is_connected}
            self._overlaps.changed(task_id, at_work, now)

    # ------------------------------------------------------------------------------------------------- the relay

    def relay_killed(self, now: float, relay: int = 0) -> None:
        """A relay is killed at this moment."""
        self._kills[relay].add(now)
        for machine in self._machines.at((relay,)):
            for run in machine.runs.values():
                run.relay_killed()

    def relay_ended(self, now: float, relay: int = 0) -> None:
        """A relay has ended: from now on nobody counts how long its daemons are away."""
        self._machines.relay_ended(now, relay)

    def relay_ready(self, now: float, relay: int = 0) -> None:
        """A relay has started: every daemon has a fresh grace."""
        self._machines.relay_ready(now, relay)

    def relay_suspended(self, relay: int = 0) -> None:
        """A relay cannot write its database, or can again: it acts on nothing that it reads meanwhile."""
        self._suspend((relay,))

    # ------------------------------------------------------------------------------------------------ the cluster

    def relays_cut_off(self, relays: Collection[int], now: float, *, alone: bool, says_so: bool = False) -> None:
        """Relays cannot reach the others from now on; see :meth:`Troubles.began`."""
        self._troubles.began(relays, now, alone=alone, says_so=says_so)

    def relays_mended(self, relays: Collection[int], now: float) -> None:
        """What kept relays from the others is mended."""
        self._note_absences(relays, now)
        self._troubles.healed(relays)

    def relay_linked(self, relay: int, now: float) -> None:
        """A relay said that it can reach the others."""
        self._note_absences((relay,), now)
        self._troubles.linked(relay)

    def _note_absences(self, relays: Collection[int], now: float) -> None:
        for machine in self._machines.at(relays):
            for run in machine.runs.values():
                self._note_absence(run, now)

    def _note_absence(self, run: Run, now: float) -> None:
        """See whether the relay that has a task of another's was away for so long that this may have given it up."""
        relay = self._machines[run.daemon].relay
        since = self._troubles.stuck_since((relay,))
        if since is not None and self._origin(run) != relay and self._troubles.is_given_up(relay, now):
            run.given_away_in_trouble(since)

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
