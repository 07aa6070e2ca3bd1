"""The wire vocabulary of ``protocol.md``: reads messages from bytes.

With :mod:`~makima_relay.core.members`, :mod:`~makima_relay.core.spelling` and :mod:`~makima_relay.core.composer` the
only place that knows how members and types are spelled. What it reads it checks once; what it hands on can be trusted.
It never re-encodes what is relayed: every message that may be passed on keeps its payload as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec

from makima_relay.core.members import (
    LONGEST_NAME,
    LONGEST_TASK_ID,
    LONGEST_TEXT,
    UNREADABLE,
    InvalidMessageError,
    Members,
    checked_task_id,
)
from makima_relay.core.spelling import WireCase, case_of, folded
from makima_relay.core.tally import OTHER
from makima_relay.core.tasks import TaskStatus
from makima_relay.core.tracing import traceparent_of

MOST_SLOTS: Final = 10_000
#: Tasks in one heartbeat: ten times the slots that a daemon may have.
MOST_LISTED: Final = 100_000
DEFAULT_SLOTS: Final = 10


# ---------------------------------------------------------------------------------------------------- what is read


class Report(msgspec.Struct, frozen=True, gc=False):
    """daemon -> server: relayed as it is.

    :ivar payload: the bytes that came, and that go on.
    :ivar task_id: the task that it is about, if any.
    """

    payload: bytes
    task_id: str | None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """daemon -> server: ``taskComplete``."""

    payload: bytes
    task_id: str
    success: bool
    error: str | None


class StatusChange(msgspec.Struct, frozen=True):
    """daemon -> server: ``taskStatusChange`` of a task, to a status that the relay knows."""

    payload: bytes
    task_id: str
    status: TaskStatus
    error: str | None


class Heartbeat(msgspec.Struct, frozen=True):
    """daemon -> relay: ``heartbeat``; the tasks that the daemon says it has, if it says."""

    active_tasks: frozenset[str] | None


class Hello(msgspec.Struct, frozen=True):
    """daemon -> relay: ``authenticate``.

    :ivar machine_id: the machine, 1-255 characters.
    :ivar hostname: the name to show, 1-255 characters.
    :ivar capacity: how many tasks it takes at once, 0-10,000.
    :ivar case: how the daemon spells types.
    """

    machine_id: str
    hostname: str
    capacity: int
    case: WireCase


class Spawn(msgspec.Struct, frozen=True, gc=False):
    """server -> daemon: ``spawnTask``."""

    payload: bytes
    task_id: str
    name: str | None
    traceparent: str | None = None


class Command(msgspec.Struct, frozen=True):
    """server -> daemon: anything that is relayed to a daemon.

    :ivar type: as the server spelled it.
    :ivar withdraws: whether it takes a pending task out of the queue.
    """

    payload: bytes
    type: str
    task_id: str | None
    daemon_id: str | None
    withdraws: bool = False


class Authenticated(msgspec.Struct, frozen=True):
    """server -> relay: ``authenticated``."""

    daemon_id: str | None


class ServerError(msgspec.Struct, frozen=True):
    """server -> relay: ``error``."""

    code: str
    message: str


DaemonMessage = Report | Completion | StatusChange | Heartbeat
ServerMessage = Spawn | Command | Authenticated | ServerError


# --------------------------------------------------------------------------------------------------------- spelling


_V = TypeVar("_V")


class _BySpelling(dict[str, _V]):
    """What a type stands for, by its spelling; peers choose the spellings, so it forgets all when it has seen too many.

    :param meaning: tells it of a folded type.
    """

    MOST: Final = 1_024

    def __init__(self, meaning: Callable[[str], _V]) -> None:
        super().__init__()
        self._meaning = meaning

    def __missing__(self, spelling: str) -> _V:
        if len(self) >= self.MOST:
            self.clear()
        meant = self._meaning(folded(spelling))
        if len(spelling) <= LONGEST_NAME:
            self[spelling] = meant
        return meant


_folded_types = _BySpelling(str)

_STATUS_WORDS: dict[str, TaskStatus] = {
    "running": TaskStatus.RUNNING,
    "completed": TaskStatus.COMPLETED,
    "done": TaskStatus.COMPLETED,
    "failed": TaskStatus.FAILED,
    "cancelled": TaskStatus.CANCELLED,
    "interrupted": TaskStatus.CANCELLED,
}
_TRACE: Final = ("traceparent", "traceParent", "trace_parent")
_WITHDRAWING = frozenset({"interrupttask", "canceltask", "killtask"})


# ---------------------------------------------------------------------------------------------------------- reading

_TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TASK_ID)]


class _Envelope(msgspec.Struct, gc=False):
    """The members that decide a message's way, when they are as they should be: the fast reading."""

    type: Annotated[str, msgspec.Meta(min_length=1)]
    taskId: _TaskId | None = None
    task_id: _TaskId | None = None


