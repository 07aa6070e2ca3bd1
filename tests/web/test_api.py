"""Status, daemons, log and reconnecting: shapes and behaviour."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from makima_relay import __version__
from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.policy import Policy
from tests.fakes import elapse
from tests.relay_case import KEY
from tests.web.case import ApiTestCase


class StatusTests(ApiTestCase):
    """``/`` and ``/status``."""

    def status(self) -> tuple[Any, ...]:
        """The words and numbers that change."""
        status = self.get("/status")
        upstream = status["upstream"]
        return status["status"], status["upstreamConnected"], upstream["state"], upstream["attempt"]

    def test_it_has_all_its_members(self) -> None:
        """Before anything has happened, with null where nothing is known."""
        elapse(self.reactor, 12.3)
        self.assertEqual(
            self.get("/status"),
            {
                "status": "connecting",
                "agentName": "edge-1",
                "upstreamConnected": False,
                "daemonId": None,
                "lastHeartbeat": None,
                "connectedDaemons": 0,
                "activeTasks": 0,
                "pendingTasks": 0,
                "foreignTasks": 0,
                "totalTasksProcessed": 0,
                "totalReports": 0,
                "version": __version__,
                "uptimeSeconds": 12.3,
                "cluster": None,
                "upstream": {
                    "url": "ws://makima.example/ws/daemon",
                    "state": "idle",
                    "attempt": 0,
                    "nextAttemptAt": None,
                    "outbox": 0,
                    "outboxBytes": {"memory": 0, "disk": 0},
                    "outboxHasRoom": True,
                },
            },
        )

    def test_it_shows_a_relay_at_work(self) -> None:
        """Daemons, tasks by what they do, and what the server calls the relay."""
        server = self.go_live()
        daemon, lost = self.join("a", 2), self.join("b", 1)
        for task_id in ("t1", "t2", "t3", "t4"):
            server.send("spawnTask", taskId=task_id)
        daemon.send("taskComplete", taskId="t1", success=True)
        lost.lose()
        status = self.get("/")
        self.assertEqual(status["status"], "ok")
        self.assertEqual((status["daemonId"], status["lastHeartbeat"]), ("relay-1", "2024-12-15T10:30:00.000Z"))
        members = ("connectedDaemons", "activeTasks", "pendingTasks", "totalTasksProcessed")
        self.assertEqual([status[member] for member in members], [1, 3, 0, 1])
        self.assertEqual(status["upstream"]["outbox"], 1)

    def test_it_counts_what_daemons_report(self) -> None:
        """But not that they are alive; a relay that was started again begins anew."""
        daemon = self.join()
        daemon.send("taskOutput", taskId="t1", output="x")
        daemon.send("heartbeat")
        daemon.send("taskComplete", taskId="t1", success=True)
        self.assertEqual(self.get("/status")["totalReports"], 2)
        self.restart()
        self.assertEqual(self.get("/status")["totalReports"], 0)

    def test_it_follows_the_connection_to_the_server(self) -> None:
        """Connecting until it is authenticated, disconnected when the relay gave up."""
        self.restart(most_attempts=2)
        self.upstream.connector.connect()
        self.assertEqual(self.status(), ("connecting", False, "connecting", 0))
        self.endpoint.attempts[0].refuse()
        self.assertEqual(self.status(), ("connecting", False, "waiting", 1))
        self.assertEqual(self.get("/status")["upstream"]["nextAttemptAt"], "2024-12-15T10:30:01.000Z")
        elapse(self.reactor, 1)
        server = self.endpoint.attempts[1].accept()
        server.upgrade()
        self.assertEqual(self.status(), ("connecting", False, "authenticating", 1))
        self.assertIs(self.get("/status")["upstream"]["nextAttemptAt"], None)
        server.send("authenticated")
        self.assertEqual(self.status(), ("ok", True, "connected", 0))
        server.lose()
        for wait in (1, 2):
            elapse(self.reactor, wait)
            self.endpoint.attempts[-1].refuse()
        self.assertEqual(self.status(), ("disconnected", False, "gave_up", 2))

    def test_the_total_survives_a_restart(self) -> None:
        """It counts every finish, ever."""
        daemon = self.join()
        for task_id in ("t1", "t2"):
            daemon.send("taskComplete", taskId=task_id, success=True)
        self.restart()
        self.assertEqual(self.get("/status")["totalTasksProcessed"], 2)

    def test_no_answer_is_to_be_cached(self) -> None:
        """It is old at once."""
        for path in ("/", "/status", "/tasks", "/health"):
            self.assertEqual(self.ask("GET", path).header("Cache-Control"), "no-store")


class DaemonTests(ApiTestCase):
    """``/daemons`` and what an operator can do with one."""

    policy = Policy(health_timeout=5.0)

    def test_a_daemon_has_all_its_members(self) -> None:
        """Load, capacity, health, since when and from where."""
        self.join("build-7", 3, machineId="m-7")
        self.go_live().send("spawnTask", taskId="t")
        elapse(self.reactor, 2.5)
        expected = {
            "daemonId": daemon_id_of("m-7"),
            "hostname": "build-7",
            "machineId": "m-7",
            "maxConcurrentTasks": 3,
            "activeTasks": 1,
            "healthy": True,
            "draining": False,
            "connectedAt": "2024-12-15T10:30:00.000Z",
            "lastSeen": "2024-12-15T10:30:00.000Z",
            "address": "192.168.1.1:54321",
        }
        self.assertEqual(self.get("/daemons"), {"daemons": [expected]})

    def test_a_daemon_cannot_bring_the_key_out_by_its_name(self) -> None:
        """Nor by its machine's, neither itself nor with its tasks."""
        self.join("d", hostname=f"host-{KEY}", machineId=f"machine-{KEY}")
        server = self.go_live()
        server.send("spawnTask", taskId="t", taskName=f"task {KEY}")
        for path in ("/daemons", "/tasks", "/tasks/t", "/logs", "/status"):
            said = self.ask("GET", path).body.decode()
            self.assertNotIn(KEY, said)
        self.assertEqual(self.get("/daemons")["daemons"][0]["hostname"], "host-[secret]")
        self.assertEqual(self.get("/tasks/t")["daemonHostname"], "host-[secret]")

    def test_only_connected_daemons_are_listed(self) -> None:
        """In the order in which they came."""
        peers = [self.join(name) for name in ("a", "b", "c")]
        peers[1].lose()
        self.assertEqual([each["hostname"] for each in self.get("/daemons")["daemons"]], ["a", "c"])

    def test_a_silent_daemon_is_not_healthy(self) -> None:
        """Until it is heard of again."""
        peer = self.join()
        elapse(self.reactor, 5.1)
        self.assertFalse(self.get("/daemons")["daemons"][0]["healthy"])
        peer.send("log")
        (daemon,) = self.get("/daemons")["daemons"]
        self.assertTrue(daemon["healthy"])
        parsed = datetime.fromisoformat(daemon["lastSeen"]) - datetime.fromisoformat(daemon["connectedAt"])
        self.assertAlmostEqual(parsed.total_seconds(), 5.1, 2)

    def test_a_drained_daemon_gets_no_new_tasks_until_it_is_resumed(self) -> None:
        """Both answer with the daemon, also when nothing changes."""
        server, peer = self.go_live(), self.join("d")
        daemon_id = daemon_id_of("d")
        for _ in range(2):
            self.assertTrue(self.post(f"/daemons/{daemon_id}/drain")["draining"])
        server.send("spawnTask", taskId="t")
        self.assertEqual(peer.take(), [])
        for _ in range(2):
            resumed = self.post(f"/daemons/{daemon_id}/resume")
            self.assertEqual((resumed["draining"], resumed["activeTasks"]), (False, 1))
        self.assertEqual([each["type"] for each in peer.take_messages()], ["spawnTask"])

    def test_a_daemon_stays_drained_over_a_restart(self) -> None:
        """An operator's word holds."""
        self.join("d")
        self.post(f"/daemons/{daemon_id_of('d')}/drain")
        self.engine.settled()
        self.restart()
        self.join("d")
        self.assertTrue(self.get("/daemons")["daemons"][0]["draining"])

    def test_a_daemon_that_is_not_connected_cannot_be_drained(self) -> None:
        """404, whether it was never here or is gone."""
        self.join("d").lose()
        for daemon_id in (daemon_id_of("d"), "nobody", "%20"):
            for deed in ("drain", "resume"):
                self.assert_problem(self.ask("POST", f"/daemons/{daemon_id}/{deed}"), 404, "Not Found")


