"""The relay as its operator, its server and its daemons see it."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.processes.harness import (
    KEY,
    PATIENCE,
    ROOT,
    TWISTD,
    RelayProcess,
    StandInServer,
    ask,
    ask_until,
    daemon,
    say,
    until,
)


class ProcessTestCase(SynchronousTestCase):
    """Has a directory, a server, and starts relays."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.server = StandInServer()
        self.addCleanup(self.server.stop)

    def start(
        self,
        *options: str,
        arguments: tuple[str, ...] = ("makima-relay",),
        twistd: tuple[str, ...] = TWISTD,
        files: Sequence[int] = (),
        **environment: str,
    ) -> RelayProcess:
        """Start a relay on a port of its own."""
        relay = RelayProcess(
            self.directory,
            [*arguments, *options],
            {
                "MAKIMA_SERVER_URL": self.server.url,
                "MAKIMA_API_KEY": KEY,
                "MAKIMA_RELAY_LISTEN": "tcp:0:interface=127.0.0.1",
                "MAKIMA_RELAY_RECONNECT_INITIAL_DELAY": "0.1",
                "MAKIMA_RELAY_RECONNECT_MAX_DELAY": "0.2",
                **environment,
            },
            twistd,
            files,
        )
        self.addCleanup(self._make_sure_it_ended, relay)
        return relay

    @staticmethod
    def _make_sure_it_ended(relay: RelayProcess) -> None:
        if relay.process.poll() is None:
            relay.end(signal.SIGKILL)

    def daemon(self, port: int, hostname: str, **options: int) -> ClientConnection:
        """Connect a daemon for the time of the test."""
        return self.enterContext(daemon(port, hostname, **options))


class WayOfATaskTests(ProcessTestCase):
    """From spawnTask to taskComplete."""

    def test_commands_and_reports_travel_verbatim_in_both_directions(self) -> None:
        """What the server sends reaches the daemon byte for byte, and what the daemon reports the server."""
        port = self.start().port()
        server = self.server.relay()
        worker = self.daemon(port, "worker")
        spawn = '{ "type":"spawn_task",  "task_id":"t-1", "plan":"naïve ☕", "extra":[1.50, 1e2] }'
        server.send(spawn)
        self.assertEqual(worker.recv(PATIENCE), spawn)
        message = say(server, type="sendMessage", taskId="t-1", message="go on")
        self.assertEqual(worker.recv(PATIENCE), message)
        output = say(worker, type="TaskOutput", taskId="t-1", output="héllo\n")
        progress = say(worker, type="taskProgress", taskId="t-1", progress=0.5)
        complete = say(worker, type="taskComplete", taskId="t-1", success=True)
        self.assertEqual(self.server.hear(3), [output, progress, complete])
        task = ask(port, "/tasks/t-1")
        self.assertEqual((task["status"], task["daemonHostname"], task["attempts"]), ("completed", "worker", 1))
        self.assertEqual(
            [event["status"] for event in task["events"]], ["pending", "dispatched", "running", "completed"]
        )

    def test_the_upgrade_request_carries_the_key_and_the_daemon_path(self) -> None:
        """The server can authenticate the relay by its headers alone."""
        self.start().port()
        self.server.relay()
        headers = {name.lower(): value for name, value in self.server.headers.get(timeout=PATIENCE).items()}
        self.assertEqual(headers["authorization"], f"Bearer {KEY}")
        self.assertEqual(headers["x-makima-api-key"], KEY)

    def test_a_task_without_a_free_slot_waits_and_is_dispatched_when_one_appears(self) -> None:
        """The third task of a daemon with two slots goes out as soon as one of the first two ends."""
        port = self.start().port()
        server = self.server.relay()
        worker = self.daemon(port, "worker", slots=2)
        for task_id in ("a", "b", "c"):
            say(server, type="spawnTask", taskId=task_id)
        self.assertEqual([json.loads(worker.recv(PATIENCE))["taskId"] for _ in range(2)], ["a", "b"])
        waiting = ask_until(port, "/tasks?status=pending", lambda answer: answer["total"] == 1)
        self.assertEqual(waiting["tasks"][0]["pendingReason"], "no free slot")
        say(worker, type="taskComplete", taskId="a", success=False, error="exit status 3")
        self.assertEqual(json.loads(worker.recv(PATIENCE))["taskId"], "c")
        self.assertEqual(ask(port, "/tasks/a")["error"], "exit status 3")


