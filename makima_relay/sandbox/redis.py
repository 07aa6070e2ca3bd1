"""Which Redis the stand-ins run, and how: one of their own, in a directory of their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from makima_relay.sandbox import SandboxError

#: What a Redis or a Valkey says when it listens, whatever its version.
READY: Final = r"([Rr]eady to accept connections)"
_PROGRAMS: Final = ("redis-server", "valkey-server")


def redis_server(option: str) -> str:
    """Find the program.

    :param option: the option that needs it.
    :return: its absolute path.
    :raises SandboxError: saying how to get it.
    """
    for name in _PROGRAMS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise SandboxError(
        f"{option} needs redis-server, which is not on the path: "
        "sudo apt install redis-server, sudo dnf install valkey, or brew install redis"
    )


def on_socket(program: str, socket: Path) -> list[str]:
    """The command for a Redis that keeps nothing, and that only this machine can reach."""
    directory = str(socket.parent)
    return [program, "--port", "0", "--unixsocket", str(socket), "--dir", directory, "--save", ""]


def on_port(program: str, port: int, directory: Path) -> list[str]:
    """The command for a Redis that keeps what it has in a directory, and that only this machine can reach."""
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    return [program, *where, "--save", "", "--appendonly", "yes"]
