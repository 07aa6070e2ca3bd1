"""Putting the stand-ins together: where they listen, whom they connect to, what they pass on."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox import SandboxError, bug_in_one_line
from makima_relay.sandbox.serving import is_local, serve, shown_address
from makima_relay.sandbox.working import peer_url, without_settings


@attrs.frozen
class OpenPort:
    """A port on whatever interface was asked for."""

    address: IPv4Address

    def getHost(self) -> IPv4Address:
        """Where it is."""
        return self.address

    def stopListening(self) -> None:
        """There is nothing to stop."""


class LoopbackReactor(MemoryReactorClock):  # type: ignore[misc]
    """A reactor whose ports know on which interface they are."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> OpenPort:
        """Listen."""
        return OpenPort(IPv4Address("TCP", interface, port))


class BusyReactor(MemoryReactorClock):  # type: ignore[misc]
    """A reactor on whose machine every port is taken."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Refuse."""
        raise CannotListenError(interface, port, OSError(98, "Address already in use"))


class ServeTests(SynchronousTestCase):
    """A server from start to stop."""

    def setUp(self) -> None:
        """Make a reactor."""
        self.reactor = MemoryReactorClock()
        self.said: list[str] = []

    def serve(self, listen: str, key: str | None) -> Deferred[int]:
        """Start a server."""
        return Deferred.fromCoroutine(serve(self.reactor, listen, key, self.said.append))

    def test_it_announces_where_it_listens(self) -> None:
        """On this machine it needs no key of its own."""
        self.reactor = LoopbackReactor()
        serving = self.serve("tcp:8788:interface=127.0.0.1", None)
        self.assertEqual(self.said, ["key: sandbox (MAKIMA_API_KEY is not set)", "listening on 127.0.0.1:8788"])
        self.assertNoResult(serving)
        serving.cancel()
        self.assertEqual(self.successResultOf(serving), 0)

    def test_for_other_machines_it_needs_a_key(self) -> None:
        """They could have commands run. The key itself is not said."""
        error = self.failureResultOf(self.serve("tcp:8788", None), SandboxError)
        self.assertIn("set MAKIMA_API_KEY", error.getErrorMessage())
        serving = self.serve("tcp:8788", "secret")
        self.assertNoResult(serving)
        self.assertEqual(self.said, ["listening on 0.0.0.0:8788"])

    def test_an_endpoint_that_cannot_be_is_one_line(self) -> None:
        """It names the option, and what was given."""
        for listen in ("nonsense", "tcp:x", "tcp:8788:colour=red"):
            message = self.failureResultOf(self.serve(listen, None), SandboxError).getErrorMessage()
            self.assertTrue(message.startswith("--listen: "), message)
            self.assertIn(listen.partition(":")[0], message)
            self.assertNotIn("\n", message)

    def test_a_port_that_is_taken_is_one_line(self) -> None:
        """With the system's reason."""
        self.reactor = BusyReactor()
        message = self.failureResultOf(self.serve("tcp:8788", None), SandboxError).getErrorMessage()
        self.assertEqual(message, "--listen tcp:8788: Address already in use")

    def test_addresses(self) -> None:
        """Who can reach them, and how they are shown."""
        for address, local, shown in (
            (IPv4Address("TCP", "127.0.0.1", 1), True, "127.0.0.1:1"),
            (IPv4Address("TCP", "0.0.0.0", 1), False, "0.0.0.0:1"),
            (IPv6Address("TCP", "::1", 1), True, "[::1]:1"),
            (IPv6Address("TCP", "::", 1), False, "[::]:1"),
            (UNIXAddress("/run/s"), True, "UNIXAddress('/run/s')"),
        ):
            self.assertEqual((is_local(address), shown_address(address)), (local, shown))


class WorkingTests(SynchronousTestCase):
    """What a daemon is given."""

    def test_the_path_is_appended_to_the_url(self) -> None:
        """Unless it is there."""
        for url in ("ws://h:1", "ws://h:1/", "ws://h:1/ws/daemon"):
            self.assertEqual(peer_url(url), "ws://h:1/ws/daemon")

    def test_a_url_that_is_none_is_one_line(self) -> None:
        """What may be secret in it is not said."""
        for url in ("http://u:secret@h", "ws://", "h:1", "ws://h/?token=secret#x", "ws://h:99999"):
            with self.assertRaises(SandboxError) as caught:
                peer_url(url)
            self.assertIn("--server-url", str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))

    def test_commands_do_not_get_the_settings(self) -> None:
        """There are secrets among them."""
        environment = {"PATH": "/bin", "MAKIMA_API_KEY": "k", "MAKIMA_RELAY_ADMIN_TOKEN": "t"}
        self.assertEqual(without_settings(environment), {"PATH": "/bin"})


class BugTests(SynchronousTestCase):
    """Errors that nobody foresaw."""

    def test_a_bug_is_one_line_with_its_place(self) -> None:
        """Enough to find it by."""
        with self.assertRaises(KeyError) as caught:
            {}["x"]
        line = bug_in_one_line(caught.exception)
        self.assertRegex(line, r"^this is a bug: KeyError\('x'\) in .*test_serving\.py, line \d+$")
