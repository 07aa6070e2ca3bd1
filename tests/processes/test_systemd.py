"""The relay as systemd runs it: the units, sockets that it is passed, what it is told, and what it is denied."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.processes.harness import (
    PATIENCE,
    ROOT,
    ask,
    daemon,
)
from tests.processes.passed_sockets import SocketTestCase
from tests.processes.test_relay import ProcessTestCase
from tests.supervisor import Listening, a_name

DEPLOY = ROOT / "deploy"


class SocketTests(SocketTestCase):
    """Sockets that are open before the relay is there."""

    def test_a_socket_is_taken_by_its_name(self) -> None:
        """Whatever its place among them; both protocols are served."""
        other, ours = self.socket("127.0.0.1"), self.socket("127.0.0.1")
        port = ours.getsockname()[1]
        relay = self.start_with("makima-relay", {"other": other, "makima-relay": ours})
        self.assertEqual(relay.port(), port)
        self.daemon(port, "worker")
        self.assertEqual(ask(port, "/status")["connectedDaemons"], 1)
        self.assertEqual(relay.end(), 0)

    def test_operators_need_no_token_where_only_this_machine_can_connect(self) -> None:
        """The socket's own address decides, which no option names."""
        for host, allowed in (("127.0.0.1", True), ("0.0.0.0", False)):
            ours = self.socket(host)
            relay = self.start_with("ours", {"ours": ours})
            port = relay.port()
            if allowed:
                self.assertEqual(ask(port, "/tasks")["total"], 0)
            else:
                self.assertEqual(self.assertRaises(urllib.error.HTTPError, ask, port, "/tasks").code, 403)
            relay.end()

    def test_who_connects_between_two_runs_is_served_by_the_second(self) -> None:
        """The socket outlives the relay: nobody is refused."""
        for ours in (self.socket("127.0.0.1"), self.unix_socket()):
            first = self.start_with("makima-relay", {"makima-relay": ours})
            first.wait_for("listening on ")
            self.assertEqual(first.end(), 0)
            with socket.socket(ours.family) as between:
                between.settimeout(PATIENCE)
                between.connect(ours.getsockname())
                between.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
                second = self.start_with("makima-relay", {"makima-relay": ours})
                self.assertIn(b"200 OK", between.recv(4096))
            second.end()

    def test_a_name_that_was_not_passed_stops_the_start_with_one_line(self) -> None:
        """It says what to look at."""
        relay = self.start_with("nonsense", {"makima-relay": self.socket("127.0.0.1")})
        self.assertEqual(relay.finish(), 1)
        self.assertIn("systemd passed no such socket", relay.lines[-1])
        self.assertNotIn("Traceback", relay.output())


