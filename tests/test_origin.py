"""Where a request comes from: the rules for ``Origin`` and ``Host``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.origin import is_foreign, is_loopback, names_loopback


class OriginTests(SynchronousTestCase):
    """Requests that a web page makes a browser send."""

    def test_who_sends_no_origin_is_not_foreign(self) -> None:
        """Only browsers send one."""
        self.assertFalse(is_foreign(None, b"localhost:8787"))
        self.assertFalse(is_foreign(None, None))

    def test_a_page_of_the_relay_itself_is_not_foreign(self) -> None:
        """Host and port are compared, and the scheme gives the port where none is named."""
        for origin, host in (
            (b"http://localhost:8787", b"localhost:8787"),
            (b"https://edge.example", b"edge.example"),
            (b"https://edge.example", b"edge.example:443"),
            (b"http://edge.example:80", b"edge.example"),
            (b"HTTP://Edge.Example", b"edge.example"),
            (b"http://[::1]:8787", b"[::1]:8787"),
            (b"http://127.0.0.1:1", b"127.0.0.1:1"),
        ):
            self.assertFalse(is_foreign(origin, host), (origin, host))

    def test_every_other_page_is_foreign(self) -> None:
        """Also when its name begins or ends like ours, and what is no origin at all."""
        for origin in (
            b"null",
            b"",
            b"http://evil.example",
            b"http://localhost",
            b"https://localhost",
            b"http://localhost:8788",
            b"http://localhost:8787.evil.example",
            b"http://localhost:8787@evil.example",
            b"http://sub.localhost:8787",
            b"localhost:8787",
            b"//localhost:8787",
            b"file:///localhost:8787",
            b"chrome-extension://localhost:8787",
            b"http://localhost:port",
            b"http://localhost:99999",
            b"http://[::1",
            b"http://\xff",
        ):
            self.assertTrue(is_foreign(origin, b"localhost:8787"), origin)

    def test_without_a_usable_host_every_origin_is_foreign(self) -> None:
        """There is nothing to compare it with."""
        for host in (None, b"", b"\xff", b"a b", b"user@localhost", b"localhost/path", b"localhost:port"):
            self.assertTrue(is_foreign(b"http://localhost", host), host)


class LoopbackTests(SynchronousTestCase):
    """Names and addresses of this machine alone."""

    def test_loopback_names_are_recognized(self) -> None:
        """localhost, 127.0.0.0/8 and [::1], with or without a port."""
        for host in (
            b"localhost",
            b"LocalHost:8787",
            b"127.0.0.1",
            b"127.255.255.254:80",
            b"[::1]",
            b"[::1]:8787",
        ):
            self.assertTrue(names_loopback(host), host)

    def test_other_names_are_not(self) -> None:
        """Not even those that resolve to this machine: a page's author may have seen to that."""
        for host in (
            None,
            b"",
            b":8787",
            b"localhost.evil.example",
            b"127.0.0.1.evil.example",
            b"evil.example:8787",
            b"10.0.0.1",
            b"0.0.0.0",
            b"[::]",
            b"[2001:db8::1]",
            b"evil@localhost",
            b"localhost:port",
            b"localhost/x",
            b"127.1",
            b"2130706433",
            b"\xff",
        ):
            self.assertFalse(names_loopback(host), host)

    def test_addresses_are_told_apart(self) -> None:
        """IPv4 in IPv6 clothes too."""
        for address in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(address), address)
        for address in ("0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "::ffff:10.0.0.1", "fe80::1", "localhost", ""):
            self.assertFalse(is_loopback(address), address)
