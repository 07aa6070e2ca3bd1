"""The listener behind real endpoints: TLS and a UNIX socket."""

from __future__ import annotations

import datetime
import select
import shutil
import tempfile
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.server import Site
from twisted.web.static import Data

from makima_relay.admission import Admission
from makima_relay.clock import Clock
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.downstream import DaemonFactory, DownstreamOptions
from makima_relay.endpoints import StartError, client_endpoint, server_endpoint, trust_for
from makima_relay.engine import Engine
from makima_relay.listener import Listener
from makima_relay.sockets import socket_of, unsent
from tests.fakes import InstantStore
from tests.frames import CLOSE, TEXT, decode_frames, encode_frame, upgrade_request

HELLO = b'{"type":"authenticate","apiKey":"the-key","hostname":"h"}'


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate of localhost.

    :return: the files of the key and of the certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = directory / "key.pem", directory / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file


class Client(Protocol):
    """Collects what comes until it is enough, or until the end.

    :ivar ended: fires when the connection has ended.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended: Deferred[None] = Deferred()
        self._wanted: tuple[bytes, Deferred[bytes]] | None = None

    def until(self, wanted: bytes) -> Deferred[bytes]:
        """Wait for some bytes.

        :return: fires with all that came so far.
        """
        done: Deferred[bytes] = Deferred()
        self._wanted = wanted, done
        self._look(0)
        return done

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        before = len(self.received)
        self.received += data
        self._look(before)

    def _look(self, before: int) -> None:
        """Look for what is wanted in what is new, which begins there; it may come in pieces."""
        if self._wanted is None:
            return
        wanted, done = self._wanted
        if self.received.find(wanted, max(0, before - len(wanted))) >= 0:
            self._wanted = None
            done.callback(bytes(self.received))

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Note the end."""
        self.ended.callback(None)


class EndpointTests(TestCase):
    """A relay that listens for real."""

    timeout = 180

    def setUp(self) -> None:
        """Have an engine and a listener, and a short path for files."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        engine = Engine(Relay(Policy()), InstantStore(), Clock(reactor), self.fail)
        engine.start()
        self.addCleanup(engine.stop)
        self.daemons = DaemonFactory(engine, Admission("the-key"), DownstreamOptions(), reactor)
        self.addCleanup(self.daemons.all_closed)
        page = Data(b"the page", "text/plain")
        page.isLeaf = True
        site = Site(page)
        site.noisy = False
        self.listener = Listener(self.daemons, site, reactor, 10.0, self.daemons.guard)

    @inlineCallbacks
    def listen(self, text: str) -> Any:
        """Listen on an endpoint."""
        port = yield server_endpoint(self.reactor, text).listen(self.listener)
        self.addCleanup(port.stopListening)
        return port

    @inlineCallbacks
    def assert_both_protocols(self, endpoint: IStreamClientEndpoint) -> Any:
        """A daemon that says all at once joins, and a browser gets its page."""
        daemon = yield endpoint.connect(Factory.forProtocol(Client))
        daemon.transport.write(upgrade_request() + encode_frame(TEXT, HELLO, masked=True))
        received = yield daemon.until(b'"daemonId":')
        head, _, frames = received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        self.assertEqual(decode_frames(frames)[0][0].message["type"], "authenticated")
        daemon.transport.write(encode_frame(CLOSE, b"\x03\xe8", masked=True))
        yield daemon.ended
        browser = yield endpoint.connect(Factory.forProtocol(Client))
        browser.transport.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        yield browser.ended
        self.assertTrue(browser.received.startswith(b"HTTP/1.1 200 OK\r\n"), browser.received)
        self.assertTrue(browser.received.endswith(b"\r\n\r\nthe page"), browser.received)

    @inlineCallbacks
    def assert_unsent_is_known(self, endpoint: IStreamClientEndpoint) -> Any:
        """What a daemon does not take is counted, to the byte or, encrypted, a little more."""
        daemon = yield endpoint.connect(Factory.forProtocol(Client))
        daemon.transport.write(upgrade_request() + encode_frame(TEXT, HELLO, masked=True))
        yield daemon.until(b'"daemonId":')
        daemon.transport.pauseProducing()
        (link,) = self.daemons.open
        self.assertEqual(unsent(link.transport), 0)
        sent = 8 << 20
        link.transport.write(b"x" * sent)
        yield deferLater(self.reactor, 0)
        waiting = unsent(link.transport)
        self.assertTrue(sent // 4 < waiting < sent * 1.01, waiting)
        self.assertEqual(socket_of(link.transport).bufferSize, 64 << 10)
        link.drop()
        daemon.transport.resumeProducing()
        yield daemon.ended

    @inlineCallbacks
    def assert_order_is_kept(self, endpoint: IStreamClientEndpoint) -> Any:
        """What the socket takes goes at once, the rest behind it, and what comes later behind that."""
        daemon = yield endpoint.connect(Factory.forProtocol(Client))
        daemon.transport.write(upgrade_request() + encode_frame(TEXT, HELLO, masked=True))
        head = yield daemon.until(b'"daemonId":')
        (link,) = self.daemons.open
        daemon.transport.pauseProducing()
        sent = [b'"first"', b'"%b"' % (b"x" * (8 << 20)), b'"third"']
        for payload in sent:
            link.send_text(payload)
        link.sendPing(b"p")
        link.send_text(b'"last"')
        daemon.transport.resumeProducing()
        received = yield daemon.until(b'"last"')
        frames, rest = decode_frames(received[head.index(b"\r\n\r\n") + 4 :])
        self.assertEqual([frame.payload for frame in frames][1:], [*sent, b"p", b'"last"'])
        self.assertEqual(rest, b"")
        link.drop()
        yield daemon.ended

    @inlineCallbacks
    def test_what_is_sent_keeps_its_order(self) -> Any:
        """On a plain connection, under TLS, on a UNIX socket."""
        port = yield self.listen("tcp:0:interface=127.0.0.1")
        yield self.assert_order_is_kept(TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port))
        key, certificate = make_certificate(self.directory)
        port = yield self.listen(f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}")
        options = optionsForClientTLS("localhost", trustRoot=Certificate.loadPEM(certificate.read_bytes()))
        plain = TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port)
        yield self.assert_order_is_kept(wrapClientTLS(options, plain))
        path = self.directory / "socket"
        yield self.listen(f"unix:{path}")
        yield self.assert_order_is_kept(UNIXClientEndpoint(self.reactor, str(path)))

    @inlineCallbacks
    def test_a_text_goes_at_once_if_nothing_waits(self) -> Any:
        """It is at the other end before the reactor has its next turn."""
        port = yield self.listen("tcp:0:interface=127.0.0.1")
        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port)
        daemon = yield endpoint.connect(Factory.forProtocol(Client))
        daemon.transport.write(upgrade_request() + encode_frame(TEXT, HELLO, masked=True))
        yield daemon.until(b'"daemonId":')
        (link,) = self.daemons.open
        # Also where the whole suite runs without the fast path.
        link.fast_frames = True
        link.send_text(b'"now"')
        socket = daemon.transport.socket
        select.select([socket], [], [], self.timeout)
        self.assertIn(b'"now"', socket.recv(1000))
        link.drop()
        yield daemon.ended

    @inlineCallbacks
    def test_what_a_daemon_does_not_take_is_known(self) -> Any:
        """On a plain connection, and under TLS."""
        port = yield self.listen("tcp:0:interface=127.0.0.1")
        yield self.assert_unsent_is_known(TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port))
        key, certificate = make_certificate(self.directory)
        port = yield self.listen(f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}")
        options = optionsForClientTLS("localhost", trustRoot=Certificate.loadPEM(certificate.read_bytes()))
        plain = TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port)
        yield self.assert_unsent_is_known(wrapClientTLS(options, plain))

    @inlineCallbacks
    def test_tls_endpoints_serve_both_protocols(self) -> Any:
        """Encrypted, with the certificate that the description names."""
        key, certificate = make_certificate(self.directory)
        port = yield self.listen(f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}")
        options = optionsForClientTLS("localhost", trustRoot=Certificate.loadPEM(certificate.read_bytes()))
        plain = TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port)
        yield self.assert_both_protocols(wrapClientTLS(options, plain))

    @inlineCallbacks
    def test_unix_endpoints_serve_both_protocols(self) -> Any:
        """For a proxy on the same machine."""
        path = self.directory / "socket"
        yield self.listen(f"unix:{path}")
        yield self.assert_both_protocols(UNIXClientEndpoint(self.reactor, str(path)))

    @inlineCallbacks
    def test_a_server_whose_certificate_is_in_the_file_is_trusted(self) -> Any:
        """``--upstream-ca`` stands for the system's store."""
        key, certificate = make_certificate(self.directory)
        port = yield self.listen(f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}")
        url = f"wss://localhost:{port.getHost().port}/"
        yield self.assert_both_protocols(client_endpoint(self.reactor, url, 5.0, trust_for(url, certificate)))


