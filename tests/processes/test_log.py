"""The log of a real relay, wherever ``twistd`` writes it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.processes.harness import ROOT, daemon, say, until
from tests.processes.test_relay import ProcessTestCase


class JsonLogTests(ProcessTestCase):
    """``--log-format json``."""

    def assert_all_json(self, text: str) -> None:
        """Each line is an object, from the first to the last; connection events have a line each."""
        lines = [json.loads(line) for line in text.splitlines()]
        events = [line["event"] for line in lines if line["event"] is not None]
        for event in (
            "relay_started",
            "upstream_connected",
            "daemon_connected",
            "daemon_disconnected",
            "relay_stopped",
        ):
            self.assertEqual(events.count(event), 1, text)
        self.assertIn("twistd", lines[0]["message"])
        joined = next(line for line in lines if line["event"] == "daemon_connected")
        self.assertEqual((joined["level"], joined["fields"]["hostname"]), ("info", "build-7"))

    def test_every_line_on_the_standard_output_is_an_object(self) -> None:
        """``twistd -n``."""
        relay = self.start("--log-format", "json")
        port = int(relay.wait_for(r"listening on .*port=(\d+)")[1])
        self.server.relay()
        with daemon(port, "build-7") as connection:
            relay.wait_for("daemon_connected")
            for number in range(100):
                say(connection, type="taskOutput", taskId="t", number=number)
            self.server.hear(100)
        relay.wait_for("daemon_disconnected")
        self.assertEqual(relay.end(), 0, relay.output())
        self.assert_all_json(relay.output())
        # A report has none.
        self.assertLess(len(relay.lines), 30, relay.output())

    def test_so_is_every_line_of_a_file_when_the_environment_says_so(self) -> None:
        """``twistd --logfile`` with ``relay.tac``, which has no options."""
        log = self.directory / "relay.log"
        relay = self.start(
            arguments=("--logfile", log.name, "-y", str(ROOT / "relay.tac")),
            MAKIMA_RELAY_LOG_FORMAT="json",
            MAKIMA_RELAY_LISTEN="unix:relay.sock",
        )
        until(lambda: "listening" in self.read(log))
        self.server.relay()
        self.assertEqual(relay.end(), 0, relay.output())
        self.assertEqual(relay.output(), "")
        lines = [json.loads(line) for line in self.read(log).splitlines()]
        self.assertEqual({line["level"] for line in lines}, {"info"})
        self.assertIn("relay_stopped", [line["event"] for line in lines])

    @staticmethod
    def read(log: Path) -> str:
        """What is in a file so far."""
        return log.read_text(encoding="utf-8") if log.exists() else ""


class LevelTests(ProcessTestCase):
    """``--log-level``."""

    def test_a_relay_that_is_well_says_nothing_above_info(self) -> None:
        """Its journal is kept all the same."""
        relay = self.start("--log-level", "error", "--listen", "unix:relay.sock")
        until((self.directory / "relay.sock").exists)
        self.server.relay()
        self.assertEqual(relay.end(), 0, relay.output())
        self.assertEqual(relay.output(), "")
        with closing(sqlite3.connect(self.directory / "makima-relay.sqlite3")) as database:
            events = [row[0] for row in database.execute("SELECT event FROM journal ORDER BY number")]
        self.assertEqual((events[0], events[-1]), ("relay_started", "relay_stopped"))
