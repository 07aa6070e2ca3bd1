"""The relay's connection to the server: heartbeats, messages, and what is said about trouble."""

from __future__ import annotations

from makima_relay.core.policy import Policy
from makima_relay.core.spelling import WireCase
from makima_relay.links import MOST_WAITING
from tests.fakes import EPOCH, HandStore, elapse, unavailable
from tests.frames import CLOSE, PING, PONG, TEXT, encode_frame
from tests.relay_case import KEY, RelayTestCase, only
from tests.wire import Peer, ServerPeer


class HeartbeatTests(RelayTestCase):
    """Telling the server which tasks are at work."""

    def test_a_heartbeat_goes_at_once_and_then_every_30_seconds(self) -> None:
        """Its time can be seen in the status."""
        server = self.go_live()
        beats = [(self.reactor.seconds(), server.take_messages())]
        for _ in range(120):
            elapse(self.reactor, 1.0)
            frames = server.take()
            for ping in only(frames, PING):
                server.send_frame(PONG, ping.payload)
            if only(frames, TEXT):
                beats.append((self.reactor.seconds(), [frame.message for frame in only(frames, TEXT)]))
        beat = [{"type": "heartbeat", "activeTasks": []}]
        self.assertEqual(beats, [(0.0, beat), (30.0, beat), (60.0, beat), (90.0, beat), (120.0, beat)])
        self.assertEqual(self.upstream.last_heartbeat, EPOCH + 120)

    def test_it_lists_the_tasks_that_are_at_work_over_all_daemons(self) -> None:
        """Dispatched, running and orphaned ones; neither pending nor finished ones."""
        server = self.go_live()
        daemons = [self.join("a", 2), self.join("b", 2)]
        for task_id in ("t1", "t2", "t3", "t4", "t5", "pending"):
            server.send("spawnTask", taskId=task_id)
        daemons[0].send("taskOutput", taskId="t1")
        daemons[0].send("taskComplete", taskId="t3", success=True)
        daemons[1].lose()
        server.take()
        elapse(self.reactor, 30)
        (beat,) = only(server.take(), TEXT)
        self.assertEqual(set(beat.message["activeTasks"]), {"t1", "t2", "t4", "t5"})

    def test_a_lost_connection_has_no_heartbeats(self) -> None:
        """The next one has its own, from its beginning on."""
        server = self.go_live()
        elapse(self.reactor, 10)
        server.lose()
        elapse(self.reactor, 1)
        server = self.accept_upstream()
        self.assertEqual([each["type"] for each in server.take_messages()], ["heartbeat"])
        elapse(self.reactor, 19.5)
        self.assertEqual(only(server.take(), TEXT), [])

    def test_the_server_tells_who_the_relay_is(self) -> None:
        """Its id for the relay is kept for the status."""
        self.assertIs(self.upstream.daemon_id, None)
        self.go_live()
        self.assertEqual(self.upstream.daemon_id, "relay-1")
        self.assertTrue(self.upstream.live)


class SpellingTests(RelayTestCase):
    """Toward the server the spelling of types is an option."""

    policy = Policy(wire_case=WireCase.SNAKE)

    def test_the_relays_own_messages_are_spelled_as_the_operator_wants(self) -> None:
        """The members are camelCase all the same."""
        server = self.go_live()
        server.send("spawnTask", taskId="t")
        server.send("cancelTask", taskId="t")
        types = [each["type"] for each in server.take_messages()]
        self.assertEqual(types, ["heartbeat", "task_complete"])


