"""Runs a real ``redis-server`` for the time of a test, on a socket in a directory of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

REDIS_SERVER: Final = shutil.which("redis-server")
#: Why tests are skipped where there is none.
MISSING: Final = None if REDIS_SERVER else "there is no redis-server on this machine: the cluster is NOT TESTED with it"
#: What leaves no server behind when the tests are killed.
_WITH_THE_TESTS: Final = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


class RedisServer:
    """A server.

    :param options: further ones of ``redis-server``.
    :ivar path: its socket.
    """

    def __init__(self, *options: str) -> None:
        assert REDIS_SERVER is not None
        # The path of a socket may have 107 bytes, less than a test's own directory may take.
        self.directory = Path(tempfile.mkdtemp(prefix="redis-"))
        self.path = self.directory / "socket"
        where = ["--port", "0", "--unixsocket", str(self.path), "--dir", str(self.directory)]
        self._command = [*_WITH_THE_TESTS, REDIS_SERVER, *where, "--save", "", *options]
        self.restart()

    @property
    def url(self) -> str:
        """Where a relay finds it."""
        return f"unix://{self.path}"

    def restart(self) -> None:
        """Start it, with nothing in it."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "ready to accept connections" in line.lower():
                return
        raise AssertionError(f"redis-server does not start:\n{''.join(said)}")

    def crash(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stop(self) -> None:
        """End it, and leave nothing."""
        self.crash()
        shutil.rmtree(self.directory)
