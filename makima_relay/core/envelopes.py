"""The fast reading: the few members of a message that decide its way, when they are as they should be.

What it cannot read is read again with care, by :mod:`~makima_relay.core.members`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from makima_relay.core.members import LONGEST_TASK_ID, LONGEST_TEXT
from makima_relay.core.messages import MOST_LISTED
from makima_relay.core.tracing import traceparent_of

_TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TASK_ID)]


class Envelope(msgspec.Struct, gc=False):
    """Of every message."""

    type: Annotated[str, msgspec.Meta(min_length=1)]
    taskId: _TaskId | None = None
    task_id: _TaskId | None = None


class CompletionEnvelope(Envelope, kw_only=True):
    """Of ``taskComplete``."""

    success: bool
    error: str | None = None


_TaskIds = Annotated[list[_TaskId], msgspec.Meta(max_length=MOST_LISTED)]


class HeartbeatEnvelope(msgspec.Struct, gc=False):
    """Of ``heartbeat``."""

    activeTasks: _TaskIds | None = None
    active_tasks: _TaskIds | None = None


class CommandEnvelope(Envelope, kw_only=True):
    """Of what the server sends."""

    taskName: str | None = None
    task_name: str | None = None
    name: str | None = None
    traceparent: str | None = None
    traceParent: str | None = None
    trace_parent: str | None = None

    def trace(self) -> str | None:
        """The first of the traces that is there, if it is one."""
        text = self.traceparent if self.traceparent is not None else self.traceParent
        return traceparent_of(self.trace_parent if text is None else text)

    def shown_name(self) -> str | None:
        """The first of the names that is there."""
        name = self.taskName if self.taskName is not None else self.task_name
        name = self.name if name is None else name
        return None if name is None else name[:LONGEST_TEXT]


decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_completion = msgspec.json.Decoder(CompletionEnvelope).decode
decode_heartbeat = msgspec.json.Decoder(HeartbeatEnvelope).decode
decode_command = msgspec.json.Decoder(CommandEnvelope).decode
