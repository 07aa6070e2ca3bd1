"""Reads what daemons send (``protocol.md``, *Downstream*)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from makima_relay.core.envelopes import decode_completion, decode_envelope, decode_heartbeat
from makima_relay.core.members import LONGEST_TEXT, UNREADABLE, InvalidMessageError, Members, checked_task_id, needed
from makima_relay.core.messages import (
    DEFAULT_SLOTS,
    MOST_LISTED,
    MOST_SLOTS,
    Completion,
    DaemonMessage,
    Heartbeat,
    Hello,
    Report,
    StatusChange,
)
from makima_relay.core.spelling import BySpelling, WireCase, case_of, folded
from makima_relay.core.tally import OTHER
from makima_relay.core.tasks import TaskStatus

_STATUS_WORDS: dict[str, TaskStatus] = {
    "running": TaskStatus.RUNNING,
    "completed": TaskStatus.COMPLETED,
    "done": TaskStatus.COMPLETED,
    "failed": TaskStatus.FAILED,
    "cancelled": TaskStatus.CANCELLED,
    "interrupted": TaskStatus.CANCELLED,
}
_Reader = Callable[[bytes, Members], DaemonMessage]


class _ReportKind:
    """Reports of one type: how they are read, none for those that are only relayed, and how many were."""

    __slots__ = ("count", "name", "reader")

    def __init__(self, name: str, reader: _Reader | None) -> None:
        self.name = name
        self.reader = reader
        self.count = 0


class ReportReader:
    """Reads what authenticated daemons send, and counts it by type."""

    def __init__(self) -> None:
        self._other = _ReportKind(OTHER, None)
        self._kinds = {folded(name): _ReportKind(name, reader) for name, reader in _REPORT_READERS.items()}
        self._spelled = BySpelling(lambda word: self._kinds.get(word, self._other))

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
            envelope = decode_envelope(payload)
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
        members = decode_heartbeat(payload)
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
        members = decode_completion(payload)
    except UNREADABLE:
        return _read_completion(payload, Members(payload))
    task_id = members.taskId or members.task_id
    if task_id is None or (members.error is not None and len(members.error) > LONGEST_TEXT):
        return _read_completion(payload, Members(payload))
    return Completion(payload, task_id, members.success, members.error)


def _read_completion(payload: bytes, members: Members) -> DaemonMessage:
    task_id = needed(members.task_id(), "taskId", "taskComplete")
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
    hostname = needed(members.name("hostname"), "hostname", "authenticate")
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
