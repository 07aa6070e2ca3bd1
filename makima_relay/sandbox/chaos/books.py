"""The state of the books, and what is made of it: what has not arrived, and whether it may be so.

:class:`~makima_relay.sandbox.chaos.ledger.Ledger` writes it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator

from makima_relay.sandbox.chaos.figures import ReportFigures, TaskFigures
from makima_relay.sandbox.chaos.kills import Kills
from makima_relay.sandbox.chaos.machines import Machines
from makima_relay.sandbox.chaos.overlaps import Overlaps
from makima_relay.sandbox.chaos.runs import Proof, Run, Task
from makima_relay.sandbox.chaos.troubles import Troubles


class Books:
    """All that is known and has not wholly arrived.

    :param grace: how long a daemon may be away without losing its tasks, in seconds.
    :param relays: how many there are; they and their servers are known by their places.
    :param peer_patience: how long relays wait at least for another that is away, in seconds.
    :ivar reports: counts so far.
    :ivar tasks: likewise.
    """

    def __init__(self, grace: float, relays: int = 1, peer_patience: float = math.inf) -> None:
        self._numbers = itertools.count(1)
        self._tasks: dict[str, Task] = {}
        #: The places of the relays whose servers made them: one that has ended may be begun once more.
        self._origins: dict[str, int] = {}
        self._runs: dict[int, Run] = {}
        self._machines = Machines(grace)
        self._kills = [Kills() for _ in range(relays)]
        self._troubles = Troubles(relays, peer_patience, self._suspend)
        self._failed: set[str] = set()
        self._told: dict[Run, str] = {}
        self._overlaps = Overlaps()
        self.reports = ReportFigures()
        self.tasks = TaskFigures()

    @property
    def unfinished(self) -> int:
        """Tasks that have not ended, but for those that a SIGKILL may have taken."""
        return sum(not task.ended and not self._may_be_unknown(task) for task in self._tasks.values())

    def unfinished_of(self, relay: int) -> int:
        """Likewise, of the server of one relay."""
        tasks = (task for task in self._tasks.values() if task.relay == relay)
        return sum(not task.ended and not self._may_be_unknown(task) for task in tasks)

    # ------------------------------------------------------------------------------------------- who has to do with it

    def _stands(self, run: Run, now: float) -> bool:
        """Whether the relay had no reason to give a run up."""
        if run.superseded or run.may_be_given_away or self._machines.is_overdue(run.daemon, now):
            return False
        lost = next((proof for number, proof in run.not_delivered() if number == run.sent), None)
        return not (run.ended and lost is not None and self._before_kill(lost) is not None)

    def _origin(self, run: Run) -> int:
        return self._origins.get(run.task_id, self._machines[run.daemon].relay)

    def _is_in_trouble(self, run: Run) -> bool:
        return any(map(self._troubles.is_troubled, {self._machines[run.daemon].relay, self._origin(run)}))

    def _suspend(self, relays: Collection[int]) -> None:
        self._overlaps.suspended(lambda task_id: self._concerns(relays, task_id))

    def _concerns(self, relays: Collection[int], task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is not None and (
            task.relay in relays or any(self._machines[run.daemon].relay in relays for run in task.runs)
        )

    # --------------------------------------------------------------------------------------------------- the end

    def _may_be_unknown(self, task: Task) -> bool:
        """Whether the relay may not know of a task that it has read."""
        if task.begun or task.proven_at is None:
            return False
        return self._kills[task.relay].before(task.proven_at) is not None

    def _explained(self, run: Run, number: int, proof: Proof) -> bool:
        return self._before_kill(proof) is not None or self._was_refused(run, number, proof)

    def _before_kill(self, proof: Proof) -> float | None:
        return self._kills[proof.relay].before(proof.at)

    def _was_refused(self, run: Run, number: int, proof: Proof) -> bool:
        task = self._tasks.get(run.task_id)
        return run.was_refused(number, proof, again=len(self._kills) > 1 and (task is None or task.begun > 1))

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
        yield from self._told.values()
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
            before = self._before_kill(proof)
            if self._was_refused(run, number, proof):
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
        kill = self._kills[proof.relay].next_after(proof.at)
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
