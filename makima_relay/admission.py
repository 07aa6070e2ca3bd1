"""Who may join as a daemon: decides on a connection's first message (``protocol.md``, *Refusals and closes*)."""

from __future__ import annotations

import hmac
from typing import Any

import attrs

from makima_relay.core.composer import COMPOSERS
from makima_relay.core.from_daemons import presented_key, read_first_message, read_hello
from makima_relay.core.keys import DaemonKey, DaemonKeys
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Hello
from makima_relay.core.rejections import Rejection
from makima_relay.core.spelling import WireCase

CLOSE_UNAUTHORIZED = 4401
CLOSE_INVALID = 4400
CLOSE_OVERDUE = 4408


@attrs.frozen
class Welcome:
    """A daemon that may come in.

    :ivar key: the daemon key that it presented; none for the shared one.
    """

    hello: Hello
    key: DaemonKey | None


@attrs.frozen
class Refusal:
    """Why a connection is turned away, and how it is told.

    :ivar answer: the message before the close.
    :ivar code: the close code.
    :ivar reason: the same for the journal.
    :ivar rejection: the same for whoever counts.
    :ivar is_guess: whether a wrong key was presented.
    """

    answer: bytes
    code: int
    reason: str
    rejection: Rejection
    is_guess: bool = False


class Admission:
    """Decides on first messages.

    :param shared_key: what daemons present until a daemon key is made.
    :param keys: the daemon keys, if there can be any.
    """

    def __init__(self, shared_key: str, keys: DaemonKeys | None = None) -> None:
        self._shared_key = shared_key.encode()
        self._keys = keys or DaemonKeys()

    def change_shared_key(self, shared_key: str) -> None:
        """Take another shared key from now on, and no more the one before."""
        self._shared_key = shared_key.encode()

    def decide(self, payload: bytes, header_key: str | None) -> Welcome | Refusal:
        """Decide on a first message.

        :param payload: one text message.
        :param header_key: the key that came with the upgrade request, if any; one in the message goes first.
        """
        first = read_first_message(payload)
        if first is None:
            return _refusal(WireCase.CAMEL, "unauthenticated", "authenticate first", CLOSE_UNAUTHORIZED)
        case, members = first
        presented: Any = presented_key(members)
        if presented is None:
            presented = header_key
        if not isinstance(presented, str) or not self._is_good(presented):
            refusal = _refusal(case, "unauthorized", "this key is not accepted", CLOSE_UNAUTHORIZED)
            return attrs.evolve(refusal, is_guess=True)
        try:
            hello = read_hello(case, members)
        except InvalidMessageError as error:
            return _refusal(case, "invalid_message", str(error), CLOSE_INVALID)
        key = self._keys.find(presented) if self._keys.ever_made else None
        if key is not None and self._keys.is_others(hello.machine_id, key.name):
            return _refusal(case, "unauthorized", "this machineId belongs to another key", CLOSE_UNAUTHORIZED)
        if key is not None and not self._keys.has_room(hello.machine_id, key.name):
            return _refusal(case, "unauthorized", "this key has as many machines as it may", CLOSE_UNAUTHORIZED)
        return Welcome(hello, key)

    def _is_good(self, presented: str) -> bool:
        if self._keys.ever_made:
            return self._keys.find(presented) is not None
        # A lone surrogate is no reason to fail differently from any other wrong key.
        return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), self._shared_key)


def _refusal(case: WireCase, code: str, message: str, close_code: int) -> Refusal:
    return Refusal(COMPOSERS[case].error(code, message), close_code, f"{code}: {message}", Rejection(code))
