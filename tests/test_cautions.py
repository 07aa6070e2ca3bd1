"""What an operator is warned of."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cautions import clear_port, clear_upstream, is_lent, readable_by_others, writable_by_others
from makima_relay.endpoints import TLSEndpoint

EVERYWHERE = IPv4Address("TCP", "0.0.0.0", 8787)


class FileTests(SynchronousTestCase):
    """Modes of files."""

    def setUp(self) -> None:
        """Have a file in a directory."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(0o700)
        self.path = directory / "secret"
        self.path.touch()

    def test_a_secret_that_others_can_read_is_named(self) -> None:
        """With its mode, and what to do."""
        for mode in (0o604, 0o640, 0o644, 0o666):
            self.path.chmod(mode)
            self.assertEqual(
                readable_by_others("X_FILE", self.path),
                [f"X_FILE: others can read {str(self.path)!r} (mode {mode:04o}); chmod 600 it"],
            )

    def test_a_secret_of_its_own_is_not(self) -> None:
        """Nor is one that is not there, which others speak of."""
        for mode in (0o600, 0o400):
            self.path.chmod(mode)
            self.assertEqual(readable_by_others("X_FILE", self.path), [])
        self.path.unlink()
        self.assertEqual(readable_by_others("X_FILE", self.path), [])

    def test_a_secret_that_root_lends_to_the_relays_group_is_not(self) -> None:
        """The relay could not read it otherwise; it is not so if it is root's or the relay's own, or for everybody."""

        def found(mode: int, owner: int, group: int) -> os.stat_result:
            return os.stat_result((mode, 0, 0, 1, owner, group, 0, 0, 0, 0))

        self.assertTrue(is_lent(found(0o440, 0, 10), 5, 10))
        for mode, owner, group, user in ((0o444, 0, 10, 5), (0o440, 5, 10, 5), (0o440, 0, 11, 5), (0o440, 0, 10, 0)):
            self.assertFalse(is_lent(found(mode, owner, group), user, 10), (mode, owner, group, user))

    def test_a_directory_that_others_can_write_is_named(self) -> None:
        """They could put another database into the place of the relay's."""
        for mode, warned in ((0o700, False), (0o755, False), (0o770, True), (0o702, True), (0o1777, True)):
            self.path.parent.chmod(mode)
            lines = writable_by_others(self.path)
            self.assertEqual(bool(lines), warned, oct(mode))
            if lines:
                self.assertIn(f"the directory {str(self.path.parent)!r} (mode {mode:04o})", lines[0])


class ConnectionTests(SynchronousTestCase):
    """Connections in clear."""

    def test_a_server_elsewhere_should_be_encrypted(self) -> None:
        """One on this machine need not."""
        for url, warned in (
            ("ws://makima.example", True),
            ("ws://user:secret@10.0.0.1:80/x?token=secret", True),
            ("ws://[2001:db8::1]/", True),
            ("wss://makima.example", False),
            ("ws://localhost:8000", False),
            ("ws://user@127.0.0.1", False),
            ("ws://[::1]:80", False),
        ):
            lines = clear_upstream(url)
            self.assertEqual(bool(lines), warned, url)
            self.assertFalse(any("secret" in line for line in lines))

    def test_a_port_that_others_reach_should_be_encrypted(self) -> None:
        """One on loopback and a UNIX socket need not; what systemd passes goes by its address."""
        cases: list[tuple[object, IAddress, bool]] = [
            (None, EVERYWHERE, True),
            (None, IPv6Address("TCP", "::", 1), True),
            (None, IPv4Address("TCP", "10.0.0.1", 1), True),
            (None, IPv4Address("TCP", "127.0.0.1", 1), False),
            (None, IPv6Address("TCP", "::1", 1), False),
            (None, UNIXAddress(b"/run/relay"), False),
            (TLSEndpoint(None, 1, None, 1, ""), EVERYWHERE, False),  # type: ignore[arg-type]
        ]
        for endpoint, address, warned in cases:
            lines = clear_port("an endpoint", endpoint, address)
            self.assertEqual(bool(lines), warned, address)
