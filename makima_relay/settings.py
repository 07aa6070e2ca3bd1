"""The settings of ``configuration.md``: options, environment and ``.env`` become one frozen :class:`Settings`.

The only module that reads options and environment. Each setting is one row of :data:`SETTINGS`; whatever is wrong
with one is a :class:`SettingsError` that names it, its value and what it takes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

import attrs
import dotenv

from makima_relay.core.members import LONGEST_NAME
from makima_relay.core.spelling import WireCase
from makima_relay.core.state import LossPolicy

_PREFIX = "MAKIMA_RELAY_"
_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_ON, _OFF = frozenset({"1", "on", "true", "yes"}), frozenset({"0", "off", "false", "no"})


class SettingsError(Exception):
    """A setting is missing or wrong; the text is one line for people and holds no secret."""


@attrs.frozen(kw_only=True)
class Settings:
    """All settings, checked. Times are in seconds, sizes in bytes."""

    server_url: str
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
    daemon_grace: float = 60.0
    on_daemon_loss: LossPolicy = LossPolicy.FAIL
    max_task_attempts: int = 3
    max_message_size: int = 16 << 20
    max_daemons: int = 10_000
    outbox_limit: int = 1 << 30
    task_retention: float = 30 * 86_400.0
    upstream_ca: Path | None = None


# --------------------------------------------------------------------------------------------------------- reading


def _server_url(text: str) -> str:
    parts = urlsplit(text)
    port = parts.port
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.fragment or port == 0:
        raise ValueError(text)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(text)
    return text


def daemon_endpoint(server_url: str) -> str:
    """The URL to connect to: ``/ws/daemon`` is appended unless the path ends in it (``protocol.md``, *Upstream* 1).

    :param server_url: a ``ws://`` or ``wss://`` URL.
    """
    parts = urlsplit(server_url)
    path = parts.path.removesuffix("/")
    if not path.endswith("/ws/daemon"):
        path += "/ws/daemon"
    return urlunsplit(parts._replace(path=path))


def shown_url(url: str) -> str:
    """A URL as it may be shown: without user information and query.

    :param url: any text; what is no URL shows as nothing but that.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(no URL)"
    if not parts.netloc:
        return url.rpartition("@")[2].partition("?")[0]
    return urlunsplit(SplitResult(parts.scheme, host, parts.path, "", ""))


def secrets_of(url: str) -> list[str]:
    """What of a URL is not shown: its user information and the values of its query."""
    parts = urlsplit(url)
    hidden = [parts.username, parts.password, *(value for _, value in parse_qsl(parts.query))]
    return [unquote(each) for each in hidden if each]


def _seconds(text: str) -> float:
    # float() takes more than people would: 1_0, and digits of other scripts.
    value = float(text) if re.fullmatch(r"[0-9.eE+-]+", text) else math.nan
    if not math.isfinite(value) or value <= 0:
        raise ValueError(text)
    return value


def _duration(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    return _seconds(str(_seconds(number) * units[unit]))


def _count(text: str) -> int:
    value = _count_or_zero(text)
    if value == 0:
        raise ValueError(text)
    return value


def _count_or_zero(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", text)
    if not match or match[2].lower() not in _UNITS or int(match[1]) == 0:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2].lower()]


def _flag(text: str) -> bool:
    if text.lower() not in _ON | _OFF:
        raise ValueError(text)
    return text.lower() in _ON


def _wire_case(text: str) -> WireCase:
    if text == WireCase.UPPER.value:
        raise ValueError(text)
    return WireCase(text)


def _name(text: str) -> str:
    if not 1 <= len(text) <= LONGEST_NAME or not text.isprintable():
        raise ValueError(text)
    return text


def _secret(text: str) -> str:
    # It goes into a header, so nothing may end the line; RFC 6750 tokens have no blanks either.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("")
    return text


def _listen(text: str) -> tuple[str, ...]:
    endpoints = tuple(text.split())
    if not endpoints:
        raise ValueError(text)
    return endpoints


def _path(text: str) -> Path:
    if not text:
        raise ValueError(text)
    return Path(text).expanduser().absolute()


