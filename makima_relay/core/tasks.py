"""A task, its statuses and the legal moves between them (``protocol.md``, *Dispatch*).

A :class:`Task` never changes: a move makes a new one. So an effect can carry the task as it was when the effect was
decided, and whoever holds it cannot be surprised.
"""

from __future__ import annotations

import enum
from typing import Any, Self

import msgspec


class TaskStatus(enum.StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    ORPHANED = "orphaned"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = TaskStatus

#: Why a task was cancelled that no daemon ever got.
BEFORE_DISPATCH = "cancelled before dispatch"

FINISHED = frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED})
AT_WORK = frozenset({_S.DISPATCHED, _S.RUNNING, _S.ORPHANED})

TRANSITIONS: dict[TaskStatus, frozenset[TaskStatus]] = {
    # A pending task starts running without a dispatch when a daemon that lost it shows that it has it still.
    _S.PENDING: frozenset({_S.DISPATCHED, _S.RUNNING, _S.CANCELLED}),
    # Back to pending is a peer that cannot place it.
    _S.DISPATCHED: frozenset({_S.RUNNING, _S.ORPHANED, _S.PENDING}) | FINISHED,
    _S.RUNNING: frozenset({_S.ORPHANED}) | FINISHED,
    # Back to pending is --on-daemon-loss requeue.
    _S.ORPHANED: frozenset({_S.RUNNING, _S.PENDING}) | FINISHED,
    # A spawnTask for a finished task is a new attempt.
    _S.COMPLETED: frozenset({_S.PENDING}),
    _S.FAILED: frozenset({_S.PENDING}),
    _S.CANCELLED: frozenset({_S.PENDING}),
}


class IllegalTransitionError(Exception):
    """A move that :data:`TRANSITIONS` does not have: a bug in the relay, never a peer's doing."""


# Nothing that a task or an effect refers to can refer back, so the garbage collector need not look at them.
class Task(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One task as the relay knows it.

    :ivar key: the relay's own number for the task, unique and never reused.
    :ivar position: the order of arrival; a new attempt arrives anew.
    :ivar task_id: the server's id, 1-128 characters.
    :ivar name: the server's name for it, if it gave one.
    :ivar status: where it stands.
    :ivar daemon_id: who holds it, or last held it.
    :ivar attempts: how often it was dispatched, ever.
    :ivar tries: how often it was dispatched since the server last asked for it.
    :ivar received_at: when it came, in seconds since the epoch; the other times likewise.
    :ivar error: why it failed or was cancelled.
    :ivar traceparent: the trace that it belongs to, as the server named it: 55 characters.
    :ivar relay: the id of the peer that holds it, or last held it; none at home (``cluster.md``).
    :ivar hostname: the name of the daemon there that has it; none at home.
    :ivar origin: the id of the peer whose task it is; none for this relay's own. A task of a peer's has the number of
        that peer's attempt.
    :ivar detached: whether reports on a task of a peer's go to this relay's own server, because that peer was away for
        too long.
    """

    key: int
    position: int
    task_id: str
    name: str | None = None
    status: TaskStatus = TaskStatus.PENDING
    daemon_id: str | None = None
    attempts: int = 0
    tries: int = 0
    received_at: float
    dispatched_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    error: str | None = None
    traceparent: str | None = None
    relay: str | None = None
    hostname: str | None = None
    origin: str | None = None
    detached: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it unless the server asks anew."""
        return self.status in FINISHED

    @property
    def is_new_attempt(self) -> bool:
        """Whether the server has asked for it and nobody was given it since: whoever had it before has it no more."""
        return self.status is TaskStatus.PENDING and self.tries == 0

    @property
    def at_work(self) -> bool:
        """Whether some daemon has it, connected or not."""
        return self.status in AT_WORK

    @property
    def is_offered(self) -> bool:
        """Whether it is with a peer that has not said yet which daemon there got it: it may return it."""
        return self.status is TaskStatus.DISPATCHED and self.daemon_id is None

    def is_elsewhere_than(self, other: Task) -> bool:
        """Whether it is, or last was, with another daemon or at another relay."""
        return self.daemon_id != other.daemon_id or self.relay != other.relay

    def to(self, status: TaskStatus, **changes: Any) -> Self:
        """Make the task that this one becomes.

        :param status: the status it takes.
        :param changes: further members that change with it.
        :raises IllegalTransitionError: when no such move exists.
        """
        if status not in TRANSITIONS[self.status]:
            raise IllegalTransitionError(f"task {self.task_id!r}: {self.status} -> {status}")
        return msgspec.structs.replace(self, status=status, **changes)

    def dispatched(self, daemon_id: str | None, at: float, relay: str | None = None) -> Self:
        """The task sent to a daemon, or to a peer, at a wall-clock time."""
        return self.to(
            TaskStatus.DISPATCHED,
            daemon_id=daemon_id,
            relay=relay,
            hostname=None,
            attempts=self.attempts + 1,
            tries=self.tries + 1,
            dispatched_at=at,
            started_at=None,
        )

    def running(self, daemon_id: str, at: float) -> Self:
        """The task reported on by a daemon at a wall-clock time."""
        return self.to(TaskStatus.RUNNING, daemon_id=daemon_id, started_at=self.started_at or at)

    def shown(self, at: float, daemon_id: str, relay: str | None = None, hostname: str | None = None) -> Self:
        """The task as one that a daemon shows to have, here or at a peer."""
        if self.status is TaskStatus.RUNNING:
            return msgspec.structs.replace(self, daemon_id=daemon_id, relay=relay, hostname=hostname)
        running = self.started_at or at
        return self.to(TaskStatus.RUNNING, daemon_id=daemon_id, relay=relay, hostname=hostname, started_at=running)

    def placed(self, daemon_id: str, hostname: str) -> Self:
        """The task as a peer has placed it on a daemon of its own."""
        return msgspec.structs.replace(self, daemon_id=daemon_id, hostname=hostname)

    def given_back(self, daemon_id: str | None = None) -> Self:
        """The task that nobody took: as if it had not been handed out, but for its number of attempts.

        :param daemon_id: who last held it before.
        """
        tries = max(0, self.tries - 1)
        return self.to(TaskStatus.PENDING, tries=tries, relay=None, hostname=None, daemon_id=daemon_id)

    def ended(self, status: TaskStatus, at: float, error: str | None) -> Self:
        """The task finished at a wall-clock time."""
        return self.to(status, finished_at=at, error=error)

    def asked_again(self, position: int, name: str | None, at: float, traceparent: str | None = None) -> Self:
        """A finished task as a new attempt; who last held it may still have reports to make."""
        return self.to(
            TaskStatus.PENDING,
            position=position,
            name=name,
            tries=0,
            received_at=at,
            dispatched_at=None,
            started_at=None,
            finished_at=None,
            error=None,
            traceparent=traceparent,
        )
