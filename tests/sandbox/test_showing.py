"""What the demo shows, and what it thinks of how its tasks ended."""

from __future__ import annotations

import io
import json
from typing import Any, ClassVar

import attrs
from rich.console import Console
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.tasks import TaskStatus
from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.demo.scenes import DAEMONS, SCENES, Outcome, Scene, faults
from makima_relay.sandbox.demo.screen import LiveScreen, PlainScreen, screen_of
from makima_relay.sandbox.demo.summary import CLUSTER_QUESTIONS, results, shortened, show_where_to_look, verdict
from makima_relay.sandbox.demo.watch import Act, Watch

_ENDED = {"status": "completed", "daemon": "east", "attempts": 1, "exit_status": 0, "ended": True}


def an_act(name: str = "compile", **members: Any) -> Act:
    """A task of the demo."""
    return Act(scene=Scene(name=name, command="make"), task_id=name, **members)


class FaultTests(SynchronousTestCase):
    """Ends that are as they should be, and others."""

    scene = Scene(name="s", command="c", status=TaskStatus.FAILED, exit_status=3, last_line="bye", lines=2)
    good = Outcome(status="failed", attempts=1, exit_status=3, last_line="bye", lines=2)

    def test_an_end_as_it_should_be_has_no_faults(self) -> None:
        """All that is asked for counts, and nothing else."""
        self.assertEqual(faults(self.scene, self.good), [])
        anything = attrs.evolve(self.scene, last_line=None, lines=None)
        self.assertEqual(faults(anything, attrs.evolve(self.good, last_line="x", lines=9)), [])

    def test_every_difference_is_a_fault(self) -> None:
        """Each in a few words."""
        for change, words in (
            ({"status": "completed"}, "completed, not failed"),
            ({"attempts": 2}, "2 attempts"),
            ({"exit_status": None}, "exit status None, not 3"),
            ({"last_line": "x"}, "its last line is 'x'"),
            ({"lines": 1}, "1 lines, not 2"),
        ):
            self.assertEqual(faults(self.scene, attrs.evolve(self.good, **change)), [words])

    def test_there_is_more_to_do_than_there_are_slots(self) -> None:
        """So some have to wait; and every kind of end is among them."""
        self.assertGreater(len(SCENES), sum(DAEMONS.values()))
        self.assertEqual({scene.status.value for scene in SCENES}, {"completed", "failed", "cancelled"})
        self.assertEqual(len({scene.name for scene in SCENES}), len(SCENES))

    def test_the_verdict_names_what_is_wrong_in_one_line(self) -> None:
        """And is none when nothing is."""
        good = an_act(**_ENDED)
        self.assertIsNone(verdict([good]))
        bad = an_act("pack", **{**_ENDED, "status": "failed", "last_line": "a\nb"})
        self.assertEqual(
            verdict([good, bad, an_act("lint")]),
            "not as it should be: pack (failed, not completed), lint (still waiting)",
        )


class ActTests(SynchronousTestCase):
    """A task as server and relay see it."""

    server: ClassVar = {
        "status": "completed",
        "percent": 100,
        "lines": 2,
        "lastLine": "b",
        "exitStatus": 0,
        "error": None,
    }
    relay: ClassVar = {
        "status": "completed",
        "daemonHostname": "east",
        "relay": None,
        "attempts": 1,
        "pendingReason": None,
        "dispatchedAt": "2024-12-15T10:30:00.000Z",
        "finishedAt": "2024-12-15T10:30:02.500Z",
    }

    def test_it_has_ended_when_both_know_of_it(self) -> None:
        """The relay knows first; the server has the last word."""
        act = an_act()
        act.saw_relay(self.relay)
        self.assertFalse(act.ended)
        act.saw_server(self.server)
        act.saw_relay({**self.relay, "status": "running", "finishedAt": None})
        self.assertFalse(act.ended)
        act.saw_server(self.server)
        act.saw_relay(self.relay)
        self.assertEqual((act.ended, act.took, act.faults), (True, 2.5, []))

    def test_it_says_where_it_is(self) -> None:
        """The relay that was asked is not named; another is, also before it has said which daemon it is."""
        act = an_act()
        for daemon, relay, place in (
            (None, None, ""),
            ("east", None, "east"),
            (None, "relay-2", "relay-2"),
            ("east", "relay-2", "east at relay-2"),
        ):
            act.saw_relay({**self.relay, "daemonHostname": daemon, "relay": relay})
            self.assertEqual(act.place, place)

    def test_it_says_why_it_waits(self) -> None:
        """As long as it does."""
        act = an_act()
        act.saw_server({**self.server, "status": "sent"})
        act.saw_relay({**self.relay, "status": "pending", "pendingReason": "no free slot", "finishedAt": None})
        self.assertEqual(act.reason, "no free slot")
        act.saw_server({**self.server, "status": "running"})
        act.saw_relay({**self.relay, "status": "running", "finishedAt": None})
        self.assertIsNone(act.reason)


