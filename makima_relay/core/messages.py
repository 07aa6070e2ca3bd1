"""The wire vocabulary of ``protocol.md``: what messages say, once they are read.

:mod:`~makima_relay.core.from_daemons` and :mod:`~makima_relay.core.from_server` read them, and check them once; what
they hand on can be trusted. Every message that may be passed on keeps its payload as it came: nothing that is relayed
is ever encoded again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import TaskStatus

MOST_SLOTS: Final = 10_000
#: Tasks in one heartbeat: ten times the slots that a daemon may have.
MOST_LISTED: Final = 100_000
DEFAULT_SLOTS: Final = 10


class Report(msgspec.Struct, frozen=True, gc=False):
    """daemon -> server: relayed as it is.

    :ivar payload: the bytes that came, and that go on.
    :ivar task_id: the task that it is about, if any.
    """

    payload: bytes
    task_id: str | None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """daemon -> server: ``taskComplete``."""

    payload: bytes
    task_id: str
    success: bool
    error: str | None

    @property
    def status(self) -> TaskStatus:
        """What becomes of the task."""
        return TaskStatus.COMPLETED if self.success else TaskStatus.FAILED


class StatusChange(msgspec.Struct, frozen=True):
    """daemon -> server: ``taskStatusChange`` of a task, to a status that the relay knows."""

    payload: bytes
    task_id: str
    status: TaskStatus
    error: str | None


class Heartbeat(msgspec.Struct, frozen=True):
    """daemon -> relay: ``heartbeat``; the tasks that the daemon says it has, if it says."""

    active_tasks: frozenset[str] | None


class Listed(msgspec.Struct, frozen=True, gc=False):
    """One task of a daemon's first list that this relay does not know: in a cluster it may be a peer's."""

    task_id: str


class Hello(msgspec.Struct, frozen=True):
    """daemon -> relay: ``authenticate``.

    :ivar machine_id: the machine, 1-255 characters.
    :ivar hostname: the name to show, 1-255 characters.
    :ivar capacity: how many tasks it takes at once, 0-10,000.
    :ivar case: how the daemon spells types.
    """

    machine_id: str
    hostname: str
    capacity: int
    case: WireCase


class Spawn(msgspec.Struct, frozen=True, gc=False):
    """server -> daemon: ``spawnTask``."""

    payload: bytes
    task_id: str
    name: str | None
    traceparent: str | None = None


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