class BadEndpointTests(SynchronousTestCase):
    """Endpoints that cannot be."""

    def refused(self, text: str) -> str:
        """What is said about a description; always one line."""
        from twisted.internet import reactor

        said = str(self.assertRaises(StartError, server_endpoint, reactor, text))
        self.assertNotIn("\n", said)
        return said

    def test_a_description_that_is_none_is_refused(self) -> None:
        """It is named, and what is taken."""
        for text in ("", "8787", "carrier-pigeon:1", "tcp:", "tcp:port", "ssl:", "ssl:1:sslmethod=TLSv1_METHOD"):
            said = self.refused(text)
            self.assertTrue(said.startswith("--listen: "), said)
            self.assertIn("tcp:8787:interface=127.0.0.1", said)

    def test_a_socket_that_systemd_did_not_pass_is_refused(self) -> None:
        """By number or by name; what is no description of one is another matter."""
        for text in ("systemd:domain=INET:index=0", "systemd:domain=INET:name=makima-relay"):
            self.assertIn("systemd passed no such socket", self.refused(text))
        self.assertIn("it takes a Twisted endpoint", self.refused("systemd:domain=INET"))

    def test_a_host_that_no_certificate_can_name_is_refused(self) -> None:
        """TLS needs a name that can be checked."""
        for url in ("wss://a..b", "wss://my_server", f"wss://{'x' * 64}"):
            said = str(self.assertRaises(StartError, trust_for, url, None))
            self.assertTrue(said.startswith("--server-url: "), said)
            self.assertNotIn("\n", said)

    def test_a_file_of_certificates_that_is_none_is_refused(self) -> None:
        """Missing, or without a certificate."""
        empty = Path(self.mktemp())
        empty.write_text("nothing")
        for path, words in ((Path("/nowhere.pem"), "cannot be read"), (empty, "has no certificate")):
            said = str(self.assertRaises(StartError, trust_for, "wss://h", path))
            self.assertTrue(said.startswith(f"--upstream-ca: {str(path)!r} "), said)
            self.assertIn(words, said)
