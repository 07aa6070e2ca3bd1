"""Starts the relay on Node's ``ws``; its packages are fetched once, into the virtual environment."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).parent / "node"
_FETCH_TIMEOUT = 120.0


def command(server_port: int, port: int, key: str) -> list[str]:
    """How to start it."""
    return ["node", str(_directory() / "relay.js"), str(server_port), str(port), key]


@cache
def missing() -> str | None:
    """Say what is not there, after fetching what can be fetched."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    directory = _directory()
    problem = None if is_fetched() else _fetch(directory)
    if problem is None:
        shutil.copy(_SOURCE / "relay.js", directory)
    return problem


def is_fetched() -> bool:
    """Say whether its packages are here already."""
    return (_directory() / "node_modules" / ".complete").exists()


def _directory() -> Path:
    versions = hashlib.sha256((_SOURCE / "package.json").read_bytes()).hexdigest()[:12]
    return Path(sys.prefix) / "share" / "makima-benchmark" / f"node-{versions}"


def _fetch(directory: Path) -> str | None:
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(_SOURCE / "package.json", directory)
    try:
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=directory,
            timeout=_FETCH_TIMEOUT,
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"npm cannot install ws: {error}"
    (directory / "node_modules" / ".complete").touch()
    return None
