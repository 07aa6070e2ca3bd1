"""Keys and certificates: which are taken, and what becomes of them when they are read again."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.endpoints import StartError, TLSEndpoint, server_endpoint
from makima_relay.tls import CertificateFiles, ServerTrust, ServingCertificate, TLSFilesError, describe_tls
from tests.processes.certificates import make_certificate

#: The extension of a client's first message that lists the versions of TLS: 1.3 and 1.2 (RFC 8446, 4.2.1).
OFFERS_1_3_AND_1_2 = bytes.fromhex("002b 0005 04 0304 0303")


class CertificateTestCase(SynchronousTestCase):
    """Has a key and its certificate."""

    def setUp(self) -> None:
        """Make them."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.certificate, self.key = make_certificate(self.directory, "localhost")
        self.other_directory = self.directory / "other"
        self.other_directory.mkdir()
        self.other_certificate, self.other_key = make_certificate(self.other_directory, "localhost")
        self.files = CertificateFiles(self.certificate, self.key)

    def handshake(
        self, serving: ServingCertificate, ciphers: str = "DEFAULT", **client: Any
    ) -> tuple[x509.Certificate, str]:
        """Shake hands with a client.

        :param ciphers: those of the client.
        :param client: what else its context has.
        :return: the certificate that it saw, and the version of TLS.
        """
        ours, theirs = socket.socketpair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(ciphers)
        for name, value in client.items():
            setattr(context, name, value)
        server = threading.Thread(target=self.serve, args=(serving, ours))
        server.start()
        try:
            with context.wrap_socket(theirs) as connection:
                return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b""), str(
                    connection.version()
                )
        finally:
            theirs.close()
            server.join()
            ours.close()

    @staticmethod
    def serve(serving: ServingCertificate, ours: socket.socket) -> None:
        """Take part in a handshake, whatever becomes of it."""
        connection = SSL.Connection(serving.getContext(), ours)
        connection.set_accept_state()
        while True:
            try:
                return connection.do_handshake()
            except SSL.WantReadError:
                select.select([ours], [], [], 5)
            except SSL.Error:
                return None

    def seen(self, serving: ServingCertificate) -> bytes:
        """The certificate that a client sees, PEM."""
        return self.handshake(serving)[0].public_bytes(serialization.Encoding.PEM)


class ServingCertificateTests(CertificateTestCase):
    """What an ``ssl:`` endpoint shows."""

    def test_new_files_are_for_new_handshakes(self) -> None:
        """As soon as they are read again."""
        serving = ServingCertificate(self.files)
        first = self.certificate.read_bytes()
        self.assertFalse(serving.read_again())
        self.certificate.write_bytes(self.other_certificate.read_bytes())
        self.key.write_bytes(self.other_key.read_bytes())
        self.assertEqual(self.seen(serving), first)
        self.assertTrue(serving.read_again())
        self.assertEqual(self.seen(serving), self.other_certificate.read_bytes())
        self.assertFalse(serving.read_again())

    def test_what_cannot_be_used_leaves_what_there_was(self) -> None:
        """A file that is missing, no PEM, or of another key; the error names it in one line."""
        serving = ServingCertificate(self.files)
        good, good_key = self.certificate.read_bytes(), self.key.read_bytes()
        for certificate, key, words in (
            (b"", good_key, f"{str(self.certificate)!r} has no certificate"),
            (good[:200] + good[-40:], good_key, f"{str(self.certificate)!r} has a certificate that cannot be read"),
            (good, b"junk", f"{str(self.key)!r} has no private key"),
            (good, self.other_key.read_bytes(), "cannot be used together: key values mismatch"),
            (self.other_certificate.read_bytes(), good_key, "cannot be used together: key values mismatch"),
        ):
            self.certificate.write_bytes(certificate)
            self.key.write_bytes(key)
            said = str(self.assertRaises(TLSFilesError, serving.read_again))
            self.assertIn(words, said)
            self.assertNotIn("\n", said)
            self.assertEqual(self.seen(serving), good)
        self.key.unlink()
        said = str(self.assertRaises(TLSFilesError, serving.read_again))
        self.assertEqual(said, f"{str(self.key)!r} cannot be read: No such file or directory")
        self.assertEqual(self.seen(serving), good)

    def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(self) -> None:
        """There is nobody at the terminal."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
        self.key.write_bytes(locked)
        said = str(self.assertRaises(TLSFilesError, ServingCertificate, self.files))
        self.assertEqual(said, f"{str(self.key)!r} has no private key without a passphrase, in PEM")

    def test_certificates_behind_the_first_lead_to_an_authority(self) -> None:
        """As the usual tools write them, into one file; or in one of their own."""
        chain = self.directory / "chain.pem"
        chain.write_bytes(self.other_certificate.read_bytes())
        own = self.certificate.read_bytes()
        self.certificate.write_bytes(own + chain.read_bytes())
        for files in (self.files, CertificateFiles(self.certificate, self.key, chain)):
            self.assertEqual(self.seen(ServingCertificate(files)), own)
        self.assertEqual(len(self.files.load().extraCertChain), 1)
        self.assertEqual(len(CertificateFiles(self.certificate, self.key, chain).load().extraCertChain), 2)

    def test_tls_begins_with_1_2(self) -> None:
        """A client that has no newer one gets no connection."""
        serving = ServingCertificate(self.files)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            spoken = self.handshake(serving, minimum_version=version, maximum_version=version)[1]
            self.assertEqual(spoken, version.name.replace("_", "."))
        with self.assertRaises(ssl.SSLError) as caught:
            self.handshake(
                serving,
                ciphers="ALL:@SECLEVEL=0",
                minimum_version=ssl.TLSVersion.TLSv1,
                maximum_version=ssl.TLSVersion.TLSv1_1,
            )
        self.assertEqual(caught.exception.reason, "TLSV1_ALERT_PROTOCOL_VERSION")


class EndpointTests(CertificateTestCase):
    """``ssl:`` in a description."""

    def endpoint(self, text: str) -> TLSEndpoint:
        """What is made of it."""
        from twisted.internet import reactor

        endpoint = server_endpoint(reactor, text)
        assert isinstance(endpoint, TLSEndpoint)
        return endpoint

    def test_all_parts_count(self) -> None:
        """Also with a colon in a file's name, and with key and certificate in one file."""
        both = self.directory / "a:b.pem"
        both.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())
        name = str(both).replace(":", r"\:")
        endpoint = self.endpoint(rf"ssl:443:interface=\:\:1:privateKey={name}:backlog=7")
        self.assertEqual((endpoint._port, endpoint._interface, endpoint._backlog), (443, "::1", 7))
        self.assertEqual(endpoint.certificate.files, CertificateFiles(both, both))
        endpoint = self.endpoint(f"ssl:port=443:privateKey={self.key}:certKey={self.certificate}")
        self.assertEqual((endpoint._port, endpoint._interface, endpoint._backlog), (443, "", 1024))

    def test_files_that_cannot_be_used_are_named(self) -> None:
        """In one line, with the endpoint."""
        from twisted.internet import reactor

        text = "ssl:443:privateKey=/nowhere.pem"
        said = str(self.assertRaises(StartError, server_endpoint, reactor, text))
        self.assertEqual(said, f"--listen: {text!r}: '/nowhere.pem' cannot be read: No such file or directory")

    def test_what_ssl_does_not_take_is_named(self) -> None:
        """Above all a method, which would allow older versions of TLS."""
        from twisted.internet import reactor

        text = f"ssl:443:privateKey={self.key}:certKey={self.certificate}:sslmethod=TLSv1_METHOD"
        said = str(self.assertRaises(StartError, server_endpoint, reactor, text))
        self.assertIn("ssl: does not take sslmethod", said)


