"""A relay of the version before, and one of this version that takes its place while tasks run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.processes.harness import KEY, RelayProcess, ask, ask_until, say, until
from tests.processes.passed_sockets import SocketTestCase
from tests.processes.versions import previous_version

_DAEMON = (str(Path(sys.executable).with_name("makima-relay")), "sandbox", "daemon")
#: What runs so is no part of what the tests cover: it is not this version.
_UNCOVERED = ("/usr/bin/env", "-u", "COVERAGE_PROCESS_START", "-u", "COVERAGE_PROCESS_CONFIG")


class UpgradeTests(SocketTestCase):
    """With a socket that stays, and real commands."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.directory.absolute()
        self.ours = self.socket("127.0.0.1")
        self.port: int = self.ours.getsockname()[1]
        self.runs = self.directory / "runs"

    def relay(self, through: tuple[str, ...] = (), **environment: str) -> RelayProcess:
        """Start a relay on the socket."""
        return self.start_with("makima-relay", {"makima-relay": self.ours}, through, **environment)

    def work(self, name: str, slots: int) -> Path:
        """Start a stand-in daemon.

        :return: the file of what it says.
        """
        said = self.directory / f"{name}.log"
        with said.open("wb") as log:
            process = subprocess.Popen(
                [*_DAEMON, f"--server-url=ws://127.0.0.1:{self.port}", f"--name={name}", f"--slots={slots}"],
                cwd=self.directory,
                env={**os.environ, "MAKIMA_API_KEY": KEY},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, signal.SIGTERM)
        return said

    def task(self, name: str) -> str:
        """A command that notes that it runs, and ends when there is a file of its first letters."""
        return f"echo {name} >>runs; until [ -e end-{name[0]} ]; do sleep 0.05; done; echo {name} has run"

    def end(self, kind: str) -> None:
        """Let tasks end."""
        (self.directory / f"end-{kind}").touch()

    def running(self) -> Counter[str]:
        """How often each task was begun."""
        return Counter(self.runs.read_text().split() if self.runs.exists() else [])

    def ends(self, names: set[str]) -> Counter[str]:
        """How often the server has heard of the good end of each of these tasks, once it has of all.

        An end from before the relay was replaced may come again: its daemon sends again what nobody has proven to it.
        """
        heard: Counter[str] = Counter()
        while set(heard) != names:
            (payload,) = self.server.hear(1)
            message = json.loads(payload)
            if message["type"] == "taskComplete" and message["taskId"] in names:
                self.assertTrue(message["success"], payload)
                heard[message["taskId"]] += 1
        return heard

    def test_every_task_ends_once_though_the_relay_is_replaced_meanwhile(self) -> None:
        """Whether it ends before, while there is no relay, after, or has not begun; and no daemon is ever refused."""
        logs = [self.work("build-1", 2), self.work("build-2", 2)]
        old_tree = self.directory / "old"
        version = previous_version(old_tree)
        old = self.relay(through=_UNCOVERED, PYTHONPATH=str(old_tree))
        old.port()
        server = self.server.relay()
        ask_until(self.port, "/status", lambda status: status["connectedDaemons"] == 2)
        self.assertEqual(ask(self.port, "/status")["version"], version)
        names = ["before", "meanwhile-1", "meanwhile-2", "after", "pending-1", "pending-2"]
        self.end("b")
        for name in names:
            say(server, type="spawnTask", taskId=name, plan=self.task(name))
        self.assertEqual(self.ends({"before"}), {"before": 1})
        until(lambda: self.running().total() == 5)

        self.assertEqual(old.end(), 0)
        self.end("m")
        new = self.relay()
        new.port()
        ask_until(self.port, "/status", lambda status: status["connectedDaemons"] == 2)
        self.assertNotEqual(ask(self.port, "/status")["version"], version)
        say(self.server.relay(), type="spawnTask", taskId="new", plan=self.task("new"))
        for kind in "apn":
            self.end(kind)
        rest = {*names[1:], "new"}
        self.assertEqual(self.ends(rest), dict.fromkeys(rest, 1))
        self.assertEqual(self.running(), dict.fromkeys({"before", *rest}, 1))
        listed = ask_until(self.port, "/tasks", lambda found: all(each["finishedAt"] for each in found["tasks"]))
        self.assertEqual(
            {each["taskId"]: (each["status"], each["attempts"]) for each in listed["tasks"]},
            dict.fromkeys({"before", *rest}, ("completed", 1)),
        )
        self.assertEqual(new.end(), 0)
        left = [json.loads(each) for each in self.server.heard.queue]
        self.assertEqual([each for each in left if each["type"] == "taskComplete" and each["taskId"] in rest], [])
        for log in logs:
            # From the first task on: whoever comes before any relay runs may have to come again.
            _, replaced, rest_of_log = log.read_text().partition("running")
            self.assertTrue(replaced)
            self.assertNotIn("cannot connect", rest_of_log)
