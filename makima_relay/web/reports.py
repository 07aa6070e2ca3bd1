"""How a report of a daemon is shown to people: the JSON as it came, on one line, without secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from makima_relay.clock import rfc3339
from makima_relay.core.members import UNREADABLE
from makima_relay.core.output import Piece
from makima_relay.web.bodies import OutputPiece

#: Escapes that can stand for the characters of a secret; no other can.
_HIDING: Final = ("\\u", "\\/")
_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def shown_report(payload: bytes, redact: Callable[[str], str]) -> msgspec.Raw:
    """A report as JSON: as it came, unless there is something to black out; a string if it is none.

    :param redact: blacks out secrets.
    """
    text = payload.decode("utf-8", "replace")
    redacted = redact(text)
    try:
        value = msgspec.json.decode(payload)
        if redacted != text or (any(each in text for each in _HIDING) and _hides(value, redact)):
            return msgspec.Raw(msgspec.json.encode(_redacted(value, redact)))
    except UNREADABLE:
        return msgspec.Raw(msgspec.json.encode(redacted))
    # Outside of strings the end of a line is as good as a blank, and in them there is none.
    return msgspec.Raw(payload.translate(_ONE_LINE))


def _hides(value: Any, redact: Callable[[str], str]) -> bool:
    """Whether there is a secret in JSON when no more is escaped in it than must be."""
    text = msgspec.json.encode(value).decode()
    return redact(text) != text


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    match value:
        case str():
            return redact(value)
        case list():
            return [_redacted(each, redact) for each in value]
        case dict():
            return {redact(name): _redacted(each, redact) for name, each in value.items()}
        case _:
            return value


def shown_piece(piece: Piece, redact: Callable[[str], str]) -> OutputPiece:
    """One report of a task's output.

    :param redact: blacks out secrets.
    """
    return OutputPiece(number=piece.number, at=rfc3339(piece.at), payload=shown_report(piece.payload, redact))
