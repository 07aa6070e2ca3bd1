"""Events and output as somebody with ``curl`` sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from tests.processes.harness import PATIENCE, ask, ask_until, say
from tests.processes.test_relay import ProcessTestCase


def events(answer: HTTPResponse) -> Iterator[tuple[str, Any, str]]:
    """The events of a stream: kind, data and id of each."""
    fields: dict[str, str] = {}
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield fields["event"], json.loads(fields["data"]), fields["id"]
            fields = {}


class EventTests(ProcessTestCase):
    """A relay, its server, a daemon and somebody who watches."""

    def watch(self, port: int, query: str = "", **headers: str) -> HTTPResponse:
        """Ask for events; the answer has begun."""
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", f"/events{query}", headers=headers)
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        self.addCleanup(answer.close)
        return answer

    def test_a_task_can_be_watched_from_its_beginning_to_its_end(self) -> None:
        """Its output too; who was away for a while misses nothing, and the stream ends with the relay."""
        relay = self.start()
        port = relay.port()
        server = self.server.relay()
        worker = self.daemon(port, "worker")
        watched = events(self.watch(port, "?output=t-1"))
        say(server, type="spawnTask", taskId="t-1")
        worker.recv(PATIENCE)
        say(worker, type="taskOutput", taskId="t-1", output="first\n")
        kind, data, last_id = next(event for event in watched if event[0] == "output")
        self.assertEqual(data["payload"]["output"], "first\n")
        say(worker, type="taskOutput", taskId="t-1", output="second\n")
        say(worker, type="taskComplete", taskId="t-1", success=True)
        ask_until(port, "/tasks/t-1", lambda task: task["status"] == "completed")

        kept = ask(port, "/tasks/t-1/output")
        self.assertEqual([each["payload"]["output"] for each in kept["output"]], ["first\n", "second\n"])
        again = events(self.watch(port, "?output=t-1", **{"Last-Event-ID": last_id}))
        kind, data, _ = next(again)
        self.assertEqual((kind, data["payload"]["output"]), ("output", "second\n"))
        self.assertEqual(next(e[1]["status"] for e in again if e[0] == "task" and e[1]["finishedAt"]), "completed")

        relay.process.terminate()
        self.assertIsNone(next((event for event in again if event[0] == "output"), None))
        self.assertEqual(relay.finish(), 0)

    def test_an_id_of_an_earlier_run_is_not_known(self) -> None:
        """Whoever comes back is told to begin anew."""
        relay = self.start()
        port = relay.port()
        self.server.relay()
        line = b""
        answer = self.watch(port)
        while not line.startswith(b"id: "):
            line = answer.readline()
        relay.end()
        port = self.start().port()
        self.server.relay()
        again = events(self.watch(port, **{"Last-Event-ID": line[4:].decode().strip()}))
        self.assertEqual(next(again)[:2], ("reset", {}))

    def test_more_than_fits_a_buffer_reaches_everybody(self) -> None:
        """Who reads, and who comes back for all of it."""
        port = self.start().port()
        server = self.server.relay()
        answer = self.watch(port)
        answer.readline()
        first = answer.readline()[4:].decode().strip()
        for number in range(600):
            say(server, type="spawnTask", taskId=f"t-{number}", taskName="x" * 200)
        expected = {f"t-{number}" for number in range(600)}
        for reader in (answer, None):
            left = set(expected)
            for kind, data, _ in events(reader or self.watch(port, **{"Last-Event-ID": first})):
                self.assertNotEqual(kind, "reset")
                if kind == "task":
                    left.discard(data["taskId"])
                    if not left:
                        break
            self.assertEqual(left, set())
