"""The daemons' connections: joining, being refused, being sent away."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.fleet import daemon_id_of
from makima_relay.downstream import LONGEST_HELLO, shown_address
from tests.fakes import HandStore, elapse, unavailable
from tests.frames import BINARY, CLOSE, PING, TEXT, encode_frame, upgrade_request
from tests.relay_case import KEY, RelayTestCase
from tests.wire import ADDRESS, Peer

HELLO = {"apiKey": KEY, "machineId": "m", "hostname": "h", "maxConcurrentTasks": 3}


class DownstreamTestCase(RelayTestCase):
    """Looks at how connections end."""

    def assert_sent_away(self, peer: Peer, close_code: int, error: str | None = None, type_: str = "error") -> None:
        """The peer was told an error, or nothing, and then closed; when it answers that, the connection ends."""
        *told, close = peer.take()
        self.assertEqual(close.opcode, CLOSE)
        self.assertEqual(close.close_code, close_code)
        expected = [] if error is None else [(type_, error)]
        self.assertEqual([(frame.message["type"], frame.message["code"]) for frame in told], expected)
        self.assertFalse(peer.lost)
        peer.send_close(close_code)
        self.assertTrue(peer.lost)


class JoinTests(DownstreamTestCase):
    """Daemons that are let in."""

    def test_the_answer_has_the_id_that_the_machine_always_has(self) -> None:
        """It is made from the machine's id alone."""
        peer = self.connect()
        peer.send("authenticate", **HELLO)
        self.assertEqual(peer.take_messages(), [{"type": "authenticated", "daemonId": daemon_id_of("m")}])
        (daemon,) = self.engine.relay.daemons()
        self.assertEqual((daemon.hostname, daemon.capacity, daemon.address), ("h", 3, "192.168.1.1:54321"))

    def test_the_key_may_come_in_a_header(self) -> None:
        """As bearer token, in whatever case, or under a name of its own."""
        for headers in (
            {"Authorization": f"Bearer {KEY}"},
            {"authorization": f"bearer  {KEY} "},
            {"X-Makima-API-Key": KEY},
        ):
            peer = self.connect(headers=headers)
            peer.send("authenticate", hostname="h")
            self.assertEqual([each["type"] for each in peer.take_messages()], ["authenticated"], headers)

    def test_a_wrong_key_in_a_header_is_refused(self) -> None:
        """Other schemes than Bearer are none."""
        for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"X-Makima-API-Key": ""}):
            peer = self.connect(headers=headers)
            peer.send("authenticate", hostname="h")
            # Each further failure is answered later.
            self.reactor.advance(0.5)
            self.assert_sent_away(peer, 4401, "unauthorized")

    def test_all_that_the_relay_says_is_spelled_as_the_daemon_spells(self) -> None:
        """``Authenticate`` gets ``Authenticated``, ``Error``, ``InterruptTask``."""
        peer = self.connect()
        peer.send("Authenticate", **HELLO)
        peer.send_text(b"no JSON")
        server = self.go_live()
        server.send("spawnTask", taskId="t")
        self.engine.cancel_requested("t")
        types = [each["type"] for each in peer.take_messages()]
        self.assertEqual(types, ["Authenticated", "Error", "spawnTask", "InterruptTask"])

    def test_a_first_message_in_the_segment_of_the_upgrade_counts(self) -> None:
        """Nothing is lost of what comes early."""
        peer = Peer(self.reactor, self.daemons.buildProtocol(ADDRESS), masks=True)
        hello = json.dumps({"type": "authenticate", **HELLO}).encode()
        peer.deliver(upgrade_request() + encode_frame(TEXT, hello, masked=True))
        peer.take_head()
        self.assertEqual([each["type"] for each in peer.take_messages()], ["authenticated"])

    def test_compression_is_agreed_on_only_when_asked_for(self) -> None:
        """By the operator and by the daemon."""
        offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
        for compression, headers, agreed in ((False, offer, False), (True, offer, True), (True, {}, False)):
            self.make_daemons(compression=compression)
            peer = Peer(self.reactor, self.daemons.buildProtocol(ADDRESS), masks=True)
            peer.deliver(upgrade_request(headers=headers))
            self.assertEqual(b"permessage-deflate" in peer.take_head(), agreed, (compression, headers))


