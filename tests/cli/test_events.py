"""The stream of events, as the command reads it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from klein import Klein
from treq.testing import StubTreq
from twisted.internet import error
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest

from makima_relay.cli.errors import ExitStatus
from makima_relay.cli.events import SILENCE, Event, EventReader
from tests.cli.case import CommandTestCase

_STREAM = (
    b'\xef\xbb\xbf: hello\r\n\r\nid: 1\nevent: log\ndata: {"detail": "\xe2\x82\xac"}\n\n: keep-alive\n\n'
    b"event:task\rid:2\rdata:[1,\rdata:2]\r\r\nevent: reset\nid: 3\n\nretry: 5\nnonsense\ndata: {bad\n\n"
    b"event: log\ndata: 1"
)
_EVENTS = [Event("log", {"detail": "€"}), Event("task", [1, 2]), Event("reset")]


class EventReaderTests(SynchronousTestCase):
    """Events out of bytes."""

    @given(st.lists(st.integers(0, len(_STREAM)), max_size=20))
    def test_it_does_not_matter_how_the_stream_is_cut(self, cuts: list[int]) -> None:
        """Between the bytes of a character or the parts of an end of line; what is unfinished is no event."""
        reader = EventReader()
        places = [0, *sorted(cuts), len(_STREAM)]
        chunks = [_STREAM[start:end] for start, end in itertools.pairwise(places)]
        self.assertEqual([event for chunk in chunks for event in reader.feed(chunk)], _EVENTS)
        self.assertEqual(reader.last_id, "3")

    @given(st.lists(st.binary(max_size=50)))
    def test_no_bytes_make_it_fail(self, chunks: list[bytes]) -> None:
        """Whatever stands behind the URL."""
        reader = EventReader()
        for chunk in chunks:
            reader.feed(chunk)
        reader.begin()
        self.assertEqual(reader.feed(b"event: log\ndata: 1\n\n"), [Event("log", 1)])

    def test_the_id_survives_a_new_beginning(self) -> None:
        """An unfinished event does not."""
        reader = EventReader()
        reader.feed(b"id: 7\ndata: 1\n\nid: 8\ndata: 2\n")
        reader.begin()
        self.assertEqual((reader.feed(b"\n"), reader.last_id), ([], "7"))


class StandIn:
    """A relay that has events.

    :ivar asked: the requests for events, each with its ``Last-Event-ID`` and its query.
    """

    app = Klein()

    def __init__(self) -> None:
        self.streams: list[Any] = []
        self.asked: list[tuple[str | None, dict[bytes, list[bytes]]]] = []
        self.logs: list[dict[str, Any]] = []
        self.output: list[dict[str, Any]] = []
        self.status = "running"

    @app.route("/events")
    def events(self, request: IRequest) -> Any:
        """A stream."""
        self.asked.append((request.getHeader("last-event-id"), request.args))
        request.setHeader(b"content-type", b"text/event-stream; charset=utf-8")
        request.write(b": hello\n\n")
        self.streams.append(request)
        return Deferred()

    @app.route("/logs")
    def latest(self, request: IRequest) -> bytes:
        """The log."""
        return json.dumps({"logs": self.logs[::-1]}).encode()

    @app.route("/tasks/t1")
    def task(self, request: IRequest) -> bytes:
        """A task."""
        return json.dumps(task(self.status)).encode()

    @app.route("/tasks/t1/output")
    def kept(self, request: IRequest) -> bytes:
        """What it printed."""
        return json.dumps({"taskId": "t1", "output": self.output, "truncated": False}).encode()

    def send(self, kind: str, number: int, data: Any = None) -> None:
        """Have something happen."""
        self.streams[-1].write(f"event: {kind}\nid: {number}\ndata: {json.dumps(data)}\n\n".encode())


def entry(number: int) -> dict[str, Any]:
    """An entry of the log."""
    return {"id": number, "timestamp": f"T{number}", "event": "e", "detail": "d"}


def report(number: int, text: str) -> dict[str, Any]:
    """Something that a task printed."""
    return {"at": f"T{number}", "payload": {"type": "taskOutput", "taskId": "t1", "output": text}}


def task(status: str) -> dict[str, Any]:
    """A task."""
    times = dict.fromkeys(("dispatchedAt", "startedAt", "finishedAt", "error", "pendingReason", "daemonId"))
    shown = {"taskId": "t1", "taskName": "n", "status": status, "receivedAt": "T0", "daemonHostname": "h"}
    return {**times, **shown, "events": []}


class StreamTests(CommandTestCase):
    """Following by events."""

    def setUp(self) -> None:
        """Have a relay with events."""
        super().setUp()
        self.relay = StandIn()
        self.treq = StubTreq(self.relay.app.resource())

    def numbers(self, *meanwhile: Callable[[], object]) -> list[str]:
        """The entries of the log that are shown."""
        return [line.split()[0] for line in self.follow("logs", meanwhile=list(meanwhile))]

    def drop(self) -> None:
        """End the stream."""
        self.relay.streams[-1].finish()

    def test_what_there_is_comes_first_and_then_what_happens(self) -> None:
        """Nothing twice."""
        self.relay.logs = [entry(1), entry(2)]
        shown = self.numbers(
            lambda: self.relay.send("log", 5, entry(2)),
            lambda: self.relay.send("daemon", 6, {}),
            lambda: self.relay.send("log", 7, entry(3)),
        )
        self.assertEqual(shown, ["T1", "T2", "T3"])

    def test_a_stream_that_breaks_is_taken_up_where_it_was(self) -> None:
        """By the id of the last event."""
        shown = self.numbers(
            lambda: self.relay.send("log", 7, entry(3)),
            self.drop,
            lambda: None,
            lambda: self.relay.send("log", 8, entry(4)),
        )
        self.assertEqual(shown, ["T3", "T4"])
        self.assertEqual([last_id for last_id, _ in self.relay.asked], [None, "7"])

    def test_after_a_reset_the_present_state_is_asked_for(self) -> None:
        """Since events were missed."""
        self.relay.logs = [entry(1)]

        def restart() -> None:
            self.relay.logs = [entry(1), entry(2)]
            self.relay.send("reset", 1, {})

        self.assertEqual(self.numbers(restart, lambda: None), ["T1", "T2"])

    def test_a_stream_that_falls_silent_is_taken_up_again(self) -> None:
        """A dead connection says nothing."""
        self.numbers(lambda: self.reactor.advance(SILENCE), lambda: None, lambda: None)
        self.assertEqual(len(self.relay.asked), 2)

    def test_a_relay_that_goes_away_is_waited_for(self) -> None:
        """One line says so."""
        here = self.treq
        away = type("Away", (), {})()
        away.request = lambda *_, **__: fail(error.ConnectionRefusedError())
        away.flush = here.flush

        def leave() -> None:
            self.drop()
            here.flush()
            self.put(away)

        self.meanwhile = [leave, lambda: None, lambda: None, lambda: self.put(here), lambda: None]
        self.meanwhile.append(lambda: self.relay.send("log", 9, entry(5)))
        around_again = self.run_command("logs", "--follow")
        self.assertEqual(around_again.exit_code, ExitStatus.INTERRUPTED, around_again.output)
        self.assertEqual([line.split()[0] for line in around_again.stdout.splitlines()], ["T5"])
        self.assertEqual(len(around_again.stderr.splitlines()), 1, around_again.stderr)
        self.assertIn("waiting for it", around_again.stderr)

    def put(self, http: Any) -> None:
        """Have the command ask something else from now on."""
        self.treq = http

    def test_the_output_of_a_task_is_followed_to_its_end(self) -> None:
        """What was kept first; what is in both is shown once, what was printed twice is shown twice."""
        self.relay.output = [report(1, "a\n"), report(2, "b\x1b[2J\tc\r\n"), report(3, "same"), report(3, "same")]

        def overlap() -> None:
            for number, each in enumerate([report(3, "same"), report(3, "same"), report(4, "same"), report(4, "same")]):
                self.relay.send("output", number, {"taskId": "t1", **each})

        self.meanwhile = [overlap, lambda: self.relay.send("task", 9, task("completed"))]
        lines = self.run_well("task", "t1", "--output", "--follow").splitlines()
        self.assertEqual(lines, ["a", r"b\x1b[2J    c", "same", "same", "same", "same"])
        self.assertEqual(self.relay.asked[0][1], {b"output": [b"t1"]})

    def test_whoever_misses_output_is_told(self) -> None:
        """Once for each gap, and not among the output."""

        def gap() -> None:
            self.relay.send("output", 1, {"taskId": "t1", "missed": True, **report(7, "seven")})
            self.relay.send("output", 2, {"taskId": "t1", **report(8, "eight")})

        self.meanwhile = [gap, lambda: self.relay.send("task", 9, task("completed"))]
        result = self.run_command("task", "t1", "--output", "--follow")
        self.assertEqual(result.stdout.splitlines(), ["seven", "eight"])
        self.assertEqual(result.stderr, "makima-relay: some output came too fast to be kept\n")

    @staticmethod
    def without_text() -> list[dict[str, Any]]:
        """Reports that say nothing of what a task printed."""
        payloads = {"type": "task_progress", "percent": 3}, {"type": "toolUse", "name": "x"}
        return [{"at": "T2", "payload": payload} for payload in payloads]

    def test_output_is_shown_as_it_was_kept(self) -> None:
        """As lines, or as reports in JSON; a report without text is shown whole, but for progress."""
        self.relay.output = [report(1, "a\n\nb"), *self.without_text()]
        lines = self.run_well("task", "t1", "--output").splitlines()
        self.assertEqual(lines, ["a", "", "b", '{"type": "toolUse", "name": "x"}'])
        as_json = [json.loads(line) for line in self.run_well("task", "t1", "--output", "--json").splitlines()]
        self.assertEqual(as_json, self.relay.output)

    def test_a_page_is_no_stream(self) -> None:
        """A proxy's page for people, say."""
        app = Klein()
        app.route("/events")(lambda _request: b"<html>")
        self.treq = StubTreq(app.resource())
        self.assert_fails(self.run_command("logs", "--follow"), ExitStatus.UNREACHABLE, "is no relay")
