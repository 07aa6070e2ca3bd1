"""The settings of ``configuration.md``, one row each, and the object that they become."""

from __future__ import annotations

from pathlib import Path

import attrs

from makima_relay.core.policy import LossPolicy
from makima_relay.core.spelling import WireCase
from makima_relay.log_format import LeastLevel, LogFormat
from makima_relay.settings import values
from makima_relay.settings.redis_url import RedisURL
from makima_relay.settings.secret_files import SecretFile
from makima_relay.settings.urls import shown_url
from makima_relay.settings.values import Kind

_PREFIX = "MAKIMA_RELAY_"
#: Where the admin token may be, as answers and commands call it.
TOKEN_VARIABLE = f"{_PREFIX}ADMIN_TOKEN"


@attrs.frozen(kw_only=True)
class Settings:
    """All settings, checked. Times are in seconds, sizes in bytes.

    :ivar secret_files: the files that hold a secret each.
    :ivar secret_env_file: the file of variables, if there are secrets among them.
    """

    server_url: str = attrs.field(repr=shown_url)
    api_key: str = attrs.field(repr=False)
    agent_name: str | None = None
    listen: tuple[str, ...] = ("tcp:8787:interface=127.0.0.1",)
    database: Path = Path("makima-relay.sqlite3")
    admin_token: str | None = attrs.field(default=None, repr=False)
    wire_case: WireCase = WireCase.CAMEL
    heartbeat_interval: float = 30.0
    reconnect_initial_delay: float = 1.0
    reconnect_max_delay: float = 60.0
    max_reconnect_attempts: int = 20
    auth_timeout: float = 10.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    daemon_ping_interval: float = 25.0
    daemon_ping_timeout: float = 25.0
    daemon_health_timeout: float = 90.0
    compression: bool = False
    fast_frames: bool = True
    key_rotation_grace: float = 86_400.0
    daemon_grace: float = 60.0
    on_daemon_loss: LossPolicy = LossPolicy.FAIL
    max_task_attempts: int = 3
    max_message_size: int = 16 << 20
    max_daemons: int = 10_000
    outbox_limit: int = 1 << 30
    max_header_size: int = 16 << 10
    max_strangers: int = 2_000
    max_strangers_per_address: int = 200
    max_accepts: int = 2_000
    max_failures: int = 10
    failure_refusal: float = 60.0
    max_daemon_messages: int = 50_000
    max_daemon_traffic: int = 256 << 20
    max_pending_tasks: int = 200_000
    max_waiting_commands: int = 1_000
    max_waiting_size: int = 1 << 30
    task_retention: float = 30 * 86_400.0
    keep_output: int = 64 << 10
    max_event_streams: int = 1_000
    upstream_ca: Path | None = None
    redis: RedisURL | None = None
    redis_ca: Path | None = None
    cluster: str = "default"
    peer_grace: float = 300.0
    hibernate_after: float | None = None
    log_format: LogFormat = LogFormat.TEXT
    log_level: LeastLevel = LeastLevel.INFO
    secret_files: tuple[SecretFile, ...] = ()
    secret_env_file: Path | None = None


