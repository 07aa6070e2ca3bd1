"""Reads the members of one message with care: any spelling, any nonsense, and errors that name the member."""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar, cast

import msgspec

LONGEST_TASK_ID: Final = 128
LONGEST_NAME: Final = 255
#: How much of a peer's free text (a task's name, its error) the relay keeps, in characters.
LONGEST_TEXT: Final = 8_192
#: What msgspec raises for what is no JSON, or not of the wanted form, or nested too deep.
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: Bytes of a message that may be decoded leniently: that makes twenty times as many of what is nested.
_LONGEST_LENIENT: Final = 1 << 20
#: Stands for an array or object where none is wanted. It may be as large as a message, and is not looked into.
_NESTED: Final = object()

_T = TypeVar("_T")

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode


class InvalidMessageError(Exception):
    """A message that ``protocol.md`` does not allow; its text says which member and what it takes."""


class Members:
    """The members of a message, each read when asked for: the careful reading, with errors that name the member."""

    def __init__(self, payload: bytes) -> None:
        self._raw: dict[str, Any]
        try:
            self._raw = _decode_members(payload)
        except msgspec.ValidationError:
            raise InvalidMessageError("a message must be a JSON object") from None
        except UNREADABLE:
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
        if _is_nested(raw):
            return _NESTED
        try:
            return msgspec.json.decode(raw)
        except UNREADABLE:
            raise InvalidMessageError(f"{spelling} is out of range or not valid JSON") from None

    def task_ids(self, *spellings: str) -> Any:
        """The same of a value that should be an array of task ids: it is looked into as far as there are strings."""
        for spelling in spellings:
            value = self._raw.get(spelling)
            if isinstance(value, msgspec.Raw):
                value = self._decode_ids(value) if bytes(memoryview(value)[:1]) == b"[" else self.value(spelling)
            if value is not None:
                return value
        return None

    @staticmethod
    def _decode_ids(raw: msgspec.Raw) -> list[str]:
        try:
            return _decode_texts(raw)
        except UNREADABLE:
            raise _no_task_id("each of activeTasks") from None

    def type(self) -> str:
        """The message's type as it was spelled."""
        value = self.value("type")
        if not isinstance(value, str) or not value:
            raise InvalidMessageError("type must be a non-empty string")
        return value

    def task_id(self) -> str | None:
        """The id of the task that the message is about, if any."""
        value = self.value("taskId", "task_id")
        return None if value is None else checked_task_id(value, "taskId")

    def text(self, *spellings: str) -> str | None:
        """Free text to show: never a reason to refuse a message, so what is no string is shown as it stands there."""
        for spelling in spellings:
            text = self._shown(spelling)
            if text is not None:
                return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()
        return None

    def _shown(self, spelling: str) -> str | None:
        raw = self._raw.get(spelling)
        if isinstance(raw, msgspec.Raw) and _is_nested(raw):
            return bytes(memoryview(raw)[: 4 * LONGEST_TEXT]).decode("utf-8", "replace")
        try:
            value = self.value(spelling)
            if value is None or isinstance(value, str):
                return value
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        except InvalidMessageError:
            return bytes(self._raw[spelling]).decode("utf-8", "replace")
        except RecursionError:
            # What can just be decoded may be nested too deep to be written again.
            return "nested too deep"

    def name(self, *spellings: str) -> str | None:
        """A string of 1-255 characters, if there is one."""
        value = self.value(*spellings)
        if value is not None and not _is_text(value, LONGEST_NAME):
            raise InvalidMessageError(f"{spellings[0]} must be a string of 1 to {LONGEST_NAME} characters")
        return cast("str | None", value)


def _is_nested(raw: msgspec.Raw) -> bool:
    """Whether a value is an array or an object."""
    return memoryview(raw)[0] in b"[{"


def _decode_leniently(payload: bytes) -> dict[str, Any]:
    """Decode JSON that has half a surrogate pair in a string.

    RFC 8259, section 8.2 lets it pass, and a peer that cuts a string of UTF-16 units makes it; msgspec refuses it.
    """
    if len(payload) > _LONGEST_LENIENT:
        raise InvalidMessageError("a message must be valid JSON")
    try:
        value = json.loads(payload.decode(), parse_constant=_refuse_constant)
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


def checked_task_id(value: Any, member: str) -> str:
    """A task id: 1-128 characters.

    :param member: what to call it in the error.
    :raises InvalidMessageError: when the value is anything else.
    """
    if not _is_text(value, LONGEST_TASK_ID):
        raise _no_task_id(member)
    return str(value)


def _no_task_id(member: str) -> InvalidMessageError:
    return InvalidMessageError(f"{member} must be a string of 1 to {LONGEST_TASK_ID} characters")


def needed(value: _T | None, member: str, kind: str) -> _T:
    """A value that messages of a kind have to have.

    :param member: what to call it in the error.
    :raises InvalidMessageError: when there is none.
    """
    if value is None:
        raise InvalidMessageError(f"{kind} needs {member}")
    return value
