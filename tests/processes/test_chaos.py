"""A short chaos experiment: a real relay that is stopped, killed and cut off must lose nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from makima_relay.sandbox.chaos.faults import PLAIN
from tests.cluster.redis_server import MISSING
from tests.processes.harness import ROOT, until

#: Far more than it takes, in seconds.
PATIENCE = 120


class ChaosTests(SynchronousTestCase):
    """With a directory for temporary files that is its own, so that one sees what is left."""

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.environment = {**os.environ, "TMPDIR": str(self.directory), "PYTHONPATH": str(ROOT)}

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start an experiment."""
        command = [sys.executable, "-m", "makima_relay.sandbox", "chaos", "--daemons", "4", "--rate", "200", *options]
        experiment = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.addCleanup(experiment.kill)
        assert experiment.stdout is not None
        self.addCleanup(experiment.stdout.close)
        return experiment

    def assert_nothing_is_left(self) -> None:
        """No process, no file."""
        self.assertEqual([each.pid for each in psutil.process_iter() if self._is_ours(each)], [])
        self.assertEqual([each.name for each in self.directory.iterdir()], [])

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("TMPDIR") == str(self.directory) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def test_the_relay_loses_nothing_whatever_fails(self) -> None:
        """Every kind of fault comes, and the figures say that all is as it should be."""
        file = self.directory / "figures.json"
        experiment = self.start("--seconds", "10", "--seed", "5", "--json", str(file))
        output, _ = experiment.communicate(timeout=PATIENCE)
        self.assertEqual(experiment.returncode, 0, output)
        figures: dict[str, Any] = json.loads(file.read_bytes())
        file.unlink()
        self.assertEqual([kind for kind in PLAIN if not figures["faults"][kind]], [])
        reports, tasks, relay = figures["reports"], figures["tasks"], figures["relay"]
        self.assertGreater(reports["delivered"], 500)
        self.assertEqual(
            reports["sent"],
            reports["delivered"] + reports["lost_in_window"] + reports["refused"] + reports["unproven"],
        )
        self.assertGreater(tasks["completed"], 10)
        self.assertEqual(tasks["spawned"], tasks["completed"] + tasks["failed"] + tasks["lost_in_window"])
        self.assertEqual(relay["starts"], 1 + figures["faults"]["term"] + figures["faults"]["kill"])
        self.assertGreater(relay["largest_rss"], 1 << 20)
        self.assertRegex(output, rf"(?m)^reports delivered +{reports['delivered']:,} *$")
        self.assertRegex(output, r"(?m)^reports lost +0 +yes *$")
        self.assert_nothing_is_left()

    def test_relays_lose_nothing_of_each_other(self) -> None:
        """While they are killed and stopped, and Redis is emptied and cut off."""
        if MISSING is not None:
            raise SkipTest(MISSING)
        file = self.directory / "figures.json"
        faults = "term,kill,move,redis-stop,redis-flush,redis-cut"
        experiment = self.start(
            *(
                "--relays",
                "2",
                "--faults",
                faults,
                "--seconds",
                "9",
                "--every",
                "0.6",
                "--seed",
                "5",
                "--json",
                str(file),
            )
        )
        output, _ = experiment.communicate(timeout=2 * PATIENCE)
        self.assertEqual(experiment.returncode, 0, output)
        figures: dict[str, Any] = json.loads(file.read_bytes())
        file.unlink()
        self.assertEqual([kind for kind in faults.split(",") if not figures["faults"][kind]], [])
        tasks = figures["tasks"]
        # How many depends on how busy the machine is.
        self.assertGreater(tasks["moved"], 0)
        self.assertEqual(tasks["spawned"], tasks["completed"] + tasks["lost_in_window"])
        self.assertRegex(output, r"(?m)^runs at a daemon of another relay +\d+ *$")
        self.assert_nothing_is_left()

    def test_nothing_is_left_when_it_is_cut_short(self) -> None:
        """Neither the relay nor its directory."""
        experiment = self.start("--seconds", "60", "--seed", "1")
        assert experiment.stdout is not None
        first = experiment.stdout.readline()
        self.assertRegex(first, r"^seed 1, in ")
        log = Path(first.split(" in ", 1)[1].strip()) / "chaos.log"
        until(lambda: experiment.poll() is not None or (log.exists() and "begins" in log.read_text()))
        self.assertIsNone(experiment.poll())
        experiment.send_signal(signal.SIGTERM)
        output, _ = experiment.communicate(timeout=PATIENCE)
        self.assertEqual((experiment.returncode, output), (1, "makima-relay: stopped before the end\n"))
        self.assert_nothing_is_left()
