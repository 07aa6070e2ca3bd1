"""A task at work: what it reports, and how often."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox.programs import Ending, ProgramUser
from makima_relay.sandbox.reports import PROGRESS_INTERVAL, refusal
from makima_relay.sandbox.run import Run
from tests.fakes import clock_on, elapse


class RecordingProgram:
    """A program that a test runs by hand.

    :ivar notes: what was done with it.
    """

    def __init__(self, command: str, user: ProgramUser) -> None:
        self.command = command
        self.user = user
        self.notes: list[str] = []

    def interrupt(self) -> None:
        """Note it."""
        self.notes.append("interrupt")

    def pause(self) -> None:
        """Note it."""
        self.notes.append("pause")

    def resume(self) -> None:
        """Note it."""
        self.notes.append("resume")


class RunTests(SynchronousTestCase):
    """Reports about one run."""

    def setUp(self) -> None:
        """Start a run."""
        self.reactor = Clock()
        self.reports: list[dict[str, Any]] = []
        self.run_ = Run("t", self.take, clock_on(self.reactor), lambda task_id, report: self.take(report))
        self.run_.start(RecordingProgram, "make")

    def take(self, payload: bytes) -> None:
        """Keep a report, but for what all of them have."""
        report = json.loads(payload)
        self.assertEqual(report.pop("taskId"), "t")
        self.assertEqual(len(report.pop("runId")), 8)
        self.reports.append(report)

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The reports of a type, without it."""
        return [{**report, "type": None} for report in self.reports if report["type"] == kind]

    def test_it_is_running_from_its_start(self) -> None:
        """Before it has printed anything."""
        self.assertEqual(self.reports, [{"type": "taskStatusChange", "newStatus": "running"}])

    def test_every_line_is_an_output_with_its_number(self) -> None:
        """Of both streams, counted together."""
        self.run_.printed("stdout", "a")
        self.run_.printed("stderr", "☕")
        self.assertEqual(
            self.of_type("taskOutput"),
            [
                {"type": None, "sequence": 1, "stream": "stdout", "output": "a"},
                {"type": None, "sequence": 2, "stream": "stderr", "output": "☕"},
            ],
        )
        self.run_.ended(Ending(0))

    def test_progress_is_reported_at_most_once_a_second(self) -> None:
        """The first at once, what follows together when the second is over; nothing when nothing new came."""
        for percent in range(10):
            self.run_.printed("stdout", f"{percent}%")
            elapse(self.reactor, 0.1)
        elapse(self.reactor, 5)
        self.run_.printed("stdout", "no percentage")
        self.assertEqual(
            self.of_type("taskProgress"),
            [
                {"type": None, "percent": 0, "lines": 1, "elapsedSeconds": 0.0},
                {"type": None, "percent": 9, "lines": 10, "elapsedSeconds": PROGRESS_INTERVAL},
                {"type": None, "percent": 9, "lines": 11, "elapsedSeconds": 6.0},
            ],
        )
        self.run_.ended(Ending(0))

    def test_a_task_without_percentages_has_none(self) -> None:
        """Null, not 0."""
        self.run_.printed("stdout", "a")
        self.assertIsNone(self.of_type("taskProgress")[0]["percent"])
        self.run_.ended(Ending(0))

    def test_the_end_is_the_last_report(self) -> None:
        """No progress comes after it."""
        self.run_.printed("stdout", "a")
        self.run_.printed("stdout", "b")
        self.run_.ended(Ending(3))
        self.assertEqual(
            self.reports[-1], {"type": "taskComplete", "success": False, "exitStatus": 3, "error": "exit status 3"}
        )
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_an_interrupted_task_says_so_before_its_end(self) -> None:
        """It was cancelled; it did not fail."""
        self.run_.ended(Ending(None, 15, interrupted=True))
        self.assertEqual(
            self.reports[-2:],
            [
                {"type": "taskStatusChange", "newStatus": "interrupted"},
                {"type": "taskComplete", "success": False, "exitStatus": None, "error": "interrupted"},
            ],
        )

    def test_runs_of_the_same_task_can_be_told_apart(self) -> None:
        """Their ids differ."""
        payloads: list[bytes] = []
        for _ in range(2):
            run = Run("t", payloads.append, clock_on(self.reactor), lambda task_id, report: None)
            run.start(RecordingProgram, "make")
        first, second = (json.loads(payload)["runId"] for payload in payloads)
        self.assertNotEqual(first, second)

    def test_a_refusal_is_an_end_too(self) -> None:
        """Of a task that never ran."""
        self.assertEqual(
            json.loads(refusal("t", "no free slot")),
            {"type": "taskComplete", "taskId": "t", "success": False, "exitStatus": None, "error": "no free slot"},
        )
