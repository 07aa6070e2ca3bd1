"""The part of ``makima-relay check`` that looks at where the relay is to listen."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from typing import Any, Final

from OpenSSL import crypto
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from makima_relay import cautions
from makima_relay.cli.asking import Surroundings
from makima_relay.cli.client import RelayClient
from makima_relay.cli.errors import CommandError
from makima_relay.cli.findings import Finding, fail, ok, warn
from makima_relay.cli.places import place_of_endpoint
from makima_relay.cli.showing import shown
from makima_relay.endpoints import StartError, TLSEndpoint, reason_not_to_listen, server_endpoint
from makima_relay.hibernation import check_hibernation
from makima_relay.settings import Settings
from makima_relay.tls import TLSFilesError

#: Days that a certificate had better be good for.
_SOON: Final = 14
_OTHER_PORT: Final = "end that program (ss -ltnp names it), or name another address by --listen"


def check_waking(settings: Settings) -> list[Finding]:
    """Whether a relay that hibernates, if it shall, would be started again."""
    try:
        check_hibernation(settings.hibernate_after, settings.listen)
    except StartError as error:
        return [fail("hibernation", str(error), "set up deploy/makima-relay.socket, or leave --hibernate-after out")]
    return [warn("hibernation", line) for line in cautions.asleep(settings.hibernate_after, settings.listen)]


async def check_listening(reactor: Any, around: Surroundings, text: str, *, runs: bool) -> list[Finding]:
    """Whether a relay could listen on an endpoint, or does already.

    :param runs: whether the relay of these settings runs; another one is in its way.
    """
    what = f"listen {text}"
    if text.startswith("systemd:"):
        return [warn(what, "only systemd can open it", "systemctl status of the .socket unit tells whether it does")]
    try:
        endpoint = server_endpoint(reactor, text)
    except StartError as error:
        return [fail(what, str(error))]
    found = [_certificate(what, endpoint)] if isinstance(endpoint, TLSEndpoint) else []
    try:
        port = await endpoint.listen(Factory())
    except CannotListenError as error:
        return [*found, await _taken(reactor, around, what, text, error, runs=runs)]
    except (OSError, OverflowError, ValueError) as error:
        return [*found, fail(what, reason_not_to_listen(error))]
    host = port.getHost()
    await maybeDeferred(port.stopListening)
    clear = [warn(what, line) for line in cautions.clear_port(text, endpoint, host)]
    return [*found, ok(what, "free"), *clear]


async def _taken(
    reactor: Any, around: Surroundings, what: str, text: str, error: CannotListenError, *, runs: bool
) -> Finding:
    number = getattr(error.socketError, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return fail(what, reason_not_to_listen(error), "a port below 1024 needs a .socket unit of systemd, or a proxy")
    if number == errno.EADDRNOTAVAIL:
        return fail(what, reason_not_to_listen(error), "name an address of this machine as interface")
    try:
        place = place_of_endpoint(text, None)
        status = await RelayClient(around.http(reactor, place), place, reactor).get("/status")
        name, version = shown(status["agentName"]), shown(status["version"])
    except (CommandError, TLSFilesError, KeyError):
        return fail(what, reason_not_to_listen(error), _OTHER_PORT)
    if not runs:
        return fail(what, f"a relay with another database listens there: {name} {version}", _OTHER_PORT)
    return ok(what, f"the relay listens there: {name} {version}")


def _certificate(what: str, endpoint: TLSEndpoint) -> Finding:
    """How long the certificate of an endpoint is good."""
    files = endpoint.certificate.files
    own = crypto.load_certificate(crypto.FILETYPE_PEM, files.certificate.read_bytes())
    ends = datetime.strptime((own.get_notAfter() or b"").decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    days = (ends - datetime.now(UTC)).days
    if days < 0:
        return fail(what, f"its certificate has expired on {ends:%Y-%m-%d}", f"renew {files.certificate}, then SIGHUP")
    others = cautions.readable_by_others("its private key", files.key)
    if others:
        return warn(what, others[0])
    if days < _SOON:
        return warn(what, f"its certificate is good for {days} days", f"renew {files.certificate}, then SIGHUP")
    return ok(what, f"its certificate is good until {ends:%Y-%m-%d}")