class _Completion(_Envelope, kw_only=True):
    """The same of ``taskComplete``."""

    success: bool
    error: str | None = None


_TaskIds = Annotated[list[_TaskId], msgspec.Meta(max_length=MOST_LISTED)]


class _Heartbeat(msgspec.Struct, gc=False):
    """The same of ``heartbeat``."""

    activeTasks: _TaskIds | None = None
    active_tasks: _TaskIds | None = None


class _Command(_Envelope, kw_only=True):
    """The same of what the server sends."""

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


_Reader = Callable[[bytes, Members], DaemonMessage]


class _ReportKind:
    """Reports of one type: how they are read, none for those that are only relayed, and how many were."""

    __slots__ = ("count", "name", "reader")

    def __init__(self, name: str, reader: _Reader | None) -> None:
        self.name = name
        self.reader = reader
        self.count = 0


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_completion = msgspec.json.Decoder(_Completion).decode
_decode_heartbeat = msgspec.json.Decoder(_Heartbeat).decode
_decode_command = msgspec.json.Decoder(_Command).decode
_T = TypeVar("_T")


def _needed(value: _T | None, member: str, kind: str) -> _T:
    if value is None:
        raise InvalidMessageError(f"{kind} needs {member}")
    return value


class ReportReader:
    """Reads what authenticated daemons send, and counts it by type."""

    def __init__(self) -> None:
        self._other = _ReportKind(OTHER, None)
        self._kinds = {folded(name): _ReportKind(name, reader) for name, reader in _REPORT_READERS.items()}
        self._spelled = _BySpelling(lambda word: self._kinds.get(word, self._other))

    def counts(self) -> dict[str, int]:
        """How many were read of each type that ``protocol.md`` names, and of all others together."""
        kinds = (*self._kinds.values(), self._other)
        return {kind.name: kind.count for kind in kinds if kind.reader is not _refuse_second_hello}

    def read(self, payload: bytes) -> DaemonMessage:
        """Read one message.

        :param payload: one text message, UTF-8.
        :raises InvalidMessageError: when it is none that ``protocol.md``, *Downstream* allows.
        """
        try:
            envelope = _decode_envelope(payload)
        except UNREADABLE:
            return self._read_carefully(payload)
        kind = self._spelled[envelope.type]
        if kind.reader is None:
            kind.count += 1
            return Report(payload, envelope.taskId or envelope.task_id)
        report = _read_decisive(payload, kind.reader)
        kind.count += 1
        return report

    def _read_carefully(self, payload: bytes) -> DaemonMessage:
        members = Members(payload)
        kind = self._spelled[members.type()]
        report = (kind.reader or _read_plain_report)(payload, members)
        kind.count += 1
        return report


def _read_decisive(payload: bytes, reader: _Reader) -> DaemonMessage:
    if reader is _read_completion:
        return _read_completion_fast(payload)
    if reader is _read_heartbeat:
        return _read_heartbeat_fast(payload)
    return reader(payload, Members(payload))


def _read_plain_report(payload: bytes, members: Members) -> DaemonMessage:
    return Report(payload, members.task_id())


def _read_heartbeat_fast(payload: bytes) -> DaemonMessage:
    try:
        members = _decode_heartbeat(payload)
    except UNREADABLE:
        return _read_heartbeat(payload, Members(payload))
    listed = members.active_tasks if members.activeTasks is None else members.activeTasks
    return Heartbeat(None if listed is None else frozenset(listed))


