"""Puts a stand-in server together: one port for its peers and for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort

from makima_relay.admission import Admission
from makima_relay.endpoints import StartError, reason_not_to_listen, server_endpoint
from makima_relay.limits.guard import Guard, Limits
from makima_relay.listener import Listener
from makima_relay.origin import is_loopback
from makima_relay.sandbox import DEFAULT_KEY, SandboxError
from makima_relay.sandbox.api import SandboxApi
from makima_relay.sandbox.peers import PeerFactory
from makima_relay.sandbox.running import until_stopped
from makima_relay.sandbox.server import SandboxServer
from makima_relay.web.access import Access
from makima_relay.web.site import make_site

_HEAD_TIMEOUT = 10.0


async def serve(reactor: Any, listen: str, key: str | None, say: Callable[[str], None]) -> int:
    """Be a stand-in server until stopped.

    :param listen: a Twisted endpoint.
    :param key: what peers must present; none for the default, with which only loopback may be listened on.
    :param say: takes lines for people; one of them is ``listening on`` and the address.
    :return: the exit status.
    :raises SandboxError: when that cannot be.
    """
    server = SandboxServer(say)
    api = SandboxApi(server, Access(None, lambda: True))
    peers = PeerFactory(server, Admission(key or DEFAULT_KEY), reactor)
    listener = Listener(peers, make_site(api.app.resource()), reactor, _HEAD_TIMEOUT, _unlimited(reactor))
    port = await _open_port(reactor, listen, listener)
    try:
        if not is_local(port.getHost()):
            api.access = _access_from_elsewhere(key)
        if key is None:
            say(f"key: {DEFAULT_KEY} (MAKIMA_API_KEY is not set)")
        say(f"listening on {shown_address(port.getHost())}")
        await until_stopped()
    finally:
        peers.close_all("the server stops")
        await maybeDeferred(port.stopListening)
        await peers.all_closed()
        listener.abort_all()
    return 0


async def _open_port(reactor: Any, listen: str, listener: Listener) -> IListeningPort:
    try:
        port: IListeningPort = await server_endpoint(reactor, listen).listen(listener)
    except StartError as error:
        raise SandboxError(str(error)) from None
    except (CannotListenError, OSError) as error:
        raise SandboxError(f"--listen {listen}: {reason_not_to_listen(error)}") from None
    return port


def _access_from_elsewhere(key: str | None) -> Access:
    """Who may ask when others can connect: a task is a command, so only those who know the key."""
    if key is None:
        raise SandboxError("--listen: others could have commands run; set MAKIMA_API_KEY, or listen on 127.0.0.1")
    return Access(key, lambda: False)


def _unlimited(reactor: Any) -> Guard:
    """Stand-ins turn away nobody, as far as can be."""
    limits = Limits(strangers=1 << 30, strangers_per_address=1 << 30, accepts=0, failures=0, messages=0, traffic=0)
    return Guard(limits, reactor.seconds, lambda *_: None)


def is_local(address: IAddress) -> bool:
    """Whether nobody from another machine can connect to an address."""
    if isinstance(address, IPv4Address | IPv6Address):
        return is_loopback(address.host)
    return isinstance(address, UNIXAddress)


def shown_address(address: IAddress) -> str:
    """An address for people, and for programs that chose port 0."""
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    return f"{address.host}:{address.port}" if isinstance(address, IPv4Address) else str(address)
