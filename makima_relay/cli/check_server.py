"""The part of ``makima-relay check`` that goes to the Makima server, step by step, and at last as the relay would."""

from __future__ import annotations

import socket
import ssl
import uuid
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from makima_relay import from_settings
from makima_relay.cli.findings import Finding, fail, has_failed, ok, warn
from makima_relay.clock import Clock
from makima_relay.connector import Connector
from makima_relay.core.from_server import read_command
from makima_relay.core.journal import printable
from makima_relay.core.members import LONGEST_NAME, InvalidMessageError
from makima_relay.core.messages import Spawn
from makima_relay.endpoints import StartError, client_endpoint, trust_for
from makima_relay.server_link import ServerProtocol
from makima_relay.settings import Settings

_NAMESPACE: Final = uuid.UUID("5f2b1c9e-6e0f-4f5c-9a3d-0a4a4c6f7c11")
_SUFFIX: Final = " (check)"


async def check_server(reactor: Any, settings: Settings, machine_id: str) -> list[Finding]:
    """Whether the relay would reach the server, and be taken.

    :param machine_id: the relay's own.
    """
    found: list[Finding] = await deferToThread(dial, settings)
    if not has_failed(found):
        found.append(await present(reactor, settings, machine_id))
    return found


def dial(settings: Settings) -> list[Finding]:
    """Look the server's name up, connect, and shake hands; it blocks."""
    parts = urlsplit(settings.server_url)
    host, is_tls = parts.hostname or "", parts.scheme == "wss"
    port = parts.port or (443 if is_tls else 80)
    try:
        addresses = list(dict.fromkeys(each[4][0] for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    except OSError as error:
        return [fail("server name", f"{host}: {error.strerror}", "see MAKIMA_SERVER_URL, and this machine's DNS")]
    found = [ok("server name", f"{host} is {', '.join(map(str, addresses[:4]))}")]
    try:
        connection = socket.create_connection((host, port), settings.auth_timeout)
    except OSError as error:
        remedy = "see that the server runs, its port in MAKIMA_SERVER_URL, and firewalls on the way"
        return [*found, fail("server port", f"{host}:{port}: {error.strerror or 'no answer'}", remedy)]
    with connection:
        found.append(ok("server port", f"{host}:{port} takes connections"))
        if is_tls:
            found.append(_shake_hands(connection, host, settings))
    return found


def _shake_hands(connection: socket.socket, host: str, settings: Settings) -> Finding:
    what = "server TLS"
    try:
        context = ssl.create_default_context(cafile=settings.upstream_ca)
        with context.wrap_socket(connection, server_hostname=host) as secured:
            return ok(what, f"{secured.version()}, its certificate is trusted")
    except ssl.SSLCertVerificationError as error:
        return fail(what, f"its certificate is not trusted: {error.verify_message}", _remedy(error, host, settings))
    except ssl.SSLError as error:
        text = (error.reason or "the handshake failed").replace("_", " ").lower()
        return fail(what, text, "see that wss:// and the port in MAKIMA_SERVER_URL are right")
    except OSError as error:
        return fail(what, f"the handshake failed: {error.strerror or error}", "see that the port is one of TLS")


def _remedy(error: ssl.SSLCertVerificationError, host: str, settings: Settings) -> str:
    reason = error.verify_message.lower()
    if "expired" in reason or "not yet valid" in reason:
        return "have the server's certificate renewed, and see that this machine's clock is right"
    if "mismatch" in reason:
        return f"use a name in MAKIMA_SERVER_URL that the certificate is for, instead of {host}"
    if settings.upstream_ca is not None:
        return f"see that {settings.upstream_ca} has the authority of the server's certificate"
    return "if the authority is your own, name its certificate by MAKIMA_RELAY_UPSTREAM_CA"


async def present(reactor: Any, settings: Settings, machine_id: str) -> Finding:
    """Authenticate as the relay would, and leave at once."""
    try:
        trust = trust_for(settings.server_url, settings.upstream_ca)
    except StartError as error:
        return fail("server key", str(error), "name a file of PEM certificates that can be read")
    name = (settings.agent_name or f"makima-edge-{machine_id[:8]}")[: LONGEST_NAME - len(_SUFFIX)] + _SUFFIX
    # With a machine id of its own: a relay that runs is not replaced by its check.
    own_id = str(uuid.uuid5(_NAMESPACE, machine_id))
    options = from_settings.connector_options(settings, settings.api_key, own_id, name)
    visit = _Visit()
    endpoint = client_endpoint(reactor, settings.server_url, settings.auth_timeout, trust)
    connector = Connector(visit, endpoint, attrs.evolve(options, most_attempts=1), Clock(reactor))
    connector.connect()
    finding = await visit.ended
    await connector.stop()
    if visit.was_given_work:
        return warn(
            "server key", f"{finding.text}; the server gave the check a task, which it left", "look for it there"
        )
    return finding


class _Visit:
    """A connection's user that wants to know only whether the server takes it."""

    def __init__(self) -> None:
        self.ended: Deferred[Finding] = Deferred()
        self.was_given_work = False

    def connected(self, link: ServerProtocol, daemon_id: str | None) -> None:
        """The server has taken the key."""
        self.ended.callback(ok("server key", f"the server takes it, and calls the check {printable(daemon_id or '-')}"))

    def received(self, payload: bytes) -> None:
        """The server sent something before the check had left."""
        try:
            self.was_given_work |= isinstance(read_command(payload), Spawn)
        except InvalidMessageError:
            return

    def pong_received(self, payload: bytes) -> None:
        """No ping was sent."""

    def safe(self) -> Deferred[None]:
        """Nothing is kept."""
        return succeed(None)

    def disconnected(self, reason: str) -> None:
        """It was the check that left."""

    def attempt_failed(self, reason: str, attempt: int, delay: float | None) -> None:
        """The server did not take it."""
        remedy = "see MAKIMA_API_KEY, and that MAKIMA_SERVER_URL is a Makima server's"
        self.ended.callback(fail("server key", reason, remedy))
