"""Where to listen and where to connect, as Twisted endpoints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import HostnameEndpoint, serverFromString, wrapClientTLS
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamClientEndpoint, IStreamServerEndpoint
from zope.interface import implementer

from makima_relay.kept_sockets import SocketError, kept_endpoint
from makima_relay.tls import ServerTrust, ServingCertificate, TLSFilesError, certificate_files
from makima_relay.tls_port import BoundedTLSFactory

#: How many connections may wait to be accepted; Twisted's 50 is few for a fleet that comes back at once.
_BACKLOG = 1024
_TLS_MEMBERS = frozenset({"port", "interface", "backlog", "privateKey", "certKey", "extraCertChain", "dhParameters"})
_TAKES = "a Twisted endpoint such as tcp:8787:interface=127.0.0.1, ssl:, unix: or systemd:"


class StartError(Exception):
    """The relay cannot start; the text says in one line why, and what to do."""


@implementer(IStreamServerEndpoint)
@attrs.frozen
class TLSEndpoint:
    """An ``ssl:`` endpoint.

    :ivar certificate: what it shows; unlike that of Twisted's own it can be read again.
    """

    _reactor: Any
    _port: int
    certificate: ServingCertificate
    _backlog: int
    _interface: str

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Open the port."""
        factory = BoundedTLSFactory(self.certificate, protocolFactory, self._reactor)
        listen = self._reactor.listenTCP
        return execute(listen, self._port, factory, backlog=self._backlog, interface=self._interface)


def server_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    """Make a listening endpoint of its description.

    :raises StartError: when it is none, or its files cannot be used.
    """
    bounded = text.startswith("tcp:") and ":backlog=" not in text
    try:
        if text.startswith("ssl:"):
            return _tls_endpoint(reactor, text)
        if is_kept_by_systemd(text):
            return _kept_endpoint(reactor, text)
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text + (f":backlog={_BACKLOG}" if bounded else ""))
    except (TLSFilesError, SocketError) as error:
        raise StartError(f"--listen: {text!r}: {error}") from None
    except Exception as error:
        raise StartError(f"--listen: {text!r} is not allowed ({error!r}); it takes {_TAKES}") from None
    return endpoint


def is_kept_by_systemd(text: str) -> bool:
    """Whether an endpoint's socket stays when the relay ends."""
    return text.startswith("systemd:")


def _kept_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    try:
        adopted = serverFromString(reactor, text)
    except LookupError:
        raise SocketError("systemd passed no such socket; is there a .socket unit?") from None
    return kept_endpoint(adopted)


def _tls_endpoint(reactor: Any, text: str) -> TLSEndpoint:
    members = endpoint_members(text)
    unknown = ", ".join(sorted(members.keys() - _TLS_MEMBERS))
    if unknown:
        raise ValueError(f"ssl: does not take {unknown}")
    port, backlog = int(members["port"]), int(members.get("backlog", _BACKLOG))
    certificate = ServingCertificate(certificate_files(members))
    return TLSEndpoint(reactor, port, certificate, backlog, members.get("interface", ""))


def endpoint_members(text: str, first: str = "port") -> dict[str, str]:
    """The parts of a description by name, as Twisted reads them: a backslash takes the meaning of what follows it.

    :param first: the name of the part that has none.
    """
    parts = re.findall(r"(?:[^:\\]|\\.)+", text)[1:]
    named = [part if "=" in part else f"{first}={part}" for part in parts]
    return {name: re.sub(r"\\(.)", r"\1", value) for name, _, value in (each.partition("=") for each in named)}


def trust_for(url: str, authorities: Path | None) -> ServerTrust | None:
    """Whom to trust as the server of a URL.

    :param authorities: a file of certificates; none for the system's.
    :return: none where there is nothing to verify, because the URL is no ``wss://``.
    :raises StartError: when the file, or the host of the URL, cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme != "wss":
        return None
    host = parts.hostname or ""
    try:
        return ServerTrust(host, authorities)
    except TLSFilesError as error:
        raise StartError(f"--upstream-ca: {error}") from None
    except UnicodeError:
        raise StartError(f"--server-url: {host!r} is no host name that a certificate can be for") from None


def client_endpoint(reactor: Any, url: str, timeout: float, trust: ServerTrust | None) -> IStreamClientEndpoint:
    """Make the endpoint of the server.

    :param timeout: for connecting, in seconds.
    :param trust: what :func:`trust_for` has for the URL.
    """
    parts = urlsplit(url)
    port = parts.port or (80 if trust is None else 443)
    endpoint = HostnameEndpoint(reactor, parts.hostname or "", port, timeout=timeout)
    return endpoint if trust is None else wrapClientTLS(trust, endpoint)


def reason_not_to_listen(error: Exception) -> str:
    """Why a port cannot be opened: what the system says, without Twisted's frame around it, and without Python's."""
    inner = error.socketError if isinstance(error, CannotListenError) else error
    return (inner.strerror if isinstance(inner, OSError) else None) or str(inner)
