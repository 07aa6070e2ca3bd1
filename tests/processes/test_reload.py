"""SIGHUP: secrets and certificates are read again, and no connection is dropped for it."""

from __future__ import annotations

import json
import signal
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.processes.certificates import make_certificate
from tests.processes.harness import KEY, PATIENCE, RelayProcess, ask_until, daemon, say, until
from tests.processes.test_relay import ProcessTestCase

TOKENS = ("token-of-yesterday", "token-of-today")


class ReloadTests(ProcessTestCase):
    """With real files, real connections and a real signal."""

    def setUp(self) -> None:
        """Have files of secrets."""
        super().setUp()
        self.key_file = self.write("key", KEY)
        self.token_file = self.write("token", TOKENS[0])

    def write(self, name: str, content: str) -> Path:
        """Have a secret in a file."""
        path = (self.directory / name).absolute()
        path.write_text(content)
        path.chmod(0o600)
        return path

    def start_with_files(self, *options: str) -> RelayProcess:
        """Start a relay that has its secrets from files."""
        return self.start(
            *options,
            MAKIMA_API_KEY="",
            MAKIMA_API_KEY_FILE=str(self.key_file),
            MAKIMA_RELAY_ADMIN_TOKEN_FILE=str(self.token_file),
        )

    def hang_up(self, relay: RelayProcess, last: str = "settings_reloaded") -> str:
        """Send SIGHUP.

        :param last: the event that it ends with.
        :return: what the relay says of it.
        """
        before = len(relay.lines)
        relay.process.send_signal(signal.SIGHUP)
        relay.wait_for(f"{last}: ")
        return "".join(relay.lines[before:])

    def ask_as(self, port: int, token: str, path: str, method: str = "GET") -> Any:
        """What an operator is answered; the status if it is no 200."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", method=method, headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            return error.code

    def test_new_secrets_are_used_and_connections_stay(self) -> None:
        """The next attempt, the next daemon and the next request go by them."""
        relay = self.start_with_files()
        port = relay.port()
        server = self.server.relay()
        worker = self.daemon(port, "worker")
        self.key_file.write_text("a-key-of-today")
        self.token_file.write_text(TOKENS[1])
        self.assertIn("new: MAKIMA_API_KEY_FILE, MAKIMA_RELAY_ADMIN_TOKEN_FILE ", self.hang_up(relay))
        # What stands, stands.
        task = say(server, type="spawnTask", taskId="t")
        self.assertEqual(worker.recv(PATIENCE), task)
        # What is new goes by the new ones.
        self.assertEqual([type(self.ask_as(port, token, "/logs")) for token in TOKENS], [int, dict])
        with daemon(port, "other", key="a-key-of-today"):
            pass
        with self.assertRaises(AssertionError), daemon(port, "third"):
            pass
        self.ask_as(port, TOKENS[1], "/reconnect", "POST")
        again = self.server.relay()
        _, headers = [self.server.headers.get(timeout=PATIENCE) for _ in range(2)]
        self.assertEqual(headers["Authorization"], "Bearer a-key-of-today")
        # The log knows the new ones, and still the old ones.
        say(again, type="error", code="odd", message=f"quoting {KEY} a-key-of-today {' '.join(TOKENS)}")
        relay.wait_for(r"quoting \[secret\] \[secret\] \[secret\] \[secret\]")
        events = self.ask_as(port, TOKENS[1], "/logs")["logs"]
        self.assertIn("settings_reloaded", {event["event"] for event in events})
        self.assertEqual(relay.end(), 0)
        for secret in (KEY, "a-key-of-today", *TOKENS):
            self.assertNotIn(secret, relay.output())

    def test_a_bad_file_leaves_what_there_was_and_is_named_in_one_line(self) -> None:
        """The others are used all the same."""
        relay = self.start_with_files()
        port = relay.port()
        self.key_file.write_text("two words")
        self.key_file.chmod(0o644)
        self.token_file.write_text(TOKENS[1])
        said = self.hang_up(relay)
        self.assertEqual(said.count("MAKIMA_API_KEY_FILE: its value is not allowed"), 1)
        self.assertIn("new: MAKIMA_RELAY_ADMIN_TOKEN_FILE ", said)
        relay.wait_for("MAKIMA_API_KEY_FILE: others can read .*chmod 600")
        self.daemon(port, "worker")
        self.assertIn("logs", self.ask_as(port, TOKENS[1], "/logs"))
        self.assertNotIn("two words", relay.output())
        self.assertNotIn("Traceback", relay.output())

    def test_new_certificates_are_for_new_handshakes(self) -> None:
        """Connections that stand stay, and bad files leave what there was."""
        certificate, key = make_certificate(self.directory, "localhost")
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={key.absolute()}:certKey={certificate.absolute()}"
        relay = self.start_with_files("--listen", endpoint)
        port = relay.port()
        context = ssl.create_default_context(cafile=certificate)
        with connect(f"wss://localhost:{port}/ws/daemon", ssl=context) as worker:
            say(worker, type="authenticate", apiKey=KEY, hostname="worker")
            self.assertEqual(json.loads(worker.recv(PATIENCE))["type"], "authenticated")
            make_certificate(self.directory, "localhost")
            self.assertIn("new: --listen ssl:0 ", self.hang_up(relay))
            self.assertEqual(self.seen(port), certificate.read_text())
            certificate.write_text("junk")
            said = self.hang_up(relay, "reload_failed")
            self.assertEqual(said.count("has no certificate; it takes a file of PEM certificates; what was read"), 1)
            self.assertIn("BEGIN CERTIFICATE", self.seen(port))
            task = say(self.server.relay(), type="spawnTask", taskId="t")
            self.assertEqual(worker.recv(PATIENCE), task)
        self.assertNotIn("Traceback", relay.output())

    @staticmethod
    def seen(port: int) -> str:
        """The certificate that a client sees, PEM."""
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE)

    def test_it_can_be_sent_as_often_as_one_likes(self) -> None:
        """It never ends the process."""
        relay = self.start_with_files()
        port = relay.port()
        for _ in range(50):
            relay.process.send_signal(signal.SIGHUP)
        self.hang_up(relay)
        self.assertEqual(ask_until(port, "/status", lambda status: status["upstreamConnected"])["status"], "ok")
        self.assertEqual(relay.end(), 0)

    def test_daemons_of_a_lost_connection_present_the_new_key(self) -> None:
        """What stood before may come back only with it."""
        relay = self.start_with_files()
        port = relay.port()
        worker = self.daemon(port, "worker")
        self.key_file.write_text("a-key-of-today")
        self.hang_up(relay)
        worker.close()
        with self.assertRaises((AssertionError, ConnectionClosed)), daemon(port, "worker"):
            pass
        with daemon(port, "worker", key="a-key-of-today"):
            until(lambda: self.ask_as(port, TOKENS[0], "/daemons")["daemons"] != [])
