"""What a stand-in daemon tells about a task (``protocol.md``, *Downstream* 3)."""

from __future__ import annotations

import uuid
from typing import Any, Final

import attrs
import msgspec

from makima_relay.sandbox.programs import Ending

_encode = msgspec.json.Encoder().encode
#: No more of a task's progress reports than one in so many seconds.
PROGRESS_INTERVAL: Final = 1.0


def refusal(task_id: str, error: str) -> bytes:
    """The end of a task that was never begun."""
    return _encode({"type": "taskComplete", "taskId": task_id, "success": False, "exitStatus": None, "error": error})


@attrs.define
class RunReports:
    """Builds the reports about one run of a task.

    Reports may arrive more than once. So every output has a number, and every run an id that no other run of the
    task has: whoever reads them can tell what is new.
    """

    task_id: str
    run_id: str = attrs.field(factory=lambda: uuid.uuid4().hex[:8])
    _outputs: int = 0

    def _report(self, kind: str, **members: Any) -> bytes:
        return _encode({"type": kind, "taskId": self.task_id, "runId": self.run_id, **members})

    def status(self, word: str) -> bytes:
        """The task has another status."""
        return self._report("taskStatusChange", newStatus=word)

    def output(self, stream: str, line: str) -> bytes:
        """The task printed a line on ``stdout`` or ``stderr``."""
        self._outputs += 1
        return self._report("taskOutput", sequence=self._outputs, stream=stream, output=line)

    def progress(self, percent: int | None, lines: int, elapsed: float) -> bytes:
        """How far the task is.

        :param percent: what it says itself, if it does.
        :param elapsed: seconds since it began.
        """
        return self._report("taskProgress", percent=percent, lines=lines, elapsedSeconds=round(elapsed, 3))

    def complete(self, ending: Ending) -> bytes:
        """The task has ended."""
        return self._report("taskComplete", success=ending.success, exitStatus=ending.status, error=ending.error)
