"""The wire vocabulary of ``protocol.md``: reads a message from bytes, builds the relay's own messages.

The only module that knows how members and types are spelled. What it reads it checks once; what it hands on can be
trusted. It never re-encodes what is relayed: every message that may be passed on keeps its payload as it came.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec

from makima_relay.core.tasks import TaskStatus

LONGEST_TASK_ID: Final = 128
LONGEST_NAME: Final = 255
MOST_SLOTS: Final = 10_000
DEFAULT_SLOTS: Final = 10
#: How much of a peer's free text (a task's name, its error) the relay keeps, in characters.
LONGEST_TEXT: Final = 8_192


class InvalidMessageError(Exception):
    """A message that ``protocol.md`` does not allow; its text says which member and what it takes."""


# ---------------------------------------------------------------------------------------------------- what is read


class Report(msgspec.Struct, frozen=True):
    """daemon -> server: relayed as it is.

    :ivar payload: the bytes that came, and that go on.
    :ivar task_id: the task that it is about, if any.
    """

    payload: bytes
    task_id: str | None


class Completion(msgspec.Struct, frozen=True):
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

    :ivar key: the key as presented; any JSON value, since one that is no string is merely wrong.
    :ivar machine_id: the machine, 1-255 characters.
    :ivar hostname: the name to show, 1-255 characters.
    :ivar capacity: how many tasks it takes at once, 0-10,000.
    :ivar case: how the daemon spells types.
    """

    machine_id: str
    hostname: str
    capacity: int
    case: WireCase
    key: Any = None

    def __repr__(self) -> str:
        return f"Hello(machine_id={self.machine_id!r}, hostname={self.hostname!r}, capacity={self.capacity})"


class Spawn(msgspec.Struct, frozen=True):
    """server -> daemon: ``spawnTask``."""

    payload: bytes
    task_id: str
    name: str | None


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


class WireCase(enum.Enum):
    """How the ``type`` of the relay's own messages is spelled."""

    CAMEL = "camel"
    PASCAL = "pascal"
    SNAKE = "snake"
    #: Only ever an answer to a daemon that shouts; not a setting.
    UPPER = "upper"

    def spell(self, *words: str) -> str:
        """Write words as one type, in this case."""
        match self:
            case WireCase.CAMEL:
                return words[0] + "".join(map(str.capitalize, words[1:]))
            case WireCase.PASCAL:
                return "".join(map(str.capitalize, words))
            case WireCase.SNAKE:
                return "_".join(words)
            case WireCase.UPPER:
                return "_".join(words).upper()


def case_of(spelling: str) -> WireCase:
    """Tell from a peer's spelling of ``authenticate`` how it spells types."""
    if spelling.isupper():
        return WireCase.UPPER
    return WireCase.PASCAL if spelling[:1].isupper() else WireCase.CAMEL


_SEPARATORS = str.maketrans("", "", "_-")


def folded(word: str) -> str:
    """The form in which types and status words are compared: no case, no ``_``, no ``-``."""
    return word.translate(_SEPARATORS).lower()


class _FoldedTypes(dict[str, str]):
    """Folded types by spelling; peers choose the spellings, so it forgets all when it has seen too many."""

    MOST: Final = 1_024

    def __missing__(self, spelling: str) -> str:
        if len(self) >= self.MOST:
            self.clear()
        word = folded(spelling)
        if len(spelling) <= LONGEST_NAME:
            self[spelling] = word
        return word


_folded_types = _FoldedTypes()

_STATUS_WORDS: dict[str, TaskStatus] = {
    "running": TaskStatus.RUNNING,
    "completed": TaskStatus.COMPLETED,
    "done": TaskStatus.COMPLETED,
    "failed": TaskStatus.FAILED,
    "cancelled": TaskStatus.CANCELLED,
    "interrupted": TaskStatus.CANCELLED,
}
_WITHDRAWING = frozenset({"interrupttask", "canceltask", "killtask"})


# ---------------------------------------------------------------------------------------------------------- reading

_TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TASK_ID)]


class _Envelope(msgspec.Struct):
    """The members that decide a message's way, when they are as they should be: the fast reading."""

    type: Annotated[str, msgspec.Meta(min_length=1)]
    taskId: _TaskId | None = None
    task_id: _TaskId | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_T = TypeVar("_T")


