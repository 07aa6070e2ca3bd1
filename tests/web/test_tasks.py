"""``/tasks``: the history, one task, and cancelling."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from makima_relay.core.cluster_effects import SaveForeign, SavePeer
from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.policy import Policy
from tests.fakes import HandStore, elapse
from tests.store.case import make_task, save
from tests.web.case import ApiTestCase
from tests.wire import ServerPeer


class HistoryTests(ApiTestCase):
    """Pages of the history."""

    server: ServerPeer

    def ids(self, path: str) -> tuple[list[str], int]:
        """The ids on a page, and the total."""
        answer = self.get(path)
        self.assertEqual(set(answer), {"tasks", "total", "limit", "offset"})
        return [task["taskId"] for task in answer["tasks"]], answer["total"]

    def spawn(self, *task_ids: str, **members: Any) -> None:
        """Have the server spawn tasks."""
        if not self.upstream.live:
            self.server = self.go_live()
        for task_id in task_ids:
            self.server.send("spawnTask", taskId=task_id, **members)

    def test_a_task_has_all_its_members(self) -> None:
        """With null for what has not happened."""
        daemon = self.join("build-7", machineId="m-7")
        self.spawn("t1", name="Compile")
        elapse(self.reactor, 1)
        daemon.send("taskOutput", taskId="t1")
        elapse(self.reactor, 1.5)
        daemon.send("taskComplete", taskId="t1", success=False, error="no paper")
        self.assertEqual(
            self.get("/tasks"),
            {
                "tasks": [
                    {
                        "taskId": "t1",
                        "taskName": "Compile",
                        "status": "failed",
                        "daemonId": daemon_id_of("m-7"),
                        "daemonHostname": "build-7",
                        "relay": None,
                        "attempts": 1,
                        "receivedAt": "2024-12-15T10:30:00.000Z",
                        "dispatchedAt": "2024-12-15T10:30:00.000Z",
                        "startedAt": "2024-12-15T10:30:01.000Z",
                        "finishedAt": "2024-12-15T10:30:02.500Z",
                        "error": "no paper",
                        "pendingReason": None,
                        "traceparent": None,
                    }
                ],
                "total": 1,
                "limit": 50,
                "offset": 0,
            },
        )

    def test_a_task_at_another_relay_names_that_and_its_daemon_there(self) -> None:
        """On the page, alone, and found by that daemon's name."""
        there = make_task(1).dispatched("d7", 1100.0)
        there = msgspec.structs.replace(there, relay="relay-b", hostname="far-7")
        self.successResultOf(self.database.commit([SavePeer("relay-b", "edge-b", 1.0), save(there)]))
        self.restart()
        (shown,) = self.get("/tasks?daemon=far-7")["tasks"]
        alone = self.get("/tasks/t1")
        for each in (shown, alone):
            self.assertEqual((each["relay"], each["daemonId"], each["daemonHostname"]), ("edge-b", "d7", "far-7"))

    def test_a_task_of_another_relay_is_that_relays_to_show(self) -> None:
        """It is in no list here and in no count, and cannot be cancelled here."""
        theirs = make_task(1, "t1", origin="relay-b").dispatched("d1", 1100.0)
        self.successResultOf(self.database.commit([SaveForeign(theirs, 1.0)]))
        self.restart()
        self.assertEqual(self.ids("/tasks"), ([], 0))
        self.assertEqual(self.get("/status")["activeTasks"], 0)
        self.assertEqual(self.ask("GET", "/tasks/t1").status, 404)
        self.assertEqual(self.ask("POST", "/tasks/t1/cancel").status, 404)

    def test_a_task_that_just_came_is_on_the_page(self) -> None:
        """The page is read when everything that was decided before is saved."""
        store = HandStore()
        self.start(store)
        self.make_api()
        self.engine.noted("something", "happened")
        page = self.treq.get("http://localhost:8787/tasks")
        self.assertNoResult(page)
        store.commits[0].succeeds()
        self.treq.flush()
        self.assertEqual(self.successResultOf(page).code, 200)

    def test_pages_link_to_their_neighbours(self) -> None:
        """``next`` while there is more, ``prev`` where something went before; filters stay."""
        self.spawn(*[f"t{number}" for number in range(7)])
        for path, ids, link in (
            ("/tasks?limit=3", ["t6", "t5", "t4"], '</tasks?limit=3&offset=3>; rel="next"'),
            (
                "/tasks?limit=3&offset=3",
                ["t3", "t2", "t1"],
                '</tasks?limit=3&offset=6>; rel="next", </tasks?limit=3&offset=0>; rel="prev"',
            ),
            ("/tasks?limit=3&offset=6", ["t0"], '</tasks?limit=3&offset=3>; rel="prev"'),
            ("/tasks?limit=3&offset=1&q=t", ["t5", "t4", "t3"], None),
            ("/tasks?limit=7", [f"t{number}" for number in range(6, -1, -1)], None),
        ):
            self.assertEqual(self.ids(path), (ids, 7), path)
            if "q=" not in path:
                self.assertEqual(self.ask("GET", path).header("Link"), link, path)
        link = self.ask("GET", "/tasks?limit=2&status=pending&q=t%26%25&daemon=").header("Link")
        self.assertIs(link, None)
        self.spawn("t&%-1", "t&%-2")
        link = self.ask("GET", "/tasks?limit=1&status=pending&q=t%26%25").header("Link")
        self.assertEqual(link, '</tasks?limit=1&offset=1&status=pending&q=t%26%25>; rel="next"')

    def test_a_link_leads_to_the_next_page(self) -> None:
        """As it stands there."""
        self.spawn("ä 1", "ä 2")
        link = self.ask("GET", "/tasks?limit=1&q=%C3%A4+").header("Link")
        assert link is not None
        self.assertEqual(self.ids(link.partition(">")[0].strip("<")), (["ä 1"], 2))

    def test_tasks_are_picked_out(self) -> None:
        """By status, by daemon's id or name, by part of name or id, and by all together."""
        daemon = self.join("build-7", 1)
        self.spawn("100%", "100x", "a_b", "axb")
        daemon.send("taskComplete", taskId="100%", success=True)
        for query, ids in (
            ("status=completed", ["100%"]),
            ("status=dispatched", ["100x"]),
            ("status=pending", ["axb", "a_b"]),
            ("status=failed", []),
            ("daemon=build-7", ["100x", "100%"]),
            (f"daemon={daemon_id_of('build-7')}", ["100x", "100%"]),
            ("daemon=nobody", []),
            ("q=0%25", ["100%"]),
            ("q=a_b", ["a_b"]),
            ("q=100&daemon=build-7&status=dispatched", ["100x"]),
            ("q=&status=&daemon=", ["axb", "a_b", "100x", "100%"]),
        ):
            self.assertEqual(self.ids(f"/tasks?{query}"), (ids, len(ids)), query)

    def test_the_reason_why_a_task_waits_is_told(self) -> None:
        """No daemon, none that is willing, none that is free."""

        def reason() -> Any:
            (task,) = self.get("/tasks?status=pending")["tasks"]
            return task["pendingReason"]

        self.spawn("t")
        self.assertEqual(reason(), "no daemon connected")
        self.join("d", 0)
        self.assertEqual(reason(), "no free slot")
        self.post(f"/daemons/{daemon_id_of('d')}/drain")
        self.assertEqual(reason(), "all daemons draining or unhealthy")

    def test_a_task_that_ran_twice_shows_its_latest_attempt(self) -> None:
        """And how often it was dispatched."""
        daemon = self.join()
        self.spawn("t")
        daemon.send("taskComplete", taskId="t", success=True)
        self.spawn("t")
        (task,) = self.get("/tasks")["tasks"]
        self.assertEqual((task["status"], task["attempts"], task["finishedAt"]), ("dispatched", 2, None))