def _read_heartbeat(_payload: bytes, members: Members) -> DaemonMessage:
    listed = members.task_ids("activeTasks", "active_tasks")
    if listed is None:
        return Heartbeat(None)
    if not isinstance(listed, list) or len(listed) > MOST_LISTED:
        raise InvalidMessageError(f"activeTasks must be an array of at most {MOST_LISTED} task ids")
    return Heartbeat(frozenset(checked_task_id(each, "each of activeTasks") for each in listed))


def _read_completion_fast(payload: bytes) -> DaemonMessage:
    try:
        members = _decode_completion(payload)
    except UNREADABLE:
        return _read_completion(payload, Members(payload))
    task_id = members.taskId or members.task_id
    if task_id is None or (members.error is not None and len(members.error) > LONGEST_TEXT):
        return _read_completion(payload, Members(payload))
    return Completion(payload, task_id, members.success, members.error)


def _read_completion(payload: bytes, members: Members) -> DaemonMessage:
    task_id = _needed(members.task_id(), "taskId", "taskComplete")
    success = members.value("success")
    if not isinstance(success, bool):
        raise InvalidMessageError("success must be true or false")
    return Completion(payload, task_id, success, members.text("error"))


def _read_status_change(payload: bytes, members: Members) -> DaemonMessage:
    task_id = members.task_id()
    word = members.value("newStatus", "new_status")
    if word is not None and not isinstance(word, str):
        raise InvalidMessageError("newStatus must be a string")
    status = None if word is None else _STATUS_WORDS.get(folded(word))
    if task_id is None or status is None:
        return Report(payload, task_id)
    return StatusChange(payload, task_id, status, members.text("error"))


def _refuse_second_hello(_payload: bytes, _members: Members) -> DaemonMessage:
    raise InvalidMessageError("authenticate was sent already")


#: The types that ``protocol.md`` names; those without a reader of their own are only relayed.
_REPORT_READERS: Final[dict[str, _Reader | None]] = {
    "heartbeat": _read_heartbeat,
    "taskComplete": _read_completion,
    "taskStatusChange": _read_status_change,
    "taskOutput": None,
    "taskProgress": None,
    "authenticate": _refuse_second_hello,
}
#: For whoever does not count.
read_report: Final = ReportReader().read


def read_command(payload: bytes) -> ServerMessage:
    """Read what the server sent.

    :param payload: one text message, UTF-8.
    :raises InvalidMessageError: when it is none that ``protocol.md``, *Upstream: server → relay* allows.
    """
    try:
        envelope = _decode_command(payload)
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
            task_id = _needed(members.task_id(), "taskId", "spawnTask")
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


def read_first_message(payload: bytes) -> tuple[WireCase, Members] | None:
    """Look whether a daemon's first message is ``authenticate``.

    :return: the daemon's spelling and the members for :func:`read_hello`; none when it is anything else.
    """
    try:
        members = Members(payload)
        spelling = members.type()
    except InvalidMessageError:
        return None
    return (case_of(spelling), members) if folded(spelling) == "authenticate" else None


def read_hello(case: WireCase, members: Members) -> Hello:
    """Read the members of a daemon's ``authenticate``.

    :raises InvalidMessageError: with a missing hostname, a bad machineId or a bad number.
    """
    hostname = _needed(members.name("hostname"), "hostname", "authenticate")
    machine_id = members.name("machineId", "machine_id") or hostname
    capacity = members.value("maxConcurrentTasks", "max_concurrent_tasks")
    if capacity is None:
        capacity = DEFAULT_SLOTS
    if type(capacity) is not int or not 0 <= capacity <= MOST_SLOTS:
        raise InvalidMessageError(f"maxConcurrentTasks must be an integer from 0 to {MOST_SLOTS}")
    return Hello(machine_id, hostname, capacity, case)


def presented_key(members: Members) -> Any:
    """The key that a daemon's ``authenticate`` presents, whatever it is; none when there is none.

    A key that cannot even be decoded is as wrong as any other, and must not be quoted in an error.
    """
    try:
        return members.value("apiKey", "api_key")
    except InvalidMessageError:
        return False
