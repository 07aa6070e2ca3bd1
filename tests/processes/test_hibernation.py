"""A relay that ends when nobody needs it, and the one that the next connection starts, as systemd would."""

from __future__ import annotations

import json
import select
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SkipTest
from websockets.exceptions import ConnectionClosed

from tests.processes.harness import PATIENCE, TWISTD, RelayProcess, ask, say
from tests.processes.passed_sockets import SocketTestCase


class HibernationTests(SocketTestCase):
    """With a socket that stays."""

    def setUp(self) -> None:
        super().setUp()
        self.ours = self.socket("127.0.0.1")
        self.port: int = self.ours.getsockname()[1]

    @contextmanager
    def woken(self) -> Iterator[RelayProcess]:
        """Connect; the relay that systemd starts then stays awake meanwhile."""
        self.assertEqual(select.select([self.ours], [], [], 0)[0], [], "somebody has connected already")
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE):
            self.assertEqual(select.select([self.ours], [], [], PATIENCE)[0], [self.ours])
            relay = self.start_with("makima-relay", {"makima-relay": self.ours}, MAKIMA_RELAY_HIBERNATE_AFTER="0.5")
            self.assertEqual(relay.port(), self.port)
            yield relay

    def test_it_ends_well_when_idle_and_the_next_connection_finds_all_as_it_was(self) -> None:
        """Exit status 0, so that nothing but a connection starts it again; the server is told good-bye."""
        with self.woken() as relay:
            server = self.server.relay()
            worker = self.daemon(self.port, "worker")
            say(server, type="spawnTask", taskId="t")
            worker.recv(PATIENCE)
            complete = say(worker, type="taskComplete", taskId="t", success=True)
            self.assertEqual(self.server.hear(1), [complete])
            worker.close()
        self.assertEqual(relay.finish(), 0)
        self.assertIn("hibernating: nothing to do for 0.5 s; the next connection starts the relay", relay.output())
        gone = self.assertRaises(ConnectionClosed, server.recv, PATIENCE)
        assert gone.rcvd is not None
        self.assertEqual(gone.rcvd.code, 1001)

        with self.woken():
            self.assertEqual(ask(self.port, "/tasks/t")["status"], "completed")
            worker = self.daemon(self.port, "worker")
            say(self.server.relay(), type="spawnTask", taskId="u")
            self.assertEqual(json.loads(worker.recv(PATIENCE))["taskId"], "u")

    def test_systemds_own_program_starts_it_at_the_first_connection(self) -> None:
        """With a socket in the file system, too; who has come first is answered."""
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            raise SkipTest("there is no systemd-socket-activate here")
        # The names of trial's directories are too long for a socket.
        path = self.enterContext(tempfile.TemporaryDirectory()) + "/relay.sock"
        passed = [f"--setenv={name}" for name in ("MAKIMA_SERVER_URL", "MAKIMA_API_KEY", "MAKIMA_RELAY_LISTEN")]
        relay = self.start(
            "--hibernate-after=0.2",
            twistd=(activate, f"--listen={path}", "--fdname=makima-relay", *passed, *TWISTD),
            MAKIMA_RELAY_LISTEN="systemd:domain=UNIX:name=makima-relay",
        )
        relay.wait_for("Listening on")
        with socket.socket(socket.AF_UNIX) as first:
            first.settimeout(PATIENCE)
            first.connect(path)
            first.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            self.assertIn(b"200 OK", first.recv(4096))
        self.assertEqual(relay.finish(), 0)
        self.assertIn("hibernating: ", relay.output())

    def test_without_a_socket_of_systemds_it_does_not_start(self) -> None:
        """One line says what is missing."""
        relay = self.start("--hibernate-after", "60")
        self.assertEqual(relay.finish(), 1)
        self.assertIn(
            "--hibernate-after: nothing would start the relay again; it takes --listen systemd:", relay.lines[-1]
        )
        self.assertNotIn("Traceback", relay.output())
