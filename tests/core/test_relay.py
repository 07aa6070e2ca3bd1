"""The relay as a whole: its server, its daemons, and what it lets others see."""

from __future__ import annotations

import json

from makima_relay.core.effects import (
    ForgetReports,
    KeepReport,
    SaveDaemon,
    SaveEntry,
    SaveTask,
    SendHeartbeat,
    SendReports,
    SendToDaemon,
    SendUpstream,
)
from makima_relay.core.messages import ServerError
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, NOW, SERVER, events, hello, logged, of_kind, relayed, shown, wire
from tests.core.cases import RelayTestCase, ReportTestCase


class UpstreamTests(RelayTestCase):
    """The server comes and goes."""

    def setUp(self) -> None:
        super().setUp()
        self.join()

    def numbered(self, first: int, last: int) -> list[bytes]:
        """Have the daemon send reports.

        :return: them.
        """
        payloads = [wire("news", n=n) for n in range(first, last + 1)]
        for payload in payloads:
            self.report(1, payload)
        return payloads

    def test_the_connection_is_logged_with_what_is_known_of_it(self) -> None:
        """When it comes and when it goes."""
        decided = self.relay.upstream_ready(SERVER, NOW, url="ws://s", daemonId="d")
        beat = SendHeartbeat(SERVER)
        self.assertEqual(shown(decided), [logged("upstream_connected", url="ws://s", daemonId="d"), beat])
        self.assertEqual(self.relay.heartbeat_due(), [beat])
        self.assertEqual(self.relay.heartbeat(), wire("heartbeat", activeTasks=[]))
        self.assertEqual(shown(self.relay.upstream_lost(NOW, "gone")), [logged("upstream_disconnected")])

    def test_reports_that_waited_go_first_oldest_first(self) -> None:
        """New ones go behind them."""
        waited = self.numbered(1, 3)
        decided = self.relay.upstream_ready(SERVER, NOW)
        self.assertEqual(decided[2:], [SendReports(SERVER, waited, 3)])
        fresh = wire("news", n=4)
        self.assertEqual(self.report(1, fresh), relayed(fresh, 4))

    def test_what_is_not_acknowledged_is_sent_again(self) -> None:
        """On the next connection, without what was acknowledged."""
        self.connect_server()
        sent = self.numbered(1, 3)
        self.relay.acknowledged(2)
        self.assertEqual(self.relay.reports_waiting, 1)
        self.relay.upstream_lost(NOW, "gone")
        self.assertEqual(self.relay.upstream_ready(901, NOW)[2:], [SendUpstream(901, sent[2], 3)])

    def test_all_that_is_acknowledged_is_done_with(self) -> None:
        """Nothing is sent again then."""
        self.connect_server()
        self.numbered(1, 3)
        self.assertEqual(self.relay.acknowledged(3), [])
        self.relay.upstream_lost(NOW, "gone")
        self.assertEqual(len(self.relay.upstream_ready(901, NOW)), 2)

    def test_kept_reports_are_forgotten_when_they_are_acknowledged(self) -> None:
        """And only then is the database concerned."""
        self.connect_server()
        self.spawn()
        self.numbered(1, 1)
        self.report(1, wire("taskComplete", taskId="t1", success=True))
        self.numbered(3, 3)
        self.assertEqual(self.relay.acknowledged(2), [ForgetReports(2)])
        self.assertEqual(self.relay.acknowledged(2), [])
        self.assertEqual(self.relay.acknowledged(3), [])

    def test_answers_to_the_server_are_not_kept(self) -> None:
        """On another connection nobody would understand them."""
        self.assertEqual(events(self.relay.invalid_command_received("no", NOW)), ["invalid_message"])
        self.assertEqual(self.relay.reports_waiting, 0)

    def test_secrets_in_what_the_server_says_are_blacked_out(self) -> None:
        """In the journal and wherever that is shown."""
        relay = Relay(Policy(), redact=lambda text: text.replace("sesame", "[secret]"))
        decided = relay.command_received(ServerError("bad", "key sesame is wrong"), NOW)
        entry = logged("upstream_error", code="bad", message="key [secret] is wrong")
        self.assertEqual(shown(decided), [entry])
        self.assertNotIn("sesame", repr(relay.journal(9)))


