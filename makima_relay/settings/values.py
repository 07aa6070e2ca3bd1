"""The kinds of settings: what the text of one means, and what it takes in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from makima_relay.core.members import LONGEST_NAME
from makima_relay.core.policy import LossPolicy
from makima_relay.core.spelling import WireCase
from makima_relay.log_format import LeastLevel, LogFormat
from makima_relay.settings.redis_url import read_redis_url


class SettingsError(Exception):
    """A setting is missing or wrong; the text is one line for people and holds no secret."""


@attrs.frozen
class Kind:
    """What a setting takes.

    :ivar read: makes the value of text, or raises :class:`ValueError`.
    :ivar takes: the same in words, for errors and help.
    """

    read: Callable[[str], Any]
    takes: str


_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
#: All output that is kept may have four times as much.
_MOST_KEPT: Final = 16 << 20
_ON, _OFF = frozenset({"1", "on", "true", "yes"}), frozenset({"0", "off", "false", "no"})


def _server_url(text: str) -> str:
    parts = urlsplit(text)
    port = parts.port
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.fragment or port == 0:
        raise ValueError(text)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(text)
    return text


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


def _size_or_zero(text: str) -> int:
    return 0 if text == "0" else _size(text)


def _kept_size(text: str) -> int:
    value = _size_or_zero(text)
    if value > _MOST_KEPT:
        raise ValueError(text)
    return value


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


def _cluster_name(text: str) -> str:
    # It goes into the names of keys in Redis: braces would make another hash tag, wildcards another ACL.
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
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
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text).expanduser().absolute()


SERVER_URL: Final = Kind(_server_url, "a ws:// or wss:// URL without fragment")
SECRET: Final = Kind(_secret, "printable ASCII characters without blanks")
NAME: Final = Kind(_name, f"1 to {LONGEST_NAME} printable characters")
CLUSTER_NAME: Final = Kind(_cluster_name, "1 to 64 characters of A-Z, a-z, 0-9, dot, underscore and hyphen")
REDIS_URL: Final = Kind(
    read_redis_url, "redis://, rediss:// ([user:password@]host[:port][/database]) or unix:///path[?db=database]"
)
ENDPOINTS: Final = Kind(_listen, "a Twisted endpoint: tcp:, ssl:, unix: or systemd:")
FILE: Final = Kind(_path, "a file")
CERTIFICATES: Final = Kind(_path, "a file of PEM certificates")
WIRE_CASE: Final = Kind(_wire_case, "camel, pascal or snake")
LOG_FORMAT: Final = Kind(LogFormat, "text or json")
LOG_LEVEL: Final = Kind(LeastLevel, "debug, info, warn, error or critical")
LOSS_POLICY: Final = Kind(LossPolicy, "fail or requeue")
SECONDS: Final = Kind(_seconds, "a number of seconds above 0")
DURATION: Final = Kind(_duration, "seconds above 0, or with s, m, h, d")
COUNT: Final = Kind(_count, "a whole number above 0")
COUNT_OR_NO_END: Final = Kind(_count_or_zero, "a whole number, 0 for no end")
COUNT_OR_NONE: Final = Kind(_count_or_zero, "a whole number, 0 for no limit")
SIZE_OR_NONE: Final = Kind(_size_or_zero, "bytes, or with KiB, MiB, GiB; 0 for no limit")
SIZE: Final = Kind(_size, "bytes above 0, or with KiB, MiB, GiB")
KEPT_SIZE: Final = Kind(_kept_size, "bytes up to 16MiB, or with KiB, MiB; 0 for none")
FLAG: Final = Kind(_flag, "1, on, true, yes or 0, off, false, no")
