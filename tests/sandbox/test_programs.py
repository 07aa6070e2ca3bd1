"""Real programs: what they print, how they end, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from makima_relay.sandbox.programs import KILL_AFTER, Ending, Program

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


class RecordingUser:
    """Notes what a program does, and lets tests wait for it.

    :ivar done: fires at its end with how it ended.
    """

    def __init__(self) -> None:
        self.printed_lines: list[tuple[str, str]] = []
        self.done: Deferred[Ending] = Deferred()
        self._awaited: dict[str, Deferred[None]] = {}

    def said(self, line: str) -> Deferred[None]:
        """Fires when it prints a line."""
        awaited: Deferred[None] = Deferred()
        self._awaited[line] = awaited
        return awaited

    def printed(self, stream: str, line: str) -> None:
        """Note it."""
        self.printed_lines.append((stream, line))
        awaited = self._awaited.pop(line, None)
        if awaited is not None:
            awaited.callback(None)

    def ended(self, ending: Ending) -> None:
        """Note it."""
        self.done.callback(ending)


class HandTimedReactor(Clock):
    """Runs real processes; its time passes by hand."""

    def spawnProcess(self, *args: Any, **kwargs: Any) -> Any:
        """Have the real reactor do it."""
        return reactor.spawnProcess(*args, **kwargs)  # type: ignore[attr-defined]


class QuickProgram(Program):
    """One that has ended before anybody knows that it runs."""

    def connectionMade(self) -> None:
        """Wait until it has ended."""
        super().connectionMade()
        assert self.transport is not None
        os.waitid(os.P_PID, self.transport.pid, os.WEXITED | os.WNOWAIT)  # type: ignore[attr-defined]


class ProgramTests(TestCase):
    """Programs as a daemon runs them."""

    timeout = 180

    def start(self, command: str, timing: Any = reactor) -> tuple[Program, RecordingUser]:
        """Start a shell command."""
        user = RecordingUser()
        program = Program(user, timing)
        program.start(["/bin/sh", "-c", command], _ENVIRONMENT)
        return program, user

    @inlineCallbacks
    def test_both_streams_are_read_and_the_end_comes_last(self) -> Any:
        """A line without an end counts too."""
        _, user = self.start('echo out; echo err >&2; printf "caf\\303\\251"; exit 3')
        ending = yield user.done
        self.assertEqual(ending, Ending(3))
        self.assertEqual([line for stream, line in user.printed_lines if stream == "stdout"], ["out", "café"])
        self.assertEqual([line for stream, line in user.printed_lines if stream == "stderr"], ["err"])

    @inlineCallbacks
    def test_it_has_an_end_of_input_and_only_the_environment_it_is_given(self) -> Any:
        """Whoever reads waits for nobody."""
        _, user = self.start('cat; echo "home: $HOME"')
        ending = yield user.done
        self.assertTrue(ending.success)
        self.assertEqual(user.printed_lines, [("stdout", "home: ")])

    @inlineCallbacks
    def test_a_closed_pipe_ends_a_program_quietly(self) -> Any:
        """Python ignores SIGPIPE; what it starts must not."""
        _, user = self.start("yes | head -n 1")
        yield user.done
        self.assertEqual(user.printed_lines, [("stdout", "y")])

    @inlineCallbacks
    def test_an_interrupt_reaches_grandchildren(self) -> Any:
        """One that holds the output open would keep the program from ending."""
        program, user = self.start("sleep 100 & echo ready; wait")
        yield user.said("ready")
        program.interrupt()
        ending = yield user.done
        self.assertEqual((ending.interrupted, ending.signal, ending.error), (True, 15, "interrupted"))

    @inlineCallbacks
    def test_an_interrupt_right_after_the_start_works(self) -> Any:
        """There may be no process group yet."""
        program, user = self.start("sleep 100")
        program.interrupt()
        ending = yield user.done
        self.assertTrue(ending.interrupted)

    @inlineCallbacks
    def test_one_that_ends_at_once_takes_nobody_else_along(self) -> Any:
        """Its end may be noticed while it is being started: no signal goes to this process's own group."""
        user = RecordingUser()
        program = QuickProgram(user, reactor)
        came: list[int] = []
        former = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
        self.addCleanup(signal.signal, signal.SIGTERM, former)
        program.start(["/bin/sh", "-c", "echo quick"], _ENVIRONMENT)
        ending = yield user.done
        self.assertEqual((ending, user.printed_lines, came), (Ending(0), [("stdout", "quick")], []))
        program.interrupt()

    @inlineCallbacks
    def test_who_does_not_listen_is_killed_after_a_while(self) -> Any:
        """SIGTERM first; five seconds later SIGKILL."""
        timing = HandTimedReactor()
        command = 'trap "echo no" TERM; echo ready; while :; do sleep 100 & wait $!; done'
        program, user = self.start(command, timing)
        yield user.said("ready")
        program.interrupt()
        yield user.said("no")
        timing.advance(KILL_AFTER - 0.1)
        # What it does for so long shows that it lives: it hears again.
        listening = user.said("no")
        program._signal(15)  # type: ignore[arg-type]
        yield listening
        timing.advance(0.1)
        ending = yield user.done
        self.assertEqual((ending.signal, ending.interrupted), (9, True))
        self.assertEqual(timing.getDelayedCalls(), [])

    @inlineCallbacks
    def test_what_a_program_leaves_behind_ends_with_it(self) -> Any:
        """It ended well; that its child held the output open is no reason to wait."""
        _, user = self.start("sleep 100 & echo done")
        ending = yield user.done
        self.assertEqual(ending, Ending(0))

    @inlineCallbacks
    def test_an_interrupt_after_the_end_changes_nothing(self) -> Any:
        """Its number may be a stranger's by then."""
        program, user = self.start("true")
        ending = yield user.done
        program.interrupt()
        self.assertEqual(ending, Ending(0))
        self.assertTrue(program._gone)

    @inlineCallbacks
    def test_nothing_is_read_while_paused(self) -> Any:
        """And nothing is lost by it."""
        program, user = self.start("echo one; sleep 0.1; echo two")
        yield user.said("one")
        program.pause()
        _, longer = self.start("sleep 0.4")
        yield longer.done
        self.assertEqual(user.printed_lines, [("stdout", "one")])
        program.resume()
        yield user.done
        self.assertEqual(user.printed_lines, [("stdout", "one"), ("stdout", "two")])

    def test_a_command_that_cannot_be_given_is_an_error(self) -> None:
        """A NUL ends an argument."""
        program = Program(RecordingUser(), reactor)
        with self.assertRaises(ValueError):
            program.start(["/bin/sh", "-c", "echo a\0b"], _ENVIRONMENT)


class EndingTests(SynchronousTestCase):
    """What is said of an end."""

    def test_every_end_has_its_words(self) -> None:
        """An interrupt explains whatever follows from it."""
        for ending, success, error in (
            (Ending(0), True, None),
            (Ending(3), False, "exit status 3"),
            (Ending(None, 9), False, "killed by SIGKILL"),
            (Ending(None, 15, interrupted=True), False, "interrupted"),
            (Ending(0, None, interrupted=True), False, "interrupted"),
            (Ending(None, 37), False, "killed by signal 37"),
        ):
            self.assertEqual((ending.success, ending.error), (success, error))
