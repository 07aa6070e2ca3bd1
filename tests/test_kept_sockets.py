"""Sockets that stay when the relay ends."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from makima_relay.kept_sockets import SocketError, kept_endpoint


class Accepting(Protocol):
    """Tells when somebody has connected."""

    def __init__(self, came: Deferred[str]) -> None:
        self._came = came

    def connectionMade(self) -> None:
        """Tell, and let go."""
        self._came.callback("came")
        assert self.transport is not None
        self.transport.loseConnection()


class KeptSocketTests(TestCase):
    """With systemd's part played by the test."""

    timeout = 180

    def setUp(self) -> None:
        """Have somebody listen in the file system."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        # The names of trial's directories are too long for a socket.
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory())) / "relay.sock"
        self.kept = self.enterContext(socket.socket(socket.AF_UNIX))
        self.kept.bind(str(self.path))
        self.path.chmod(0o620)
        self.kept.listen(3)

    def endpoint(self, passed: socket.socket, family: socket.AddressFamily) -> Any:
        """What a relay makes of its copy of a socket, described as of a family."""
        copy = os.dup(passed.fileno())
        try:
            return kept_endpoint(AdoptedStreamServerEndpoint(self.reactor, copy, family))
        except SocketError:
            os.close(copy)
            raise

    async def test_a_name_in_the_file_system_outlives_the_relay_as_it_is(self) -> None:
        """Who may connect is as the unit says; who connects when the relay has gone waits for the next."""
        came: Deferred[str] = Deferred()
        factory = Factory.forProtocol(lambda: Accepting(came))  # type: ignore[arg-type]
        endpoint = self.endpoint(self.kept, socket.AF_UNIX)
        port = await endpoint.listen(factory)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(self.path))
            await came
        self.assertEqual(port.getHost().name, os.fsencode(self.path))
        await self.assertFailure(endpoint.listen(factory), OSError)
        await port.stopListening()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o620)
        with socket.socket(socket.AF_UNIX) as second:
            second.connect(str(self.path))
            self.kept.accept()[0].close()

    def test_a_socket_of_another_domain_than_described_is_refused(self) -> None:
        """Its addresses would be read as what they are not, and with them who may do what."""
        six = self.enterContext(socket.create_server(("::1", 0), family=socket.AF_INET6))
        for passed, described, domain in (
            (six, socket.AF_INET, "INET6"),
            (self.kept, socket.AF_INET6, "UNIX"),
            (self.enterContext(socket.create_server(("127.0.0.1", 0))), socket.AF_UNIX, "INET"),
        ):
            error = self.assertRaises(SocketError, self.endpoint, passed, described)
            self.assertEqual(str(error), f"systemd passed a socket of domain={domain}")

    def test_a_connection_is_no_socket_to_listen_on(self) -> None:
        """Such a one comes from a unit with Accept=yes."""
        ours, theirs = socket.socketpair()
        self.enterContext(theirs)
        error = self.assertRaises(SocketError, self.endpoint, self.enterContext(ours), socket.AF_UNIX)
        self.assertIn("Accept=no", str(error))