class _Members:
    """The members of a message, each read when asked for: the careful reading, with errors that name the member."""

    def __init__(self, payload: bytes) -> None:
        self._raw: dict[str, Any]
        try:
            self._raw = _decode_members(payload)
        except msgspec.ValidationError:
            raise InvalidMessageError("a message must be a JSON object") from None
        except _UNREADABLE:
            self._raw = _decode_leniently(payload)

    def value(self, *spellings: str) -> Any:
        """The value under the first of the spellings that is there and not null; else none."""
        for spelling in spellings:
            value = self._raw.get(spelling)
            if isinstance(value, msgspec.Raw):
                value = self._decode(value, spelling)
            if value is not None:
                return value
        return None

    @staticmethod
    def _decode(raw: msgspec.Raw, spelling: str) -> Any:
        try:
            return msgspec.json.decode(raw)
        except _UNREADABLE:
            raise InvalidMessageError(f"{spelling} is out of range or not valid JSON") from None

    def type(self) -> str:
        """The message's type as it was spelled."""
        value = self.value("type")
        if not isinstance(value, str) or not value:
            raise InvalidMessageError("type must be a non-empty string")
        return value

    def task_id(self) -> str | None:
        """The id of the task that the message is about, if any."""
        value = self.value("taskId", "task_id")
        return None if value is None else _checked_task_id(value, "taskId")

    def text(self, *spellings: str) -> str | None:
        """Free text to show: never a reason to refuse a message, so what is no string is shown as it stands there."""
        for spelling in spellings:
            try:
                value = self.value(spelling)
            except InvalidMessageError:
                value = bytes(self._raw[spelling]).decode()
            if value is not None:
                text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
                return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()
        return None

    def name(self, *spellings: str) -> str | None:
        """A string of 1-255 characters, if there is one."""
        value = self.value(*spellings)
        if value is not None and not _is_text(value, LONGEST_NAME):
            raise InvalidMessageError(f"{spellings[0]} must be a string of 1 to {LONGEST_NAME} characters")
        return cast("str | None", value)


def _decode_leniently(payload: bytes) -> dict[str, Any]:
    """Decode JSON that has half a surrogate pair in a string.

    RFC 8259, section 8.2 lets it pass, and a peer that cuts a string of UTF-16 units makes it; msgspec refuses it.
    """
    try:
        value = json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidMessageError("a message must be valid JSON") from None
    if not isinstance(value, dict):
        raise InvalidMessageError("a message must be a JSON object")
    return value


def _refuse_constant(word: str) -> None:
    raise ValueError(word)


