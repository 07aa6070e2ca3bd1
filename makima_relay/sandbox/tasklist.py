"""The stand-in server's view of its tasks, made of reports that may come more than once.

Plain values, no I/O. What a report says for the second time changes nothing: outputs are told apart by their number
and the id of the run that printed them, and a task that has ended stays as it ended.
"""

from __future__ import annotations

import enum
import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs

from makima_relay.core.from_daemons import read_report
from makima_relay.core.messages import Completion, Report, StatusChange
from makima_relay.core.spelling import folded
from makima_relay.core.tasks import TaskStatus

#: Characters of a task's output that are kept, the latest.
KEPT_OUTPUT: Final = 64 << 10


class Stage(enum.StrEnum):
    """Where a task stands, as the server knows it."""

    WAITING = "waiting"
    SENT = "sent"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED: Final = frozenset({Stage.COMPLETED, Stage.FAILED, Stage.CANCELLED})
_STAGES: Final = {
    TaskStatus.RUNNING: Stage.RUNNING,
    TaskStatus.COMPLETED: Stage.COMPLETED,
    TaskStatus.FAILED: Stage.FAILED,
    TaskStatus.CANCELLED: Stage.CANCELLED,
}


@attrs.define(kw_only=True, eq=False)
class SandboxTask:
    """One task.

    :ivar holder: the machine that it was sent to.
    :ivar interrupted: whether its end was asked for.
    :ivar output: its latest lines, as many as :data:`KEPT_OUTPUT` allows.
    :ivar lines: how many it printed.
    :ivar duplicates: outputs that came again.
    """

    task_id: str
    name: str
    command: str
    stage: Stage = Stage.WAITING
    holder: str | None = None
    interrupted: bool = False
    success: bool | None = None
    error: str | None = None
    exit_status: int | None = None
    percent: int | float | None = None
    lines: int = 0
    output: deque[str] = attrs.field(factory=deque)
    duplicates: int = 0
    _kept: int = 0
    _read: dict[str, int] = attrs.field(factory=dict)

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self.stage in FINISHED

    def printed(self, run_id: str, sequence: int | None, line: str) -> None:
        """Take a line of output.

        :param run_id: the run that printed it.
        :param sequence: its number in the run; without one it counts as new until the task has ended.
        """
        seen = self._read.get(run_id, 0)
        if self.finished if sequence is None else sequence <= seen:
            self.duplicates += 1
            return
        if sequence is not None:
            self._read[run_id] = sequence
        self.lines += 1
        self.output.append(line)
        self._kept += len(line)
        while self._kept > KEPT_OUTPUT and len(self.output) > 1:
            self._kept -= len(self.output.popleft())

    def moved(self, stage: Stage, error: str | None = None) -> None:
        """Take another stage, unless it has ended."""
        if self.finished:
            return
        self.stage = stage
        if stage in FINISHED:
            self.error = error
            self.success = stage is Stage.COMPLETED