class TaskTests(ApiTestCase):
    """One task."""

    def test_a_task_comes_with_its_events(self) -> None:
        """All changes of its status, oldest first; the task itself is not wrapped."""
        daemon = self.join("d")
        self.go_live().send("spawnTask", taskId="t")
        elapse(self.reactor, 1)
        daemon.send("taskComplete", taskId="t", success=False, error="no")
        task = self.get("/tasks/t")
        (listed,) = self.get("/tasks")["tasks"]
        events = task.pop("events")
        self.assertEqual(task, listed)
        self.assertEqual([event["status"] for event in events], ["pending", "dispatched", "running", "failed"])
        self.assertEqual(
            events[-1],
            {
                "timestamp": "2024-12-15T10:30:01.000Z",
                "status": "failed",
                "daemonId": daemon_id_of("d"),
                "error": "no",
            },
        )

    def test_any_id_can_be_asked_for(self) -> None:
        """Percent-encoded in the path, slashes too."""
        server = self.go_live()
        for task_id in ("a/b", "a//b", "b/", "x/cancel", "täsk", "a b", "100%", "%2F", "a?b#c", "+", "🛠", "x" * 128):
            server.send("spawnTask", taskId=task_id)
            answer = self.ask_raw(f"/tasks/{quote(task_id, safe='')}")
            self.assertEqual(answer.status, 200, task_id)
            self.assertEqual(answer.json["taskId"], task_id)
            answer = self.ask_raw(f"/tasks/{quote(task_id, safe='')}/cancel", method="POST")
            self.assertEqual((answer.status, answer.json["status"]), (202, "cancelled"), task_id)

    def test_an_id_may_begin_with_a_slash(self) -> None:
        """It is an id like any other."""
        server = self.go_live()
        for task_id in ("/", "/etc", "//"):
            server.send("spawnTask", taskId=task_id)
            self.assertEqual(self.ask_raw(f"/tasks/{quote(task_id, safe='')}").status, 200, task_id)
            answer = self.ask_raw(f"/tasks/{quote(task_id, safe='')}/cancel", method="POST")
            self.assertEqual(answer.status, 202, task_id)

    def test_an_unknown_task_is_not_found(self) -> None:
        """404, also for paths that are no task's."""
        for path in ("/tasks/nobody", "/tasks/a/b", "/tasks/%20", "/tasks/a/"):
            self.assert_problem(self.ask_raw(path), 404, "Not Found")


