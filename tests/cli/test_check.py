"""``makima-relay check``: what it finds, and that it changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import ssl
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli import makima_relay
from makima_relay.cli.asking import Surroundings
from makima_relay.cli.check_files import check_database, check_modes, is_in_use, machine_id_of
from makima_relay.cli.check_server import dial, present
from makima_relay.cli.errors import ExitStatus
from makima_relay.cli.findings import Finding, Verdict
from makima_relay.settings import Settings, load
from makima_relay.store.database import open_database
from tests.processes.certificates import make_certificate

GOOD = {"MAKIMA_SERVER_URL": "ws://localhost:9", "MAKIMA_API_KEY": "s3cret-key"}


class CheckTestCase(SynchronousTestCase):
    """Has a directory with a database that nobody uses."""

    def setUp(self) -> None:
        """Make it."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(0o700)
        self.path = self.directory / "relay.sqlite3"

    def settings(self, **variables: str) -> Settings:
        """Settings with these variables."""
        return load({"database": str(self.path)}, {**GOOD, **variables})

    def assert_found(self, findings: list[Finding], *wanted: tuple[Verdict, str]) -> None:
        """These and no others."""
        self.assertEqual([each.verdict for each in findings], [verdict for verdict, _ in wanted], findings)
        for finding, (verdict, words) in zip(findings, wanted, strict=True):
            self.assertIn(words, finding.text)
            if verdict is Verdict.FAIL:
                self.assertTrue(finding.remedy, finding)


class FilesTests(CheckTestCase):
    """The database, and who can read secrets."""

    def test_a_database_that_is_not_there_is_not_made(self) -> None:
        """The relay makes it; without a directory it could not."""
        self.assert_found(check_database(self.path), (Verdict.OK, "not there yet"))
        self.assertEqual(list(self.directory.iterdir()), [])
        self.assert_found(check_database(self.directory / "a" / "b" / "c"), (Verdict.FAIL, "there is no directory"))

    def test_a_good_database_is_said_with_whether_a_relay_runs(self) -> None:
        """It is left as it is."""
        database = open_database(self.path)
        before = self.path.read_bytes()
        self.assert_found(check_database(self.path), (Verdict.OK, "a relay runs on it"), (Verdict.OK, "can be written"))
        database.release()
        self.assert_found(check_database(self.path), (Verdict.OK, ", free"), (Verdict.OK, "can be written"))
        self.assertFalse(is_in_use(self.path))
        self.assertEqual((self.path.read_bytes(), machine_id_of(self.path)), (before, database.machine_id))

    def test_a_database_that_no_relay_could_use_is_said(self) -> None:
        """Newer, another program's, none at all, or a directory."""
        open_database(self.path).release()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 999")
        found = check_database(self.path)
        self.assert_found(found[:1], (Verdict.FAIL, "its schema is version 999"))
        other = self.directory / "other"
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE t (x)")
        self.assert_found(check_database(other), (Verdict.FAIL, "belongs to another program"))
        other.write_text("no database " * 100)
        self.assert_found(check_database(other), (Verdict.FAIL, "not a database"))
        self.assert_found(check_database(self.directory), (Verdict.FAIL, "is no file"))

    def test_a_database_that_is_locked_is_said(self) -> None:
        """Another program holds it."""
        open_database(self.path).release()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            self.assert_found(check_database(self.path)[1:], (Verdict.FAIL, "locked"))

    def test_secrets_that_others_can_read_are_warned_of(self) -> None:
        """Files of secrets, and a server in clear."""
        secret = self.directory / "key"
        secret.write_text("s3cret-key")
        secret.chmod(0o644)
        settings = load(
            {"server-url": "ws://makima.example", "database": str(self.path)}, {"MAKIMA_API_KEY_FILE": str(secret)}
        )
        self.assert_found(check_modes(settings), (Verdict.WARN, "mode 0644"), (Verdict.WARN, "is not encrypted"))
        self.assert_found(check_modes(self.settings()), (Verdict.OK, "nobody else"))


