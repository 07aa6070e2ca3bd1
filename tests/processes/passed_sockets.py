"""Starts relays on sockets that are open before them, as systemd does."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path

from tests.processes.harness import TWISTD, RelayProcess
from tests.processes.test_relay import ProcessTestCase

_ISOLATED = (sys.executable, "-IS", "-c")
#: Becomes a program that has the descriptors of its first argument from 3 on, as systemd passes them.
_PASS_SOCKETS = """
import fcntl, os, sys
copies = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",")]
for place, copy in enumerate(copies, 3):
    os.dup2(copy, place)
    os.close(copy)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(copies))
os.execv(sys.argv[2], sys.argv[2:])
"""


class SocketTestCase(ProcessTestCase):
    """Has sockets, and starts relays on them."""

    def socket(self, host: str) -> socket.socket:
        """Listen."""
        made = socket.create_server((host, 0), backlog=16)
        self.addCleanup(made.close)
        return made

    def unix_socket(self) -> socket.socket:
        """Listen in the file system, where only the own user may connect."""
        made = socket.socket(socket.AF_UNIX)
        self.addCleanup(made.close)
        # The names of trial's directories are too long for a socket.
        path = self.enterContext(tempfile.TemporaryDirectory()) + "/relay.sock"
        made.bind(path)
        Path(path).chmod(0o600)
        made.listen(16)
        return made

    def start_with(
        self, name: str, sockets: dict[str, socket.socket], through: tuple[str, ...] = (), **environment: str
    ) -> RelayProcess:
        """Start a relay that is passed sockets, and is to take one of them.

        :param through: a command that becomes the one behind it.
        """
        numbers = [each.fileno() for each in sockets.values()]
        domain = sockets[name].family.name.removeprefix("AF_") if name in sockets else "INET"
        return self.start(
            f"--listen=systemd:domain={domain}:name={name}",
            twistd=(*_ISOLATED, _PASS_SOCKETS, ",".join(map(str, numbers)), *through, *TWISTD),
            files=numbers,
            LISTEN_FDNAMES=":".join(sockets),
            **environment,
        )
