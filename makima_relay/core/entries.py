"""What one relay sends another through its inbox (``cluster.md``, *Links*): the entries and how they are written.

The relay that got a task from its server is the task's origin; the relay whose daemon has it is its holder. An entry
about a task names the attempt that it belongs to: how often the origin had handed the task out by then. So what comes
late is not mistaken for news. What comes from a peer is checked here once; what this hands on can be trusted.
"""

from __future__ import annotations

from typing import Annotated, Final, cast

import msgspec

from makima_relay.core.members import LONGEST_NAME, LONGEST_TASK_ID, LONGEST_TEXT
from makima_relay.core.tasks import TaskStatus

_TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TASK_ID)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
_Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class _Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that one relay says to another."""


# -------------------------------------------------------------------------------------------- an origin to a holder


class Offer(_Entry, frozen=True, tag="offer"):
    """Take this task; its ``spawnTask`` as it came."""

    task_id: _TaskId
    attempt: _Number
    name: _Text | None
    traceparent: Annotated[str, msgspec.Meta(max_length=55)] | None
    message: bytes


class Relayed(_Entry, frozen=True, tag="relayed"):
    """Hand this command to the daemon that has the task; none is an ``interruptTask`` of the relay's own."""

    task_id: _TaskId
    attempt: _Number
    payload: bytes | None


class Interrupt(_Entry, frozen=True, tag="interrupt"):
    """The task is not to run there any more: have it stopped, and forget it."""

    task_id: _TaskId
    attempt: _Number


class Released(_Entry, frozen=True, tag="released"):
    """The task's daemon is at another relay now: forget the task.

    :ivar heard: the number of the receiver's last entry that the sender knew when it said so.
    """

    task_id: _TaskId
    attempt: _Number
    heard: _Number


class Adopted(_Entry, frozen=True, tag="adopted"):
    """The sender is the origin of this task from now on."""

    task_id: _TaskId
    attempt: _Number


class Inquiry(_Entry, frozen=True, tag="inquiry"):
    """Which of the sender's tasks has the receiver? The answer is :class:`Holding`."""


class Moved(_Entry, frozen=True, tag="moved"):
    """To a former origin: the sender has got the task from its own server."""

    task_id: _TaskId
    agent_name: _Name


# -------------------------------------------------------------------------------------------- a holder to an origin


class Placed(_Entry, frozen=True, tag="placed"):
    """A daemon has the task."""

    task_id: _TaskId
    attempt: _Number
    daemon_id: _Name
    hostname: _Name
    status: TaskStatus


class Reported(_Entry, frozen=True, tag="reported"):
    """What a daemon said of the task, in order, each message as it came."""

    task_id: _TaskId
    attempt: _Number
    daemon_id: _Name
    payloads: tuple[bytes, ...]


class Returned(_Entry, frozen=True, tag="returned"):
    """The task is not at the sender any more.

    :ivar lost: whether it was lost with its daemon; else no daemon ever got it.
    :ivar hostname: of that daemon.
    """

    task_id: _TaskId
    attempt: _Number
    lost: bool
    hostname: _Name | None


class Ended(_Entry, frozen=True, tag="ended"):
    """The task has ended, and the sender's own server was told so."""

    task_id: _TaskId
    attempt: _Number
    status: TaskStatus
    error: _Text | None


class Holding(_Entry, frozen=True, tag="holding"):
    """The answer to an :class:`Inquiry`: all tasks of the receiver that the sender has.

    :ivar inquiry: the number of the question.
    :ivar tasks: as (task, attempt, daemon, its hostname).
    """

    inquiry: _Number
    tasks: tuple[tuple[_TaskId, _Number, _Name, _Name], ...]


ToHolder = Offer | Relayed | Interrupt | Released | Adopted | Inquiry
ToOrigin = Moved | Placed | Reported | Returned | Ended | Holding

encode_entry: Final = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ToHolder | ToOrigin).decode


class InvalidEntryError(Exception):
    """What a peer sent is no entry; its text says why."""


def decode_entry(payload: bytes) -> ToHolder | ToOrigin:
    """Read what a peer sent.

    :raises InvalidEntryError: when it is none.
    """
    try:
        entry = cast("ToHolder | ToOrigin", _decode(payload))
        for message in _messages(entry):
            # Whoever gets one that is none would end its connection, each time that it comes again.
            message.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEntryError(str(error)) from None
    return entry


def _messages(entry: ToHolder | ToOrigin) -> tuple[bytes, ...]:
    """What goes on from an entry to a daemon or a server as it is."""
    if isinstance(entry, Reported):
        return entry.payloads
    if isinstance(entry, Offer):
        return (entry.message,)
    return (entry.payload,) if isinstance(entry, Relayed) and entry.payload is not None else ()