@attrs.frozen
class Setting:
    """One row of ``configuration.md``.

    :ivar name: its option, and with ``_`` for ``-`` its member in :class:`Settings`.
    :ivar kind: what it takes.
    :ivar default: the default in words, for help.
    :ivar about: what it is for.
    :ivar variable: the environment variable, where it is not made from the name.
    :ivar url: it may hold secrets, which are not shown.
    :ivar filed: it has a ``…_FILE`` beside it, as every secret has; with a password in it, it is no option.
    :ivar secret: it is no option, has a ``…_FILE`` beside it, and is never shown.
    """

    name: str
    kind: Kind
    default: str | None
    about: str
    variable: str = attrs.field()
    required: bool = False
    secret: bool = False
    url: bool = False
    filed: bool = False
    repeatable: bool = False
    flag: bool = False

    @variable.default
    def _variable_from_name(self) -> str:
        return _PREFIX + self.name.upper().replace("-", "_")

    @property
    def has_file(self) -> bool:
        """Whether its value may be in a file that a variable names."""
        return self.secret or self.filed

    @property
    def member(self) -> str:
        """Its name in :class:`Settings`."""
        return self.name.replace("-", "_")


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "server-url",
        values.SERVER_URL,
        None,
        "the Makima server",
        variable="MAKIMA_SERVER_URL",
        required=True,
        url=True,
    ),
    Setting(
        "api-key",
        values.SECRET,
        None,
        "key for the server",
        variable="MAKIMA_API_KEY",
        required=True,
        secret=True,
    ),
    Setting(
        "agent-name",
        values.NAME,
        "makima-edge-{id}",
        "the name that the server shows for this relay",
        variable="MAKIMA_AGENT_NAME",
    ),
    Setting(
        "listen",
        values.ENDPOINTS,
        "tcp:8787:interface=127.0.0.1",
        "where daemons and HTTP clients connect; may be given more than once",
        repeatable=True,
    ),
    Setting("database", values.FILE, "makima-relay.sqlite3", "the SQLite database"),
    Setting("admin-token", values.SECRET, None, "token of the admin routes", secret=True),
    Setting("wire-case", values.WIRE_CASE, "camel", "spelling of types toward the server"),
    Setting("heartbeat-interval", values.SECONDS, "30", "between heartbeats to the server"),
    Setting("reconnect-initial-delay", values.SECONDS, "1", "before the first attempt to connect again"),
    Setting("reconnect-max-delay", values.SECONDS, "60", "the longest wait between attempts"),
    Setting(
        "max-reconnect-attempts",
        values.COUNT_OR_NO_END,
        "20",
        "failed attempts in a row before the relay stops trying",
    ),
    Setting("auth-timeout", values.SECONDS, "10", "for authentication, in both directions"),
    Setting("ping-interval", values.SECONDS, "20", "between pings to the server"),
    Setting("ping-timeout", values.SECONDS, "20", "for the server's pong"),
    Setting("daemon-ping-interval", values.SECONDS, "25", "between pings to a daemon"),
    Setting("daemon-ping-timeout", values.SECONDS, "25", "for a daemon's pong"),
    Setting("daemon-health-timeout", values.SECONDS, "90", "of silence before a daemon gets no new tasks"),
    Setting("compression", values.FLAG, "off", "permessage-deflate", flag=True),
    Setting(
        "fast-frames",
        values.FLAG,
        "on",
        "take simple upgrade requests and WebSocket frames without Autobahn",
    ),
    Setting("key-rotation-grace", values.DURATION, "24h", "that an older daemon key is taken after a rotation"),
    Setting("daemon-grace", values.SECONDS, "60", "that a lost daemon has to return"),
    Setting("on-daemon-loss", values.LOSS_POLICY, "fail", "what becomes of a lost daemon's tasks"),
    Setting("max-task-attempts", values.COUNT, "3", "dispatches of a task under requeue"),
    Setting("max-message-size", values.SIZE, "16MiB", "the longest message"),
    Setting("max-daemons", values.COUNT, "10000", "open daemon connections"),
    Setting(
        "outbox-limit",
        values.SIZE,
        "1GiB",
        "reports that the server may not have; above it daemons are not read",
    ),
    Setting("max-header-size", values.SIZE, "16KiB", "the longest head of a request"),
    Setting("max-strangers", values.COUNT, "2000", "open connections that have not authenticated; HTTP never does"),
    Setting("max-strangers-per-address", values.COUNT, "200", "of them from one address of another machine"),
    Setting("max-accepts", values.COUNT_OR_NONE, "2000", "connections that are accepted in a second"),
    Setting("max-failures", values.COUNT_OR_NONE, "10", "failed authentications in a row before an address is refused"),
    Setting("failure-refusal", values.SECONDS, "60", "for which it is refused then"),
    Setting("max-daemon-messages", values.COUNT_OR_NONE, "50000", "messages that are read of one daemon in a second"),
    Setting("max-daemon-traffic", values.SIZE_OR_NONE, "256MiB", "bytes that are read of one daemon in a second"),
    Setting("max-pending-tasks", values.COUNT, "200000", "tasks that may be pending; above it new ones are refused"),
    Setting("max-waiting-commands", values.COUNT, "1000", "commands that may wait for one task's daemon"),
    Setting("max-waiting-size", values.SIZE, "1GiB", "messages of the server's that may wait for daemons, in all"),
    Setting(
        "task-retention",
        values.DURATION,
        "30d",
        "that a finished task is kept",
    ),
    Setting("keep-output", values.KEPT_SIZE, "64KiB", "of each task's output that is kept in memory, to be looked at"),
    Setting("max-event-streams", values.COUNT, "1000", "readers of GET /events at a time"),
    Setting("upstream-ca", values.CERTIFICATES, None, "trusted for wss:// instead of the system's"),
    Setting("redis", values.REDIS_URL, None, "joins a cluster of relays", url=True, filed=True),
    Setting("redis-ca", values.CERTIFICATES, None, "trusted for rediss:// instead of the system's"),
    Setting("cluster", values.CLUSTER_NAME, "default", "which of the clusters on that Redis"),
    Setting("peer-grace", values.SECONDS, "300", "that a relay of the cluster has to return"),
    Setting("hibernate-after", values.SECONDS, None, "with nothing to do before a relay on systemd's socket exits"),
    Setting("log-format", values.LOG_FORMAT, "text", "what a line of the log is; syslog's stay text"),
    Setting("log-level", values.LOG_LEVEL, "info", "what is logged at least"),
)