@attrs.frozen
class Setting:
    """One row of ``configuration.md``.

    :ivar name: its option, and with ``_`` for ``-`` its member in :class:`Settings`.
    :ivar read: makes the value of text, or raises :class:`ValueError`.
    :ivar takes: what it takes, for errors and help.
    :ivar default: the default in words, for help.
    :ivar about: what it is for.
    :ivar variable: the environment variable, where it is not made from the name.
    :ivar url: it may hold secrets, which are not shown.
    :ivar secret: it is no option, has a ``…_FILE`` beside it, and is never shown.
    """

    name: str
    read: Callable[[str], Any]
    takes: str
    default: str | None
    about: str
    variable: str = attrs.field()
    required: bool = False
    secret: bool = False
    url: bool = False
    repeatable: bool = False
    flag: bool = False

    @variable.default
    def _variable_from_name(self) -> str:
        return _PREFIX + self.name.upper().replace("-", "_")

    @property
    def member(self) -> str:
        """Its name in :class:`Settings`."""
        return self.name.replace("-", "_")


_SECONDS = "a number of seconds above 0"
_COUNT = "a whole number above 0"
_PRINTABLE = "printable ASCII characters without blanks"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "server-url",
        _server_url,
        "a ws:// or wss:// URL without fragment",
        None,
        "the Makima server",
        variable="MAKIMA_SERVER_URL",
        required=True,
        url=True,
    ),
    Setting(
        "api-key",
        _secret,
        _PRINTABLE,
        None,
        "key for the server",
        variable="MAKIMA_API_KEY",
        required=True,
        secret=True,
    ),
    Setting(
        "agent-name",
        _name,
        f"1 to {LONGEST_NAME} printable characters",
        "makima-edge-{id}",
        "the name that the server shows for this relay",
        variable="MAKIMA_AGENT_NAME",
    ),
    Setting(
        "listen",
        _listen,
        "a Twisted endpoint: tcp:, ssl:, unix: or systemd:",
        "tcp:8787:interface=127.0.0.1",
        "where daemons and HTTP clients connect; may be given more than once",
        repeatable=True,
    ),
    Setting("database", _path, "a file", "makima-relay.sqlite3", "the SQLite database"),
    Setting("admin-token", _secret, _PRINTABLE, None, "token of the admin routes", secret=True),
    Setting("wire-case", _wire_case, "camel, pascal or snake", "camel", "spelling of types toward the server"),
    Setting("heartbeat-interval", _seconds, _SECONDS, "30", "between heartbeats to the server"),
    Setting("reconnect-initial-delay", _seconds, _SECONDS, "1", "before the first attempt to connect again"),
    Setting("reconnect-max-delay", _seconds, _SECONDS, "60", "the longest wait between attempts"),
    Setting(
        "max-reconnect-attempts",
        _count_or_zero,
        "a whole number, 0 for no end",
        "20",
        "failed attempts in a row before the relay stops trying",
    ),
    Setting("auth-timeout", _seconds, _SECONDS, "10", "for authentication, in both directions"),
    Setting("ping-interval", _seconds, _SECONDS, "20", "between pings to the server"),
    Setting("ping-timeout", _seconds, _SECONDS, "20", "for the server's pong"),
    Setting("daemon-ping-interval", _seconds, _SECONDS, "25", "between pings to a daemon"),
    Setting("daemon-ping-timeout", _seconds, _SECONDS, "25", "for a daemon's pong"),
    Setting("daemon-health-timeout", _seconds, _SECONDS, "90", "of silence before a daemon gets no new tasks"),
    Setting("compression", _flag, "1, on, true, yes or 0, off, false, no", "off", "permessage-deflate", flag=True),
    Setting(
        "fast-frames",
        _flag,
        "1, on, true, yes or 0, off, false, no",
        "on",
        "read and write simple WebSocket frames without Autobahn",
    ),
    Setting("daemon-grace", _seconds, _SECONDS, "60", "that a lost daemon has to return"),
    Setting("on-daemon-loss", LossPolicy, "fail or requeue", "fail", "what becomes of a lost daemon's tasks"),
    Setting("max-task-attempts", _count, _COUNT, "3", "dispatches of a task under requeue"),
    Setting("max-message-size", _size, "bytes above 0, or with KiB, MiB, GiB", "16MiB", "the longest message"),
    Setting("max-daemons", _count, _COUNT, "10000", "open daemon connections"),
    Setting(
        "outbox-limit",
        _size,
        "bytes above 0, or with KiB, MiB, GiB",
        "1GiB",
        "reports that the server may not have; above it daemons are not read",
    ),
    Setting(
        "task-retention",
        _duration,
        "seconds above 0, or with s, m, h, d",
        "30d",
        "that a finished task is kept",
    ),
    Setting("upstream-ca", _path, "a file of PEM certificates", None, "trusted for wss:// instead of the system's"),
)

