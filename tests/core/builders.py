"""Builders of values: messages as peers write them, tasks, effects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import settings

from makima_relay.core.effects import Effect, KeepReport, SaveEntry, SaveTask, SendToDaemon, SendUpstream
from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.messages import Hello
from makima_relay.core.peers import Presence
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import Task, TaskStatus

#: The moment at which everything happens unless a test says otherwise: monotonic, and since the epoch.
NOW = 1_000.0
AT = 1_700_000_000.0
#: The ids of the machines that most tests use.
D1, D2, D3 = daemon_id_of("m1"), daemon_id_of("m2"), daemon_id_of("m3")
#: The connection to the server in tests that have one; daemons' connections count from 1.
SERVER = 900
#: Values that are no task id.
NO_TASK_IDS: tuple[Any, ...] = ("", "x" * 129, 5, 1.5, True, [], ["t1"], {}, "\ud800", "a\udfffb")


def examples(number: int, **options: Any) -> settings:
    """Settings for a property test, besides those of all: see :mod:`tests`.

    One failure at a time is made small, because that takes minutes.

    :param number: how many examples are tried.
    """
    return settings(max_examples=number, report_multiple_bugs=False, **options)


def wire(kind: str, **members: Any) -> bytes:
    """A message as a peer writes it."""
    return json.dumps({"type": kind, **members}, separators=(",", ":")).encode()


def several(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values of several types, which the type checker shall not try to reconcile."""
    return values


def hello(machine: str = "m1", capacity: int = 10, case: WireCase = WireCase.CAMEL) -> Hello:
    """What a daemon says of itself; its hostname is ``host-`` and its machine."""
    return Hello(machine, f"host-{machine}", capacity, case)


def task(task_id: str = "t1", key: int = 1, **members: Any) -> Task:
    """A task that came at :data:`AT` and waits."""
    return Task(key=key, task_id=task_id, **{"position": key, "received_at": AT, **members})


def presence(relay_id: str, free: int = 0, **members: Any) -> Presence:
    """What a relay says of itself; its name is its id with ``name-`` before."""
    said = {
        "agent_name": f"name-{relay_id}",
        "version": "1.0.0",
        "upstream_connected": True,
        "connected_daemons": 1,
        "busy_slots": 0,
        "active_tasks": 0,
        "pending_tasks": 0,
        "foreign_tasks": 0,
        "oldest_pending_seconds": 0.0,
    }
    return Presence(relay_id=relay_id, free_slots=free, **said | members)


class Logged(msgspec.Struct, frozen=True):
    """A journal entry without its number, its time and its sentence."""

    event: str
    fields: dict[str, str | int | None]


def logged(event: str, **fields: str | int | None) -> Logged:
    """The entry that is to be written."""
    return Logged(event, fields)


def shown(decided: Iterable[Effect]) -> list[Effect | Logged]:
    """Effects with their journal entries in short."""
    return [Logged(each.entry.event, each.entry.fields) if isinstance(each, SaveEntry) else each for each in decided]


def of_kind(decided: Iterable[Effect], *kinds: type[Effect]) -> list[Effect]:
    """Only the effects of some classes."""
    return [each for each in decided if isinstance(each, kinds)]


def events(decided: Iterable[Effect]) -> list[str]:
    """Only the words of the journal entries."""
    return [each.entry.event for each in decided if isinstance(each, SaveEntry)]


def relayed(payload: bytes, number: int = 1) -> list[Effect]:
    """What is done with a report that is relayed and not kept."""
    return [SendUpstream(SERVER, payload, number)]


def refusal(connection: int, task_id: str = "t1", kind: str = "error") -> SendToDaemon:
    """The answer to a report about another daemon's task."""
    message = wire(kind, code="not_your_task", message="another daemon has this task", taskId=task_id)
    return SendToDaemon(connection, message)


def withdrawn(number: int, key: int = 1, task_id: str = "t1") -> list[Effect]:
    """What comes of withdrawing a pending task.

    :param number: the place of its report in the outbox.
    """
    error = "cancelled before dispatch"
    report = wire("taskComplete", taskId=task_id, success=False, error=error)
    after = task(task_id, key, status=TaskStatus.CANCELLED, finished_at=AT, error=error)
    save = SaveTask(after, AT, before=TaskStatus.PENDING)
    return [save, KeepReport(number, report), SendUpstream(SERVER, report, number)]


#: The task t1 when its daemon, the first, has reported on it.
RUNNING = task(status=TaskStatus.RUNNING, daemon_id=D1, attempts=1, tries=1, dispatched_at=AT, started_at=AT)


def ended(status: TaskStatus, payload: bytes, error: str | None = None, before: Task = RUNNING) -> list[Effect]:
    """What is done with a report that ends a task which was running: both survive a crash, or neither."""
    after = before.ended(status, AT, error)
    save = SaveTask(after, AT, before=before.status)
    return [save, KeepReport(1, payload), SendUpstream(SERVER, payload, 1)]
