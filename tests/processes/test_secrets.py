"""What a relay that is fed secrets and terminal sequences writes, and where."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from makima_relay.new_key import new_key
from tests.processes.harness import KEY, PATIENCE, ROOT, RelayProcess, ask_until, daemon, say, until
from tests.processes.test_relay import ProcessTestCase

TOKEN = "token/of+the=operator"
#: In the URL of the server.
USER, WORD, QUERY = "operator-7", "p@ss-w0rd", "a query/value"
DAEMON_KEY = new_key()
SECRETS = (KEY, TOKEN, USER, WORD, QUERY, DAEMON_KEY)
NASTY = "\x1b]0;owned\x07 \x1b[2J \x9b31m \u202e \u2028 \x00 \r\n2024-01-01T00:00:00+0000 [forged#info] never was"


#: ``twistd`` in a process in which everything goes wrong that can, and says so in every way that there is.
CRYING = """
import sys, threading, warnings
from twisted.internet import defer, reactor
from twisted.logger import Logger
from twisted.python import log
from twisted.scripts.twistd import run

words = sys.argv.pop(1)

def cry():
    print(words)
    sys.stderr.write(words + "\\n")
    warnings.warn(words)
    log.msg(words)
    log.err(ValueError(words), words)
    Logger().critical("{words} {words!r}", words=words)
    defer.fail(ValueError(words))
    threading.Thread(target=raising).start()
    reactor.callLater(0, raising)

def raising():
    raise ValueError(words)

