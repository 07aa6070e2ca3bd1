"""TLS on a port: whoever is refused or sent away is gone soon."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.tls import ServingCertificate, certificate_files
from makima_relay.tls_port import FAREWELL, BoundedTLSFactory
from tests.test_endpoints import make_certificate
from tests.wire import MemoryTransport


class Refusing(Factory):
    """Wants no connection."""

    def buildProtocol(self, addr: IAddress | None) -> None:
        """Refuse."""


class TLSPortTests(SynchronousTestCase):
    """One connection, in memory."""

    def setUp(self) -> None:
        """Have a port, and a client that has shaken hands."""
        self.reactor = Clock()
        directory = Path(self.mktemp())
        directory.mkdir()
        key, certificate = make_certificate(directory)
        self.certificate = ServingCertificate(
            certificate_files({"privateKey": str(key), "certKey": str(certificate)}),
        )
        self.inside = Protocol()
        self.factory = BoundedTLSFactory(self.certificate, Factory.forProtocol(lambda: self.inside), self.reactor)
        self.client = self.shake_hands()

    def shake_hands(self) -> ssl.SSLObject:
        """Connect a client up to the end of the handshake."""
        outer = self.factory.buildProtocol(None)
        assert outer is not None
        self.transport = MemoryTransport(self.reactor, outer)
        outer.makeConnection(self.transport)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(self.incoming, self.outgoing)
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            self.exchange()
        self.assertIsNotNone(client.cipher())
        return client

    def exchange(self) -> None:
        """Carry what either end has for the other."""
        if self.outgoing.pending:
            self.transport.deliver(self.outgoing.read())
        self.reactor.advance(0)
        self.incoming.write(self.transport.value())
        self.transport.clear()

    def test_a_factory_may_refuse_a_connection(self) -> None:
        """As it may without TLS: the port closes it."""
        self.assertIsNone(BoundedTLSFactory(self.certificate, Refusing(), self.reactor).buildProtocol(None))

    def test_who_does_not_say_good_bye_is_cut(self) -> None:
        """After a while in which it can take what is left for it."""
        assert self.inside.transport is not None
        self.inside.transport.loseConnection()
        self.reactor.advance(FAREWELL - 0.1)
        self.assertFalse(self.transport.lost)
        self.reactor.advance(0.1)
        self.reactor.advance(0)
        self.assertTrue(self.transport.lost)

    def test_who_says_good_bye_is_gone_at_once(self) -> None:
        """And no timer stays behind."""
        assert self.inside.transport is not None
        self.inside.transport.loseConnection()
        self.exchange()
        with contextlib.suppress(ssl.SSLError):
            self.client.unwrap()
        self.exchange()
        self.reactor.advance(0)
        self.assertTrue(self.transport.lost)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