class MessageTests(RelayTestCase):
    """What the server says."""

    def setUp(self) -> None:
        """Have a live connection."""
        super().setUp()
        self.server: ServerPeer = self.go_live()
        self.server.take()

    def test_a_task_reaches_its_daemon_verbatim(self) -> None:
        """The bytes that leave are the bytes that came in."""
        daemon: Peer = self.join()
        spawn = b'{ "taskId" : "t\\u00e4" ,"type":"Spawn_Task", "more":[1.0,{"x":null}]}'
        self.server.send_text(spawn)
        self.assertEqual([frame.payload for frame in daemon.take()], [spawn])

    def test_what_cannot_be_read_is_answered_and_the_connection_stays(self) -> None:
        """With ``invalid_message`` each time."""
        for payload in (b"no JSON", b"[]", b"{}", b'{"type":""}', b'{"type":"spawnTask"}', b'{"type":1}'):
            self.server.send_text(payload)
            (answer,) = self.server.take_messages()
            self.assertEqual((answer["type"], answer["code"]), ("error", "invalid_message"), payload)
        self.assertEqual(len(self.journal("invalid_message")), 6)
        self.assertTrue(self.upstream.live)

    def test_a_server_that_takes_no_answers_is_dropped_before_they_fill_the_memory(self) -> None:
        """It may send what is to be answered for ever; one that takes them may do so."""
        self.upstream._most_unsent = 20_000
        asked = encode_frame(TEXT, b"{}", masked=False) * 100
        for _ in range(10):
            self.server.deliver(asked)
            self.assertEqual(len(self.server.take()), 100)
        self.assertTrue(self.upstream.live)
        for _ in range(10):
            self.server.deliver(asked)
        self.assertFalse(self.upstream.live)
        self.assertLess(len(self.server.transport.value()), 40_000)
        self.assertIn("does not take what it is sent", self.journal("upstream_disconnected")[0].detail)

    def test_an_error_of_the_server_is_logged_without_secrets(self) -> None:
        """A server may quote the key that it does not like."""
        self.server.send("error", code="bad_key", message=f"the key {KEY} is odd", trace="t")
        (entry,) = self.journal("upstream_error")
        self.assertEqual((entry.fields["code"], entry.fields["message"]), ("bad_key", "the key [secret] is odd"))
        self.assertNotIn(KEY, repr(entry))
        self.assertEqual(self.server.take(), [])

    def test_a_suspended_relay_refuses_tasks_and_reads_no_more_than_can_wait(self) -> None:
        """The server is held back then, until the database can be written again."""
        store = HandStore()
        self.start(store)
        server = self.go_live()
        elapse(self.reactor, 0.05)
        store.commits[-1].fails(unavailable())
        server.take()
        server.send("spawnTask", taskId="t")
        (refusal,) = server.take_messages()
        self.assertEqual((refusal["code"], refusal["taskId"]), ("unavailable", "t"))
        server.send("sendInput", taskId="t", text="x" * MOST_WAITING)
        self.assertEqual(server.transport.producerState, "paused")
        elapse(self.reactor, 0.1)
        store.commits[-1].succeeds()
        self.assertEqual(server.transport.producerState, "producing")


class TroubleTests(RelayTestCase):
    """What the journal says about attempts."""

    def test_a_failed_attempt_is_logged_with_its_reason(self) -> None:
        """And when the next one follows; a secret in the reason is blacked out."""
        self.upstream.connector.connect()
        server = self.endpoint.attempts[0].accept()
        server.upgrade()
        server.send("error", code="unauthorized", message=f"unknown key {KEY}")
        server.lose()
        (entry,) = self.journal("upstream_error")
        self.assertIn("unauthorized: unknown key [secret]", entry.detail)
        self.assertEqual((entry.fields["attempt"], entry.fields["nextIn"]), (1, "1.0 s"))

    def test_giving_up_is_logged(self) -> None:
        """Daemons are served all the same."""
        self.start(most_attempts=2)
        self.upstream.connector.connect()
        for _ in range(2):
            self.endpoint.attempts[-1].refuse()
            elapse(self.reactor, 1)
        self.assertEqual(len(self.journal("upstream_error")), 2)
        self.assertEqual(len(self.journal("upstream_gave_up")), 1)
        self.join().send("taskOutput", taskId="t")
        self.assertEqual(self.engine.relay.reports_waiting, 1)

    def test_connecting_and_losing_are_logged(self) -> None:
        """With the URL, the id and the reason."""
        server = self.go_live()
        server.send_close(1012, b"restart")
        server.lose()
        (connected,), (lost,) = self.journal("upstream_connected"), self.journal("upstream_disconnected")
        self.assertEqual(connected.fields, {"url": "ws://makima.example/ws/daemon", "daemonId": "relay-1"})
        self.assertIn("closed with 1012 (restart)", lost.detail)

    def test_an_operator_can_have_it_connect_anew(self) -> None:
        """The wish is logged; the old connection is closed, the new one gets the backlog."""
        server = self.go_live()
        self.upstream.reconnect()
        self.assertEqual(len(self.journal("reconnect_requested")), 1)
        self.assertEqual([frame.close_code for frame in only(server.take(), CLOSE)], [1000])
        self.accept_upstream()
        self.assertTrue(self.upstream.live)

    def test_the_size_limit_is_for_what_comes_in(self) -> None:
        """A small ``--max-message-size`` does not keep the relay from saying which tasks are at work."""
        self.start(max_message_size=200)
        daemon = self.join()
        for number in range(10):
            daemon.send("taskOutput", taskId=f"a-task-with-a-rather-long-name-{number}")
        server = self.go_live()
        beat, *reports = server.take()
        self.assertEqual(len(beat.message["activeTasks"]), 10)
        self.assertEqual(len(reports), 10)