@attrs.frozen
class Answer:
    """A response as treq gives it."""

    code: int
    body: Any

    def json(self) -> Deferred[Any]:
        """The JSON in it."""
        return succeed(self.body)


class WatchTests(SynchronousTestCase):
    """Asking server and relay."""

    def setUp(self) -> None:
        """Have nobody answer."""
        self.asked: list[tuple[str, str, Any]] = []
        self.answers: dict[str, Answer] = {}
        self.watch = Watch("http://server", "http://relay", "http://holder", self.request)

    def request(self, method: str, url: str, *, json: Any, timeout: float) -> Deferred[Answer]:
        """Note the question, and answer if there is an answer."""
        self.asked.append((method, url, json))
        answer = self.answers.get(url)
        return fail(ConnectError()) if answer is None else succeed(answer)

    def result(self, coroutine: Any) -> Any:
        """What a coroutine returns."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def test_the_relay_is_ready_with_the_server_and_all_daemons(self) -> None:
        """Not earlier; the daemons may be those of another relay."""
        for connected, daemons, ready in ((True, 2, True), (False, 2, False), (True, 1, False)):
            self.answers["http://relay/status"] = Answer(200, {"upstreamConnected": connected, "connectedDaemons": 0})
            self.answers["http://holder/status"] = Answer(200, {"connectedDaemons": daemons})
            self.assertIs(self.result(self.watch.is_ready(2)), ready)

    def test_errors_are_one_line(self) -> None:
        """Whether nobody answers, or that it cannot be."""
        self.answers["http://relay/b"] = Answer(403, {"detail": "not from here"})
        for path, words in (("a", "no answer"), ("b", "403 not from here")):
            failed = Deferred.fromCoroutine(self.watch.get(f"http://relay/{path}"))
            message = self.failureResultOf(failed, SandboxError).getErrorMessage()
            self.assertTrue(message.startswith(f"GET http://relay/{path}: {words}"), message)

    def test_what_has_to_be_interrupted_is_interrupted_once(self) -> None:
        """After it has shown that it runs."""
        act = Act(scene=Scene(name="s", command="c", interrupted=True), task_id="t")
        interrupt = ("POST", "http://server/tasks/t/interrupt", None)
        self.answers[interrupt[1]] = Answer(202, {})
        self.answers["http://relay/tasks?limit=500"] = Answer(200, {"tasks": []})
        for lines, times in ((2, 0), (3, 1), (4, 1)):
            shown = {**ActTests.server, "id": "t", "lines": lines}
            self.answers["http://server/tasks?limit=500"] = Answer(200, {"tasks": [shown]})
            self.result(self.watch.look([act]))
            self.assertEqual(self.asked.count(interrupt), times)

    def test_where_to_look_is_shown_with_what_one_sees_there(self) -> None:
        """While the relay stays, one can look oneself."""
        for path, _ in CLUSTER_QUESTIONS:
            self.answers[f"http://relay{path}"] = Answer(200, {"path": path})
        for keep in (False, True):
            console = Console(file=io.StringIO(), width=80)
            self.result(show_where_to_look(console, self.watch, keep=keep))
            shown = console.file.getvalue()  # type: ignore[attr-defined]
            for path, _ in CLUSTER_QUESTIONS:
                self.assertIn(f"curl 'http://relay{path}'", shown)
                self.assertIs(json.dumps({"path": path}, separators=(",", ":")) in shown, not keep)

    def test_a_relay_that_is_alone_is_not_asked_for_others(self) -> None:
        """It would answer that there are none."""
        for path in ("/status", "/tasks?limit=2", "/logs?limit=3"):
            self.answers[f"http://relay{path}"] = Answer(200, {})
        console = Console(file=io.StringIO(), width=80)
        self.result(
            show_where_to_look(console, Watch("http://s", "http://relay", "http://relay", self.request), keep=False)
        )
        self.assertNotIn("cluster", console.file.getvalue())  # type: ignore[attr-defined]

    def test_long_answers_are_cut_and_harmless(self) -> None:
        """Control characters of whatever kind are escaped."""
        self.assertEqual(shortened({"a": "\x9b☕"}), '{"a":"\\u009b☕"}')
        self.assertEqual(len(shortened(["x" * 1_000])), 301)


class ScreenTests(SynchronousTestCase):
    """What is seen while it runs."""

    acts: ClassVar = [
        an_act("compile", status="running", daemon="east", percent=40, last_line="part 4"),
        an_act("waits", status="pending", reason="no free slot"),
        an_act("noisy", status="running", daemon="west", last_line="\x1b[2J" + "x" * 100),
        an_act("done", **_ENDED, last_line="☕", percent=80, took=1.25),
    ]

    def test_without_a_terminal_every_change_is_a_line(self) -> None:
        """Nothing is repeated."""
        lines: list[str] = []
        screen = PlainScreen(lines.append)
        act = an_act()
        for status, percent in (("pending", None), ("running", 0), ("running", 10), ("running", 30), ("running", 30)):
            act.status, act.percent = status, percent
            screen.show([act], 1.0)
        act.status, act.ended = "completed", True
        screen.show([act], 2.0)
        screen.show([act], 3.0)
        screen.close()
        self.assertEqual(
            [line.split()[2:] for line in lines],
            [
                ["compile", "pending"],
                ["compile", "running", "0%"],
                ["compile", "running", "30%"],
                ["compile", "completed"],
            ],
        )

    def test_without_a_terminal_there_are_no_control_characters(self) -> None:
        """Not even those that tasks print."""
        lines: list[str] = []
        PlainScreen(lines.append).show(self.acts, 1.0)
        self.assertEqual([line for line in lines if not line.isprintable()], [])
        self.assertIn("(no free slot)", lines[1])

    def test_on_a_terminal_a_table_is_drawn_in_its_width(self) -> None:
        """A row for each task."""
        console = Console(file=io.StringIO(), force_terminal=True, width=70, height=20, color_system=None)
        screen = LiveScreen(console)
        screen.show(self.acts, 1.0)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        screen.close()
        rows = {line.split()[0]: line for line in shown.splitlines() if line.split()}
        self.assertIn("1 waiting   1 ended", shown)
        self.assertTrue(rows["compile"].rstrip().endswith("part 4"))
        self.assertIn("\\x1b[2Jxxx", rows["noisy"])
        self.assertLessEqual(len(rows["noisy"]), 70)

    def test_the_screen_suits_the_console(self) -> None:
        """A dumb terminal is none."""
        plain = Console(file=io.StringIO())
        self.assertIsInstance(screen_of(plain), PlainScreen)
        screen = screen_of(Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"}))
        self.assertIsInstance(screen, LiveScreen)
        screen.close()
        dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
        self.assertIsInstance(screen_of(dumb), PlainScreen)

    def test_the_results_fit_a_narrow_terminal(self) -> None:
        """The last line gives way."""
        console = Console(file=io.StringIO(), width=80)
        console.print(results(self.acts))
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        self.assertLessEqual(max(map(len, lines)), 80)
        (done,) = [line for line in lines if line.startswith("done")]
        self.assertEqual(done.split(), ["done", "✓", "completed", "east", "1", "0", "1.2", "s", "☕", "yes"])
        (noisy,) = [line for line in lines if line.startswith("noisy")]
        self.assertTrue(noisy.rstrip().endswith("no"))
