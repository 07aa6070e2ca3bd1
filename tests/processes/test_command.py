"""The ``makima-relay`` command as its user sees it, on a relay that runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from makima_relay.cli.errors import ExitStatus
from tests.processes.certificates import make_certificate
from tests.processes.harness import KEY, PATIENCE, ask_until, daemon, say
from tests.processes.test_relay import ProcessTestCase

COMMAND = str(Path(sys.executable).with_name("makima-relay"))


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


class CommandProcessTests(ProcessTestCase):
    """One relay, and processes that ask it."""

    def environment(self, **variables: str) -> dict[str, str]:
        """What the command finds around it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKIMA_")}
        return {**inherited, "MAKIMA_API_KEY": KEY, "MAKIMA_SERVER_URL": self.server.url, **variables}

    def run_command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command where the relay runs."""
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=self.directory,
            env=self.environment(**variables),
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def begin(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start the command, to be ended by a signal."""
        process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.directory,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.kill)
        return process

    def assert_ends(self, process: subprocess.Popen[str], status: int) -> None:
        """It ends with a status and without a word."""
        assert process.stderr is not None
        self.assertEqual((process.wait(PATIENCE), process.stderr.read()), (status, ""))
        process.stderr.close()

    def test_the_relay_is_found_by_the_local_settings(self) -> None:
        """And everything can be done: see, follow, drain, cancel, make keys, copy, check."""
        port = free_port()
        here = {"MAKIMA_RELAY_LISTEN": f"tcp:{port}:interface=127.0.0.1", "MAKIMA_RELAY_ADMIN_TOKEN": "s3cret-token"}
        relay = self.start(**here)
        relay.port()
        server = self.server.relay()
        with daemon(port, "build-7", slots=1) as worker:
            say(server, type="spawnTask", taskId="a/b", name="Compile")
            self.assertEqual(json.loads(worker.recv(PATIENCE))["type"], "spawnTask")
            say(worker, type="taskOutput", taskId="a/b", output="hello")
            self.server.hear(1)
            self.assertIn("1 connected", self.run_command("status", **here).stdout)
            self.assertIn("Compile", self.run_command("tasks", "--status", "running", **here).stdout)
            self.assertIn("build-7 gets no new tasks", self.run_command("drain", "build-7", **here).stdout)
            following = self.begin("task", "a/b", "--follow", **here)
            assert following.stdout is not None
            self.assertIn("running", following.stdout.readline())
            self.assertIn("interrupt", self.run_command("cancel", "a/b", **here).stdout)
            say(worker, type="taskComplete", taskId="a/b", success=True)
            self.assertIn("completed", following.stdout.readline())
            self.assert_ends(following, 0)
            following.stdout.close()
        self.assertEqual(self.run_command("keys", "add", "build-7", **here).stdout.count("\n"), 1)
        found = self.run_command("check", **here)
        self.assertEqual(found.returncode, 0, found.stdout)
        for words in ("a relay runs on it", "the relay listens there: makima-edge-", "ok    server key"):
            self.assertIn(words, found.stdout)
        self.assertNotIn(KEY, found.stdout + found.stderr)
        visitor = self.server.relay()
        self.assertIsNot(visitor, server)
        self.assertTrue(ask_until(port, "/status", lambda answer: True)["upstreamConnected"])
        self.assertEqual(self.run_command("backup", "copy.sqlite3", **here).returncode, 0)
        self.assertEqual(self.run_command("logs").returncode, ExitStatus.UNREACHABLE)
        without_token = {**here, "MAKIMA_RELAY_ADMIN_TOKEN": ""}
        self.assertEqual(self.run_command("logs", **without_token).returncode, ExitStatus.NOT_ALLOWED)

    def test_ctrl_c_and_a_closed_pipe_end_it_without_a_word(self) -> None:
        """With the statuses that shells know."""
        url = {"MAKIMA_RELAY_URL": f"http://127.0.0.1:{self.start().port()}"}
        for number, status in ((signal.SIGINT, ExitStatus.INTERRUPTED), (signal.SIGTERM, ExitStatus.TERMINATED)):
            following = self.begin("logs", "--follow", **url)
            assert following.stdout is not None
            self.assertIn("relay_started", following.stdout.readline())
            following.send_signal(number)
            self.assert_ends(following, status)
            following.stdout.close()
        following = self.begin("logs", "--follow", **url)
        assert following.stdout is not None
        self.assertIn("relay_started", following.stdout.readline())
        following.stdout.close()
        self.assert_ends(following, ExitStatus.BROKEN_PIPE)

    def test_an_output_that_takes_nothing_is_told_in_a_line(self) -> None:
        """A full disk, say; one that was closed from the start is no matter, the rest is done all the same."""
        url = {"MAKIMA_RELAY_URL": f"http://127.0.0.1:{self.start().port()}"}
        full = "makima-relay: the output cannot be written: No space left on device\n"
        for arguments, to, expected in (
            ("status", "/dev/full", (ExitStatus.REFUSED, full)),
            ("--help", "/dev/full", (ExitStatus.REFUSED, full)),
            ("status", "&-", (ExitStatus.OK, "")),
            ("task nosuch", "&-", (ExitStatus.REFUSED, "makima-relay: there is no task of this id\n")),
        ):
            result = subprocess.run(
                ["sh", "-c", f'exec "$0" {arguments} >{to}', COMMAND],
                cwd=self.directory,
                env=self.environment(**url),
                check=False,
                stderr=subprocess.PIPE,
                text=True,
                timeout=PATIENCE,
            )
            self.assertEqual((result.returncode, result.stderr), expected)

    def test_a_relay_on_a_unix_socket_is_found(self) -> None:
        """By the settings, and by its URL; a local name of the host is what it is asked by."""
        # The path of a socket may have about a hundred characters.
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        path = Path(directory, "relay.sock")
        listen = {"MAKIMA_RELAY_LISTEN": f"unix:{path}:mode=600"}
        self.start(**listen).wait_for("listening on")
        self.assertEqual(self.run_command("daemons", **listen).returncode, 0)
        self.assertEqual(self.run_command("daemons", "--url", f"unix:{path}").returncode, 0)

    def test_a_relay_with_tls_is_trusted_by_its_certificate_alone(self) -> None:
        """Its own, or one that was named; another is refused, and so is none."""
        certificate, key = (each.absolute() for each in make_certificate(self.directory, "localhost"))
        other, other_key = (each.absolute() for each in make_certificate(self.directory, "other.example"))
        port = free_port()

        def listening(certificate: Path, key: Path) -> dict[str, str]:
            text = f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
            return {"MAKIMA_RELAY_LISTEN": text}

        self.start(**listening(certificate, key)).port()
        self.assertEqual(self.run_command("logs", **listening(certificate, key)).returncode, 0)
        url = f"https://localhost:{port}"
        self.assertEqual(self.run_command("logs", "--url", url, "--ca", str(certificate)).returncode, 0)
        for arguments, variables in (
            ((), listening(other, other_key)),
            (("--url", url), {}),
            (("--url", url, "--ca", str(other)), {}),
            (("--url", f"https://127.0.0.1:{port}", "--ca", str(certificate)), {}),
        ):
            result = self.run_command("logs", *arguments, **variables)
            self.assertEqual(result.returncode, ExitStatus.UNREACHABLE, result.stderr)
            self.assertIn("TLS: ", result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)
