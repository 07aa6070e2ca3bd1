"""What the core wants done, each as a value.

The engine performs effects strictly in their order and sends nothing before everything that was saved ahead of it is
committed. Effects of class :class:`Saved` go into the database; those that are also :class:`Gate` must be there
before any later effect becomes visible to a peer.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from makima_relay.core.journal import Entry
from makima_relay.core.keys import DaemonKey
from makima_relay.core.tasks import Task, TaskStatus


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Something to be done outside the core."""


class Saved(Effect, frozen=True):
    """An effect on the database, committed with its neighbours."""


class Urgent(Saved, frozen=True):
    """A saved effect that nothing waits for, but that is to be committed soon."""


class Gate(Saved, frozen=True):
    """A saved effect that whatever follows waits for."""


class OrphanTasks(Gate, frozen=True):
    """Keep all tasks that an earlier run left dispatched or running as orphaned.

    :ivar at: when they became so, in seconds since the epoch.
    """

    at: float


class SaveTask(Gate, frozen=True):
    """Keep a task as it is now.

    :ivar task: the task.
    :ivar at: when it became so, in seconds since the epoch.
    :ivar message: its whole ``spawnTask``, the first time.
    :ivar before: the status that it had until then; none for a task that is new to the store.
    :ivar elsewhere: whether another relay has it, or had it until now.
    """

    task: Task
    at: float
    message: bytes | None = None
    before: TaskStatus | None = None
    elsewhere: bool = False


class KeepReport(Gate, frozen=True):
    """Keep a report until the server has it: in one transaction with the status that it brings.

    :ivar number: its place in the outbox.
    """

    number: int
    payload: bytes


class KeepReports(Urgent, frozen=True):
    """Keep reports that the server has not acknowledged for a while.

    :ivar reports: as (number, payload), oldest first; some may be kept already.
    """

    reports: tuple[tuple[int, bytes], ...]


class ForgetReports(Saved, frozen=True):
    """Drop the kept reports up to and with a number: the server has them."""

    up_to: int


class KeepCommand(Gate, frozen=True):
    """Keep a command for a task that cannot be handed on yet.

    :ivar task: the key of the task.
    :ivar payload: the command; none for an ``interruptTask`` of the relay's own.
    """

    task: int
    payload: bytes | None


class ForgetCommands(Saved, frozen=True):
    """Drop the kept commands of a task: they go with its ``spawnTask``, or nobody wants them.

    :ivar task: the key of the task.
    """

    task: int


class SaveDaemon(Saved, frozen=True):
    """Keep what is known of a daemon beyond its connection."""

    daemon_id: str
    machine_id: str
    hostname: str
    draining: bool
    seen_at: float


class SaveKey(Gate, frozen=True):
    """Keep a daemon key as it is now."""

    key: DaemonKey


class ForgetKeys(Gate, frozen=True):
    """Drop daemon keys, by digest; their names and machines stay."""

    digests: tuple[bytes, ...]


class RevokeKeys(Gate, frozen=True):
    """Drop all daemon keys of a name, and whose machines belonged to it.

    :ivar at: when they were taken back, in seconds since the epoch: that is kept.
    """

    name: str
    at: float


class SaveMachine(Gate, frozen=True):
    """Keep that a machine belongs to the name of a daemon key."""

    machine_id: str
    name: str


class SaveKeyUse(Saved, frozen=True):
    """Keep when a key of a name was last used.

    :ivar at: seconds since the epoch.
    """

    name: str
    at: float
    address: str


class SaveEntry(Saved, frozen=True):
    """Keep a journal entry, and show it in the program's log."""

    entry: Entry


class SendToDaemon(Effect, frozen=True):
    """Send one text message down one connection; if that is gone, nothing."""

    connection: int
    payload: bytes


class CloseDaemon(Effect, frozen=True):
    """Close one downstream connection."""

    connection: int
    code: int
    reason: str


class SendUpstream(Effect, frozen=True):
    """Send one text message up one upstream connection; if that is gone, nothing.

    :ivar number: its place in the outbox; none for what is not kept.
    """

    connection: int
    payload: bytes
    number: int | None = None


class SendHeartbeat(Effect, frozen=True):
    """Tell the server up one upstream connection which tasks are at work when it is sent; if that is gone, nothing."""

    connection: int


class SendReports(Effect, frozen=True):
    """Send reports up one upstream connection, each as one text message; if that is gone, nothing.

    :ivar payloads: the reports, oldest first.
    :ivar number: the place in the outbox of the last; the others are right before it.
    """

    connection: int
    payloads: Sequence[bytes]
    number: int


class SendMore(Effect, frozen=True):
    """Tell :meth:`Relay.more_wanted` when others have had their turn: the backlog goes in bounded pieces."""

    connection: int


class LoadReports(Effect, frozen=True):
    """Read kept reports back and tell :meth:`Relay.reports_loaded`.

    :ivar connection: the upstream connection that they are for.
    :ivar after: the number that they are above.
    :ivar up_to: the highest number that they may have.
    :ivar size: about how many bytes of them.
    """

    connection: int
    after: int
    up_to: int
    size: int


class HoldDaemon(Effect, frozen=True):
    """Read no more from one downstream connection for now."""

    connection: int


class ReleaseDaemon(Effect, frozen=True):
    """Read from one downstream connection again."""

    connection: int


class ReleaseMore(Effect, frozen=True):
    """Tell :meth:`Relay.release_wanted` when others have had their turn: daemons are released a few at a time."""


class RecallTasks(Effect, frozen=True):
    """Look finished tasks up in the store and tell :meth:`Relay.tasks_recalled`."""

    task_ids: tuple[str, ...]


class AnnounceOutput(Effect, frozen=True):
    """Tell those who follow the output of a task that there is more of it."""

    task_id: str
