"""The demo's processes: starting, dying early, being stopped."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.demo.household import START_TIMEOUT, STOP_TIMEOUT, Household
from tests.sandbox.test_programs import HandTimedReactor


class FullReactor(Clock):
    """A reactor on whose machine no more processes fit."""

    def spawnProcess(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise OSError("no more processes")


class HouseholdTests(TestCase):
    """Real processes."""

    timeout = 180

    def setUp(self) -> None:
        """Make a household in a directory of its own."""
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.household = Household(reactor, self.directory, {"PATH": "/usr/bin:/bin"})

    def start(self, command: str, ready: str = "^ready (.*)") -> Deferred[str]:
        """Start a shell command as a member."""
        return self.household.start("member", ["/bin/sh", "-c", command], ready)

    def stop(self) -> Deferred[None]:
        """Stop all."""
        return Deferred.fromCoroutine(self.household.stop())

    @inlineCallbacks
    def test_a_member_is_started_when_it_says_so(self) -> Any:
        """It works in the directory, and what it prints is kept there."""
        found = yield self.start('echo "one moment"; pwd; echo "ready at 5"; exec sleep 100')
        self.assertEqual(found, "at 5")
        self.household.check()
        yield self.stop()
        log = (self.directory / "member.log").read_text()
        self.assertEqual(log, f"one moment\n{self.directory}\nready at 5\n")

    @inlineCallbacks
    def test_a_member_that_dies_at_its_start_has_its_last_words_shown(self) -> Any:
        """Not all that it ever said, and nothing that could upset a terminal."""
        started = self.start(
            'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "line $i"; done; printf "\\033[2J" >&2; exit 4'
        )
        with self.assertRaises(SandboxError) as caught:
            yield started
        first, *words = str(caught.exception).splitlines()
        self.assertEqual(first, "member ended (exit status 4); the last that it said:")
        self.assertEqual(sorted(words), sorted([f"  line {i}" for i in range(2, 13)] + ["  \\x1b[2J"]))
        yield self.stop()

    @inlineCallbacks
    def test_a_member_that_is_not_ready_in_time_is_an_error(self) -> Any:
        """And is stopped like any other."""
        timing = HandTimedReactor()
        self.household.reactor = timing
        started = self.start("exec sleep 100")
        timing.advance(START_TIMEOUT)
        with self.assertRaisesRegex(SandboxError, r"member was not ready within 20 s; .* \(it said nothing\)"):
            yield started
        stopped = self.stop()
        timing.advance(STOP_TIMEOUT)
        yield stopped

    @inlineCallbacks
    def test_a_member_that_dies_later_is_noticed(self) -> Any:
        """Whoever looks is told."""
        yield self.start("echo ready now; exec sleep 100")
        (member,) = self.household._members
        member._program._signal(9)  # type: ignore[arg-type]
        yield member._ended
        with self.assertRaisesRegex(SandboxError, r"member ended \(killed by SIGKILL\)"):
            self.household.check()
        yield self.stop()

    @inlineCallbacks
    def test_a_member_that_does_not_stop_is_killed(self) -> Any:
        """After a few seconds."""
        timing = HandTimedReactor()
        self.household.reactor = timing
        yield self.start('trap "" TERM; echo ready now; while :; do sleep 100; done')
        stopped = self.stop()
        self.assertNoResult(stopped)
        timing.advance(STOP_TIMEOUT)
        yield stopped

    @inlineCallbacks
    def test_stopping_nobody_is_done_at_once(self) -> Any:
        """Also when a member could not be started."""
        yield self.stop()
        self.household.reactor = FullReactor()
        with self.assertRaisesRegex(SandboxError, "member cannot be started: no more processes"):
            yield self.start("true")
        yield self.stop()