class CrashTests(ProcessTestCase):
    """What ``kill -9`` leaves behind."""

    def test_pending_and_running_tasks_survive_kill_9(self) -> None:
        """After a restart a pending task is dispatched as it came, and a running one goes on where it was."""
        relay = self.start()
        port = relay.port()
        server = self.server.relay()
        worker = self.daemon(port, "worker", slots=1)
        say(server, type="spawnTask", taskId="running")
        worker.recv(PATIENCE)
        say(worker, type="taskOutput", taskId="running", output="1")
        self.server.hear(1)
        pending = say(server, type="spawnTask", taskId="pending", plan="later")
        ask_until(port, "/tasks?status=pending", lambda answer: answer["total"] == 1)
        self.assertEqual(relay.end(signal.SIGKILL), -signal.SIGKILL)

        port = self.start().port()
        self.assertEqual(ask(port, "/tasks/running")["status"], "orphaned")
        worker = self.daemon(port, "worker", slots=1)
        say(worker, type="heartbeat", activeTasks=["running"])
        ask_until(port, "/tasks/running", lambda task: task["status"] == "running")
        say(worker, type="taskComplete", taskId="running", success=True)
        self.assertEqual(worker.recv(PATIENCE), pending)
        self.assertEqual(json.loads(self.server.hear(1)[0])["taskId"], "running")
        self.assertEqual(ask(port, "/status")["totalTasksProcessed"], 1)

    def test_a_completion_that_the_server_never_got_survives_kill_9(self) -> None:
        """The status and its report are one transaction: the server hears of the end after a restart."""
        relay = self.start()
        port = relay.port()
        server = self.server.relay()
        worker = self.daemon(port, "worker")
        say(server, type="spawnTask", taskId="t")
        worker.recv(PATIENCE)
        self.server.stop()
        ask_until(port, "/status", lambda status: not status["upstreamConnected"])
        complete = say(worker, type="taskComplete", taskId="t", success=True)
        ask_until(port, "/tasks/t", lambda task: task["status"] == "completed")
        relay.end(signal.SIGKILL)

        self.server = StandInServer()
        self.addCleanup(self.server.stop)
        self.start().port()
        self.assertEqual(self.server.hear(1), [complete])

    def test_reports_that_waited_survive_kill_9_and_a_stop(self) -> None:
        """Outputs that the server could not be told, in their order."""
        self.server.stop()
        said: list[str] = []
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            relay = self.start()
            port = relay.port()
            self.assertEqual(ask(port, "/status")["upstream"]["outbox"], len(said))
            said += self.say_much(port)
            if number is signal.SIGKILL:
                # What was read in the last 100 ms may go; at a stop nothing may.
                until(functools.partial(self.has_stored, len(said)))
            relay.end(number)
        self.server = StandInServer()
        self.addCleanup(self.server.stop)
        self.start().port()
        self.assertEqual(self.server.hear(len(said)), said)

    def say_much(self, port: int) -> list[str]:
        """Have a daemon report things, all of which the relay has read."""
        before = ask(port, "/status")["upstream"]["outbox"]
        worker = self.daemon(port, "worker")
        said = [say(worker, type="log", port=port, line=line) for line in range(50)]
        ask_until(port, "/status", lambda status: status["upstream"]["outbox"] == before + len(said))
        return said

    def has_stored(self, total: int) -> bool:
        """Whether the database has so many reports."""
        with contextlib.closing(sqlite3.connect(self.directory / "makima-relay.sqlite3")) as database:
            return bool(database.execute("SELECT count(*) FROM reports").fetchone() == (total,))


class UpstreamAwayTests(ProcessTestCase):
    """The server goes and comes back."""

    def test_reports_wait_while_the_server_is_away_and_arrive_in_order(self) -> None:
        """Nothing that a daemon reports meanwhile is lost, and nothing is out of order."""
        port = self.start().port()
        server = self.server.relay()
        worker = self.daemon(port, "worker")
        say(server, type="spawnTask", taskId="t")
        worker.recv(PATIENCE)
        self.server.stop()
        ask_until(port, "/status", lambda status: not status["upstreamConnected"])
        said = [say(worker, type="taskOutput", taskId="t", output=str(number)) for number in range(200)]
        ask_until(port, "/status", lambda status: status["upstream"]["outbox"] == 200)
        self.server = StandInServer(self.server.port)
        self.addCleanup(self.server.stop)
        self.assertEqual(self.server.hear(200), said)
        ask_until(port, "/status", lambda status: status["upstream"]["outbox"] == 0)


