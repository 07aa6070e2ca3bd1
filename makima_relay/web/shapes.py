"""What the answers look like (``http-api.md``, *Shapes*)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

from makima_relay import __version__
from makima_relay.announcements import Announcements
from makima_relay.clock import Clock, rfc3339
from makima_relay.connector import ConnectorState
from makima_relay.core.fleet import Daemon
from makima_relay.core.journal import Entry
from makima_relay.core.keys import NamedKeys
from makima_relay.core.relay import Relay
from makima_relay.core.tasks import Task, TaskStatus
from makima_relay.store.reader import TaskEvent, TaskRow
from makima_relay.upstream import Upstream
from makima_relay.web import bodies

_STATUS_WORDS: Final[dict[ConnectorState, Literal["disconnected", "ok"]]] = {
    ConnectorState.LIVE: "ok",
    ConnectorState.GAVE_UP: "disconnected",
    ConnectorState.STOPPED: "disconnected",
}


def status(
    relay: Relay, upstream: Upstream, agent_name: str, cluster: str | None, reports: int, uptime: float
) -> bodies.Status:
    """The answer of ``/status``.

    :param cluster: the cluster that the relay is in.
    :param reports: how many there were since the start.
    :param uptime: seconds since the start.
    """
    connection = server(relay, upstream)
    return bodies.Status(
        status=connection.status,
        agent_name=agent_name,
        upstream_connected=connection.upstream_connected,
        daemon_id=upstream.daemon_id,
        last_heartbeat=rfc3339(upstream.last_heartbeat),
        connected_daemons=len(relay.daemons()),
        active_tasks=len(relay.active_tasks()),
        pending_tasks=relay.pending_tasks,
        foreign_tasks=relay.foreign_tasks,
        total_tasks_processed=relay.total_finished,
        total_reports=reports,
        version=__version__,
        uptime_seconds=round(uptime, 3),
        cluster=cluster,
        upstream=connection.upstream,
    )


def server(relay: Relay, upstream: Upstream) -> bodies.ServerStatus:
    """The part of ``/status`` that is about the connection to the server."""
    connector = upstream.connector
    memory, disk = relay.outbox_bytes
    return bodies.ServerStatus(
        status=_STATUS_WORDS.get(connector.state, "connecting"),
        upstream_connected=upstream.live,
        upstream=bodies.UpstreamStatus(
            url=upstream.url,
            state=connector.state.value,
            attempt=connector.attempt,
            next_attempt_at=rfc3339(connector.next_attempt_at),
            outbox=relay.reports_waiting,
            outbox_bytes=bodies.OutboxBytes(memory=memory, disk=disk),
            outbox_has_room=relay.has_room_for_reports,
        ),
    )


def row_of(task: Task, relay: Relay, announcements: Announcements) -> TaskRow:
    """A task as memory has it; the daemon of one that another relay has is known by its own name there."""
    if task.relay is None:
        return TaskRow(task, announcements.hostname(task.daemon_id))
    return TaskRow(task, task.hostname, relay.agent_name_of(task.relay) or task.relay)


def task(row: TaskRow, why_pending: str, redact: Callable[[str], str]) -> bodies.Task:
    """One task of the history.

    :param why_pending: why pending tasks wait now.
    :param redact: blacks out secrets in what peers said.
    """
    return bodies.Task(**_task_members(row, why_pending, redact))


def task_with_events(
    row: TaskRow, events: Iterable[TaskEvent], why_pending: str, redact: Callable[[str], str]
) -> bodies.TaskWithEvents:
    """One task, and what became of it; see :func:`task`."""
    members = _task_members(row, why_pending, redact)
    return bodies.TaskWithEvents(**members, events=[_task_event(event, redact) for event in events])


def _task_members(row: TaskRow, why_pending: str, redact: Callable[[str], str]) -> dict[str, Any]:
    each = row.task
    return {
        "task_id": each.task_id,
        "task_name": each.name and redact(each.name),
        "status": each.status,
        "daemon_id": each.daemon_id,
        "daemon_hostname": row.hostname and redact(row.hostname),
        "relay": row.relay and redact(row.relay),
        "attempts": each.attempts,
        "received_at": moment(each.received_at),
        "dispatched_at": rfc3339(each.dispatched_at),
        "started_at": rfc3339(each.started_at),
        "finished_at": rfc3339(each.finished_at),
        "error": each.error and redact(each.error),
        "pending_reason": why_pending if each.status is TaskStatus.PENDING else None,
        "traceparent": each.traceparent and redact(each.traceparent),
    }


def _task_event(event: TaskEvent, redact: Callable[[str], str]) -> bodies.TaskEvent:
    return bodies.TaskEvent(
        timestamp=moment(event.at),
        status=TaskStatus(event.status),
        daemon_id=event.daemon_id,
        error=event.error and redact(event.error),
    )


def daemon(each: Daemon, relay: Relay, clock: Clock, redact: Callable[[str], str]) -> bodies.Daemon:
    """One connected daemon.

    :param redact: blacks out secrets in what peers said.
    """
    now = clock.monotonic()
    return bodies.Daemon(
        daemon_id=each.daemon_id,
        hostname=redact(each.hostname),
        machine_id=redact(each.machine_id),
        max_concurrent_tasks=each.capacity,
        active_tasks=len(each.tasks),
        healthy=relay.healthy(each, now),
        draining=each.draining,
        connected_at=moment(each.connected_at),
        last_seen=moment(clock.wall() - (now - each.last_seen)),
        address=each.address,
    )


def log_entry(entry: Entry) -> dict[str, Any]:
    """One connection event: a :class:`~makima_relay.web.bodies.LogEntry` with its further members."""
    fixed = bodies.LogEntry(id=entry.number, timestamp=moment(entry.at), event=entry.event, detail=entry.detail)
    return {**msgspec.to_builtins(fixed), **entry.fields}


def key(named: NamedKeys, connected: int) -> bodies.Key:
    """The daemon keys of one name.

    :param connected: how many daemons are connected with them.
    """
    ends = [key.ends_at for key in named.keys if key.ends_at is not None]
    return bodies.Key(
        name=named.name,
        created_at=moment(named.keys[-1].created_at),
        last_used_at=rfc3339(named.last_used_at),
        last_address=named.last_address,
        machines=len(named.machines),
        connected=connected,
        older_keys_until=rfc3339(max(ends, default=None)),
    )


def moment(at: float) -> str:
    """A moment that is known, as :func:`~makima_relay.clock.rfc3339` writes it."""
    return rfc3339(at) or ""
