"""Reads what the server sends (``protocol.md``, *Upstream: server → relay*)."""

from __future__ import annotations

from typing import Final

from makima_relay.core.envelopes import decode_command
from makima_relay.core.members import UNREADABLE, Members, needed
from makima_relay.core.messages import Authenticated, Command, ServerError, ServerMessage, Spawn
from makima_relay.core.spelling import BySpelling
from makima_relay.core.tracing import traceparent_of

_folded_types = BySpelling(str)
_TRACE: Final = ("traceparent", "traceParent", "trace_parent")
_WITHDRAWING = frozenset({"interrupttask", "canceltask", "killtask"})


def read_command(payload: bytes) -> ServerMessage:
    """Read what the server sent.

    :param payload: one text message, UTF-8.
    :raises InvalidMessageError: when it is none that ``protocol.md``, *Upstream: server → relay* allows.
    """
    try:
        envelope = decode_command(payload)
    except UNREADABLE:
        return _read_command_carefully(payload)
    task_id = envelope.taskId or envelope.task_id
    if task_id is None or _folded_types[envelope.type] != "spawntask":
        return _read_command_carefully(payload)
    return Spawn(payload, task_id, envelope.shown_name(), envelope.trace())


def _read_command_carefully(payload: bytes) -> ServerMessage:
    members = Members(payload)
    spelling = members.type()
    match _folded_types[spelling]:
        case "authenticated":
            return Authenticated(members.text("daemonId", "daemon_id"))
        case "error":
            return ServerError(members.text("code") or "", members.text("message") or "")
        case "spawntask":
            task_id = needed(members.task_id(), "taskId", "spawnTask")
            trace = traceparent_of(members.text(*_TRACE))
            return Spawn(payload, task_id, members.text("taskName", "task_name", "name"), trace)
        case word:
            daemon_id = members.value("daemonId", "daemon_id")
            return Command(
                payload,
                spelling,
                members.task_id(),
                daemon_id if isinstance(daemon_id, str) else None,
                word in _WITHDRAWING,
            )