class ServerTests(CheckTestCase):
    """The way to the server."""

    def serve(self, context: ssl.SSLContext | None = None) -> int:
        """Have a server that takes connections; its port."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        if context is None:
                            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                            connection.recv(4096)
                        else:
                            context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        port: int = server.getsockname()[1]
        return port

    def dial(self, url: str, **variables: str) -> Finding:
        """The last that is found on the way to a server."""
        return dial(self.settings(MAKIMA_SERVER_URL=url, **variables))[-1]

    def secured(self, name: str, **validity: Any) -> tuple[int, Path]:
        """A server with a certificate for a name; its port and the certificate."""
        certificate, key = make_certificate(self.directory, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return self.serve(context), certificate

    def test_each_step_has_its_reason(self) -> None:
        """The name, and the port."""
        self.assert_found([self.dial("ws://nobody.invalid")], (Verdict.FAIL, "nobody.invalid"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.assert_found([self.dial(f"ws://127.0.0.1:{port}")], (Verdict.FAIL, "refused"))
        port = self.serve()
        self.assert_found([self.dial(f"ws://127.0.0.1:{port}")], (Verdict.OK, "takes connections"))

    def test_what_is_wrong_with_a_certificate_is_said_in_words(self) -> None:
        """With what would help."""
        port, certificate = self.secured("127.0.0.1")
        url = f"wss://127.0.0.1:{port}"
        untrusted = self.dial(url)
        self.assert_found([untrusted], (Verdict.FAIL, "self-signed certificate"))
        self.assertIn("MAKIMA_RELAY_UPSTREAM_CA", str(untrusted.remedy))
        trusted = {"MAKIMA_RELAY_UPSTREAM_CA": str(certificate)}
        self.assert_found([self.dial(url, **trusted)], (Verdict.OK, "TLSv1.3"))
        port, certificate = self.secured("other.example")
        other = self.dial(f"wss://127.0.0.1:{port}", MAKIMA_RELAY_UPSTREAM_CA=str(certificate))
        self.assert_found([other], (Verdict.FAIL, "mismatch"))
        self.assertIn("instead of 127.0.0.1", str(other.remedy))

    def test_a_server_without_tls_is_said(self) -> None:
        """Its answer is no handshake."""
        self.assert_found([self.dial(f"wss://127.0.0.1:{self.serve()}")], (Verdict.FAIL, "wrong version number"))

    def test_an_authority_that_cannot_be_read_is_said(self) -> None:
        """By its setting."""
        settings = self.settings(MAKIMA_SERVER_URL="wss://localhost:9", MAKIMA_RELAY_UPSTREAM_CA="/nowhere")
        finding = self.successResultOf(Deferred.fromCoroutine(present(Clock(), settings, "m")))
        self.assert_found([finding], (Verdict.FAIL, "--upstream-ca: '/nowhere' cannot be read"))


class CheckCommandTests(CheckTestCase):
    """The command around it."""

    def run_command(self, *arguments: str, **variables: str | None) -> Result:
        """Run the command, in a process without a reactor."""
        clear = {name: None for name in os.environ if name.startswith("MAKIMA_")}
        around = Surroundings(lambda _main: None)
        words = ["check", "--database", str(self.path), *arguments]
        environment = {**clear, **GOOD, **variables}
        return CliRunner(env=environment).invoke(makima_relay, words, obj=around, prog_name="makima-relay")

    def test_bad_settings_fail_at_once(self) -> None:
        """With the words of the relay; options of the relay's are taken."""
        result = self.run_command("--max-daemons", "0")
        self.assertEqual(result.exit_code, ExitStatus.REFUSED)
        self.assertEqual(
            result.output, "fail  settings  --max-daemons: '0' is not allowed; it takes a whole number above 0\n"
        )
        result = self.run_command("--json", MAKIMA_API_KEY="")
        self.assertEqual(result.exit_code, ExitStatus.REFUSED)
        self.assertEqual([each["verdict"] for each in json.loads(result.stdout)], ["fail"])

    def test_good_settings_are_said(self) -> None:
        """The exit status is 0 when nothing fails."""
        result = self.run_command("--listen", "tcp:1", "--listen", "tcp:2", "--compression")
        self.assertEqual((result.exit_code, result.output), (0, "ok    settings  complete and well-formed\n"))
