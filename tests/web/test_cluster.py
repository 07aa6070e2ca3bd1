"""The routes about all relays of a cluster, with the cluster in memory."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred, fail, succeed

from makima_relay.core.tasks import TaskStatus
from makima_relay.ports import ClusterAwayError
from makima_relay.store.filters import Filter
from makima_relay.web import bodies
from makima_relay.web.cluster import SeenRelay
from makima_relay.web.examples import EXAMPLES
from tests.core.builders import presence
from tests.fakes import EPOCH
from tests.relay_case import KEY
from tests.web.case import ApiTestCase

TASK = msgspec.convert({**EXAMPLES[bodies.TaskPage]["tasks"][0], "taskName": f"with {KEY}"}, bodies.Task)
DAEMON = msgspec.convert(EXAMPLES[bodies.Daemons]["daemons"][0], bodies.Daemon)


def seen(relay_id: str, number: int, at: float, *, is_present: bool = True) -> SeenRelay:
    """A relay all of whose figures are of one number."""
    said = presence(
        relay_id,
        2 * number,
        connected_daemons=number,
        busy_slots=3 * number,
        active_tasks=4 * number,
        pending_tasks=5 * number,
        foreign_tasks=6 * number,
        oldest_pending_seconds=1.23456,
    )
    return SeenRelay(said, is_present=is_present, last_seen=at)


class Cluster:
    """Stands for the cluster.

    :ivar asked: the pages that were asked for.
    """

    name = "default"
    relay_id = "a"

    def __init__(self) -> None:
        self.is_connected = True
        self.since = EPOCH
        self.as_of: float | None = EPOCH + 1
        self.others = [seen("b", 1, EPOCH), seen("c", 10, EPOCH - 60, is_present=False)]
        self.asked: list[tuple[Filter, int, int]] = []

    def relays(self) -> list[SeenRelay]:
        """All."""
        return [seen("a", 100, EPOCH + 2), *self.others]

    def tasks(self, wanted: Filter, limit: int, offset: int) -> Deferred[tuple[list[tuple[str, bodies.Task]], int]]:
        """One of many."""
        self.asked.append((wanted, limit, offset))
        return succeed(([("b", TASK), ("gone", TASK)], 7)) if self.is_connected else fail(ClusterAwayError())

    def daemons(self) -> Deferred[list[tuple[str, bodies.Daemon]]]:
        """One."""
        return succeed([("b", DAEMON)]) if self.is_connected else fail(ClusterAwayError())


class ClusterTests(ApiTestCase):
    """A relay that is in a cluster."""

    def setUp(self) -> None:
        """Join one."""
        super().setUp()
        self.cluster = Cluster()
        self.api.cluster = self.cluster

    def test_the_status_names_the_cluster(self) -> None:
        """So that whoever asks knows that there is more to ask."""
        self.assertEqual(self.get("/status")["cluster"], "default")

    def test_all_relays_are_listed_with_the_sums_of_those_that_are_present(self) -> None:
        """What an away relay had may be had by nobody now."""
        answer = self.get("/cluster")
        relays = answer.pop("relays")
        self.assertEqual(
            answer,
            {
                "cluster": "default",
                "relayId": "a",
                "redis": {"connected": True, "since": "2024-12-15T10:30:00.000Z"},
                "asOf": "2024-12-15T10:30:01.000Z",
                "totals": {
                    "connectedDaemons": 101,
                    "freeSlots": 202,
                    "busySlots": 303,
                    "activeTasks": 404,
                    "pendingTasks": 505,
                    "foreignTasks": 606,
                },
            },
        )
        self.assertEqual(
            [(each["relayId"], each["present"]) for each in relays], [("a", True), ("b", True), ("c", False)]
        )
        self.assertEqual(
            relays[2],
            {
                "relayId": "c",
                "agentName": "name-c",
                "version": "1.0.0",
                "present": False,
                "lastSeen": "2024-12-15T10:29:00.000Z",
                "upstreamConnected": True,
                "connectedDaemons": 10,
                "freeSlots": 20,
                "busySlots": 30,
                "activeTasks": 40,
                "pendingTasks": 50,
                "foreignTasks": 60,
                "oldestPendingSeconds": 1.235,
            },
        )

    def test_without_redis_the_relays_are_told_as_they_were(self) -> None:
        """With how old that is; tasks and daemons of others cannot be told."""
        self.cluster.is_connected = False
        self.cluster.as_of = None
        answer = self.get("/cluster")
        self.assertEqual((answer["redis"]["connected"], answer["asOf"], len(answer["relays"])), (False, None, 3))
        for path in ("/cluster/tasks", "/cluster/daemons"):
            said = self.assert_problem(self.ask("GET", path), 503, "Service Unavailable")
            self.assertIn("Redis is away", said)

    def test_tasks_say_whose_they_are(self) -> None:
        """By name and id; one whose relay is not listed any more by its id."""
        answer = self.get("/cluster/tasks?limit=2&offset=2&status=running&q=x&daemon=d")
        self.assertEqual((answer["total"], answer["limit"], answer["offset"]), (7, 2, 2))
        expected = {**msgspec.to_builtins(TASK), "taskName": "with [secret]", "origin": "name-b", "originId": "b"}
        self.assertEqual(answer["tasks"], [expected, {**expected, "origin": "gone", "originId": "gone"}])
        self.assertEqual(self.cluster.asked, [(Filter(status=TaskStatus.RUNNING, daemon="d", text="x"), 2, 2)])

    def test_pages_are_linked(self) -> None:
        """To this history, and not to that of one relay."""
        link = self.ask("GET", "/cluster/tasks?limit=2&offset=2").header("Link")
        self.assertEqual(
            link,
            '</cluster/tasks?limit=2&offset=4>; rel="next", </cluster/tasks?limit=2&offset=0>; rel="prev"',
        )
        self.assert_problem(self.ask("GET", "/cluster/tasks?limit=501"), 400, "Bad Request")

    def test_own_daemons_are_as_they_are_now_and_those_of_others_as_they_wrote(self) -> None:
        """Each with its relay."""
        self.join("build-1")
        own, other = self.get("/cluster/daemons")["daemons"]
        self.assertEqual((own["hostname"], own["relay"], own["relayId"]), ("build-1", "name-a", "a"))
        self.assertEqual(other, {**msgspec.to_builtins(DAEMON), "relay": "name-b", "relayId": "b"})


class AloneTests(ApiTestCase):
    """A relay that is in none."""

    def test_there_is_nothing_to_tell(self) -> None:
        """And it is said why."""
        for path in ("/cluster", "/cluster/tasks", "/cluster/daemons"):
            detail = "this relay is in no cluster: it was started without --redis"
            self.assert_problem(self.ask("GET", path), 404, "Not Found", detail)
        self.assertIsNone(self.get("/status")["cluster"])