_ENV_FILE = Setting("env-file", _path, "a file", ".env", "variables beneath the environment")


def load(options: Mapping[str, str | Sequence[str] | None], environment: Mapping[str, str]) -> Settings:
    """Gather the settings: option beats environment beats ``.env`` file beats default.

    :param options: option names to what was given on the command line.
    :param environment: the process's variables.
    :raises SettingsError: at the first that is missing or wrong.
    """
    layers = (environment, _read_env_file(options, environment))
    values = {}
    for setting in SETTINGS:
        text, source = _find_secret(setting, layers) if setting.secret else _find(setting, options, layers)
        if text is not None:
            values[setting.member] = _value(setting, text, source)
        elif setting.required:
            raise SettingsError(_missing(setting))
    values.setdefault("database", _path("makima-relay.sqlite3"))
    return Settings(**values)


def _missing(setting: Setting) -> str:
    if setting.secret:
        return f"{setting.variable} is missing: set it or {setting.variable}_FILE ({setting.about}; {setting.takes})"
    return f"--{setting.name} is missing: give it or set {setting.variable} ({setting.about}; {setting.takes})"


def _find(
    setting: Setting,
    options: Mapping[str, str | Sequence[str] | None],
    layers: Sequence[Mapping[str, str]],
) -> tuple[str | None, str]:
    """The setting's text and where it stands. What is empty in a file or the environment counts as not set."""
    given = options.get(setting.name)
    if given is not None and given != []:
        return (given if isinstance(given, str) else " ".join(given)), f"--{setting.name}"
    for layer in layers:
        if layer.get(setting.variable):
            return layer[setting.variable], setting.variable
    return None, ""


def _find_secret(setting: Setting, layers: Sequence[Mapping[str, str]]) -> tuple[str | None, str]:
    file_variable = f"{setting.variable}_FILE"
    for layer in layers:
        direct, file = layer.get(setting.variable), layer.get(file_variable)
        if direct and file:
            raise SettingsError(f"{setting.variable} and {file_variable} are both set: unset one of them")
        if direct:
            return direct, setting.variable
        if file:
            return _read_secret_file(file, file_variable), file_variable
    return None, ""


def _read_secret_file(file: str, variable: str) -> str:
    try:
        text = _path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        raise SettingsError(f"{variable}: {file!r} cannot be read: {_reason(error)}") from None
    if not text:
        raise SettingsError(f"{variable}: {file!r} is empty; it must hold the secret")
    return text


def _reason(error: Exception) -> str:
    """Why a file cannot be read, without anything of what is in it."""
    if isinstance(error, OSError):
        return error.strerror or "unknown error"
    return "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def _value(setting: Setting, text: str, source: str) -> Any:
    try:
        return setting.read(text.strip() if not setting.secret else text)
    except (ValueError, OverflowError, RuntimeError):  # the last is for the home directory of nobody
        shown = "its value" if setting.secret else repr(shown_url(text) if setting.url else text)
        raise SettingsError(f"{source}: {shown} is not allowed; it takes {setting.takes}") from None


def _read_env_file(options: Mapping[str, str | Sequence[str] | None], environment: Mapping[str, str]) -> dict[str, str]:
    given, source = _find(_ENV_FILE, options, (environment,))
    path = _path(".env") if given is None else _value(_ENV_FILE, given, source)
    if given is not None and not path.is_file():
        raise SettingsError(f"{source}: {given!r} is no file; it takes {_ENV_FILE.takes} of NAME=value lines")
    try:
        found = dotenv.dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{source or path}: cannot be read: {_reason(error)}") from None
    return {name: value for name, value in found.items() if value}