class RefusalTests(DownstreamTestCase):
    """Every row of *Refusals and closes* that begins here."""

    def test_a_first_message_that_is_not_authenticate_is_refused_with_4401(self) -> None:
        """``unauthenticated``, 4401; what follows is not looked at."""
        peer = self.connect()
        peer.send("heartbeat", apiKey=KEY)
        peer.send("authenticate", **HELLO)
        self.assert_sent_away(peer, 4401, "unauthenticated")
        self.assertEqual(self.engine.relay.daemons(), [])

    def test_a_wrong_key_is_refused_with_4401(self) -> None:
        """``unauthorized``, 4401; the key is logged nowhere."""
        logged: list[LogEvent] = []
        observer: Any = logged.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        peer = self.connect()
        peer.send("authenticate", **{**HELLO, "apiKey": "nearly-right"})
        self.assert_sent_away(peer, 4401, "unauthorized")
        (entry,) = self.journal("daemon_rejected")
        self.assertEqual(entry.fields, {"address": "192.168.1.1:54321"})
        elapse(self.reactor, 1)
        self.assertGreater(len(logged), 0)
        self.assertNotIn("nearly-right", repr([entry, logged]))

    def test_silence_is_closed_with_4408(self) -> None:
        """4408 after 10 s, without a message."""
        peer = self.connect()
        elapse(self.reactor, 9.99)
        self.assertEqual(peer.take(), [])
        elapse(self.reactor, 0.02)
        self.assert_sent_away(peer, 4408)
        self.assertEqual(len(self.journal("daemon_rejected")), 1)

    def test_a_bad_member_of_authenticate_is_refused_with_4400(self) -> None:
        """``invalid_message``, 4400, in the daemon's spelling."""
        for bad in ({"hostname": None}, {"machineId": 7}, {"maxConcurrentTasks": -1}):
            peer = self.connect()
            peer.send("Authenticate", **{**HELLO, **bad})
            self.assert_sent_away(peer, 4400, "invalid_message", "Error")

    def test_invalid_messages_are_answered_until_the_tenth(self) -> None:
        """Nine leave the connection standing, the tenth closes it with 4400 after its answer."""
        peer = self.join()
        invalid = [
            b"{",
            b"[]",
            b"{}",
            b'{"type":""}',
            b'{"type":"taskComplete","taskId":"t"}',
            b'{"type":"x","taskId":1}',
        ]
        for payload in (invalid * 2)[:9]:
            peer.send_text(payload)
            (answer,) = peer.take_messages()
            self.assertEqual((answer["type"], answer["code"]), ("error", "invalid_message"), payload)
        peer.send("taskOutput", taskId="t")
        self.assertEqual(peer.take(), [])
        peer.send("authenticate", **HELLO)
        self.assert_sent_away(peer, 4400, "invalid_message")

    def test_in_one_read_what_follows_the_tenth_invalid_message_is_not_looked_at(self) -> None:
        """What goes before it counts, in its order."""
        server = self.go_live()
        server.take()
        peer = self.join()
        payloads = [b'{"type":"one"}', *[b"{"] * 9, b'{"type":"two"}', b"[]", b'{"type":"three"}', b"{}"]
        peer.deliver(b"".join(encode_frame(TEXT, payload, masked=True) for payload in payloads))
        self.assertEqual([each["type"] for each in server.take_messages()], ["one", "two"])
        *errors, close = peer.take()
        self.assertEqual(
            ([each.message["code"] for each in errors], close.close_code), (["invalid_message"] * 10, 4400)
        )

    def test_a_second_connection_of_a_machine_closes_the_first_with_4409(self) -> None:
        """4409 for the older one; its tasks pass to the newer one."""
        server = self.go_live()
        older = self.join()
        server.send("spawnTask", taskId="t")
        older.send("taskOutput", taskId="t")
        older.take()
        newer = self.join()
        self.assert_sent_away(older, 4409)
        newer.send("heartbeat", activeTasks=["t"])
        (daemon,) = self.engine.relay.daemons()
        task = self.engine.relay.task("t")
        assert task is not None
        self.assertEqual((daemon.tasks, task.status.value), ({"t"}, "running"))

    def test_a_binary_message_is_closed_with_1003(self) -> None:
        """1003, before and after the first message."""
        for peer in (self.connect(), self.join()):
            peer.send_frame(BINARY, b"{}")
            self.assert_sent_away(peer, 1003)

    def test_a_message_over_the_limit_is_closed_with_1009(self) -> None:
        """1009, one byte over it; also when it comes in pieces."""
        self.make_daemons(max_message_size=1000)
        peer = self.join()
        peer.send_text(b'{"type":"log","x":"' + b"x" * 979 + b'"}')
        self.assertEqual(peer.take(), [])
        self.assertEqual(self.engine.relay.reports_waiting, 1)
        peer.send_text(b'{"type":"log","x":"' + b"x" * 980 + b'"}')
        self.assert_sent_away(peer, 1009)
        peer = self.join("other")
        peer.deliver(bytes([TEXT, 0x80 | 126, 2, 88, 0, 0, 0, 0]) + b"x" * 600)
        peer.deliver(bytes([0x80, 0x80 | 126, 2, 88, 0, 0, 0, 0]) + b"x" * 600)
        self.assertEqual([frame.close_code for frame in peer.take()], [1009])

    def test_a_first_message_may_have_64_kib(self) -> None:
        """Whoever has not authenticated yet cannot have more of it kept: 1009."""
        for size, code in ((LONGEST_HELLO, None), (LONGEST_HELLO + 1, 1009)):
            hello = json.dumps(HELLO | {"type": "authenticate"}).encode()[:-1] + b',"x":"'
            hello += b"x" * (size - len(hello) - 2) + b'"}'
            for compression in (False, True):
                self.make_daemons(compression=compression)
                peer = self.connect()
                peer.deliver(encode_frame(TEXT, hello[:100], masked=True, final=False))
                peer.deliver(encode_frame(0, hello[100:], masked=True))
                (answer, *_) = peer.take()
                self.assertEqual(None if answer.opcode == TEXT else answer.close_code, code, size)
        daemon = self.join("later")
        daemon.send_text(b'{"type":"log","x":"' + b"x" * (1 << 20) + b'"}')
        self.assertEqual(self.engine.relay.reports_waiting, 1)

    def test_text_that_is_no_utf8_is_closed_with_1007(self) -> None:
        """1007: such a message must not get to the server."""
        peer = self.join()
        peer.send_text(b'{"type":"log","x":"\xff"}')
        self.assertEqual([frame.close_code for frame in peer.take()], [1007])
        self.assertEqual(self.engine.relay.reports_waiting, 0)

    def test_more_connections_than_are_allowed_are_refused_with_1013(self) -> None:
        """``overloaded``, 1013, whether those that are open have authenticated or not; room is made by a leave."""
        self.make_daemons(max_daemons=2)
        self.join()
        waiting = self.connect()
        self.assert_sent_away(self.connect(), 1013, "overloaded")
        self.assertEqual(waiting.take(), [])
        waiting.lose()
        self.join("other")
        self.assertIn("overloaded", self.journal("daemon_rejected")[0].detail)

    def test_a_stopping_relay_closes_with_1001(self) -> None:
        """1001 for everybody, authenticated or not; it is over when all have gone."""
        peers = [self.join(), self.connect()]
        self.daemons.close_all("the relay stops")
        closed = self.daemons.all_closed()
        for peer in peers:
            self.assertNoResult(closed)
            self.assert_sent_away(peer, 1001)
        self.successResultOf(closed)
        self.successResultOf(self.daemons.all_closed())