class LogTests(ApiTestCase):
    """``/logs``."""

    def test_entries_come_newest_first_with_all_that_is_known(self) -> None:
        """Number, time, event, a sentence, and further members."""
        self.join("d", machineId="m")
        connected, started = self.get("/logs")["logs"]
        self.assertEqual(
            {name: connected[name] for name in connected if name != "detail"},
            {
                "id": 2,
                "timestamp": "2024-12-15T10:30:00.000Z",
                "event": "daemon_connected",
                "daemonId": daemon_id_of("m"),
                "hostname": "d",
                "machineId": "m",
                "address": "192.168.1.1:54321",
            },
        )
        self.assertEqual(set(started), {"id", "timestamp", "event", "detail"})
        self.assertEqual(started["event"], "relay_started")

    def test_as_many_come_as_are_asked_for(self) -> None:
        """50 unless said otherwise, 200 at most, and no more are kept."""
        for number in range(300):
            self.engine.noted("something", f"no. {number}")
        for path, limit in (("/logs", 50), ("/logs?limit=1", 1), ("/logs?limit=200", 200)):
            answer = self.get(path)
            self.assertEqual((answer["limit"], len(answer["logs"])), (limit, limit))
            self.assertEqual(answer["logs"][0]["detail"], "no. 299")

    def test_the_log_survives_a_restart(self) -> None:
        """Its numbers go on."""
        self.engine.noted("something", "happened")
        self.engine.settled()
        self.restart()
        entries = [(each["id"], each["event"]) for each in self.get("/logs")["logs"]]
        self.assertEqual(entries, [(3, "relay_started"), (2, "something"), (1, "relay_started")])


class ReconnectTests(ApiTestCase):
    """``POST /reconnect``."""

    def test_the_connection_is_dropped_and_made_anew(self) -> None:
        """At once, whatever its state was."""
        self.go_live()
        answer = self.ask("POST", "/reconnect")
        self.assertEqual((answer.status, answer.json), (202, {"reconnecting": True}))
        self.assertEqual(len(self.endpoint.attempts), 2)
        self.assertEqual(self.get("/status")["upstream"]["state"], "connecting")
        self.assertEqual(self.get("/logs")["logs"][1]["event"], "reconnect_requested")

    def test_a_relay_that_gave_up_starts_over(self) -> None:
        """With the count at nothing."""
        self.restart(most_attempts=1)
        self.upstream.connector.connect()
        self.endpoint.attempts[0].refuse()
        self.assertEqual(self.get("/status")["status"], "disconnected")
        self.post("/reconnect", 202)
        status = self.get("/status")
        self.assertEqual((status["status"], status["upstream"]["attempt"]), ("connecting", 0))
