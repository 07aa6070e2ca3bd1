"""What the tests of settings share: examples of each, good and bad, and how they are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.policy import LossPolicy
from makima_relay.core.spelling import WireCase
from makima_relay.log_format import LeastLevel, LogFormat
from makima_relay.settings import RedisURL, Settings, SettingsError, load

REQUIRED = {"MAKIMA_SERVER_URL": "wss://makima.example", "MAKIMA_API_KEY": "a-key-of-the-server"}
SECRETS = {"api-key": "MAKIMA_API_KEY", "admin-token": "MAKIMA_RELAY_ADMIN_TOKEN"}

#: Default, and three texts with their values: one each for the ``.env`` file, the environment and the option.
EXAMPLES: dict[str, tuple[Any, list[tuple[str, Any]]]] = {
    "server-url": (
        "wss://makima.example",
        [("ws://a", "ws://a"), ("wss://b:8443/x?y=z", "wss://b:8443/x?y=z"), (" ws://[::1]:80/ ", "ws://[::1]:80/")],
    ),
    "agent-name": (None, [("one", "one"), ("two words", "two words"), ("ü" * 255, "ü" * 255)]),
    "listen": (
        ("tcp:8787:interface=127.0.0.1",),
        [("tcp:1", ("tcp:1",)), ("tcp:2 unix:/x", ("tcp:2", "unix:/x")), ("ssl:443", ("ssl:443",))],
    ),
    "database": (
        Path("makima-relay.sqlite3"),
        [("/a/b", Path("/a/b")), ("c", Path("c")), ("~/d", Path("~/d").expanduser())],
    ),
    "wire-case": (
        WireCase.CAMEL,
        [("camel", WireCase.CAMEL), ("pascal", WireCase.PASCAL), ("snake", WireCase.SNAKE)],
    ),
    "max-reconnect-attempts": (20, [("0", 0), ("1", 1), ("1000", 1000)]),
    "compression": (False, [("1", True), ("off", False), ("YES", True)]),
    "fast-frames": (True, [("0", False), ("on", True), ("NO", False)]),
    "on-daemon-loss": (
        LossPolicy.FAIL,
        [("requeue", LossPolicy.REQUEUE), ("fail", LossPolicy.FAIL), (" requeue ", LossPolicy.REQUEUE)],
    ),
    "max-task-attempts": (3, [("1", 1), ("2", 2), ("77", 77)]),
    "max-message-size": (16 << 20, [("1", 1), ("2KiB", 2048), ("3mib", 3 << 20)]),
    "max-daemons": (10_000, [("1", 1), ("20000", 20_000), ("3", 3)]),
    "outbox-limit": (1 << 30, [("1", 1), ("2KiB", 2048), ("3mib", 3 << 20)]),
    "key-rotation-grace": (86_400, [("90", 90), ("1.5h", 5_400), ("2d", 172_800)]),
    "max-header-size": (16 << 10, [("1", 1), ("2KiB", 2048), ("3mib", 3 << 20)]),
    "max-strangers": (2_000, [("1", 1), ("2", 2), ("3", 3)]),
    "max-strangers-per-address": (200, [("1", 1), ("2", 2), ("3", 3)]),
    "max-accepts": (2_000, [("0", 0), ("2", 2), ("3", 3)]),
    "max-failures": (10, [("0", 0), ("2", 2), ("3", 3)]),
    "failure-refusal": (60, [("0.5", 0.5), ("2", 2), ("3", 3)]),
    "max-daemon-messages": (50_000, [("0", 0), ("2", 2), ("3", 3)]),
    "max-daemon-traffic": (256 << 20, [("0", 0), ("2KiB", 2048), ("3", 3)]),
    "max-pending-tasks": (200_000, [("1", 1), ("2", 2), ("3", 3)]),
    "max-waiting-commands": (1_000, [("1", 1), ("2", 2), ("3", 3)]),
    "max-waiting-size": (1 << 30, [("1", 1), ("1KiB", 1024), ("2MiB", 2 << 20)]),
    "log-format": (LogFormat.TEXT, [("json", LogFormat.JSON), ("text", LogFormat.TEXT), (" json ", LogFormat.JSON)]),
    "log-level": (
        LeastLevel.INFO,
        [("debug", LeastLevel.DEBUG), ("warn", LeastLevel.WARN), ("critical", LeastLevel.CRITICAL)],
    ),
    "task-retention": (30 * 86_400, [("90", 90), ("1.5h", 5_400), ("2d", 172_800)]),
    "keep-output": (64 << 10, [("0", 0), ("2KiB", 2048), ("16mib", 16 << 20)]),
    "max-event-streams": (1_000, [("1", 1), ("2", 2), ("3", 3)]),
    "redis": (
        None,
        [
            ("redis://user:pass@h", RedisURL(host="h", username="user", password="pass")),
            ("rediss://[::1]:7000/3", RedisURL(host="::1", port=7000, encrypted=True, database=3)),
            ("unix:///run/redis.sock?db=2", RedisURL(path="/run/redis.sock", database=2)),
        ],
    ),
    "redis-ca": (None, [("/a.pem", Path("/a.pem")), ("/b.pem", Path("/b.pem")), ("/c.pem", Path("/c.pem"))]),
    "cluster": ("default", [("a", "a"), ("B-2.x_", "B-2.x_"), ("z" * 64, "z" * 64)]),
    "hibernate-after": (None, [("1", 1.0), ("0.25", 0.25), ("7e1", 70.0)]),
    "upstream-ca": (None, [("/a.pem", Path("/a.pem")), ("/b.pem", Path("/b.pem")), ("/c.pem", Path("/c.pem"))]),
}
_SECONDS = {
    "heartbeat-interval": 30.0,
    "reconnect-initial-delay": 1.0,
    "reconnect-max-delay": 60.0,
    "auth-timeout": 10.0,
    "ping-interval": 20.0,
    "ping-timeout": 20.0,
    "daemon-ping-interval": 25.0,
    "daemon-ping-timeout": 25.0,
    "daemon-health-timeout": 90.0,
    "daemon-grace": 60.0,
    "peer-grace": 300.0,
}
EXAMPLES.update({name: (default, [("1", 1.0), ("0.25", 0.25), ("7e1", 70.0)]) for name, default in _SECONDS.items()})

_BAD_SECONDS = ["0", "0.0", "-1", "nan", "inf", "-inf", "1e999", "soon", "1 s"]
_BAD_COUNTS = ["0", "-1", "1.5", "many", "1e3", "٣", "1" * 30]
#: What is wrong, by setting, and words of what is taken instead.
BAD: dict[str, tuple[list[str], str]] = {
    "server-url": (
        ["makima.example", "http://makima.example", "ws://", "ws://h:0", "ws://h:99999", "ws://h#f", "ws://a b"],
        "a ws:// or wss:// URL",
    ),
    "agent-name": (["x" * 256, "line\nbreak"], "1 to 255 printable characters"),
    "wire-case": (["upper", "Camel", "kebab"], "camel, pascal or snake"),
    "max-reconnect-attempts": (["-1", "1.5", "never"], "a whole number, 0 for no end"),
    "compression": (["2", "maybe"], "1, on, true, yes or 0, off, false, no"),
    "fast-frames": (["2", "fast"], "1, on, true, yes or 0, off, false, no"),
    "on-daemon-loss": (["retry", "FAIL "], "fail or requeue"),
    "max-task-attempts": (_BAD_COUNTS, "a whole number above 0"),
    "max-message-size": (["0", "0KiB", "-1", "1.5MiB", "5 parsecs", "1KB", "MiB"], "bytes above 0, or with KiB, MiB"),
    "max-daemons": (_BAD_COUNTS, "a whole number above 0"),
    "max-header-size": (["0", "-1", "1KB"], "bytes above 0, or with KiB, MiB"),
    "max-strangers": (_BAD_COUNTS, "a whole number above 0"),
    "max-strangers-per-address": (_BAD_COUNTS, "a whole number above 0"),
    "max-accepts": (_BAD_COUNTS[1:], "a whole number, 0 for no limit"),
    "max-failures": (_BAD_COUNTS[1:], "a whole number, 0 for no limit"),
    "failure-refusal": (["0", "-1", "1m", "inf"], "a number of seconds above 0"),
    "max-daemon-messages": (_BAD_COUNTS[1:], "a whole number, 0 for no limit"),
    "max-daemon-traffic": (["-1", "1KB", "0KiB"], "bytes, or with KiB, MiB, GiB; 0 for no limit"),
    "max-pending-tasks": (_BAD_COUNTS, "a whole number above 0"),
    "max-waiting-commands": (_BAD_COUNTS, "a whole number above 0"),
    "max-waiting-size": (["0", "-1", "1KB"], "bytes above 0, or with KiB, MiB"),
    "log-format": (["JSON", "xml"], "text or json"),
    "log-level": (["INFO", "warning", "0"], "debug, info, warn, error or critical"),
    "key-rotation-grace": (["0", "1w", "h", "inf"], "seconds above 0, or with s, m, h, d"),
    "task-retention": (["0", "0d", "-1h", "2w", "d", "", "1e308d"], "seconds above 0, or with s, m, h, d"),
    "keep-output": (["-1", "0KiB", "1KB", "16777217", "17MiB"], "bytes up to 16MiB, or with KiB, MiB; 0 for none"),
    "max-event-streams": (_BAD_COUNTS, "a whole number above 0"),
    "redis": (
        [
            "redis",
            "http://h",
            "redis://",
            "redis://h:0",
            "redis://h:99999",
            "redis://h/x",
            "redis://h/-1",
            "redis://h/99999",
            "redis://h?db=1",
            "redis://h#f",
            "redis://a b",
            "redis://ü",
            "unix://",
            "unix:///",
            "unix://h/s",
            "unix:///s?db=x",
            "unix:///s?x=1",
            "unix:///s?db",
        ],
        "redis://, rediss:// ([user:password@]host[:port][/database]) or unix:///path[?db=database]",
    ),
    "cluster": (["x" * 65, "a b", "{a}", "a*", "a:b", "ü", ""], "1 to 64 characters of A-Z"),
    "outbox-limit": (["0", "-1", "lots", "1.5GiB"], "bytes above 0, or with KiB, MiB"),
    **dict.fromkeys(_SECONDS, (_BAD_SECONDS, "a number of seconds above 0")),
}


def absolute(value: Any) -> Any:
    """Paths of the table are meant from where the test runs."""
    return value.absolute() if isinstance(value, Path) else value


class SettingsTestCase(SynchronousTestCase):
    """Loads settings from given variables and options."""

    def load(
        self,
        options: Mapping[str, str | Sequence[str] | None] | None = None,
        environment: Mapping[str, str] | None = None,
        file: Mapping[str, str] | None = None,
    ) -> Settings:
        """Load settings.

        :param file: what the file of variables holds.
        """
        path = Path(self.mktemp())
        path.write_text("".join(f"{name}='{value}'\n" for name, value in (file or {}).items()), encoding="utf-8")
        return load({"env-file": str(path), **(options or {})}, {**REQUIRED, **(environment or {})})

    def refused(
        self,
        options: Mapping[str, str | Sequence[str] | None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """What is said about bad settings; always one line."""
        text = str(self.assertRaises(SettingsError, load, options or {}, environment or {}))
        self.assertNotIn("\n", text)
        return text
