"""Examples of answers and requests, for ``/openapi.json``; those of ``docs/http.md`` are the same."""

from __future__ import annotations

from typing import Any, Final

from makima_relay.web import bodies, cluster_bodies

_TASK: Final = {
    "taskId": "5f0c…",
    "taskName": "fix the login page",
    "status": "running",
    "daemonId": "1c58c3a7-61c9-5e10-91f6-335d9267ba3b",
    "daemonHostname": "build-7",
    "relay": None,
    "attempts": 1,
    "receivedAt": "2024-12-15T10:29:58.120Z",
    "dispatchedAt": "2024-12-15T10:29:58.122Z",
    "startedAt": "2024-12-15T10:29:58.410Z",
    "finishedAt": None,
    "error": None,
    "pendingReason": None,
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
_DAEMON: Final = {
    "daemonId": "1c58c3a7-61c9-5e10-91f6-335d9267ba3b",
    "hostname": "build-7",
    "machineId": "build-7",
    "maxConcurrentTasks": 4,
    "activeTasks": 1,
    "healthy": True,
    "draining": False,
    "connectedAt": "2024-12-15T09:12:44.002Z",
    "lastSeen": "2024-12-15T10:30:01.733Z",
    "address": "192.0.2.17:51234",
}
_RELAY_ID: Final = "0c1f1c5e-8d0b-4c53-9a58-0f3f7e0f2a11"
_COUNTS: Final = {
    "connectedDaemons": 2,
    "freeSlots": 5,
    "busySlots": 3,
    "activeTasks": 3,
    "pendingTasks": 0,
    "foreignTasks": 1,
}

#: JSON, by type.
EXAMPLES: Final[dict[type[bodies.Body], dict[str, Any]]] = {
    bodies.Status: {
        "status": "ok",
        "agentName": "makima-edge-1a2b3c4d",
        "upstreamConnected": True,
        "daemonId": "550e8400-e29b-41d4-a716-446655440000",
        "lastHeartbeat": "2024-12-15T10:30:00.000Z",
        "connectedDaemons": 2,
        "activeTasks": 3,
        "pendingTasks": 0,
        "foreignTasks": 0,
        "totalTasksProcessed": 142,
        "totalReports": 20417,
        "version": "0.1.0",
        "uptimeSeconds": 86400.5,
        "cluster": None,
        "upstream": {
            "url": "wss://api.makima.jp/ws/daemon",
            "state": "connected",
            "attempt": 0,
            "nextAttemptAt": None,
            "outbox": 0,
            "outboxBytes": {"memory": 0, "disk": 0},
            "outboxHasRoom": True,
        },
    },
    bodies.Health: {"healthy": True, "upstreamConnected": True},
    bodies.TaskPage: {"tasks": [_TASK], "total": 3, "limit": 1, "offset": 0},
    bodies.TaskWithEvents: {
        **_TASK,
        "events": [
            {"timestamp": "2024-12-15T10:29:58.120Z", "status": "pending", "daemonId": None, "error": None},
            {
                "timestamp": "2024-12-15T10:29:58.122Z",
                "status": "dispatched",
                "daemonId": "1c58c3a7-61c9-5e10-91f6-335d9267ba3b",
                "error": None,
            },
        ],
    },
    bodies.Output: {
        "taskId": "5f0c…",
        "output": [
            {
                "number": 8,
                "at": "2024-12-15T10:29:58.410Z",
                "payload": {"type": "taskOutput", "taskId": "5f0c…", "output": "hello"},
            }
        ],
        "truncated": False,
        "limit": 65536,
        "lastEventId": "5791bb87af01-42-8",
    },
    bodies.Daemons: {"daemons": [_DAEMON]},
    cluster_bodies.Cluster: {
        "cluster": "default",
        "relayId": _RELAY_ID,
        "redis": {"connected": True, "since": "2024-12-15T09:12:40.310Z"},
        "asOf": "2024-12-15T10:30:00.118Z",
        "relays": [
            {
                "relayId": _RELAY_ID,
                "agentName": "edge-berlin",
                "version": "0.1.0",
                "present": True,
                "lastSeen": "2024-12-15T10:30:01.902Z",
                "upstreamConnected": True,
                **_COUNTS,
                "oldestPendingSeconds": 0.0,
            }
        ],
        "totals": _COUNTS,
    },
    cluster_bodies.ClusterTaskPage: {
        "tasks": [{**_TASK, "relay": "edge-lyon", "origin": "edge-berlin", "originId": _RELAY_ID}],
        "total": 3,
        "limit": 1,
        "offset": 0,
    },
    cluster_bodies.ClusterDaemons: {"daemons": [{**_DAEMON, "relay": "edge-berlin", "relayId": _RELAY_ID}]},
    bodies.LogPage: {
        "logs": [
            {
                "id": 5,
                "timestamp": "2024-12-15T10:29:29.482Z",
                "event": "daemon_disconnected",
                "detail": "a daemon has disconnected: closed with 1000",
                "daemonId": "1c58c3a7-61c9-5e10-91f6-335d9267ba3b",
                "hostname": "build-7",
            }
        ],
        "limit": 1,
    },
    bodies.WantedKey: {"name": "build-7"},
    bodies.NewKey: {"name": "build-7", "key": "makima_relay_1pW4…", "createdAt": "2024-12-15T10:30:00.000Z"},
    bodies.Keys: {
        "keys": [
            {
                "name": "build-7",
                "createdAt": "2024-12-15T10:30:00.000Z",
                "lastUsedAt": "2024-12-15T11:00:00.000Z",
                "lastAddress": "10.0.0.7:51234",
                "machines": 3,
                "connected": 2,
                "olderKeysUntil": None,
            }
        ]
    },
}
PROBLEM: Final = {
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "limit must be an integer from 1 to 500",
}
