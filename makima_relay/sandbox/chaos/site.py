"""A relay of the experiment with what is around it: its server, and the ways from it to that and to Redis."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort

from makima_relay.admission import Admission
from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.director import Site
from makima_relay.sandbox.chaos.disk import Disk
from makima_relay.sandbox.chaos.gauges import Gauges
from makima_relay.sandbox.chaos.proxy import Proxy
from makima_relay.sandbox.chaos.relay import RelayProcess
from makima_relay.sandbox.chaos.server import ChaosServer
from makima_relay.sandbox.peers import PeerFactory
from makima_relay.sandbox.working import without_settings

#: How long a daemon may be away without losing its tasks, in seconds; likewise a relay of several.
GRACE: Final = 3.0
PEER_GRACE: Final = 8.0
#: Ports that the system does not give to outgoing connections by itself: those could take the relay's while it is away.
_PORTS: Final = range(20_000, 32_000)
_SETTINGS: Final = {
    "daemon-grace": GRACE,
    "max-task-attempts": 1_000,
    "heartbeat-interval": 1,
    "auth-timeout": 3,
    "ping-interval": 2,
    "ping-timeout": 2,
    "daemon-ping-interval": 5,
    "daemon-ping-timeout": 5,
    "reconnect-initial-delay": 0.2,
    "reconnect-max-delay": 1,
    "max-reconnect-attempts": 0,
    "task-retention": "2m",
}


@attrs.frozen(kw_only=True)
class Place:
    """Where a relay is to be.

    :ivar name: empty where there is one.
    :ivar disk: where its database is.
    :ivar redis_port: where Redis is, if there is one.
    """

    name: str
    directory: Path
    disk: Disk
    key: str
    on_daemon_loss: str
    redis_port: int | None


class RelaySite:
    """Makes all of it, starts it and ends it.

    :param server: the user of its server's connections.
    :ivar site: what can fail of it.
    :ivar url: where daemons find the relay.
    """

    def __init__(self, reactor: Any, place: Place, server: ChaosServer) -> None:
        self.server = server
        self._peers = PeerFactory(server, Admission(place.key), reactor)
        self._server_port: IListeningPort = reactor.listenTCP(0, self._peers, interface="127.0.0.1")
        port, self._proxy_port, self._link_port = free_port(), free_port(), free_port()
        self.url = f"ws://127.0.0.1:{port}/ws/daemon"
        link = None if place.redis_port is None else Proxy(reactor, place.redis_port)
        relay = RelayProcess(
            reactor,
            self._command(place, port),
            _environment(place.key),
            place.directory,
            place.disk,
            f"http://127.0.0.1:{port}",
            place.name or "relay",
        )
        self.site = Site(relay=relay, proxy=Proxy(reactor, self._server_port.getHost().port), link=link)
        self.gauges = Gauges(relay)

    def _command(self, place: Place, port: int) -> list[str]:
        twistd = Path(sys.executable).with_name("twistd")
        if not twistd.exists():
            raise SandboxError(f"{twistd} is missing: install makima-relay into the environment of {sys.executable}")
        cluster = {"redis": f"redis://127.0.0.1:{self._link_port}", "peer-grace": PEER_GRACE}
        settings: Mapping[str, object] = {
            "listen": f"tcp:{port}:interface=127.0.0.1",
            "server-url": f"ws://127.0.0.1:{self._proxy_port}",
            "database": place.disk.path / "relay.sqlite3",
            "agent-name": place.name or "chaos",
            "on-daemon-loss": place.on_daemon_loss,
            **_SETTINGS,
            **({} if place.redis_port is None else cluster),
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return [sys.executable, str(twistd), "--nodaemon", "--pidfile=", "makima-relay", *options]

    async def start(self) -> None:
        """Start the relay, with its ways to the others."""
        await self.site.proxy.listen(self._proxy_port)
        if self.site.link is not None:
            await self.site.link.listen(self._link_port)
        await self.site.relay.start()

    async def stop(self) -> None:
        """Leave nothing running."""
        await self.site.relay.kill()
        await self.site.proxy.refuse()
        if self.site.link is not None:
            await self.site.link.refuse()
        await maybeDeferred(self._server_port.stopListening)
        for peer in list(self._peers.open):
            peer.drop()
        await self._peers.all_closed()


def _environment(key: str) -> dict[str, str]:
    return {**without_settings(os.environ), "MAKIMA_API_KEY": key, "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    """Find a port on loopback that nobody listens on.

    :raises SandboxError: when there is none.
    """
    for number in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number
    raise SandboxError("no port is free")
