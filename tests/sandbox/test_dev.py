"""``makima-relay sandbox dev``: real processes, on a copy of the source that the tests may change."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
from twisted.trial.unittest import SynchronousTestCase

from tests.processes.harness import PATIENCE, ROOT, ask_until

#: The file that the tests change.
_CHANGED = Path("core") / "journal.py"
_RELAY = r"relay at http://127\.0\.0\.1:(\d+)"


class DevTests(SynchronousTestCase):
    """A relay that is started again whenever its source changes."""

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        self.source = directory / "makima_relay"
        shutil.copytree(ROOT / "makima_relay", self.source, ignore=shutil.ignore_patterns("__pycache__"))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKIMA_")}
        # What one process has compiled the others need not: this is no directory that has to stay clean.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "makima_relay.cli", "sandbox", "dev", "--port=0", "--server-port=0"],
            cwd=directory,
            env={**environment, "PYTHONPATH": str(directory.absolute()), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watchdog = threading.Timer(4 * PATIENCE, self.process.kill)
        watchdog.start()
        self.addCleanup(self._end)
        self.addCleanup(watchdog.cancel)

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read its output up to a line that matches."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line)
            match = re.search(pattern, line)
            if match:
                return match
        raise AssertionError(f"it ended without saying {pattern!r}:\n{''.join(seen)}")

    def change(self, text: str) -> None:
        """Write behind the end of a file of the source."""
        with (self.source / _CHANGED).open("a") as file:
            file.write(text)

    def test_a_change_starts_the_relay_again_and_an_interrupt_ends_all(self) -> None:
        """One line says so; the address stays, the daemons come back; a mistake in the source ends nothing."""
        port = int(self.wait_for(_RELAY)[1])
        self.wait_for("Ctrl-C ends all")
        ask_until(port, "/status", lambda status: status["upstreamConnected"] and status["connectedDaemons"] == 2)
        self.change("\n")
        again = self.wait_for(_RELAY + r".*\(changed: (\S+)\)$")
        self.assertEqual((int(again[1]), again[2]), (port, str(_CHANGED)))
        ask_until(port, "/status", lambda status: status["upstreamConnected"] and status["connectedDaemons"] == 2)
        self.change("never closed = (\n")
        self.wait_for("SyntaxError")
        self.wait_for(r"the next change starts it again \(changed: ")
        text = (self.source / _CHANGED).read_text()
        (self.source / _CHANGED).write_text(text.removesuffix("never closed = (\n"))
        self.wait_for(_RELAY)
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.assertEqual(len(family), 4)
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(PATIENCE), 0)
        self.assertFalse([each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE])
