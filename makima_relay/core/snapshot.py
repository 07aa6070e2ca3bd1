"""What an earlier run left, as the store has it."""

from __future__ import annotations

import msgspec

from makima_relay.core.journal import Entry
from makima_relay.core.keys import StoredKeys
from makima_relay.core.outbox import Backlog
from makima_relay.core.tasks import Task


class StoredTask(msgspec.Struct, frozen=True, kw_only=True):
    """An unfinished task as the store has it.

    :ivar message: its whole ``spawnTask``; none if it was adopted.
    :ivar commands: what waits for it, in order; none for an ``interruptTask`` of the relay's own.
    """

    task: Task
    message: bytes | None = None
    commands: tuple[bytes | None, ...] = ()


class StoredDaemon(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon as the store has it."""

    daemon_id: str
    machine_id: str
    hostname: str
    draining: bool = False


class StoredPeer(msgspec.Struct, frozen=True, kw_only=True):
    """A peer as the store has it.

    :ivar received: the highest number of its entries that was acted on.
    :ivar next_number: the first number that no entry toward it has had.
    :ivar entries: those that it may not have, as (number, payload), in the order of their numbers.
    """

    relay_id: str
    agent_name: str
    received: int = 0
    next_number: int = 1
    entries: tuple[tuple[int, bytes], ...] = ()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that a relay takes up from an earlier run.

    :ivar next_key: the first number that no stored task has.
    :ivar total_finished: how often a task finished, ever.
    :ivar backlog: the reports that the server may not have.
    :ivar tasks: those of peers that this relay holds are among them, and have an origin.
    :ivar entries: the journal, oldest first.
    """

    next_key: int = 1
    total_finished: int = 0
    tasks: tuple[StoredTask, ...] = ()
    daemons: tuple[StoredDaemon, ...] = ()
    backlog: Backlog = Backlog()
    entries: tuple[Entry, ...] = ()
    keys: StoredKeys = StoredKeys()
    peers: tuple[StoredPeer, ...] = ()