class NotificationTests(ProcessTestCase):
    """What the relay says at ``NOTIFY_SOCKET``."""

    def setUp(self) -> None:
        super().setUp()
        self.name = a_name()
        self.listening = Listening(self.name)
        self.notify = self.listening.socket
        self.addCleanup(self.notify.close)
        self.notify.settimeout(PATIENCE)

    def test_it_is_told_from_the_start_to_the_end(self) -> None:
        """Ready when daemons are served, though the server is away; alive; stopping."""
        self.server.stop()
        relay = self.start(NOTIFY_SOCKET=self.name, WATCHDOG_USEC="200000")
        self.assertEqual(self.notify.recv(4096), b"READY=1")
        port = relay.port()
        with daemon(port, "worker"):
            heard = {self.notify.recv(4096) for _ in range(8)}
        self.assertIn(b"WATCHDOG=1", heard)
        self.assertTrue(any(text.startswith(b"STATUS=server: ") for text in heard), heard)
        self.assertEqual(relay.end(), 0)
        self.notify.settimeout(0)
        self.assertEqual(self.listening.heard()[-1], "STOPPING=1\nSTATUS=stopping")

    def test_a_start_that_fails_is_never_ready(self) -> None:
        """A port that is taken, for example."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        relay = self.start("--listen", listen, NOTIFY_SOCKET=self.name)
        self.assertEqual(relay.finish(), 1)
        self.notify.settimeout(0)
        self.assertEqual(self.listening.heard(), ["STOPPING=1\nSTATUS=stopping"])

    def test_a_reactor_that_does_not_turn_gives_no_sign_of_life(self) -> None:
        """A process that stands still is what a watchdog is for."""
        relay = self.start(NOTIFY_SOCKET=self.name, WATCHDOG_USEC="200000")
        relay.port()
        while self.notify.recv(4096) != b"WATCHDOG=1":
            pass
        relay.process.send_signal(signal.SIGSTOP)
        self.notify.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            for _ in range(10):
                self.notify.recv(4096)
        relay.process.send_signal(signal.SIGCONT)
        self.notify.settimeout(PATIENCE)
        self.assertEqual(self.notify.recv(4096), b"WATCHDOG=1")


class UnitTests(SynchronousTestCase):
    """``deploy/``, as systemd reads it."""

    def analyze(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Ask systemd, about copies that run a program which is there."""
        if shutil.which("systemd-analyze") is None:
            raise SkipTest("there is no systemd-analyze here: the units are not checked")
        directory = Path(self.mktemp())
        directory.mkdir()
        for unit in DEPLOY.glob("makima-relay.*"):
            text = re.sub(r"/opt/makima-relay/[\w./-]*/(twistd|lend-secrets)", "/bin/true", unit.read_text())
            (directory / unit.name).write_text(text)
        return subprocess.run(
            ["systemd-analyze", "--no-pager", *arguments],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def test_systemd_understands_every_line(self) -> None:
        """Without a warning."""
        for unit in sorted(path.name for path in DEPLOY.glob("makima-relay.*")):
            result = self.analyze("verify", "--man=no", f"./{unit}")
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""), unit)

    def test_the_service_is_exposed_as_little_as_is_written_down(self) -> None:
        """``docs/deployment.md`` tells the score that systemd gives it; 10 is bare, 0 is sealed."""
        result = self.analyze("security", "--offline=yes", "./makima-relay.service")
        found = re.search(r"Overall exposure level for makima-relay\.service: ([0-9.]+)", result.stdout)
        assert found is not None, result.stdout + result.stderr
        written = re.search(r"exposure level ([0-9.]+)", (ROOT / "docs/deployment.md").read_text())
        assert written is not None
        self.assertLessEqual(float(found[1]), float(written[1]))

    def test_the_relay_has_time_to_stop_and_files_for_its_daemons(self) -> None:
        """What the service allows is more than what the relay needs."""
        text = (DEPLOY / "makima-relay.service").read_text()
        lines = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z]\w+=", line))
        self.assertGreater(int(lines["TimeoutStopSec"]), 4)
        self.assertGreater(int(lines["LimitNOFILE"]), 10_000)
        self.assertEqual((lines["UMask"], lines["StateDirectoryMode"]), ("0077", "0700"))

    def test_an_end_that_was_meant_is_left_to_the_socket(self) -> None:
        """Or a relay that hibernates would be started again at once."""
        self.assertIn("\nRestart=on-failure\n", (DEPLOY / "makima-relay.service").read_text())

    def test_a_reload_renews_the_copies_of_secrets_before_the_relay_reads_them(self) -> None:
        """In this order; the relay's file is among them."""
        text = (DEPLOY / "makima-relay.service").read_text()
        lend, hang_up = re.findall(r"^ExecReload=(.*)$", text, re.MULTILINE)
        self.assertEqual(lend, "+/opt/makima-relay/deploy/lend-secrets")
        self.assertIn(f"\nExecStartPre={lend}\n", text)
        self.assertEqual(hang_up, "/bin/kill -HUP $MAINPID")
        self.assertIn("\nEnvironment=MAKIMA_API_KEY_FILE=%t/makima-relay/api-key\n", text)


class SecretsTests(SynchronousTestCase):
    """``deploy/lend-secrets``, which root runs."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.secrets, self.lent = self.directory / "secrets", self.directory / "lent"
        self.secrets.mkdir(parents=True)
        self.lent.mkdir(mode=0o700)

    def lend(self) -> None:
        """Do as root does before a start, and before a reload."""
        environment = {"RUNTIME_DIRECTORY": str(self.lent), "PATH": os.defpath}
        subprocess.run([str(DEPLOY / "lend-secrets"), str(self.secrets)], env=environment, check=True)
        self.assertEqual({path.name for path in self.directory.iterdir()}, {"secrets", "lent"})

    def test_the_relay_has_copies_that_it_alone_can_read_and_that_follow_a_change(self) -> None:
        """Directories and hidden files are none of them."""
        (self.secrets / "old").mkdir()
        (self.secrets / ".hidden").touch()
        (self.secrets / "admin token").write_text("t")
        for key in ("one", "another"):
            (self.secrets / "api-key").write_text(key)
            self.lend()
            found = {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in self.lent.iterdir()}
            self.assertEqual(found, {"admin token": ("t", 0o400), "api-key": (key, 0o400)})

    def test_root_follows_no_link_that_the_relay_has_made(self) -> None:
        """A relay that somebody else has taken over could have root overwrite, or give away, whatever it likes."""
        elsewhere = Path(self.mktemp())
        elsewhere.mkdir()
        (elsewhere / "file").write_text("not the relay's")
        (self.secrets / "api-key").write_text("key")
        (self.secrets / "token").write_text("t")
        for name, target in (("api-key", "file"), ("api-key.new", "file"), ("token", "."), ("token.new", ".")):
            (self.lent / name).symlink_to((elsewhere / target).absolute())
        self.lend()
        self.assertEqual([path.name for path in elsewhere.iterdir()], ["file"])
        self.assertEqual((elsewhere / "file").read_text(), "not the relay's")
        for name, secret in (("api-key", "key"), ("token", "t")):
            self.assertFalse((self.lent / name).is_symlink())
            self.assertEqual((self.lent / name).read_text(), secret)

    def test_without_secrets_there_is_nothing_to_do(self) -> None:
        """The relay says what it misses."""
        self.secrets.rmdir()
        environment = {"RUNTIME_DIRECTORY": str(self.lent), "PATH": os.defpath}
        subprocess.run([str(DEPLOY / "lend-secrets"), str(self.secrets)], env=environment, check=True)
        self.assertEqual(list(self.lent.iterdir()), [])
