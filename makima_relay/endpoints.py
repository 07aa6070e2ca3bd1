"""Where to listen and where to connect, as Twisted endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.endpoints import HostnameEndpoint, serverFromString, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates

#: How many connections may wait to be accepted; Twisted's 50 is few for a fleet that comes back at once.
_BACKLOG = 1024


class StartError(Exception):
    """The relay cannot start; the text says in one line why, and what to do."""


def server_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    """Make a listening endpoint of its description."""
    bounded = text.startswith(("tcp:", "ssl:")) and ":backlog=" not in text
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text + (f":backlog={_BACKLOG}" if bounded else ""))
    except Exception as error:
        if text.startswith("systemd:") and isinstance(error, LookupError):
            raise StartError(f"--listen: {text!r}: systemd passed no such socket; is there a .socket unit?") from None
        takes = "a Twisted endpoint such as tcp:8787:interface=127.0.0.1, ssl:, unix: or systemd:"
        raise StartError(f"--listen: {text!r} is not allowed ({error!r}); it takes {takes}") from None
    return endpoint


def client_endpoint(reactor: Any, url: str, timeout: float, ca: Path | None) -> IStreamClientEndpoint:
    """Make the endpoint of the server: ``wss://`` is verified, chain and host name."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "wss"
    endpoint = HostnameEndpoint(reactor, host, parts.port or (443 if secure else 80), timeout=timeout)
    if not secure:
        return endpoint
    trust = platformTrust() if ca is None else _trust(ca)
    try:
        options = optionsForClientTLS(host, trustRoot=trust)
    except UnicodeError:
        raise StartError(f"--server-url: {host!r} is no host name that a certificate can be for") from None
    return wrapClientTLS(options, endpoint)


def _trust(path: Path) -> Any:
    try:
        blocks = path.read_bytes().split(b"-----END CERTIFICATE-----")[:-1]
        certificates = [Certificate.loadPEM(block + b"-----END CERTIFICATE-----\n") for block in blocks]
    except Exception as error:
        raise StartError(f"--upstream-ca: {str(path)!r} cannot be read: {error}") from None
    if not certificates:
        raise StartError(f"--upstream-ca: {str(path)!r} has no certificate; it takes a file of PEM certificates")
    return trustRootFromCertificates(certificates)
