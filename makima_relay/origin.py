"""Where a request comes from: the ``Origin`` and ``Host`` rules of ``http-api.md``, *Who may ask*."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_foreign(origin: bytes | None, host: bytes | None) -> bool:
    """Whether a request was made by a page of another host: its ``Origin`` is not its own ``Host``.

    :param origin: the header, if there is one; only browsers send it, and ``null`` is foreign too.
    :param host: the header, if there is one.
    """
    if origin is None:
        return False
    try:
        parts = urlsplit(origin.decode("ascii"))
        default = _DEFAULT_PORTS.get(parts.scheme)
        theirs = (parts.hostname, parts.port or default)
        ours = _name_and_port((host or b"").decode("ascii"), default)
    except ValueError:
        return True
    return not parts.hostname or default is None or theirs != ours


def _name_and_port(host: str, default: int | None = None) -> tuple[str | None, int | None]:
    parts = urlsplit(f"//{host}")
    if parts.netloc != host or "@" in host:
        raise ValueError(host)
    return parts.hostname, parts.port or default


def names_loopback(host: bytes | None) -> bool:
    """Whether a ``Host`` header is a loopback name: what else resolves to here may be a page's trick.

    :param host: the header, if there is one.
    """
    try:
        name, _ = _name_and_port((host or b"").decode("ascii"))
    except ValueError:
        return False
    return name == "localhost" or (name is not None and is_loopback(name))


def is_loopback(address: str) -> bool:
    """Whether a numeric IP address is on a loopback interface."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
