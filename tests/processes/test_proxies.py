"""The example configurations of ``deploy/`` for reverse proxies: nginx and Caddy in front of a real relay."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import socket
import ssl
import subprocess
import threading
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SkipTest
from websockets.sync.client import ClientConnection, connect

from tests.processes.certificates import make_certificate
from tests.processes.harness import KEY, PATIENCE, ROOT, ask, say, until
from tests.processes.test_relay import ProcessTestCase

DEPLOY = ROOT / "deploy"
_TOKEN = "an-admin-token"
#: What stands around the site in nginx's own configuration, so that it runs in a directory of the test's.
_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    include {site};
}}
"""


class EventSource:
    """An HTTP server that sends an event, and the next each time it is told to go on.

    :ivar port: where it listens, on loopback.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.go_on = threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
                for number in range(3):
                    connection.sendall(b"data: %d\n\n" % number)
                    self.go_on.acquire(timeout=PATIENCE)

    def stop(self) -> None:
        """Listen no more."""
        self.go_on.release(3)
        self._socket.close()


class ProxyTests:
    """What holds behind every proxy; mixed into a case that knows one.

    :cvar program: its command.
    """

    program: ClassVar[str]

    def setUp(self) -> None:
        """Look whether it is there."""
        found = shutil.which(self.program)
        if found is None:
            raise SkipTest(f"{self.program} is not installed, so its example configuration was not tried")
        super().setUp()  # type: ignore[misc]
        self.command = found
        self.certificate, self.key = make_certificate(self.directory.absolute(), "127.0.0.1")
        self.context = ssl.create_default_context(cafile=self.certificate)

    def command_line(self, port: int, backend: int) -> tuple[list[str], list[str]]:
        """Write the configuration.

        :return: the commands that check it and that run the proxy with it.
        """
        raise NotImplementedError

    def changed(self, name: str, changes: dict[str, str]) -> str:
        """A configuration of ``deploy/`` with what an operator changes, and the ports of the test."""
        text = (DEPLOY / name).read_text()
        for old, new in changes.items():
            assert old in text, f"{old!r} is not in {name}"
            text = text.replace(old, new)
        return text

    def proxied(self, backend: int) -> int:
        """Run the proxy in front of a port; the one that it listens on."""
        port = _free_port()
        check, run = self.command_line(port, backend)
        environment = {"HOME": str(self.directory.absolute()), "PATH": "/usr/bin:/bin"}
        checked = subprocess.run(check, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert checked.returncode == 0, checked.stderr
        log = self.directory / "proxy.log"
        with log.open("wb") as output:
            process = subprocess.Popen(run, env=environment, stdout=output, stderr=output)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, f"the proxy ended:\n{log.read_text()}"
        return port

    def relay(self, *options: str, **environment: str) -> int:
        """Start a relay, and the proxy in front of it; the proxy's port."""
        self.relay_port = self.start(*options, **environment).port()
        return self.proxied(self.relay_port)

    def fetch(self, port: int, path: str, method: str = "GET", body: str | None = None, **headers: str) -> HTTPResponse:
        """Ask through the proxy; the connection is closed at the test's end."""
        connection = HTTPSConnection("127.0.0.1", port, context=self.context, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request(method, path, body, headers)
        return connection.getresponse()

    def daemon_through(self, port: int, path: str = "/ws/daemon") -> ClientConnection:
        """Connect a daemon through the proxy, and authenticate it."""
        worker = self.enterContext(connect(f"wss://127.0.0.1:{port}{path}", ssl=self.context))
        say(worker, type="authenticate", apiKey=KEY, hostname="worker", maxConcurrentTasks=1)
        assert json.loads(worker.recv(PATIENCE))["type"] == "authenticated"
        return worker

    def test_a_task_goes_through_the_proxy_and_back(self) -> None:
        """Also when the proxy has just carried HTTP: a daemon's connection to the relay is a new one."""
        port = self.relay()
        server = self.server.relay()
        for _ in range(3):
            self.assertEqual(json.load(self.fetch(port, "/status"))["connectedDaemons"], 0)
        worker = self.daemon_through(port)
        spawn = say(server, type="spawnTask", taskId="t-1", plan="naïve ☕ " + "x" * 100_000)
        self.assertEqual(worker.recv(PATIENCE), spawn)
        report = say(worker, type="taskComplete", taskId="t-1", success=True)
        self.assertEqual(self.server.hear(1), [report])

    def test_daemons_that_append_the_path_twice_connect_too(self) -> None:
        """Both of the relay's paths are passed on as upgrades."""
        port = self.relay()
        self.daemon_through(port, "/ws/daemon/ws/daemon")
        self.assertEqual(ask(self.relay_port, "/status")["connectedDaemons"], 1)

    def test_closes_keep_their_code(self) -> None:
        """What the relay says before it closes a connection reaches the daemon."""
        port = self.relay()
        with connect(f"wss://127.0.0.1:{port}/ws/daemon", ssl=self.context) as stranger:
            say(stranger, type="authenticate", apiKey="wrong", hostname="worker")
            self.assertEqual(json.loads(stranger.recv(PATIENCE))["code"], "unauthorized")
            until(lambda: stranger.close_code is not None)
            self.assertEqual(stranger.close_code, 4401)

    def test_a_browser_signs_in_with_a_cookie_for_https_alone(self) -> None:
        """The relay learns by X-Forwarded-Proto how it was asked, by Host under which name."""
        port = self.relay(MAKIMA_RELAY_ADMIN_TOKEN=_TOKEN)
        origin = {"Origin": f"https://127.0.0.1:{port}"}
        answer = self.fetch(port, "/session", "POST", json.dumps({"token": _TOKEN}), **origin)
        cookie = answer.getheader("set-cookie") or ""
        self.assertEqual((answer.status, cookie.endswith("; Secure")), (204, True))
        signed_in = self.fetch(port, "/reconnect", "POST", Cookie=cookie.partition(";")[0], **origin)
        self.assertEqual(signed_in.status, 202)
        self.assertEqual(self.fetch(port, "/tasks", Origin="https://elsewhere.example").status, 403)

    def test_slashes_in_a_task_id_stay_escaped(self) -> None:
        """A proxy that decodes the path would ask for another route."""
        port = self.relay()
        say(self.server.relay(), type="spawnTask", taskId="a/b")
        until(lambda: ask(self.relay_port, "/tasks")["total"] == 1)
        self.assertEqual(json.load(self.fetch(port, "/tasks/a%2Fb"))["taskId"], "a/b")

    def test_each_event_goes_out_as_it_comes(self) -> None:
        """A proxy that gathered them would show nothing until it has enough."""
        source = EventSource()
        self.addCleanup(source.stop)
        answer = self.fetch(self.proxied(source.port), "/events")
        for number in range(3):
            self.assertEqual(answer.readline() + answer.readline(), b"data: %d\n\n" % number)
            source.go_on.release()


def _free_port() -> int:
    """A port below those that connections are given, or one that asks whether it is open could connect to itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE):
        return True
    return False


class NginxTests(ProxyTests, ProcessTestCase):
    """``deploy/nginx.conf``."""

    program = "nginx"

    def command_line(self, port: int, backend: int) -> tuple[list[str], list[str]]:
        """See :meth:`ProxyTests.command_line`."""
        directory = self.directory.absolute()
        changes = {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "listen [::]:443 ssl;": "",
            "server 127.0.0.1:8787;": f"server 127.0.0.1:{backend};",
            "/etc/ssl/relay.example/fullchain.pem": str(self.certificate),
            "/etc/ssl/relay.example/privkey.pem": str(self.key),
        }
        site = directory / "site.conf"
        site.write_text(self.changed("nginx.conf", changes))
        main = directory / "nginx.conf"
        main.write_text(_NGINX.format(site=site))
        run = [self.command, "-p", str(directory), "-c", str(main)]
        return [*run, "-t"], run


class CaddyTests(ProxyTests, ProcessTestCase):
    """``deploy/Caddyfile``."""

    program = "caddy"

    def command_line(self, port: int, backend: int) -> tuple[list[str], list[str]]:
        """See :meth:`ProxyTests.command_line`."""
        site = (
            f"{{\n\tadmin off\n\tauto_https off\n}}\n\nhttps://127.0.0.1:{port} {{\n\ttls {self.certificate} {self.key}"
        )
        changes = {"relay.example {": site, "127.0.0.1:8787": f"127.0.0.1:{backend}"}
        file: Path = self.directory.absolute() / "Caddyfile"
        file.write_text(self.changed("Caddyfile", changes))
        options = ["--config", str(file), "--adapter", "caddyfile"]
        return [self.command, "validate", *options], [self.command, "run", *options]
