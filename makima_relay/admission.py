"""Who may join as a daemon: decides on a connection's first message (``protocol.md``, *Refusals and closes*)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import attrs

from makima_relay.core.composer import COMPOSERS
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Hello, presented_key, read_first_message, read_hello
from makima_relay.core.spelling import WireCase

CLOSE_UNAUTHORIZED = 4401
CLOSE_INVALID = 4400
CLOSE_OVERDUE = 4408

#: Tells whether a daemon may present a key.
KeyCheck = Callable[[str], bool]


@attrs.frozen
class Refusal:
    """Why a connection is turned away, and how it is told.

    :ivar answer: the message before the close.
    :ivar code: the close code.
    :ivar reason: the same for the journal.
    """

    answer: bytes
    code: int
    reason: str


def shared_key(key: str) -> KeyCheck:
    """The key check while no daemon keys were made: everyone presents the server's key."""
    expected = key.encode()

    def check(presented: str) -> bool:
        # A lone surrogate is no reason to fail differently from any other wrong key.
        return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), expected)

    return check


def decide(payload: bytes, header_key: str | None, check: KeyCheck) -> Hello | Refusal:
    """Decide on a first message.

    :param payload: one text message.
    :param header_key: the key that came with the upgrade request, if any; one in the message goes first.
    :param check: tells good keys.
    """
    first = read_first_message(payload)
    if first is None:
        return _refusal(WireCase.CAMEL, "unauthenticated", "authenticate first", CLOSE_UNAUTHORIZED)
    case, members = first
    key: Any = presented_key(members)
    if key is None:
        key = header_key
    if not isinstance(key, str) or not check(key):
        return _refusal(case, "unauthorized", "this key is not accepted", CLOSE_UNAUTHORIZED)
    try:
        return read_hello(case, members)
    except InvalidMessageError as error:
        return _refusal(case, "invalid_message", str(error), CLOSE_INVALID)


def _refusal(case: WireCase, code: str, message: str, close_code: int) -> Refusal:
    return Refusal(COMPOSERS[case].error(code, message), close_code, f"{code}: {message}")