class TaskList:
    """All tasks of a server, in the order in which they came.

    :param on_move: told of each task whose stage has changed.
    """

    def __init__(self, on_move: Callable[[SandboxTask], None]) -> None:
        self._on_move = on_move
        self._tasks: dict[str, SandboxTask] = {}
        self._waiting: dict[str, SandboxTask] = {}
        self._held: dict[str, dict[str, SandboxTask]] = {}

    def __iter__(self) -> Iterator[SandboxTask]:
        return iter(self._tasks.values())

    def __reversed__(self) -> Iterator[SandboxTask]:
        return reversed(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def get(self, task_id: str) -> SandboxTask | None:
        """The task of an id."""
        return self._tasks.get(task_id)

    def add(self, name: str, command: str) -> SandboxTask:
        """Make a task, which waits."""
        task = SandboxTask(task_id=str(uuid.uuid4()), name=name, command=command)
        self._tasks[task.task_id] = self._waiting[task.task_id] = task
        return task

    def oldest_waiting(self) -> SandboxTask | None:
        """The task that is to be sent next."""
        return next(iter(self._waiting.values()), None)

    def held_by(self, machine_id: str) -> list[SandboxTask]:
        """The unfinished tasks that a machine has."""
        return list(self._held.get(machine_id, {}).values())

    def load(self, machine_id: str) -> int:
        """How many unfinished tasks a machine has."""
        return len(self._held.get(machine_id, {}))

    def _hold(self, task: SandboxTask, holder: str | None) -> None:
        if task.holder is not None:
            self._held[task.holder].pop(task.task_id, None)
        task.holder = holder
        if holder is not None:
            self._held.setdefault(holder, {})[task.task_id] = task

    def sent(self, task: SandboxTask, holder: str) -> None:
        """Note to which machine a task was sent."""
        del self._waiting[task.task_id]
        self._hold(task, holder)
        task.moved(Stage.SENT)
        self._on_move(task)

    def not_delivered(self, tasks: Iterable[SandboxTask]) -> None:
        """Let tasks wait again that were sent, but perhaps not read by anybody."""
        again = [task for task in tasks if task.stage is Stage.SENT]
        for task in again:
            self._hold(task, None)
            task.moved(Stage.WAITING)
        # Those that were sent are older than those that were not.
        self._waiting = {task.task_id: task for task in again} | self._waiting

    def interrupted(self, task: SandboxTask) -> None:
        """Note that a task's end was asked for; one that waits has ended with that."""
        task.interrupted = True
        if self._waiting.pop(task.task_id, None) is not None:
            task.moved(Stage.CANCELLED, "cancelled before it was sent")
            self._on_move(task)

    def reported(self, payload: bytes, holder: str) -> SandboxTask | None:
        """Take a report.

        :param payload: one message of a relay or daemon.
        :param holder: the machine that it came from.
        :return: the task that it is about, if it is known here.
        :raises InvalidMessageError: when it is none that ``protocol.md`` allows.
        """
        report = read_report(payload)
        if not isinstance(report, Report | StatusChange | Completion):
            return None
        task = None if report.task_id is None else self._tasks.get(report.task_id)
        if task is None:
            return None
        before = task.stage
        if self._waiting.pop(task.task_id, None) is not None:
            # One that waits to be sent again was delivered the first time, as it turns out.
            self._hold(task, holder)
        _apply(report, task, json.loads(payload))
        if task.finished and task.holder is not None:
            self._held[task.holder].pop(task.task_id, None)
        if task.stage is not before:
            self._on_move(task)
        return task


def _apply(report: Completion | StatusChange | Report, task: SandboxTask, members: dict[str, Any]) -> None:
    match report:
        case Completion():
            _complete(task, report, members)
        case StatusChange():
            task.moved(_STAGES[report.status], report.error)
        case Report():
            _follow(task, members)


def _complete(task: SandboxTask, report: Completion, members: dict[str, Any]) -> None:
    status = members.get("exitStatus")
    if task.exit_status is None and type(status) is int:
        task.exit_status = status
    if task.finished and task.error is None and not report.success:
        # The status that went before had no words.
        task.error = report.error
    task.moved(Stage.COMPLETED if report.success else Stage.FAILED, report.error)


def _follow(task: SandboxTask, members: dict[str, Any]) -> None:
    """Take a report that is no end: the task's output or progress."""
    # Whoever reports on it, runs it.
    task.moved(Stage.RUNNING)
    match folded(members["type"]):
        case "taskoutput":
            sequence = members.get("sequence")
            number = sequence if type(sequence) is int else None
            task.printed(_text(members.get("runId")), number, _text(members.get("output")))
        case "taskprogress":
            percent = members.get("percent")
            if not task.finished and type(percent) in (int, float):
                task.percent = percent


def _text(value: Any) -> str:
    """Text of a peer, of characters that UTF-8 has."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
