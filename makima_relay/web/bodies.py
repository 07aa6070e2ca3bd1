"""The bodies of answers and requests, as types: they are what is sent, and what ``/openapi.json`` describes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from makima_relay.core.keys import KEY_NAME
from makima_relay.core.tasks import TaskStatus

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Count = Annotated[int, msgspec.Meta(ge=0)]
KeyName = Annotated[str, msgspec.Meta(pattern=f"^(?:{KEY_NAME.pattern})$")]


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object; its members are named in camelCase."""


class OutboxBytes(Body, frozen=True):
    """Bytes of reports that the server may not have; some may be in both places."""

    memory: Count
    disk: Count


class UpstreamStatus(Body, frozen=True):
    """The connection to the server, and what waits for it."""

    url: str
    state: Literal["idle", "connecting", "authenticating", "connected", "waiting", "gave_up", "stopped"]
    attempt: Count
    next_attempt_at: Moment | None
    outbox: Count
    outbox_bytes: OutboxBytes
    outbox_has_room: bool


class ServerStatus(Body, frozen=True):
    """The part of the status that is about the connection to the server."""

    status: Literal["ok", "connecting", "disconnected"]
    upstream_connected: bool
    upstream: UpstreamStatus


class Status(Body, frozen=True):
    """How the relay is doing."""

    status: Literal["ok", "connecting", "disconnected"]
    agent_name: str
    upstream_connected: bool
    daemon_id: str | None
    last_heartbeat: Moment | None
    connected_daemons: Count
    active_tasks: Count
    pending_tasks: Count
    foreign_tasks: Count
    total_tasks_processed: Count
    total_reports: Count
    version: str
    uptime_seconds: float
    cluster: str | None
    upstream: UpstreamStatus


class Health(Body, frozen=True):
    """Whether the database can be written, and the server is connected."""

    healthy: bool
    upstream_connected: bool


class Life(Body, frozen=True):
    """That the process answers."""

    alive: Literal[True]


class Readiness(Body, frozen=True):
    """Whether work may be sent here, and what that depends on."""

    ready: bool
    listening: bool
    database_writable: bool
    upstream_connected: bool
    outbox_has_room: bool


class Task(Body, frozen=True):
    """A task of the history."""

    task_id: str
    task_name: str | None
    status: TaskStatus
    daemon_id: str | None
    daemon_hostname: str | None
    relay: str | None
    attempts: Count
    received_at: Moment
    dispatched_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    error: str | None
    pending_reason: str | None
    traceparent: str | None


class TaskEvent(Body, frozen=True):
    """A change of a task's status."""

    timestamp: Moment
    status: TaskStatus
    daemon_id: str | None
    error: str | None


class TaskWithEvents(Task, frozen=True):
    """A task, and what became of it, oldest first."""

    events: list[TaskEvent]


class TaskPage(Body, frozen=True):
    """A page of the history, newest first."""

    tasks: list[Task]
    total: Count
    limit: int
    offset: Count


class OutputPiece(Body, frozen=True):
    """A report of a task, as the daemon sent it."""

    number: Count
    at: Moment | None
    payload: Any


class Output(Body, frozen=True):
    """What a task has put out lately, oldest first."""

    task_id: str
    output: list[OutputPiece]
    truncated: bool
    limit: Count
    last_event_id: str


class Daemon(Body, frozen=True):
    """A connected daemon."""

    daemon_id: str
    hostname: str
    machine_id: str
    max_concurrent_tasks: Count
    active_tasks: Count
    healthy: bool
    draining: bool
    connected_at: Moment
    last_seen: Moment
    address: str


class Daemons(Body, frozen=True):
    """The connected daemons, in the order in which they came."""

    daemons: list[Daemon]


class LogEntry(Body, frozen=True):
    """A connection event. It has further members, each a string, an integer or null."""

    id: int
    timestamp: Moment
    event: str
    detail: str


class LogPage(Body, frozen=True):
    """The latest connection events, newest first."""

    logs: list[LogEntry]
    limit: int


class Key(Body, frozen=True):
    """The daemon keys of one name; never a key itself."""

    name: str
    created_at: Moment
    last_used_at: Moment | None
    last_address: str | None
    machines: Count
    connected: Count
    older_keys_until: Moment | None


class Keys(Body, frozen=True):
    """All names."""

    keys: list[Key]


class NewKey(Body, frozen=True):
    """A new key: the only time that it is shown."""

    name: str
    key: str
    created_at: Moment


class Reconnecting(Body, frozen=True):
    """That it is under way."""

    reconnecting: Literal[True]


class WantedKey(Body, frozen=True):
    """The name of a key that is to be made."""

    name: KeyName


class Credentials(Body, frozen=True):
    """What a browser signs in with."""

    token: str


class Session(Body, frozen=True):
    """Whether a browser has to sign in, and whether the one that asks has."""

    required: bool
    signed_in: bool


class Problem(Body, frozen=True):
    """What went wrong: problem details of RFC 9457."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
