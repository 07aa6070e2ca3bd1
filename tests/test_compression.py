"""permessage-deflate between the relay's own two ends: what one compresses the other understands."""

from __future__ import annotations

import json

from makima_relay.connector import Connector
from makima_relay.connector_options import Backoff, ConnectorOptions
from tests.connector_case import RecordingUser
from tests.relay_case import KEY, RelayTestCase
from tests.wire import ADDRESS, MemoryEndpoint, MemoryTransport

LIMIT = 50_000


class CompressionTests(RelayTestCase):
    """A connector as the daemon of a relay, both with compression."""

    def setUp(self) -> None:
        """Connect them, up to the answer to the first message."""
        super().setUp()
        self.make_daemons(compression=True, max_message_size=LIMIT)
        self.user = RecordingUser()
        endpoint = MemoryEndpoint(self.reactor)
        hello = json.dumps({"type": "authenticate", "apiKey": KEY, "hostname": "d"}).encode()
        options = ConnectorOptions(
            url="ws://relay.example/ws/daemon",
            headers={},
            hello=hello,
            backoff=Backoff(1.0, 60.0),
            compression=True,
        )
        Connector(self.user, endpoint, options, self.clock).connect()
        (attempt,) = endpoint.attempts
        ends = [attempt.factory.buildProtocol(ADDRESS), self.daemons.buildProtocol(ADDRESS)]
        self.transports = []
        for end in ends:
            assert end is not None
            self.transports.append(MemoryTransport(self.reactor, end))
            end.makeConnection(self.transports[-1])
        assert ends[0] is not None
        attempt.done.callback(ends[0])
        self.pump()

    def pump(self) -> int:
        """Carry over what either end has written until neither writes any more.

        :return: how many bytes that were.
        """
        carried = 0
        while any(transport.value() for transport in self.transports):
            for source, target in (self.transports, self.transports[::-1]):
                data = source.value()
                source.clear()
                target.deliver(data)
                carried += len(data)
            self.reactor.advance(0)
        return carried

    def report(self, output: str) -> bytes:
        """Have the daemon report."""
        payload = json.dumps({"type": "log", "output": output}).encode()
        assert self.user.link is not None
        self.user.link.send_text(payload)
        return payload

    def test_messages_arrive_as_they_were_and_take_less_room(self) -> None:
        """In both directions."""
        self.assertEqual(self.user.notes[0][0], "connected")
        server = self.go_live()
        server.take()
        payload = self.report("again and " * 1000)
        self.assertLess(self.pump(), len(payload) / 10)
        self.assertEqual([frame.payload for frame in server.take()], [payload])
        spawn = server.send("spawnTask", taskId="t", plan="again and " * 1000)
        self.assertLess(self.pump(), len(spawn) / 10)
        self.assertEqual(self.user.notes[-1], ("received", spawn))

    def test_the_size_limit_is_for_what_was_compressed(self) -> None:
        """A small frame cannot blow up: 1009."""
        self.report("x" * (LIMIT - 1000))
        self.pump()
        self.assertEqual(self.engine.relay.reports_waiting, 1)
        self.report("x" * 100 * LIMIT)
        self.pump()
        self.assertEqual(self.engine.relay.reports_waiting, 1)
        (entry,) = self.journal("daemon_disconnected")
        self.assertIn("closed with 1009", entry.detail)
