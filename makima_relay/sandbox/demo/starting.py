"""Starts everything that takes part in the demo, each when what it connects to is there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.demo.household import Household
from makima_relay.sandbox.demo.scenes import DAEMONS
from makima_relay.sandbox.demo.watch import Watch
from makima_relay.sandbox.redis import READY, on_socket, redis_server

_LOCAL: Final = "tcp:0:interface=127.0.0.1"
_SANDBOX: Final = (sys.executable, "-m", "makima_relay.cli", "sandbox")
#: Takes a name and what there is to say of it.
_Note = Callable[[str, str], None]


async def start(household: Household, console: Console) -> Watch:
    """Start a server, a relay and its daemons."""
    note = _clocked(console)
    server = await _start_server(household, note, "server")
    relay = await _start_relay(household, note, "relay", server, "demo")
    await _start_daemons(household, note, relay)
    return Watch(server=server, relay=relay, holder=relay)


async def start_cluster(household: Household, console: Console) -> Watch:
    """Start Redis and two relays, each with a server; the second has the daemons.

    :raises SandboxError: also when there is no Redis on this machine.
    """
    note = _clocked(console)
    socket = household.directory / "redis.sock"
    await household.start("redis", on_socket(redis_server("--cluster"), socket), READY)
    note("redis", f"redis-server, at {socket}")
    relays = []
    for number in (1, 2):
        server = await _start_server(household, note, f"server-{number}")
        name = f"relay-{number}"
        relays.append((server, await _start_relay(household, note, name, server, name, f"unix://{socket}")))
    (server, first), (_, second) = relays
    await _start_daemons(household, note, second)
    return Watch(server=server, relay=first, holder=second)


def _clocked(console: Console) -> _Note:
    began = time.monotonic()

    def note(name: str, what: str) -> None:
        console.print(Text(f"{time.monotonic() - began:5.1f} s  {name:<10}{what}"), soft_wrap=True)

    return note


async def _start_server(household: Household, note: _Note, name: str) -> str:
    """Start a server; its URL."""
    address = await household.start(name, [*_SANDBOX, "server", "--listen", _LOCAL], r"^listening on (\S+)")
    note(name, f"stand-in, at http://{address}")
    return f"http://{address}"


async def _start_relay(
    household: Household, note: _Note, name: str, server: str, agent: str, redis: str | None = None
) -> str:
    """Start a relay; its URL.

    :param server: the URL of its server.
    :param agent: its agent name.
    :param redis: where it meets others, if it does.
    """
    port = await household.start(name, _relay_command(name, server, agent, redis), r"IPv4Address\(.*port=(\d+)\)")
    note(name, f"twistd makima-relay{' --redis …' if redis else ''}, at http://127.0.0.1:{port}")
    return f"http://127.0.0.1:{port}"


def _relay_command(name: str, server: str, agent: str, redis: str | None) -> list[str]:
    """The real relay, as an operator starts it."""
    twistd = Path(sys.executable).with_name("twistd")
    if not twistd.exists():
        raise SandboxError(f"{twistd} is missing: install makima-relay into the environment of {sys.executable}")
    settings = {
        "--listen": _LOCAL,
        "--server-url": server.replace("http", "ws", 1),
        "--agent-name": agent,
        "--database": f"{name}.sqlite3",
        **({} if redis is None else {"--redis": redis}),
    }
    options = [word for setting in settings.items() for word in setting]
    return [sys.executable, str(twistd), "--nodaemon", "--pidfile=", "makima-relay", *options]


async def _start_daemons(household: Household, note: _Note, relay: str) -> None:
    url = relay.replace("http", "ws", 1)
    for name, slots in DAEMONS.items():
        options = ["--server-url", url, "--name", name, "--slots", str(slots)]
        await household.start(name, [*_SANDBOX, "daemon", *options], r"^(connected) to")
        note(name, f"stand-in, takes {slots} tasks at once")
