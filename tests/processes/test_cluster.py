"""Relays that work as one through a real Redis, as their servers and daemons see them."""

from __future__ import annotations

import json
import signal
import urllib.request
from typing import Any

from tests.cluster.redis_server import MISSING, RedisServer
from tests.processes.harness import PATIENCE, RelayProcess, StandInServer, ask, ask_until, say
from tests.processes.test_relay import ProcessTestCase


class Relay:
    """A relay with a server of its own."""

    def __init__(self, process: RelayProcess, server: StandInServer) -> None:
        self.process = process
        self.server = server
        self.port = process.port()
        self.link = server.relay()


def request(port: int, path: str, method: str, body: bytes | None = None) -> bytes:
    """What the relay answers."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, method=method)
    asked.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(asked, timeout=PATIENCE) as response:
        return bytes(response.read())


class ClusterTests(ProcessTestCase):
    """Two relays, each with a server."""

    skip = MISSING

    def setUp(self) -> None:
        """Start Redis."""
        super().setUp()
        self.redis = RedisServer("--requirepass", "hunt-er2")
        self.addCleanup(self.redis.stop)
        self.relays = 0

    def relay(self, **environment: str) -> Relay:
        """Start a relay."""
        self.relays += 1
        number = self.relays
        server = StandInServer()
        self.addCleanup(server.stop)
        url = f"unix://:hunt-er2@{self.redis.path}"
        database = str((self.directory / f"{number}.sqlite3").absolute())
        variables = {
            "MAKIMA_SERVER_URL": server.url,
            "MAKIMA_AGENT_NAME": f"edge-{number}",
            "MAKIMA_RELAY_DATABASE": database,
            "MAKIMA_RELAY_REDIS": url,
            **environment,
        }
        return Relay(self.start(**variables), server)

    def pair(self, **environment: str) -> tuple[Relay, Relay]:
        """Start two relays that know each other."""
        pair = self.relay(**environment), self.relay(**environment)
        for relay in pair:
            self.met(relay)
        return pair

    def met(self, relay: Relay) -> None:
        """Wait until a relay has met another."""
        self.logged(relay, "peer_connected")

    @staticmethod
    def logged(relay: Relay, event: str) -> dict[str, Any]:
        """Wait until something has happened; what the log says of the last time, whatever has happened since."""
        found: list[dict[str, Any]] = []

        def is_there(answer: Any) -> bool:
            found[:] = [each for each in answer["logs"] if each["event"] == event]
            return bool(found)

        ask_until(relay.port, "/logs", is_there)
        return found[0]

    def test_a_task_runs_where_there_is_a_daemon(self) -> None:
        """As soon as there is one; its reports go to the server that gave it, which sees nothing of another relay."""
        first, second = self.pair()
        spawned = say(first.link, type="spawnTask", taskId="t1", taskName="x")
        ask_until(first.port, "/status", lambda answer: answer["pendingTasks"] == 1)
        daemon = self.daemon(second.port, "build-7")
        # The presence that would be renewed anyway is five seconds apart.
        self.assertEqual(daemon.recv(4.0), spawned)
        reports = [
            say(daemon, type="taskStarted", taskId="t1"),
            say(daemon, type="taskOutput", taskId="t1", output="hello"),
        ]
        self.assertEqual(first.server.hear(2), reports)
        command = say(first.link, type="sendInput", taskId="t1", input="yes")
        self.assertEqual(daemon.recv(PATIENCE), command)
        ended = say(daemon, type="taskComplete", taskId="t1", success=True)
        self.assertEqual(first.server.hear(1), [ended])
        [task] = ask_until(first.port, "/tasks", lambda answer: answer["tasks"][0]["status"] == "completed")["tasks"]
        self.assertEqual((task["daemonHostname"], task["relay"]), ("build-7", "edge-2"))
        self.assertEqual(ask(second.port, "/tasks")["total"], 0)
        self.assertTrue(second.server.heard.empty())
        self.assertEqual(second.process.end(), 0)
        # Who stops says so: nobody waits for its presence to vanish.
        gone = self.logged(first, "peer_disconnected")
        self.assertEqual((gone["agentName"], gone["detail"]), ("edge-2", "a relay is away: it has stopped"))
        self.assertEqual(first.process.end(), 0)
        for relay in (first, second):
            self.assertNotIn("Traceback", relay.process.output())
            self.assertNotIn("hunt-er2", relay.process.output())

    def test_each_relay_tells_of_all(self) -> None:
        """Who is there, which tasks there are and where they run; without Redis what was known."""
        first, second = self.pair()
        daemon = self.daemon(second.port, "build-7")
        say(first.link, type="spawnTask", taskId="t1", taskName="x")
        daemon.recv(PATIENCE)
        say(daemon, type="taskStarted", taskId="t1")
        for relay in (first, second):
            path = "/cluster/tasks?status=running"
            [task] = ask_until(relay.port, path, lambda answer: answer["tasks"])["tasks"]
            self.assertEqual((task["origin"], task["relay"], task["daemonHostname"]), ("edge-1", "edge-2", "build-7"))
            ask_until(
                relay.port,
                "/cluster/daemons",
                lambda answer: (
                    [(each["hostname"], each["relay"], each["activeTasks"]) for each in answer["daemons"]]
                    == [("build-7", "edge-2", 1)]
                ),
            )
        sums = {"activeTasks": 1, "foreignTasks": 1, "connectedDaemons": 1}
        ask_until(first.port, "/cluster", lambda answer: sums.items() <= answer["totals"].items())
        status = ask(second.port, "/status")
        self.assertEqual((status["cluster"], status["activeTasks"], status["foreignTasks"]), ("default", 0, 1))
        self.redis.crash()
        answer = ask_until(first.port, "/cluster", lambda answer: not answer["redis"]["connected"])
        self.assertEqual([each["agentName"] for each in answer["relays"]], ["edge-1", "edge-2"])
        self.assertIsNotNone(answer["asOf"])

    def test_a_task_stays_its_daemon_s_wherever_that_goes(self) -> None:
        """To another relay, which is killed, and comes back; its server hears the end."""
        first, second = self.pair()
        daemon = self.daemon(first.port, "build-7")
        say(first.link, type="spawnTask", taskId="t1", taskName="x")
        daemon.recv(PATIENCE)
        say(daemon, type="taskStarted", taskId="t1")
        first.server.hear(1)
        daemon.close()
        moved = self.daemon(second.port, "build-7")
        say(moved, type="heartbeat", activeTasks=["t1"])
        output = say(moved, type="taskOutput", taskId="t1", output="still here")
        self.assertEqual(first.server.hear(1), [output])
        second.process.end(signal.SIGKILL)
        self.relays -= 1
        back = self.relay()
        self.met(back)
        again = self.daemon(back.port, "build-7")
        say(again, type="heartbeat", activeTasks=["t1"])
        ended = say(again, type="taskComplete", taskId="t1", success=True)
        self.assertEqual(first.server.hear(1), [ended])

    def test_a_server_hears_of_the_task_of_a_relay_that_stays_away(self) -> None:
        """That of the relay that has it; the other learns the end when it is back, and does not report it again."""
        first, second = self.pair(MAKIMA_RELAY_PEER_GRACE="1")
        daemon = self.daemon(second.port, "build-7")
        say(first.link, type="spawnTask", taskId="t1", taskName="x")
        daemon.recv(PATIENCE)
        say(daemon, type="taskStarted", taskId="t1")
        first.server.hear(1)
        self.assertEqual(first.process.end(), 0)
        reports = [
            say(daemon, type="taskOutput", taskId="t1", output="hello"),
            say(daemon, type="taskComplete", taskId="t1", success=True),
        ]
        self.assertEqual(second.server.hear(2), reports)
        self.relays = 0
        back = self.relay()
        [task] = ask_until(back.port, "/tasks", lambda answer: answer["tasks"][0]["status"] == "completed")["tasks"]
        self.assertEqual((task["daemonHostname"], task["relay"]), ("build-7", "edge-2"))
        # What was on its way when the relay stopped may come twice; the end was not.
        self.assertNotIn(reports[1], back.server.heard.queue)

    def test_without_redis_each_goes_on_alone_and_then_together_again(self) -> None:
        """It is ready all the time; what was under way arrives."""
        first, second = self.pair()
        far = self.daemon(second.port, "far", slots=1)
        say(first.link, type="spawnTask", taskId="t1", taskName="x")
        far.recv(PATIENCE)
        self.redis.crash()
        for relay in (first, second):
            self.logged(relay, "redis_disconnected")
        ended = say(far, type="taskComplete", taskId="t1", success=True)
        near = self.daemon(first.port, "near", slots=1)
        spawned = say(first.link, type="spawnTask", taskId="t2", taskName="x")
        self.assertEqual(near.recv(PATIENCE), spawned)
        self.assertTrue(ask(first.port, "/readyz")["ready"])
        self.redis.restart()
        self.assertEqual(first.server.hear(1), [ended])

    def test_a_daemon_key_that_is_made_at_one_relay_counts_at_all(self) -> None:
        """And is taken nowhere when it is revoked at another."""
        first, second = self.pair()
        made = json.loads(request(first.port, "/keys", "POST", b'{"name": "build"}'))["key"]
        ask_until(second.port, "/keys", lambda answer: [each["name"] for each in answer["keys"]] == ["build"])
        daemon = self.daemon(second.port, "build-7", key=made)
        ask_until(first.port, "/keys", lambda answer: answer["keys"][0]["machines"] == 1)
        request(first.port, "/keys/build", "DELETE")
        self.assertEqual(json.loads(daemon.recv(PATIENCE))["code"], "unauthorized")


class AloneTests(ProcessTestCase):
    """A relay without a cluster."""

    def test_a_relay_without_redis_loads_nothing_of_the_cluster(self) -> None:
        """Neither its package nor txredisapi."""
        relay = self.start(PYTHONPROFILEIMPORTTIME="1")
        relay.port()
        self.server.relay()
        relay.end()
        loaded = relay.output()
        self.assertIn("makima_relay.engine", loaded)
        self.assertNotRegex(loaded, r"makima_relay\.cluster\b")
        self.assertNotIn("txredisapi", loaded)
