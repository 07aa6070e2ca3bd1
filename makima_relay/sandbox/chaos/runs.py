"""The books of one task, and of each of its runs: from a daemon's first report to the last delivery."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import attrs

#: What one relay has read reaches another within this, in seconds, unless something fails.
_ON_THE_WAY: Final = 1.0


@attrs.frozen
class Proof:
    """The relay's pong showed that it has read a run's reports.

    :ivar up_to: the number of the last of them.
    :ivar at: when the pong came, in monotonic seconds.
    :ivar connection: the ordinal of the daemon's connection that it came on.
    :ivar relay: the place of the relay that read them.
    """

    up_to: int
    at: float
    connection: int
    relay: int = 0


@attrs.define
class _Arrivals:
    """What one server received of a run.

    :ivar highest: the highest number.
    :ivar missing: those below it that it did not receive.
    """

    highest: int = 0
    missing: set[int] = attrs.field(factory=set)

    def came(self, number: int) -> bool:
        """Note one.

        :return: whether it is the first time, and later than one with a higher number.
        """
        if number > self.highest:
            self.missing.update(range(self.highest + 1, number))
            self.highest = number
            return False
        late = number in self.missing
        self.missing.discard(number)
        return late


@attrs.define(eq=False)
class Run:
    """One run. Its reports are numbered from 1, the last is the ``taskComplete``.

    :ivar began: in monotonic seconds.
    :ivar sent: how many reports the daemon has made.
    :ivar ended: whether the last of these is the end of the task.
    :ivar superseded: whether the daemon was told that the task is not its own any more.
    :ivar given_away_on: the ordinal of the first connection that followed an absence longer than the grace.
    :ivar trouble_since: since when its relay was away for too long, or, when its daemon went to another, one of those
        that had to hear of it did not; in monotonic seconds.
    :ivar moved_in_trouble: whether its daemon left a relay, with what that had read, that could not reach the others.
    :ivar proven: the number up to which the relay has read.
    :ivar delivered: how many different reports have arrived.
    :ivar highest: the highest number that has arrived.
    """

    run_id: int
    task_id: str
    daemon: str
    began: float
    sent: int = 0
    ended: bool = False
    superseded: bool = False
    given_away_on: int | None = None
    trouble_since: float | None = None
    moved_in_trouble: bool = False
    proven: int = 0
    delivered: int = 0
    highest: int = 0
    _proven_at_kill: int | None = None
    _missing: set[int] = attrs.field(factory=set)
    _elsewhere: dict[int, _Arrivals] = attrs.field(factory=dict)
    _proofs: deque[Proof] = attrs.field(factory=deque)

    def __str__(self) -> str:
        return (
            f"run {self.run_id} ({self.task_id} at {self.daemon}, began at {self.began:.3f}, sent {self.sent}, "
            f"read {self.proven}, highest delivered {self.highest}, "
            f"superseded: {self.superseded}, given away on: {self.given_away_on}, "
            f"in trouble since: {self.trouble_since})"
        )

    @property
    def at_work(self) -> bool:
        """Whether the daemon goes on with it."""
        return not self.ended and not self.superseded

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be heard of it: all was read, and all has arrived."""
        return not self.at_work and self.delivered == self.sent == self.proven

    def read(self, proof: Proof) -> None:
        """The relay has read so much."""
        if proof.up_to > self.proven:
            self.proven = proof.up_to
            self._proofs.append(proof)
            self._forget_proofs()

    def arrived(self, number: int, other: int | None = None) -> tuple[bool, bool]:
        """A server received a report.

        :param other: the place of that server if it is not the task's own.
        :return: whether it is the first time, and whether that is later there than one with a higher number.
        """
        if other is not None:
            late = self._elsewhere.setdefault(other, _Arrivals()).came(number)
            return self._arrived(number)[0], late
        first, late = self._arrived(number)
        # What came elsewhere first says nothing of the order here.
        return first, late and not self._elsewhere

    def _arrived(self, number: int) -> tuple[bool, bool]:
        if number > self.highest:
            self._missing.update(range(self.highest + 1, number))
            self.highest = number
            first, late = True, False
        else:
            first = late = number in self._missing
            self._missing.discard(number)
        self.delivered += first
        self._forget_proofs()
        return first, late

    def _forget_proofs(self) -> None:
        """Keep no proof of what has arrived."""
        if not self._missing:
            while self._proofs and self._proofs[0].up_to <= self.highest:
                self._proofs.popleft()

    def not_delivered(self) -> Iterator[tuple[int, Proof]]:
        """What the relay has read and the server did not receive: numbers, oldest first, with their proofs."""
        proofs = iter(self._proofs)
        proof = next(proofs, None)
        for number in [*sorted(self._missing), *range(self.highest + 1, self.proven + 1)]:
            while proof is not None and proof.up_to < number:
                proof = next(proofs, None)
            if proof is not None:
                yield number, proof

    def given_away_in_trouble(self, since: float) -> None:
        """Its task may have been given up because relays could not reach each other.

        :param since: from when on, in monotonic seconds.
        """
        self.trouble_since = since if self.trouble_since is None else min(since, self.trouble_since)

    @property
    def may_be_given_away(self) -> bool:
        """Whether its task may have been given to another daemon."""
        return self.given_away_on is not None or self.trouble_since is not None

    def relay_killed(self) -> None:
        """The relay is killed at this moment: the daemon will send again what is not proven to be read."""
        self._proven_at_kill = self.proven

    def was_taken_by_kill(self, number: int) -> bool:
        """Whether a SIGKILL may have taken a report that its daemon sent again, so that it came after the run's end.

        The end is committed at once, what comes before it a little later (``architecture.md``, *Acknowledgement*).
        """
        return self._proven_at_kill is not None and number > self._proven_at_kill and self.ended

    def was_refused(self, number: int, proof: Proof, *, again: bool = False) -> bool:
        """Whether the relay may have turned a report away: it had given the task to another daemon by then.

        From the first that it turns away on it turns away all; but what was read by a relay that its daemon left, and
        that could not reach the others, comes too late.

        :param again: whether the task was begun once more.
        """
        was_lost = self.given_away_on is not None and proof.connection >= self.given_away_on
        was_alone = self.trouble_since is not None and proof.at >= self.trouble_since - _ON_THE_WAY
        is_rest = number > self.highest or self.moved_in_trouble
        return (self.superseded or again) and (was_lost or was_alone) and is_rest


@attrs.define(eq=False)
class Task:
    """One task.

    :ivar relay: the place of the relay whose server made it.
    :ivar proven_at: when the relay's pong showed that it has read the ``spawnTask``.
    :ivar ended: whether the server was told how it ended.
    """

    task_id: str
    relay: int = 0
    proven_at: float | None = None
    begun: int = 0
    ended: bool = False
    completed: bool = False
    end_proven: bool = False
    runs: list[Run] = attrs.field(factory=list)
    _completions: dict[int, int] = attrs.field(factory=dict)

    def completed_again(self, relay: int, run_id: int) -> bool:
        """Note a completion that a server received.

        :return: whether it had received one of another run.
        """
        return self._completions.setdefault(relay, run_id) != run_id
