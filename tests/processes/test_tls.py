"""TLS in both directions: the server is verified, and the relay can speak it to daemons."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from pathlib import Path

from websockets.sync.client import connect

from tests.processes.certificates import make_certificate
from tests.processes.harness import KEY, PATIENCE, StandInServer, ask, ask_until, say
from tests.processes.test_relay import ProcessTestCase


def answer_in_clear(server: socket.socket) -> None:
    """Be a server that knows HTTP only, until its socket is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class UpstreamTests(ProcessTestCase):
    """``wss://`` is verified: chain and host name."""

    def serve(self, name: str) -> tuple[StandInServer, Path]:
        """Have a server with a certificate for a name; its file is what vouches for it."""
        certificate, key = make_certificate(self.directory, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = StandInServer(context=context)
        self.addCleanup(server.stop)
        return server, certificate.absolute()

    def reason(self, port: int) -> str:
        """Why the first attempt failed."""
        logs = ask_until(port, "/logs", lambda answer: answer["logs"][0]["event"] == "upstream_error")["logs"]
        return str(logs[0]["detail"])

    def test_a_server_that_the_given_file_vouches_for_is_accepted(self) -> None:
        """``--upstream-ca`` takes the place of the system's store."""
        server, certificate = self.serve("127.0.0.1")
        port = self.start("--server-url", server.url, "--upstream-ca", str(certificate)).port()
        server.relay()
        self.assertEqual(ask_until(port, "/status", lambda answer: answer["upstreamConnected"])["status"], "ok")

    def test_an_untrusted_certificate_is_a_failed_attempt_with_its_reason(self) -> None:
        """There is no fallback to an unverified connection."""
        server, _ = self.serve("127.0.0.1")
        port = self.start("--server-url", server.url).port()
        self.assertEqual(
            self.reason(port),
            "connecting to the server failed: TLS: the server's certificate is not trusted: "
            "it is self-signed, expired, or of an unknown authority",
        )
        self.assertFalse(ask(port, "/status")["upstreamConnected"])

    def test_a_wrong_host_name_is_a_failed_attempt_with_its_reason(self) -> None:
        """A trusted certificate of somebody else is not good enough."""
        server, certificate = self.serve("other.example")
        port = self.start("--server-url", server.url, "--upstream-ca", str(certificate)).port()
        self.assertIn("the certificate is not for this host name", self.reason(port))

    def test_a_server_without_tls_is_a_failed_attempt_with_its_reason(self) -> None:
        """It is not tried in clear."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        threading.Thread(target=answer_in_clear, args=(server,), daemon=True).start()
        port = self.start("--server-url", f"wss://127.0.0.1:{server.getsockname()[1]}").port()
        self.assertIn("TLS: the server does not speak TLS on this port", self.reason(port))


class DownstreamTests(ProcessTestCase):
    """An ``ssl:`` endpoint."""

    def test_daemons_connect_over_tls(self) -> None:
        """HTTP and WebSocket share the endpoint, as without TLS."""
        certificate, key = make_certificate(self.directory, "localhost")
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={key.absolute()}:certKey={certificate.absolute()}"
        port = self.start("--listen", endpoint).port()
        context = ssl.create_default_context(cafile=certificate)
        with connect(f"wss://localhost:{port}/ws/daemon", ssl=context) as daemon:
            say(daemon, type="authenticate", apiKey=KEY, hostname="worker")
            self.assertEqual(json.loads(daemon.recv(PATIENCE))["type"], "authenticated")

    def test_clients_that_could_speak_something_else_are_told_what_is_spoken(self) -> None:
        """As browsers and curl do (RFC 7301)."""
        certificate, key = make_certificate(self.directory, "localhost")
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={key.absolute()}:certKey={certificate.absolute()}"
        port = self.start("--listen", endpoint).port()
        context = ssl.create_default_context(cafile=certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
        address = ("127.0.0.1", port)
        with (
            socket.create_connection(address, PATIENCE) as clear,
            context.wrap_socket(clear, server_hostname="localhost") as connection,
        ):
            self.assertEqual(connection.selected_alpn_protocol(), "http/1.1")
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
        with connect(f"wss://localhost:{port}/ws/daemon", ssl=context) as daemon:
            say(daemon, type="authenticate", apiKey=KEY, hostname="worker")
            self.assertEqual(json.loads(daemon.recv(PATIENCE))["type"], "authenticated")