class GoodbyeTests(ProcessTestCase):
    """What is said around a close still counts."""

    def test_reports_before_a_replacement_arrive_and_end_their_task(self) -> None:
        """A daemon that comes anew has said on its older connection how its task ended; its list lacks the task."""
        port = self.start().port()
        server = self.server.relay()
        older = self.daemon(port, "worker")
        say(server, type="spawnTask", taskId="t")
        older.recv(PATIENCE)
        said = [say(older, type="taskOutput", taskId="t", n=number) for number in range(2_000)]
        said.append(say(older, type="taskComplete", taskId="t", success=True))
        newer = self.daemon(port, "worker")
        say(newer, type="heartbeat", activeTasks=[])
        self.assertEqual(self.server.hear(len(said)), said)
        self.assertEqual(
            ask_until(port, "/tasks/t", lambda task: task["finishedAt"] is not None)["status"], "completed"
        )

    def test_commands_before_a_reconnect_are_stored(self) -> None:
        """What the server had sent when the operator asked for a new connection is not thrown away."""
        port = self.start().port()
        server = self.server.relay()
        for number in range(200):
            say(server, type="spawnTask", taskId=f"t{number}")
        ask(port, "/reconnect", "POST")
        self.server.relay()
        ask_until(port, "/tasks", lambda answer: answer["total"] == 200)


class OperatorTests(ProcessTestCase):
    """Starting and stopping."""

    def test_sigterm_sends_daemons_away_with_1001_and_exits_0(self) -> None:
        """A clean stop says good-bye."""
        relay = self.start()
        worker = self.daemon(relay.port(), "worker")
        self.assertEqual(relay.end(), 0)
        with self.assertRaises(ConnectionClosed) as caught:
            worker.recv(PATIENCE)
        assert caught.exception.rcvd is not None
        self.assertEqual(caught.exception.rcvd.code, 1001)
        self.assertEqual(caught.exception.rcvd.reason, "the relay stops, come back within 1 s")

    def test_relay_tac_is_set_up_by_the_environment(self) -> None:
        """``twistd -y relay.tac`` runs the same relay."""
        port = self.start(arguments=("-y", str(ROOT / "relay.tac")), MAKIMA_AGENT_NAME="by-tac").port()
        self.assertEqual(ask(port, "/status")["agentName"], "by-tac")

    def test_a_bad_setting_stops_the_start_with_one_line(self) -> None:
        """It names the setting, its value and what it takes; the exit status is 1."""
        relay = self.start("--daemon-grace", "soon")
        self.assertEqual(relay.finish(), 1)
        expected = "makima-relay: --daemon-grace: 'soon' is not allowed; it takes a number of seconds above 0\n"
        self.assertEqual(relay.output(), expected)

    def test_a_bad_setting_of_the_tac_stops_the_start_with_one_line(self) -> None:
        """The variable is named instead of the option."""
        relay = self.start(arguments=("-y", str(ROOT / "relay.tac")), MAKIMA_RELAY_MAX_DAEMONS="0")
        self.assertEqual(relay.finish(), 1)
        self.assertIn("MAKIMA_RELAY_MAX_DAEMONS: '0' is not allowed", relay.output())
        self.assertNotIn("Traceback", relay.output())

    def test_a_second_relay_on_the_same_database_is_refused_in_one_line(self) -> None:
        """Two relays must not share their memory."""
        self.start().port()
        second = self.start()
        self.assertEqual(second.finish(), 1)
        self.assertIn("another relay uses it", second.output())
        self.assertEqual(second.output().count("\n"), 1)

    def test_a_port_that_is_taken_stops_the_start(self) -> None:
        """The last line says which endpoint, and the exit status is 1."""
        relay = self.start("--listen", f"tcp:{self.server.port}:interface=127.0.0.1")
        self.assertEqual(relay.finish(), 1)
        self.assertIn(f"makima-relay: --listen tcp:{self.server.port}", relay.output())
        self.assertNotIn("Traceback", relay.output())

    def test_no_secret_reaches_the_log_or_the_process_list(self) -> None:
        """Neither a server that quotes the key nor anything else brings it out."""
        relay = self.start(MAKIMA_RELAY_ADMIN_TOKEN="token-of-the-operator")
        relay.port()
        server = self.server.relay()
        say(server, type="error", code="odd", message=f"your key {KEY} looks odd")
        relay.wait_for("looks odd")
        arguments = Path(f"/proc/{relay.process.pid}/cmdline").read_bytes()
        relay.end()
        for secret in (KEY, "token-of-the-operator"):
            self.assertNotIn(secret, relay.output())
            self.assertNotIn(secret.encode(), arguments)
