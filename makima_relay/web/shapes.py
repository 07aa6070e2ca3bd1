"""What the answers look like (``http-api.md``, *Shapes*)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from makima_relay import __version__
from makima_relay.clock import Clock, rfc3339
from makima_relay.connector import ConnectorState
from makima_relay.core.fleet import Daemon
from makima_relay.core.journal import Entry
from makima_relay.core.relay import Relay
from makima_relay.core.tasks import TaskStatus
from makima_relay.store.reader import TaskEvent, TaskRow
from makima_relay.upstream import Upstream

_STATUS_WORDS = {
    ConnectorState.LIVE: "ok",
    ConnectorState.GAVE_UP: "disconnected",
    ConnectorState.STOPPED: "disconnected",
}


def status(relay: Relay, upstream: Upstream, agent_name: str, uptime: float) -> dict[str, Any]:
    """The answer of ``/status``.

    :param uptime: seconds since the start.
    """
    connector = upstream.connector
    memory, disk = relay.outbox_bytes
    return {
        "status": _STATUS_WORDS.get(connector.state, "connecting"),
        "agentName": agent_name,
        "upstreamConnected": upstream.live,
        "daemonId": upstream.daemon_id,
        "lastHeartbeat": rfc3339(upstream.last_heartbeat),
        "connectedDaemons": len(relay.daemons()),
        "activeTasks": len(relay.active_tasks()),
        "pendingTasks": relay.pending_tasks,
        "totalTasksProcessed": relay.total_finished,
        "version": __version__,
        "uptimeSeconds": round(uptime, 3),
        "upstream": {
            "url": upstream.url,
            "state": connector.state.value,
            "attempt": connector.attempt,
            "nextAttemptAt": rfc3339(connector.next_attempt_at),
            "outbox": relay.reports_waiting,
            "outboxBytes": {"memory": memory, "disk": disk},
            "outboxHasRoom": relay.has_room_for_reports,
        },
    }


def task(row: TaskRow, why_pending: str, redact: Callable[[str], str]) -> dict[str, Any]:
    """One task of the history.

    :param why_pending: why pending tasks wait now.
    :param redact: blacks out secrets in what peers said.
    """
    each = row.task
    return {
        "taskId": each.task_id,
        "taskName": each.name and redact(each.name),
        "status": each.status.value,
        "daemonId": each.daemon_id,
        "daemonHostname": row.hostname and redact(row.hostname),
        "attempts": each.attempts,
        "receivedAt": rfc3339(each.received_at),
        "dispatchedAt": rfc3339(each.dispatched_at),
        "startedAt": rfc3339(each.started_at),
        "finishedAt": rfc3339(each.finished_at),
        "error": each.error and redact(each.error),
        "pendingReason": why_pending if each.status is TaskStatus.PENDING else None,
        "traceparent": each.traceparent and redact(each.traceparent),
    }


def task_event(event: TaskEvent, redact: Callable[[str], str]) -> dict[str, Any]:
    """One change of a task's status.

    :param redact: blacks out secrets in what peers said.
    """
    return {
        "timestamp": rfc3339(event.at),
        "status": event.status,
        "daemonId": event.daemon_id,
        "error": event.error and redact(event.error),
    }


def daemon(each: Daemon, relay: Relay, clock: Clock, redact: Callable[[str], str]) -> dict[str, Any]:
    """One connected daemon.

    :param redact: blacks out secrets in what peers said.
    """
    now = clock.monotonic()
    return {
        "daemonId": each.daemon_id,
        "hostname": redact(each.hostname),
        "machineId": redact(each.machine_id),
        "maxConcurrentTasks": each.capacity,
        "activeTasks": len(each.tasks),
        "healthy": relay.healthy(each, now),
        "draining": each.draining,
        "connectedAt": rfc3339(each.connected_at),
        "lastSeen": rfc3339(clock.wall() - (now - each.last_seen)),
        "address": each.address,
    }


def log_entry(entry: Entry) -> dict[str, Any]:
    """One connection event."""
    return {
        "id": entry.number,
        "timestamp": rfc3339(entry.at),
        "event": entry.event,
        "detail": entry.detail,
        **entry.fields,
    }
