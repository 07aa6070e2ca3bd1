"""The stand-in server's HTTP routes."""

from __future__ import annotations

from typing import Any

import treq.testing
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.admission import Admission
from makima_relay.sandbox.api import SandboxApi
from makima_relay.sandbox.peers import PeerFactory
from makima_relay.sandbox.server import SandboxServer
from makima_relay.web.access import Access
from tests.wire import connect_daemon

URL = "http://127.0.0.1:8788"


class ApiTestCase(SynchronousTestCase):
    """Has a server that only this machine can reach."""

    def setUp(self) -> None:
        """Make it."""
        self.server = SandboxServer(lambda line: None)
        self.api = SandboxApi(self.server, Access(None, lambda: True))
        self.client = treq.testing.StubTreq(self.api.app.resource())

    def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Ask.

        :return: the status and the JSON that is answered.
        """
        response = self.successResultOf(self.client.request(method, URL + path, **more))
        return response.code, self.successResultOf(response.json())

    def assert_problem(self, answer: tuple[int, Any], status: int, part: str) -> None:
        """An answer is a problem with a status, and says something."""
        self.assertEqual((answer[0], answer[1]["status"]), (status, status))
        self.assertIn(part, answer[1]["detail"])


class TaskTests(ApiTestCase):
    """Making tasks and looking at them."""

    def test_a_command_becomes_a_task(self) -> None:
        """Its name is the command where none is given."""
        status, task = self.ask("POST", "/tasks", json={"command": "echo hello", "name": "greet"})
        self.assertEqual(status, 201)
        self.assertEqual((task["name"], task["command"], task["status"]), ("greet", "echo hello", "waiting"))
        self.assertEqual(self.ask("POST", "/tasks", json={"command": "echo"})[1]["name"], "echo")
        self.assertEqual(self.ask("GET", f"/tasks/{task['id']}"), (200, {**task, "output": []}))

    def test_the_history_is_newest_first(self) -> None:
        """With as many as are asked for."""
        for number in range(3):
            self.server.spawn(str(number), "make")
        status, answer = self.ask("GET", "/tasks?limit=2")
        self.assertEqual((status, answer["total"], answer["limit"]), (200, 3, 2))
        self.assertEqual([task["name"] for task in answer["tasks"]], ["2", "1"])

    def test_a_task_shows_what_was_reported(self) -> None:
        """With its last line; alone, with all output."""
        task = self.server.spawn("t", "make")
        for report in (b'"taskOutput","output":"a"', b'"taskOutput","output":"b"', b'"taskProgress","percent":40'):
            self.server.tasks.reported(b'{"taskId":"%b","type":%b}' % (task.task_id.encode(), report), "m")
        shown = self.ask("GET", f"/tasks/{task.task_id}")[1]
        self.assertEqual(
            [shown[member] for member in ("status", "percent", "lines", "lastLine", "output")],
            ["running", 40, 2, "b", ["a", "b"]],
        )

    def test_bad_bodies_are_refused(self) -> None:
        """With a word on what is taken."""
        for body, part in (
            (b"", "echo hello"),
            (b"[]", "echo hello"),
            (b'{"command": 1}', "echo hello"),
            (b'{"name": "n"}', "command"),
            (b'{"command": " "}', "shell command"),
            (b'{"command": "a\\u0000b"}', "shell command"),
            (b'{"command": "a", "name": ""}', "1 to 255"),
            (b"\xff", "echo hello"),
        ):
            self.assert_problem(self.ask("POST", "/tasks", data=body), 400, part)
        self.assertEqual(len(self.server.tasks), 0)

    def test_an_interrupt_is_taken_once_there_is_something_to_interrupt(self) -> None:
        """Not for what has finished, nor for what never was."""
        task = self.server.spawn("t", "make")
        path = f"/tasks/{task.task_id}/interrupt"
        self.assertEqual(self.ask("POST", path)[0], 202)
        self.assert_problem(self.ask("POST", path), 409, "finished")
        self.assert_problem(self.ask("POST", "/tasks/x/interrupt"), 404, "no task")
        self.assert_problem(self.ask("GET", "/tasks/x"), 404, "no task")

    def test_the_front_page_says_who_is_connected(self) -> None:
        """Relays and daemons."""
        reactor = Clock()
        peer = connect_daemon(PeerFactory(self.server, Admission("k"), reactor), reactor)
        peer.send("authenticate", apiKey="k", machineId="m", hostname="h", maxConcurrentTasks=0)
        self.server.spawn("t", "make")
        status, answer = self.ask("GET", "/")
        expected = {"machineId": "m", "hostname": "h", "kind": "relay", "maxConcurrentTasks": 0, "unfinishedTasks": 1}
        self.assertEqual((status, answer["peers"], answer["tasks"]), (200, [expected], 1))


class AccessTests(ApiTestCase):
    """Whoever can make a task runs commands."""

    def test_web_pages_of_others_are_refused(self) -> None:
        """A browser's visit somewhere must not run anything here."""
        answer = self.ask("POST", "/tasks", json={"command": "make"}, headers={"Origin": "http://evil.example"})
        self.assert_problem(answer, 403, "origin")
        answer = self.ask("POST", "/tasks", json={"command": "make"}, headers={"Host": "evil.example"})
        self.assert_problem(answer, 403, "loopback")
        self.assertEqual(len(self.server.tasks), 0)

    def test_from_elsewhere_the_key_is_needed(self) -> None:
        """On every route."""
        self.api.access = Access("k", lambda: False)
        routes = (
            ("GET", "/"),
            ("GET", "/tasks"),
            ("POST", "/tasks"),
            ("GET", "/tasks/x"),
            ("POST", "/tasks/x/interrupt"),
        )
        for method, path in routes:
            self.assert_problem(self.ask(method, path), 401, "Authorization")
        status, _ = self.ask("POST", "/tasks", json={"command": "make"}, headers={"Authorization": "Bearer k"})
        self.assertEqual(status, 201)


class ErrorTests(ApiTestCase):
    """What has no route."""

    def test_paths_and_methods_without_a_route_are_problems(self) -> None:
        """404, and 405 with what is allowed."""
        self.assert_problem(self.ask("GET", "/nowhere"), 404, "nothing here")
        self.assert_problem(self.ask("PUT", "/tasks"), 405, "POST")

    def test_a_bug_is_answered_and_logged(self) -> None:
        """Without a word on its cause in the answer."""
        self.api.server = None  # type: ignore[assignment]
        self.assert_problem(self.ask("GET", "/"), 500, "log")
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