class JoinTests(RelayTestCase):
    """A daemon has authenticated."""

    def test_it_is_recorded_logged_and_answered(self) -> None:
        """Its id is made from its machine."""
        decided = self.relay.daemon_joined(1, hello(), "10.0.0.1:5000", NOW)
        expected = [
            SaveDaemon(D1, "m1", "host-m1", draining=False, seen_at=AT),
            logged("daemon_connected", daemonId=D1, hostname="host-m1", machineId="m1", address="10.0.0.1:5000"),
            SendToDaemon(1, wire("authenticated", daemonId=D1)),
        ]
        self.assertEqual(shown(decided), expected)

    def test_it_is_answered_in_its_own_spelling(self) -> None:
        """And never in the server's."""
        self.start(Policy(wire_case=WireCase.SNAKE))
        for connection, case, kind in ((1, WireCase.PASCAL, "Authenticated"), (2, WireCase.UPPER, "AUTHENTICATED")):
            decided = self.relay.daemon_joined(connection, hello(f"m{connection}", case=case), "a", NOW)
            answer = of_kind(decided, SendToDaemon)[0]
            assert isinstance(answer, SendToDaemon)
            self.assertIn(f'"type":"{kind}"'.encode(), answer.payload)

    def test_what_is_known_of_it_can_be_looked_at(self) -> None:
        """While it is connected."""
        self.join(capacity=3, now=NOW + 5)
        daemon = self.relay.daemon(D1)
        assert daemon is not None
        self.assertEqual(self.relay.daemons(), [daemon])
        self.assertEqual((daemon.machine_id, daemon.hostname, daemon.capacity), ("m1", "host-m1", 3))
        self.assertEqual((daemon.address, daemon.connected_at), ("10.0.0.1:5000", AT + 5))
        self.assertTrue(self.relay.healthy(daemon, NOW + 95))
        self.assertFalse(self.relay.healthy(daemon, NOW + 96))
        self.relay.daemon_lost(1, "gone", NOW)
        self.assertIsNone(self.relay.daemon(D1))


class ViewTests(ReportTestCase):
    """What others are shown."""

    def test_what_is_at_work_is_listed_over_all_daemons(self) -> None:
        """Dispatched, running and orphaned: what a heartbeat to the server lists."""
        self.join("m2")
        for task_id in ("t2", "t3"):
            self.spawn(task_id)
        self.report(2, wire("taskOutput", taskId="t2"))
        self.relay.daemon_lost(1, "gone", NOW)
        self.report(2, wire("taskComplete", taskId="t3", success=True))
        self.spawn("t4")
        self.relay.daemon_lost(2, "gone", NOW)
        self.spawn("t5")
        self.assertEqual(self.relay.active_tasks(), ["t1", "t2", "t4"])
        self.assertEqual((self.relay.pending_tasks, self.relay.total_finished), (1, 1))

    def test_what_happened_is_in_the_journal_newest_first(self) -> None:
        """Also what only the edge knows."""
        decided = self.relay.noted(NOW + 5, "daemon_rejected", "turned away", address="a")
        newest = self.relay.journal(1)
        self.assertEqual([SaveEntry(entry) for entry in newest], decided)
        self.assertEqual((newest[0].at, newest[0].fields), (AT + 5, {"address": "a"}))
        self.assertEqual([each.event for each in self.relay.journal(9)][-1], "relay_started")

    def test_the_relays_own_start_and_stop_are_logged(self) -> None:
        """First and last."""
        self.assertEqual(shown(self.start()), [logged("relay_started")])
        self.assertEqual(shown(self.relay.stopped(NOW)), [logged("relay_stopped")])

    def test_a_relay_that_is_about_to_stop_takes_no_new_task(self) -> None:
        """The server may give it to somebody else; one that is known is still a duplicate, and its commands go on."""
        self.connect_server()
        connection = self.join()
        self.spawn()
        self.relay.stopping()
        (refused,) = self.command(wire("spawnTask", taskId="t2"))
        assert isinstance(refused, SendUpstream)
        error = json.loads(refused.payload)
        self.assertEqual((error["code"], error["taskId"]), ("unavailable", "t2"))
        self.assertIn("stopping", error["message"])
        self.assertIsNone(self.relay.task("t2"))
        self.assertEqual(events(self.command(wire("spawnTask", taskId="t1"))), ["duplicate_task"])
        command = wire("sendInput", taskId="t1")
        self.assertEqual(self.command(command), [SendToDaemon(connection, command)])

    def test_a_relay_that_is_about_to_stop_begins_no_task(self) -> None:
        """What its daemons would be sent may not go out before they are sent away; the next run begins it."""
        self.connect_server()
        connection = self.join(capacity=1)
        self.spawn()
        self.spawn("t2")
        self.relay.stopping()
        self.report(connection, wire("taskComplete", taskId="t1", success=True))
        self.join("m2")
        self.assertEqual(self.known("t2").status, TaskStatus.PENDING)

    def test_a_finish_is_one_transaction_with_its_report(self) -> None:
        """No effect that becomes visible stands between the two."""
        decided = self.report(1, wire("taskComplete", taskId="t1", success=True))
        kinds = [type(each) for each in decided]
        self.assertEqual(kinds, [SaveTask, SaveTask, KeepReport, SendUpstream])
