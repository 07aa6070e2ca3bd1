"""The relay of the chaos experiment as a process: shell scripts stand for it."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psutil
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.disk import LimitedFiles
from makima_relay.sandbox.chaos.relay import RelayProcess

READY = 'echo "listening on here"; '


def begin(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
    """Run a coroutine."""
    return Deferred.fromCoroutine(coroutine)


class RelayProcessTests(TestCase):
    """Starting, ending, filling its disk."""

    timeout = 180

    def setUp(self) -> None:
        """Have a directory."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def make(self, script: str, url: str = "http://127.0.0.1:1", program: str = "/bin/sh") -> RelayProcess:
        """Make a relay of a script."""
        environment = {"PATH": "/usr/bin:/bin"}
        self.relay = RelayProcess(
            reactor, [program, "-c", script], environment, self.directory, LimitedFiles(self.directory), url
        )
        self.addCleanup(self.relay.close)
        self.addCleanup(lambda: begin(self.relay.kill()))
        return self.relay

    @inlineCallbacks
    def test_a_clean_stop_is_none_of_its_faults(self) -> Any:
        """It works in the directory; what it says is kept there; it can be started again."""
        relay = self.make(f'trap "exit 0" TERM; pwd; {READY} while :; do sleep 0.01; done')
        for _ in range(2):
            yield begin(relay.start())
            self.assertIsNotNone(relay.pid)
            yield begin(relay.stop())
            self.assertIsNone(relay.pid)
        figures = relay.figures
        self.assertEqual((figures.starts, figures.bad_stops, figures.deaths), (2, [], 0))
        self.assertGreater(figures.slowest_start, 0.0)
        self.assertGreater(figures.slowest_stop, 0.0)
        log = (self.directory / "relay.log").read_text()
        self.assertEqual(log, 2 * f"{self.directory.resolve()}\nlistening on here\n")

    @inlineCallbacks
    def test_a_bad_exit_status_is_noted(self) -> Any:
        """That of a signal too."""
        yield begin(self.make(f'trap "exit 3" TERM; {READY} while :; do sleep 0.01; done').start())
        yield begin(self.relay.stop())
        self.assertEqual(self.relay.figures.bad_stops, [3])
        yield begin(self.make(f"{READY} exec sleep 100").start())
        yield begin(self.relay.stop())
        self.assertEqual(self.relay.figures.bad_stops, [None])

    @inlineCallbacks
    def test_a_kill_is_no_fault(self) -> Any:
        """And nothing happens when there is nothing to kill or to stop."""
        relay = self.make(f'trap "" TERM; {READY} exec sleep 100')
        yield begin(relay.kill())
        yield begin(relay.start())
        yield begin(relay.kill())
        yield begin(relay.stop())
        self.assertEqual((relay.figures.deaths, relay.figures.bad_stops, relay.pid), (0, [], None))

    @inlineCallbacks
    def test_whoever_waits_for_its_end_may_stop_waiting(self) -> Any:
        """Others do not."""
        relay = self.make(f'trap "" TERM; {READY} while :; do sleep 0.01; done')
        yield begin(relay.start())
        stopping = begin(relay.stop())
        stopping.cancel()
        with self.assertRaises(CancelledError):
            yield stopping
        pid = relay.pid
        yield begin(relay.kill())
        self.assertFalse(psutil.pid_exists(pid or 0))

    @inlineCallbacks
    def test_an_end_that_nobody_wanted_is_noted(self) -> Any:
        """Whatever its exit status."""
        relay = self.make(f"{READY} sleep 0.1")
        yield begin(relay.start())
        while relay.pid is not None:
            yield deferLater(reactor, 0.01)  # type: ignore[arg-type]
        self.assertEqual(relay.figures.deaths, 1)

    @inlineCallbacks
    def test_a_relay_that_does_not_start_has_its_last_words_shown(self) -> Any:
        """Or that it had none."""
        with self.assertRaisesRegex(SandboxError, "does not start; the last that it said:\n  no port"):
            yield begin(self.make("echo no port >&2; exit 1").start())
        with self.assertRaisesRegex(SandboxError, "it said nothing"):
            yield begin(self.make("exit 0").start())

    @inlineCallbacks
    def test_a_full_disk_takes_no_more_than_a_page(self) -> Any:
        """Until it is emptied."""
        script = """
import sys, time
print("listening on here", flush=True)
while True:
    time.sleep(0.01)
    try:
        with open("file", "wb", buffering=0) as file:
            file.write(b"x" * 4096)
            file.write(b"x" * 4096)
            print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""
        relay = self.make(script, program=sys.executable)
        yield begin(relay.start())
        for fill, word in ((relay.fill_disk, "File too large"), (relay.empty_disk, "written")):
            fill()
            size = len(self.log())
            while word not in self.log()[size:]:
                yield deferLater(reactor, 0.01)  # type: ignore[arg-type]
        self.assertGreater(relay.resident_memory() or 0, 1 << 20)
        yield begin(relay.kill())
        self.assertIsNone(relay.resident_memory())

    def log(self) -> str:
        """What it has said."""
        return (self.directory / "relay.log").read_text()

    @inlineCallbacks
    def test_a_damaged_database_is_noted(self) -> Any:
        """It is looked at in a copy; the original is not touched, not even by bringing its log in."""
        relay = self.make("")
        writer = sqlite3.connect(relay.database)
        self.addCleanup(writer.close)
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE reports (number INTEGER PRIMARY KEY, payload BLOB)")
        writer.executemany("INSERT INTO reports VALUES (?, ?)", [(n, b"x" * 3_000) for n in range(100)])
        writer.commit()
        self.assertGreater(relay.size_of_database(), 300_000)
        before = self.files()
        yield begin(relay.check_database())
        self.assertEqual((relay.figures.damaged, relay.figures.checks), ([], 1))
        self.assertEqual(self.files(), before)
        writer.close()
        content = bytearray(relay.database.read_bytes())
        content[8_192:40_960] = b"\xff" * 32_768
        relay.database.write_bytes(content)
        yield begin(relay.check_database())
        relay.database.write_bytes(b"no database at all" * 1_000)
        yield begin(relay.check_database())
        self.assertEqual((len(relay.figures.damaged), relay.figures.checks), (2, 3))

    def files(self) -> dict[str, int]:
        """The files in the directory and their sizes."""
        return {each.name: each.stat().st_size for each in self.directory.iterdir()}

    def test_what_is_left_in_the_database_is_counted_at_the_end(self) -> None:
        """Reports, and bytes."""
        relay = self.make("")
        with sqlite3.connect(relay.database) as writer:
            writer.execute("CREATE TABLE reports (number INTEGER PRIMARY KEY, payload BLOB)")
            writer.execute("INSERT INTO reports VALUES (1, 'x')")
        writer.close()
        relay.close()
        self.assertEqual(relay.figures.reports_left, 1)
        self.assertEqual(relay.figures.final_database, relay.database.stat().st_size)

    @inlineCallbacks
    def test_it_is_asked_whether_it_can_write(self) -> Any:
        """No answer is as bad as a bad one."""
        health = Health()
        root = Resource()
        root.putChild(b"health", health)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = yield endpoint.listen(Site(root))
        relay = self.make("", url=f"http://127.0.0.1:{port.getHost().port}")
        answers = []
        for health.code in (200, 503):
            answers.append((yield begin(relay.can_write())))
        yield port.stopListening()
        answers.append((yield begin(relay.can_write())))
        self.assertEqual(answers, [True, False, False])


class Health(Resource):
    """Answers with the code that a test says."""

    code = 200

    def render_GET(self, request: Any) -> bytes:
        """Answer."""
        request.setResponseCode(self.code)
        return b"{}"