class ServerTrustTests(CertificateTestCase):
    """Whom the relay trusts."""

    def test_older_versions_are_forbidden_whatever_openssl_allows(self) -> None:
        """Its defaults differ from system to system."""
        for options in (self.files.load(), ServerTrust("localhost", None)._options._createConnection.__self__):
            for version in (SSL.OP_NO_SSLv3, SSL.OP_NO_TLSv1, SSL.OP_NO_TLSv1_1):
                self.assertTrue(options._options & version)

    def test_authorities_can_be_read_again(self) -> None:
        """What cannot be used leaves those that there were."""
        trust = ServerTrust("localhost", self.certificate)
        self.assertFalse(trust.read_again())
        self.certificate.write_bytes(self.other_certificate.read_bytes())
        self.assertTrue(trust.read_again())
        self.certificate.write_bytes(b"junk")
        said = str(self.assertRaises(TLSFilesError, trust.read_again))
        self.assertIn(f"{str(self.certificate)!r} has no certificate", said)
        self.certificate.write_bytes(self.other_certificate.read_bytes())
        self.assertFalse(trust.read_again())

    def test_the_system_s_store_is_not_read_again(self) -> None:
        """It is OpenSSL's to look into."""
        self.assertFalse(ServerTrust("localhost", None).read_again())

    def test_the_relay_offers_nothing_older_than_tls_1_2(self) -> None:
        """To no server."""
        trust = ServerTrust("localhost", None)
        protocol = TLSMemoryBIOFactory(trust, True, Factory.forProtocol(Protocol)).buildProtocol(None)  # noqa: FBT003 - a client
        connection = trust.clientConnectionForTLS(protocol)
        connection.set_connect_state()
        self.assertRaises(SSL.WantReadError, connection.do_handshake)
        self.assertIn(OFFERS_1_3_AND_1_2, connection.bio_read(4096))


class DescriptionTests(SynchronousTestCase):
    """Why a handshake failed, in words."""

    def test_reasons_have_words_of_their_own(self) -> None:
        """Not OpenSSL's list."""
        for reason, words in (
            ("certificate verify failed", "TLS: the server's certificate is not trusted: it is self-signed"),
            ("wrong version number", "TLS: the server does not speak TLS on this port"),
            ("tlsv1 alert protocol version", "TLS: the server has no version of TLS from 1.2 on"),
            ("no idea", "TLS: no idea"),
        ):
            said = describe_tls(SSL.Error([("SSL routines", "", reason), ("SSL routines", "", "more")]))
            self.assertTrue(said.startswith(words), said)
            self.assertNotIn("SSL routines", said)

    def test_no_reason_is_none(self) -> None:
        """OpenSSL does not always have one."""
        for error in (SSL.Error(), SSL.Error([])):
            self.assertEqual(describe_tls(error), "TLS: handshake failed")
