"""A relay that ends when nobody needs it, and the one that the next connection starts, as systemd would."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed

from tests.processes.harness import PATIENCE, RelayProcess, ask, say
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

    def test_without_a_socket_of_systemds_it_does_not_start(self) -> None:
        """One line says what is missing."""
        relay = self.start("--hibernate-after", "60")
        self.assertEqual(relay.finish(), 1)
        self.assertIn(
            "--hibernate-after: nothing would start the relay again; it takes --listen systemd:", relay.lines[-1]
        )
        self.assertNotIn("Traceback", relay.output())
