"""What an operator had better know at the start: secrets that others can read, connections that others can."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress

from makima_relay.endpoints import TLSEndpoint, is_kept_by_systemd
from makima_relay.origin import names_loopback
from makima_relay.settings import Settings, shown_url

_READABLE = stat.S_IRGRP | stat.S_IROTH
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def at_start(settings: Settings, database: Path) -> list[str]:
    """Lines about all but files of secrets and open ports.

    :param database: where it really is.
    """
    return [
        *asleep(settings.hibernate_after, settings.listen),
        *clear_upstream(settings.server_url),
        *writable_by_others(database),
    ]


def readable_by_others(what: str, path: Path) -> list[str]:
    """A line about a file of secrets, if group or others can read it.

    :param what: what the operator calls it.
    """
    status = _status(path)
    mode = 0 if status is None else stat.S_IMODE(status.st_mode)
    if status is None or not mode & _READABLE or is_lent(status, os.geteuid(), os.getegid()):
        return []
    return [f"{what}: others can read {str(path)!r} (mode {mode:04o}); chmod 600 it"]


def writable_by_others(database: Path) -> list[str]:
    """A line about the directory of the database, if group or others can write it."""
    status = _status(database.parent)
    mode = 0 if status is None else stat.S_IMODE(status.st_mode)
    if not mode & _WRITABLE:
        return []
    where = f"the directory {str(database.parent)!r} (mode {mode:04o})"
    return [f"--database: others can write {where} and so replace the database; chmod go-w it"]


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        # Whoever needs it says so.
        return None


def is_lent(status: os.stat_result, user: int, group: int) -> bool:
    """Whether root has a file and only the relay's own group may read it, which is how Kubernetes passes secrets.

    :param user: the relay's.
    :param group: the relay's.
    """
    return status.st_uid == 0 != user and status.st_gid == group and not status.st_mode & stat.S_IROTH


def clear_upstream(url: str) -> list[str]:
    """A line about a server to which the API key goes in clear."""
    parts = urlsplit(url)
    if parts.scheme == "wss" or names_loopback(parts.netloc.rpartition("@")[2].encode()):
        return []
    return [f"--server-url: {shown_url(url)} is not encrypted: who listens on the way has the API key; use wss://"]


def clear_port(text: str, endpoint: object, address: IAddress) -> list[str]:
    """A line about a port to which daemons and operators send their keys in clear.

    :param text: the endpoint's description.
    :param address: where it listens.
    """
    if isinstance(endpoint, TLSEndpoint) or isinstance(address, UNIXAddress):
        return []
    host = str(getattr(address, "host", ""))
    if names_loopback((f"[{host}]" if ":" in host else host).encode()):
        return []
    better = "use ssl:, or a TLS proxy on this machine with interface=127.0.0.1"
    return [f"--listen: {text} is not encrypted: who listens on the way has the keys that are presented; {better}"]


def asleep(after: float | None, listen: Iterable[str]) -> list[str]:
    """A line about each endpoint at which nobody is heard while the relay hibernates.

    :param after: ``--hibernate-after``.
    :param listen: the descriptions of the endpoints.
    """
    closed = [] if after is None else [text for text in listen if not is_kept_by_systemd(text)]
    return [f"--hibernate-after: connections to {text} are refused while the relay hibernates" for text in closed]
