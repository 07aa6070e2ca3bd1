"""Finds the relay that a command is for: by its URL, or by the settings of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from makima_relay.cli.errors import SettingError
from makima_relay.endpoints import endpoint_members
from makima_relay.origin import names_loopback
from makima_relay.settings import SettingsError, load_one, load_secret
from makima_relay.tls import PinnedCertificate, ServerTrust, TLSFilesError, certificate_files

URL_VARIABLE: Final = "MAKIMA_RELAY_URL"
#: Seconds for a connection.
_CONNECT_TIMEOUT: Final = 10.0
_TAKES = "an http:// or https:// URL without user and query, or unix: and a path"
#: Bytes that the path of a socket may have.
_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
#: Where a listening relay is found that takes connections on all interfaces.
_ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@attrs.frozen
class Place:
    """Where a relay's HTTP interface is.

    :ivar url: of its root, without a ``/`` at the end.
    :ivar shown: what people call it.
    :ivar endpoint: makes of a reactor what connects to it.
    :ivar is_clear: whether others on the way can read what is sent.
    """

    url: str
    shown: str
    endpoint: Callable[[Any], IStreamClientEndpoint]
    is_clear: bool = False


@attrs.frozen
class Wanted:
    """What an operator said about the relay to ask.

    :ivar url: its URL; none for the one of the local settings.
    :ivar authorities: a file of certificates to trust for ``https://``; none for the system's.
    :ivar env_file: a file of settings.
    """

    url: str | None = None
    authorities: Path | None = None
    env_file: str | None = None

    @property
    def options(self) -> dict[str, str | None]:
        """The options by which settings are found."""
        return {"env-file": self.env_file}


def find_place(wanted: Wanted, environment: Mapping[str, str] = os.environ) -> Place:
    """Find the relay.

    :raises SettingError: when that cannot be done.
    """
    try:
        if wanted.url is not None:
            return place_of_url(wanted.url, wanted.authorities)
        return place_of_endpoint(load_one("listen", wanted.options, environment)[0], wanted.authorities)
    except SettingsError as error:
        raise SettingError(str(error)) from None
    except TLSFilesError as error:
        raise SettingError(f"{error}; or name the relay by --url and its authority by --ca") from None


def find_token(wanted: Wanted, environment: Mapping[str, str] = os.environ) -> str | None:
    """The admin token, if there is one.

    :raises SettingError: when its file cannot be read.
    """
    try:
        return load_secret("admin-token", wanted.options, environment)
    except SettingsError as error:
        raise SettingError(str(error)) from None


def place_of_url(url: str, authorities: Path | None) -> Place:
    """The relay at a URL.

    :raises SettingError: when it is none.
    :raises TLSFilesError: when the authorities cannot be used.
    """
    if url.startswith("unix:") and len(url) > len("unix:"):
        return _at_path(url.removeprefix("unix:"))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingError(f"--url: this is not allowed; it takes {_TAKES}") from None
    odd = parts.username is not None or parts.query or parts.fragment or port == 0
    if parts.scheme not in ("http", "https") or not parts.hostname or odd or not url.isascii() or not url.isprintable():
        raise SettingError(f"--url: this is not allowed; it takes {_TAKES}")
    trust = ServerTrust(parts.hostname, authorities) if parts.scheme == "https" else None
    return _at_host(url.rstrip("/"), parts.hostname, port or (80 if trust is None else 443), trust)


def place_of_endpoint(text: str, authorities: Path | None) -> Place:
    """The relay that listens on an endpoint of this machine.

    :param text: its description, as of ``--listen``.
    :raises SettingError: when its address cannot be told by it.
    :raises TLSFilesError: when its certificate cannot be read.
    """
    kind, _, _ = text.partition(":")
    if kind == "unix":
        members = endpoint_members(text, "address")
        return _at_path(members.get("address", ""))
    members = endpoint_members(text, "port")
    if kind not in ("tcp", "ssl") or members.get("port", "0") == "0" or not members["port"].isdecimal():
        raise SettingError(f"--listen {text} does not tell the relay's address: give --url, or set {URL_VARIABLE}")
    host = members.get("interface", "")
    host = _ANYWHERE.get(host, host)
    trust: Any = None
    if kind == "ssl":
        own = certificate_files(members).certificate
        trust = PinnedCertificate(own) if authorities is None else ServerTrust(host, authorities)
    name = f"[{host}]" if ":" in host else host
    return _at_host(f"http{'s' if trust else ''}://{name}:{members['port']}", host, int(members["port"]), trust)


def _at_path(path: str) -> Place:
    if len(os.fsencode(path)) > _LONGEST_PATH or "\0" in path:
        # Twisted would neither connect nor fail.
        raise SettingError(f"the path of a unix: socket must have at most {_LONGEST_PATH} bytes, and no NUL")
    return Place(
        "http://localhost", f"unix:{path}", lambda reactor: UNIXClientEndpoint(reactor, path, _CONNECT_TIMEOUT)
    )


def _at_host(url: str, host: str, port: int, trust: Any) -> Place:
    def endpoint(reactor: Any) -> IStreamClientEndpoint:
        plain = HostnameEndpoint(reactor, host, port, timeout=_CONNECT_TIMEOUT)
        return plain if trust is None else wrapClientTLS(trust, plain)

    is_clear = trust is None and not names_loopback((f"[{host}]" if ":" in host else host).encode())
    return Place(url, url, endpoint, is_clear)
