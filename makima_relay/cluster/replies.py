"""Reads what Redis answers (RESP2), as it comes in pieces.

txredisapi's own parser takes a turn of the reactor for each string of an answer; an inbox of a thousand reports would
take seven thousand.
"""

from __future__ import annotations

from typing import Any, Final

from txredisapi import ResponseError

#: The longest string that Redis itself takes unless it is told otherwise.
_LONGEST_STRING: Final = 512 << 20
_LONGEST_LINE: Final = 64 << 10
_MOST_ELEMENTS: Final = 1 << 20
_DEEPEST: Final = 8


class InvalidReplyError(Exception):
    """What came is no answer of Redis's."""


class Replies:
    """Makes answers of bytes: strings are bytes, status lines text, refusals a ``ResponseError``, nothing is none."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        #: There is nothing to be read before there are so many bytes.
        self._needed = 0
        #: Lists that are not complete: what they have, and how many they lack.
        self._open: list[tuple[list[Any], int]] = []

    def feed(self, data: bytes) -> list[Any]:
        """Take bytes.

        :return: the answers that are complete now.
        :raises InvalidReplyError: when it is none; nothing more can be read then.
        """
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return []
        buffer = b"".join(self._pieces)
        complete: list[Any] = []
        place = 0
        while (found := self._read(buffer, place)) is not None:
            element, place = found
            self._add(element, complete)
        self._pieces = [buffer[place:]]
        self._held = len(buffer) - place
        return complete

    def _read(self, buffer: bytes, place: int) -> tuple[Any, int] | None:
        """One element and where the next begins; none if it is not all there."""
        end = buffer.find(b"\r\n", place)
        if end < 0:
            if len(buffer) - place > _LONGEST_LINE:
                raise InvalidReplyError("a line without end")
            self._needed = len(buffer) - place + 1
            return None
        kind, line = buffer[place : place + 1], buffer[place + 1 : end]
        if kind == b"$":
            return self._string(buffer, place, end, _number(line, _LONGEST_STRING))
        return _short(kind, line), end + 2

    def _string(self, buffer: bytes, place: int, end: int, size: int) -> tuple[bytes | None, int] | None:
        if size < 0:
            return None, end + 2
        finish = end + 2 + size
        if len(buffer) < finish + 2:
            self._needed = finish + 2 - place
            return None
        return buffer[end + 2 : finish], finish + 2

    def _add(self, element: Any, complete: list[Any]) -> None:
        """Put an element where it belongs, and close the lists that it completes."""
        if isinstance(element, _List) and element.size > 0:
            if len(self._open) == _DEEPEST:
                raise InvalidReplyError("lists within too many lists")
            self._open.append(([], element.size))
            return
        if isinstance(element, _List):
            element = [] if element.size == 0 else None
        while self._open:
            elements, lacking = self._open.pop()
            elements.append(element)
            if lacking > 1:
                self._open.append((elements, lacking - 1))
                return
            element = elements
        complete.append(element)


class _List:
    """The head of a list."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


def _short(kind: bytes, line: bytes) -> Any:
    """What a line stands for; none of them is a string."""
    match kind:
        case b"*":
            return _List(_number(line, _MOST_ELEMENTS))
        case b":":
            return _number(line, 1 << 64)
        case b"+":
            return line.decode("utf-8", "replace")
        case b"-":
            return ResponseError(line.decode("utf-8", "replace").removeprefix("ERR "))
    raise InvalidReplyError("an unknown kind of answer")


def _number(line: bytes, most: int) -> int:
    try:
        number = int(line)
    except ValueError:
        raise InvalidReplyError("no number") from None
    if not -most <= number <= most:
        raise InvalidReplyError("a number beyond all measure")
    return number