def _is_text(value: Any, longest: int) -> bool:
    """Whether a value is a string of a length, of characters that UTF-8 has."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _checked_task_id(value: Any, member: str) -> str:
    if not _is_text(value, LONGEST_TASK_ID):
        raise InvalidMessageError(f"{member} must be a string of 1 to {LONGEST_TASK_ID} characters")
    return str(value)


def _needed(value: _T | None, member: str, kind: str) -> _T:
    if value is None:
        raise InvalidMessageError(f"{kind} needs {member}")
    return value


def read_report(payload: bytes) -> DaemonMessage:
    """Read what an authenticated daemon sent.

    :param payload: one text message, UTF-8.
    :raises InvalidMessageError: when it is none that ``protocol.md``, *Downstream* allows.
    """
    try:
        envelope = _decode_envelope(payload)
    except _UNREADABLE:
        return _read_report_carefully(payload)
    reader = _REPORT_READERS.get(_folded_types[envelope.type])
    if reader is None:
        return Report(payload, envelope.taskId or envelope.task_id)
    return reader(payload, _Members(payload))


def _read_report_carefully(payload: bytes) -> DaemonMessage:
    members = _Members(payload)
    reader = _REPORT_READERS.get(_folded_types[members.type()], _read_plain_report)
    return reader(payload, members)


def _read_plain_report(payload: bytes, members: _Members) -> DaemonMessage:
    return Report(payload, members.task_id())


def _read_heartbeat(_payload: bytes, members: _Members) -> DaemonMessage:
    listed = members.value("activeTasks", "active_tasks")
    if listed is None:
        return Heartbeat(None)
    if not isinstance(listed, list):
        raise InvalidMessageError("activeTasks must be an array of task ids")
    return Heartbeat(frozenset(_checked_task_id(each, "each of activeTasks") for each in listed))


def _read_completion(payload: bytes, members: _Members) -> DaemonMessage:
    task_id = _needed(members.task_id(), "taskId", "taskComplete")
    success = members.value("success")
    if not isinstance(success, bool):
        raise InvalidMessageError("success must be true or false")
    return Completion(payload, task_id, success, members.text("error"))


def _read_status_change(payload: bytes, members: _Members) -> DaemonMessage:
    task_id = members.task_id()
    word = members.value("newStatus", "new_status")
    if word is not None and not isinstance(word, str):
        raise InvalidMessageError("newStatus must be a string")
    status = None if word is None else _STATUS_WORDS.get(folded(word))
    if task_id is None or status is None:
        return Report(payload, task_id)
    return StatusChange(payload, task_id, status, members.text("error"))


def _refuse_second_hello(_payload: bytes, _members: _Members) -> DaemonMessage:
    raise InvalidMessageError("authenticate was sent already")


_REPORT_READERS = {
    "heartbeat": _read_heartbeat,
    "taskcomplete": _read_completion,
    "taskstatuschange": _read_status_change,
    "authenticate": _refuse_second_hello,
}


def read_command(payload: bytes) -> ServerMessage:
    """Read what the server sent.

    :param payload: one text message, UTF-8.
    :raises InvalidMessageError: when it is none that ``protocol.md``, *Upstream: server → relay* allows.
    """
    members = _Members(payload)
    spelling = members.type()
    match _folded_types[spelling]:
        case "authenticated":
            return Authenticated(members.text("daemonId", "daemon_id"))
        case "error":
            return ServerError(members.text("code") or "", members.text("message") or "")
        case "spawntask":
            task_id = _needed(members.task_id(), "taskId", "spawnTask")
            return Spawn(payload, task_id, members.text("taskName", "task_name", "name"))
        case word:
            daemon_id = members.value("daemonId", "daemon_id")
            return Command(
                payload,
                spelling,
                members.task_id(),
                daemon_id if isinstance(daemon_id, str) else None,
                word in _WITHDRAWING,
            )


def read_first_message(payload: bytes) -> tuple[WireCase, _Members] | None:
    """Look whether a daemon's first message is ``authenticate``.

    :return: the daemon's spelling and the members for :func:`read_hello`; none when it is anything else.
    """
    try:
        members = _Members(payload)
        spelling = members.type()
    except InvalidMessageError:
        return None
    return (case_of(spelling), members) if folded(spelling) == "authenticate" else None


def read_hello(case: WireCase, members: _Members) -> Hello:
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


def presented_key(members: _Members) -> Any:
    """The key that a daemon's ``authenticate`` presents, whatever it is; none when there is none.

    A key that cannot even be decoded is as wrong as any other, and must not be quoted in an error.
    """
    try:
        return members.value("apiKey", "api_key")
    except InvalidMessageError:
        return False


# ---------------------------------------------------------------------------------------------------------- writing

_encode = msgspec.json.Encoder().encode


class Composer:
    """Builds the messages that the relay itself originates, in one spelling of ``type``.

    :param case: the spelling.
    """

    def __init__(self, case: WireCase) -> None:
        self._authenticate = case.spell("authenticate")
        self._authenticated = case.spell("authenticated")
        self._error = case.spell("error")
        self._heartbeat = case.spell("heartbeat")
        self._interrupt_task = case.spell("interrupt", "task")
        self._task_complete = case.spell("task", "complete")

    def authenticate(self, key: str, machine_id: str, hostname: str, capacity: int) -> bytes:
        """What the relay, or a stand-in daemon, says first."""
        return _encode(
            {
                "type": self._authenticate,
                "apiKey": key,
                "machineId": machine_id,
                "hostname": hostname,
                "maxConcurrentTasks": capacity,
            }
        )

    def authenticated(self, daemon_id: str) -> bytes:
        """The answer to a good ``authenticate``."""
        return _encode({"type": self._authenticated, "daemonId": daemon_id})

    def error(self, code: str, message: str, task_id: str | None = None) -> bytes:
        """A refusal; ``taskId`` is there when it is about one task."""
        about = {} if task_id is None else {"taskId": task_id}
        return _encode({"type": self._error, "code": code, "message": message, **about})

    def heartbeat(self, active_tasks: Iterable[str]) -> bytes:
        """Which tasks are at work."""
        return _encode({"type": self._heartbeat, "activeTasks": list(active_tasks)})

    def interrupt_task(self, task_id: str) -> bytes:
        """The wish that a daemon stop a task."""
        return _encode({"type": self._interrupt_task, "taskId": task_id})

    def task_failed(self, task_id: str, error: str) -> bytes:
        """The end of a task that no daemon will report."""
        return _encode({"type": self._task_complete, "taskId": task_id, "success": False, "error": error})


COMPOSERS: dict[WireCase, Composer] = {case: Composer(case) for case in WireCase}