class CancelTests(ApiTestCase):
    """``POST /tasks/{taskId}/cancel``."""

    policy = Policy(daemon_grace=60.0, health_timeout=10_000.0)

    def setUp(self) -> None:
        """Have a server that spawned a task."""
        super().setUp()
        self.server = self.go_live()
        self.server.send("spawnTask", taskId="t")
        self.server.take()

    def test_a_pending_task_is_cancelled_and_the_server_is_told(self) -> None:
        """202, with the task as it is now."""
        task = self.post("/tasks/t/cancel", 202)
        self.assertEqual((task["status"], task["error"]), ("cancelled", "cancelled before dispatch"))
        self.assertEqual([event["status"] for event in task["events"]], ["pending", "cancelled"])
        self.assertEqual(
            self.server.take_messages(),
            [{"type": "taskComplete", "taskId": "t", "success": False, "error": "cancelled before dispatch"}],
        )

    def test_a_task_at_work_is_interrupted_by_its_daemon(self) -> None:
        """The task goes on until the daemon says otherwise."""
        daemon = self.join()
        daemon.take()
        task = self.post("/tasks/t/cancel", 202)
        self.assertEqual(task["status"], "dispatched")
        self.assertEqual(daemon.take_messages()[-1], {"type": "interruptTask", "taskId": "t"})

    def test_an_orphaned_task_is_interrupted_when_its_daemon_returns(self) -> None:
        """Also over a restart of the relay."""
        self.join().lose()
        self.assertEqual(self.post("/tasks/t/cancel", 202)["status"], "orphaned")
        self.restart()
        daemon = self.connect()
        daemon.send("authenticate", apiKey="a-key-of-the-server", hostname="d")
        types = [message["type"] for message in daemon.take_messages()]
        self.assertEqual(types, ["authenticated", "interruptTask"])

    def test_a_finished_task_cannot_be_cancelled(self) -> None:
        """409, whether it finished just now or before a restart."""
        self.join().send("taskComplete", taskId="t", success=True)
        self.assert_problem(self.ask("POST", "/tasks/t/cancel"), 409, "Conflict")
        self.engine.settled()
        self.restart()
        self.assert_problem(self.ask("POST", "/tasks/t/cancel"), 409, "Conflict")
        self.assertEqual(self.get("/tasks/t")["status"], "completed")

    def test_an_unknown_task_cannot_be_cancelled(self) -> None:
        """404."""
        self.assert_problem(self.ask("POST", "/tasks/nobody/cancel"), 404, "Not Found")
