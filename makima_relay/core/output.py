"""What tasks have put out lately, for people to see: the last reports of each, as the bytes that came.

Nothing is parsed or copied for it, and what came together is kept together: a batch of reports costs little more than
one. It is in memory only, and bounded: in bytes of a task, in bytes of all, and in tasks that have finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

#: Finished tasks of which output is kept.
MOST_FINISHED: Final = 1_000
#: Bytes that all output takes; above it the output of tasks goes, first of those that finished first.
MOST_BYTES: Final = 64 << 20
#: What a batch and each of its reports take in memory besides their bytes, about.
_BATCH_OVERHEAD: Final = 256
_REPORT_OVERHEAD: Final = 64


class Piece(NamedTuple):
    """One report of a task's output.

    :ivar number: increasing, among the reports of all tasks.
    :ivar at: when it came, in seconds since the epoch.
    """

    number: int
    at: float
    payload: bytes


class _Batch(NamedTuple):
    """Reports that came together; their numbers end with the last."""

    last: int
    at: float
    payloads: Sequence[bytes]
    size: int

    @property
    def weight(self) -> int:
        """Bytes that it takes in memory, about."""
        return self.size + _BATCH_OVERHEAD + _REPORT_OVERHEAD * len(self.payloads)


class _Output:
    """What is kept of one task.

    :ivar size: bytes of its reports.
    :ivar begun_at: when the first report came, in seconds since the epoch.
    :ivar dropped_up_to: no report above this number was thrown away; 0 if none was.
    """

    __slots__ = ("batches", "begun_at", "dropped_up_to", "size")

    def __init__(self, begun_at: float) -> None:
        self.batches: list[_Batch] = []
        self.size = 0
        self.begun_at = begun_at
        self.dropped_up_to = 0


class Outputs:
    """The output of all tasks.

    :param limit: bytes of a task's reports that are kept; 0 for none.
    :param most_bytes: of all tasks, with what it takes to keep them.
    :param most_finished: tasks that have finished.
    :ivar last: the number of the latest report.
    :ivar followed: the tasks that somebody follows.
    """

    def __init__(self, limit: int, most_bytes: int = MOST_BYTES, most_finished: int = MOST_FINISHED) -> None:
        self.limit = limit
        self._most_bytes = most_bytes
        self._most_finished = most_finished
        self._outputs: dict[str, _Output] = {}
        self._finished: dict[str, None] = {}
        self._weight = 0
        #: What began to report after this moment has not been forgotten.
        self._complete_since = 0.0
        self.last = 0
        self.followed: set[str] = set()

    def began(self, at: float) -> None:
        """Know nothing of what was before a moment, in seconds since the epoch."""
        self._complete_since = at

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._outputs

    # --------------------------------------------------------------------------------------------------- keeping

    def add(self, task_id: str, payloads: Sequence[bytes], at: float) -> bool:
        """Keep reports that came together; they must never change.

        :param at: when they came, in seconds since the epoch.
        :return: whether somebody follows the task.
        """
        output = self._outputs.get(task_id)
        if output is None:
            output = self._outputs[task_id] = _Output(at)
        self.last += len(payloads)
        batch = _Batch(self.last, at, payloads, sum(map(len, payloads)))
        if batch.size > 2 * self.limit:
            batch = self._end_of(batch, output)
        if batch.payloads:
            output.batches.append(batch)
            output.size += batch.size
            self._weight += batch.weight
        if output.size >= self.limit:
            self._shorten(output)
        if self._weight > self._most_bytes:
            self._forget_some()
        return task_id in self.followed

    def _end_of(self, batch: _Batch, output: _Output) -> _Batch:
        """Cut a batch that is far too long, so that the rest of it is not held; nothing before it is wanted."""
        self._drop(output, len(output.batches))
        size, place = 0, len(batch.payloads)
        while size + len(batch.payloads[place - 1]) <= self.limit:
            place -= 1
            size += len(batch.payloads[place])
        payloads = batch.payloads[place:]
        output.dropped_up_to = batch.last - len(payloads)
        return batch._replace(payloads=payloads, size=size)

    def _shorten(self, output: _Output) -> None:
        """Drop the batches that the limit leaves no room for, the oldest."""
        size, number = output.size, 0
        while size - output.batches[number].size >= self.limit:
            size -= output.batches[number].size
            number += 1
        self._drop(output, number)

    def _drop(self, output: _Output, number: int) -> None:
        """Drop so many batches, the oldest."""
        for batch in output.batches[:number]:
            output.size -= batch.size
            output.dropped_up_to = batch.last
            self._weight -= batch.weight
        del output.batches[:number]

    def add_runs(self, runs: Sequence[tuple[str | None, int]], payloads: Sequence[bytes], at: float) -> list[str]:
        """Keep reports on several tasks that came together.

        :param runs: the task of each run of reports, or none, with the place where it begins.
        :return: those of the tasks that somebody follows.
        """
        if len(runs) == 1 and runs[0][1] == 0 and runs[0][0] is not None:
            return [runs[0][0]] if self.add(runs[0][0], payloads, at) else []
        parts: dict[str, list[bytes]] = {}
        for place, (task_id, start) in enumerate(runs, 1):
            if task_id is not None:
                end = runs[place][1] if place < len(runs) else len(payloads)
                parts.setdefault(task_id, []).extend(payloads[start:end])
        return [task_id for task_id, part in parts.items() if self.add(task_id, part, at)]

    # ------------------------------------------------------------------------------------------------ forgetting

    def finished(self, task_id: str) -> None:
        """Keep a task's output as long as there is room: it has finished."""
        if task_id in self._outputs:
            self._finished[task_id] = None
            if len(self._finished) > self._most_finished:
                self._forget_oldest()

    def forget(self, task_id: str) -> None:
        """Keep nothing of a task any more: it begins anew."""
        self._finished.pop(task_id, None)
        output = self._outputs.pop(task_id, None)
        if output is not None:
            self._weight -= sum(batch.weight for batch in output.batches)

    def _forget_some(self) -> None:
        while self._weight > self._most_bytes and self._outputs:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        task_id = next(iter(self._finished or self._outputs))
        self._complete_since = max(self._complete_since, self._outputs[task_id].begun_at)
        self.forget(task_id)

    # --------------------------------------------------------------------------------------------------- showing

    def of(self, task_id: str) -> list[Piece]:
        """The last reports of a task, oldest first: not more bytes than the limit."""
        output = self._outputs.get(task_id)
        if output is None:
            return []
        pieces: list[Piece] = []
        size = 0
        for piece in _backwards(output):
            size += len(piece.payload)
            if size > self.limit:
                break
            pieces.append(piece)
        pieces.reverse()
        return pieces

    def is_cut(self, task_id: str, started_at: float | None) -> bool:
        """Whether there was, or may have been, more than is kept.

        :param started_at: when the task began to report, in seconds since the epoch; none if it never did.
        """
        output = self._outputs.get(task_id)
        if output is not None and (output.dropped_up_to or output.size > self.limit):
            return True
        begun_at = float("inf") if output is None else output.begun_at
        return started_at is not None and started_at < begun_at and started_at <= self._complete_since

    def after(self, task_id: str, number: int) -> tuple[list[Piece], bool]:
        """The reports of a task above a number, oldest first.

        :return: them, and whether some above the number were thrown away.
        """
        output = self._outputs.get(task_id)
        if output is None:
            return [], False
        pieces: list[Piece] = []
        for piece in _backwards(output):
            if piece.number <= number:
                break
            pieces.append(piece)
        pieces.reverse()
        return pieces, output.dropped_up_to > number


def _backwards(output: _Output) -> Iterator[Piece]:
    """The reports of a task, the latest first."""
    for batch in reversed(output.batches):
        for behind, payload in enumerate(reversed(batch.payloads)):
            yield Piece(batch.last - behind, batch.at, payload)