class EndTests(DownstreamTestCase):
    """Connections that do not end well."""

    def test_a_peer_that_does_not_take_part_in_the_close_is_cut_off(self) -> None:
        """After a second."""
        peer = self.connect()
        peer.send("heartbeat")
        elapse(self.reactor, 0.99)
        self.assertFalse(peer.lost)
        elapse(self.reactor, 0.02)
        self.assertTrue(peer.lost)
        self.successResultOf(self.daemons.all_closed())

    def test_a_daemon_that_is_sent_away_gets_no_more_tasks(self) -> None:
        """They would be lost with a connection that the relay itself is closing."""
        server, leaving, staying = self.go_live(), self.join("a"), self.join("b")
        for _ in range(10):
            leaving.send_text(b"no JSON")
        server.send("spawnTask", taskId="t1")
        server.send("spawnTask", taskId="t2")
        self.assertEqual([message["taskId"] for message in staying.take_messages()], ["t1", "t2"])

    def test_a_daemon_that_takes_nothing_is_dropped_before_it_fills_the_memory(self) -> None:
        """Its tasks wait for it; another daemon is served all the while."""
        server, slow, other = self.go_live(), self.join("a"), self.join("b")
        server.send("spawnTask", taskId="t1")
        server.send("spawnTask", taskId="t2")
        (link,) = [link for link in self.daemons.open if link.transport is slow.transport]
        link.transport.producer.pauseProducing()
        large = "x" * (1 << 20)
        for _ in range(40):
            server.send("sendInput", taskId="t1", text=large)
        elapse(self.reactor, 0)
        self.assertTrue(slow.lost)
        server.send("sendInput", taskId="t2", text="hello")
        self.assertEqual(other.take_messages()[-1]["text"], "hello")
        (entry,) = self.journal("daemon_disconnected")
        self.assertIn("does not take what it is sent", entry.detail)
        task = self.engine.relay.task("t1")
        assert task is not None
        self.assertEqual(task.status.value, "orphaned")

    def test_a_daemon_that_takes_no_pongs_gets_one_when_it_does(self) -> None:
        """Pings without end do not fill the memory either."""
        daemon = self.join("a")
        (link,) = self.daemons.open
        link.transport.producer.pauseProducing()
        for number in range(1_000):
            daemon.send_frame(PING, b"%d" % number)
        self.assertEqual(daemon.take(), [])
        link.transport.producer.resumeProducing()
        pongs = [frame.payload for frame in daemon.take()]
        self.assertEqual(pongs, [b"0", b"999"])
        daemon.send_frame(PING, b"more")
        self.assertEqual([frame.payload for frame in daemon.take()], [b"more"])

    def test_while_the_database_cannot_be_written_a_daemon_is_sent_away(self) -> None:
        """Nothing it says could be read; it comes back later, as after an overload."""
        store = HandStore()
        self.start(store)
        elapse(self.reactor, 0.05)
        store.commits[-1].fails(unavailable())
        peer = self.connect()
        peer.send("authenticate", apiKey=KEY, hostname="d")
        answer, close = peer.take()
        self.assertEqual((answer.message["code"], close.close_code), ("unavailable", 1013))
        speller, stranger = self.connect(), self.connect()
        speller.send("Authenticate", apiKey=KEY, hostname="d")
        self.assertEqual(speller.take()[0].message["type"], "Error")
        stranger.send("authenticate", apiKey="wrong", hostname="d")
        self.assertEqual(stranger.take()[1].close_code, 4401)

    def test_of_very_many_daemons_little_is_read_at_a_time(self) -> None:
        """Or one turn of the reactor would be long; few have large reads."""
        sizes = []
        for number in range(64):
            self.join(f"d{number}")
            sizes.append(min(link.transport.bufferSize for link in self.daemons.open))
        self.assertEqual((sizes[0], sizes[-1]), (64 << 10, 32 << 10))

    def test_a_daemon_that_was_slow_for_a_while_is_not_dropped(self) -> None:
        """What waited counts no more when it was taken."""
        server, daemon = self.go_live(), self.join("a")
        server.send("spawnTask", taskId="t1")
        (link,) = self.daemons.open
        for _ in range(4):
            link.transport.producer.pauseProducing()
            for _ in range(10):
                server.send("sendInput", taskId="t1", text="x" * (1 << 20))
            link.transport.producer.resumeProducing()
        elapse(self.reactor, 0)
        self.assertFalse(daemon.lost)

    def test_a_daemon_that_takes_steadily_what_it_is_sent_is_not_dropped(self) -> None:
        """However much it was in all, and although something always waits."""
        server, daemon = self.go_live(), self.join("a")
        server.send("spawnTask", taskId="t1")
        (link,) = self.daemons.open
        link.transport.producer.pauseProducing()
        for _ in range(100):
            server.send("sendInput", taskId="t1", text="x" * (1 << 20))
            daemon.take()
        self.assertFalse(daemon.lost)

    def test_a_daemon_may_close_by_itself(self) -> None:
        """Its code is echoed, and the journal has it."""
        peer = self.join()
        peer.send_close(1000, b"bye")
        self.assertEqual([frame.close_code for frame in peer.take()], [1000])
        self.assertTrue(peer.lost)
        (entry,) = self.journal("daemon_disconnected")
        self.assertIn("closed with 1000 (bye)", entry.detail)
        self.assertEqual(self.engine.relay.daemons(), [])

    def test_a_cut_connection_is_a_lost_daemon(self) -> None:
        """Its tasks are orphaned."""
        server = self.go_live()
        peer = self.join()
        server.send("spawnTask", taskId="t")
        peer.lose()
        task = self.engine.relay.task("t")
        assert task is not None
        self.assertEqual(task.status.value, "orphaned")

    def test_nothing_is_left_on_the_clock_when_all_have_gone(self) -> None:
        """No timer of a connection outlives it."""
        self.engine.settled()
        before = len(self.reactor.getDelayedCalls())
        for peer in (self.connect(), self.join(), self.join()):
            peer.lose()
        self.engine.settled()
        self.assertEqual(len(self.reactor.getDelayedCalls()), before)

    def test_a_connection_that_ends_before_its_upgrade_counts_for_nothing(self) -> None:
        """It was never open."""
        peer = Peer(self.reactor, self.daemons.buildProtocol(ADDRESS), masks=True)
        peer.deliver(b"GET /ws/dae")
        peer.lose()
        self.successResultOf(self.daemons.all_closed())


class AddressTests(SynchronousTestCase):
    """Where a daemon comes from."""

    def test_addresses_are_shown_for_people(self) -> None:
        """IPv6 in brackets; a UNIX socket has no address worth showing."""
        addresses: list[tuple[Any, str]] = [
            (IPv4Address("TCP", "10.0.0.7", 5), "10.0.0.7:5"),
            (IPv6Address("TCP", "::1", 5), "[::1]:5"),
            (UNIXAddress(None), "unix"),
        ]
        for address, shown in addresses:
            self.assertEqual(shown_address(address), shown)