reactor.callWhenRunning(cry)
run()
"""


def in_all_clothes() -> str:
    """All secrets, as they are, quoted and in Base64."""
    shown = [form for each in SECRETS for form in (each, quote(each, safe=""), b64encode(each.encode()).decode())]
    return " ".join(shown)


class SecretsTests(ProcessTestCase):
    """The log, the journal and the process list."""

    def url(self) -> str:
        """The server's, with secrets in it."""
        where = self.server.url.removeprefix("ws://")
        return f"ws://{USER}:{quote(WORD)}@{where}/?token={quote(QUERY, safe='')}"

    def feed(self, port: int) -> None:
        """Give the relay what it should not show, by every way in."""
        words, name = in_all_clothes() + NASTY, f"{KEY} {NASTY}"
        server = self.server.relay()
        say(server, type="error", code=words, message=words)
        say(server, type=words)
        say(server, type="spawnTask", taskId=name)
        server.send(words.replace("\x00", ""))
        for members in ({"hostname": name}, {"hostname": "h", "machineId": name}, {"hostname": words}):
            with connect(f"ws://127.0.0.1:{port}/ws/daemon") as worker:
                say(worker, type="authenticate", apiKey=KEY, **members)
                worker.recv(PATIENCE)
                with contextlib.suppress(ConnectionClosed):
                    say(worker, type=words, taskId=words)
                    say(worker, type="taskOutput", taskId=name)
                    worker.close(4000, NASTY[:20])
        with contextlib.suppress(AssertionError, ConnectionClosed), daemon(port, "h", key=DAEMON_KEY + "x"):
            pass
        with contextlib.suppress(InvalidStatus), connect(f"ws://127.0.0.1:{port}/ws/daemon/{quote(KEY)}"):
            pass
        for head in (
            f"GET /tasks/{quote(NASTY)}{KEY} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            f"\x1b[2J{KEY} / HTTP/1.1\r\nHost: {WORD}\r\n\r\n",
            f"GET /ws/daemon HTTP/1.1\r\nUpgrade: websocket\r\n\x1b{TOKEN}: \x9b\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as browser:
                browser.sendall(head.encode())
                browser.shutdown(socket.SHUT_WR)
                while browser.recv(4096):
                    pass
        server.close(4000, NASTY[:20])

    def assert_clean(self, text: str) -> None:
        """Neither a secret nor a control character is in a text, and no line was forged."""
        for secret in SECRETS:
            for form in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("=")[:-1]):
                self.assertNotIn(form, text)
        for line in text.split("\n"):
            self.assertTrue(line.replace("\t", "").isprintable(), repr(line))
            self.assertIsNone(re.match(r"2024-01-01T00:00:00", line), line)
        self.assertGreater(text.count("[secret]"), 20)
        self.assertGreater(text.count(r"\x1b"), 20)
        self.assertIn("Traceback", text)

    def test_the_log_has_neither_secrets_nor_control_characters(self) -> None:
        """However the relay is started."""
        log = self.directory / "relay.log"
        for arguments in (("makima-relay",), ("--logfile=relay.log", "makima-relay"), ("-y", str(ROOT / "relay.tac"))):
            relay = self.start_crying(arguments)
            port = self.port_in(log) if "--logfile=relay.log" in arguments else relay.port()
            self.feed(port)
            ask_until(port, "/status", lambda status: status["upstreamConnected"])
            self.server.relay()
            self.assertEqual(relay.end(), 0)
            self.assert_clean(log.read_text() if "--logfile=relay.log" in arguments else relay.output())

    def start_crying(self, arguments: tuple[str, ...]) -> RelayProcess:
        """Start a relay in a process in which everything goes wrong."""
        script = self.directory / "crying.py"
        script.write_text(CRYING)
        words = (in_all_clothes() + NASTY).replace("\x00", "")
        twistd = (sys.executable, str(script.absolute()), words)
        return self.start(
            arguments=arguments, twistd=twistd, MAKIMA_SERVER_URL=self.url(), MAKIMA_RELAY_ADMIN_TOKEN=TOKEN
        )

    @staticmethod
    def port_in(log: Path) -> int:
        """The port that a relay says it listens on, once it does."""
        until(lambda: log.exists() and "listening on" in log.read_text())
        found = re.search(r"listening on .*port=(\d+)", log.read_text())
        assert found is not None
        return int(found[1])

    def test_the_journal_has_neither(self) -> None:
        """Nor what is kept of it in the database."""
        (self.directory / "token").write_text(TOKEN)
        relay = self.start(MAKIMA_SERVER_URL=self.url(), MAKIMA_RELAY_ADMIN_TOKEN_FILE="token")
        port = relay.port()
        self.feed(port)
        (self.directory / "token").write_text("another-token")
        relay.process.send_signal(signal.SIGHUP)
        relay.wait_for("settings_reloaded")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/logs?limit=200", headers={"Authorization": "Bearer another-token"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            answer = json.load(response)
        relay.end()
        self.assertGreater(len(answer["logs"]), 10)
        for entry in answer["logs"]:
            shown = " ".join(str(value) for value in entry.values())
            self.assertTrue(shown.isprintable(), shown)
            for secret in SECRETS:
                self.assertNotIn(secret, shown)

    def test_children_and_the_process_list_have_no_secret(self) -> None:
        """The environment keeps no secret that a child would inherit."""
        relay = self.start(MAKIMA_SERVER_URL=self.url(), MAKIMA_RELAY_ADMIN_TOKEN=TOKEN)
        relay.port()
        arguments = Path(f"/proc/{relay.process.pid}/cmdline").read_bytes()
        for secret in SECRETS:
            self.assertNotIn(secret.encode(), arguments)
        limits = Path(f"/proc/{relay.process.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 ")

    def test_a_url_with_a_secret_as_an_option_is_warned_of(self) -> None:
        """The process list shows options."""
        relay = self.start("--server-url", self.url())
        relay.wait_for("--server-url: it holds a secret, which the process list shows; set MAKIMA_SERVER_URL instead")
        relay.port()
        self.assertEqual(relay.end(), 0)

    def test_a_crash_shows_no_secret(self) -> None:
        """What the interpreter itself says at the end goes the same way."""
        relay = self.start(MAKIMA_SERVER_URL=self.url())
        relay.port()
        relay.process.send_signal(signal.SIGQUIT)
        self.assertEqual(relay.finish(), -signal.SIGQUIT)
        for secret in SECRETS:
            self.assertNotIn(secret, relay.output())


class FileTests(ProcessTestCase):
    """Modes of files, and warnings of them."""

    def start_with_umask(self, umask: int, *options: str) -> RelayProcess:
        """Start a relay with a umask."""
        before = os.umask(umask)
        try:
            return self.start(*options)
        finally:
            os.umask(before)

    def test_all_that_the_relay_makes_is_for_its_user_only(self) -> None:
        """Whatever the umask."""
        relay = self.start_with_umask(0, "--database", "state/relay.sqlite3")
        relay.port()
        say(self.server.relay(), type="spawnTask", taskId="t")
        relay.wait_for("upstream_connected")
        state = self.directory / "state"
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (state, *state.iterdir())}
        relay.end()
        self.assertEqual(modes.pop("state"), 0o700)
        names = {"relay.sqlite3", "relay.sqlite3-wal", "relay.sqlite3-shm", "relay.sqlite3.lock"}
        self.assertEqual(modes, dict.fromkeys(names, 0o600))

    def test_files_and_connections_that_others_can_see_are_warned_of_once_each(self) -> None:
        """In one line each, at the start."""
        (self.directory / ".env").write_text(f"MAKIMA_RELAY_ADMIN_TOKEN={TOKEN}\n")
        (self.directory / ".env").chmod(0o644)
        self.directory.chmod(0o777)
        relay = self.start("--listen", "tcp:0", "--server-url", "ws://makima.invalid")
        relay.port()
        relay.wait_for("connecting to the server failed")
        relay.end()
        warnings = [line for line in relay.lines if "#warn]" in line]
        for start in (
            "--listen: tcp:0 is not encrypted",
            "--server-url: ws://makima.invalid is not encrypted",
            "--database: others can write the directory",
            "--env-file: others can read",
        ):
            self.assertEqual(sum(start in line for line in warnings), 1, relay.output())
        self.assertEqual(len(warnings), 4)

    def test_what_is_well_kept_is_not_warned_of(self) -> None:
        """On loopback, with files of one's own."""
        self.directory.chmod(0o755)
        (self.directory / ".env").write_text(json.dumps("") + "\n")
        relay = self.start()
        relay.port()
        self.server.relay()
        relay.end()
        self.assertNotIn("#warn]", relay.output())
