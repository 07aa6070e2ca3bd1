"""The commands that ask a relay, one by one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from rich.console import Console

from makima_relay.cli.daemons import state_of
from makima_relay.cli.errors import ExitStatus
from makima_relay.cli.status import status_facts
from makima_relay.cli.top_screen import View, draw
from makima_relay.core.fleet import daemon_id_of
from tests.cli.case import CommandTestCase
from tests.fakes import elapse

NASTY = "[red]x\x1b[31m\ty\u202e"
SHOWN = r"[red]x\x1b[31m\ty\u202e"


class AskingCommandTests(CommandTestCase):
    """What they show, and what they have done."""

    def spawn(self, *task_ids: str, **members: Any) -> None:
        """Have the server spawn tasks."""
        if not self.upstream.live:
            self.server = self.go_live()
        for task_id in task_ids:
            self.server.send("spawnTask", taskId=task_id, **members)

    def test_the_status_is_lines_with_names(self) -> None:
        """Or what the relay answers."""
        self.go_live()
        self.join("build-7")
        lines = dict(line.split("  ", 1) for line in self.run_well("status").splitlines())
        self.assertIn("edge-1", lines["relay"])
        self.assertIn("connected  ws://makima.example/ws/daemon as relay-1", lines["server"])
        self.assertEqual(lines["daemons"].strip(), "1 connected")
        self.assertEqual(lines["tasks"].strip(), "0 active, 0 pending, 0 finished")
        self.assertEqual(self.run_json("status"), self.get("/status"))

    def test_a_server_that_is_away_is_said_with_what_to_do(self) -> None:
        """While it is waited for, and after the relay gave up."""
        answer = self.get("/status")
        answer["upstream"].update(state="gave_up", attempt=20)
        answer["status"] = "disconnected"
        self.assertIn("after 20 attempts; makima-relay reconnect", str(dict(status_facts(answer))["server"]))
        answer["upstream"].update(state="waiting", attempt=3, nextAttemptAt="2024-12-15T10:30:09.000Z")
        answer["status"] = "connecting"
        self.assertIn("3 failed attempts; makima-relay logs says why", str(dict(status_facts(answer))["server"]))

    def test_tasks_are_a_table_that_nothing_is_cut_from(self) -> None:
        """What a peer chose is escaped, and is no markup."""
        name = NASTY + "n" * 600
        self.join("build-7", machineId="m-7")
        self.spawn("t1", name=name)
        heading, row = self.run_well("tasks").splitlines()
        self.assertEqual(heading.split(), ["TASK", "STATUS", "RECEIVED", "DAEMON", "NAME", "REASON"])
        self.assertEqual(
            row.split(), ["t1", "dispatched", "2024-12-15T10:30:00.000Z", "build-7", SHOWN + "n" * 600, "-"]
        )

    def test_on_a_terminal_markup_of_peers_is_text_too(self) -> None:
        """And rows are as wide as the terminal at most."""
        self.join("build-7")
        self.spawn("t1", name=NASTY)
        output = self.on_terminal(100)
        self.assertIn(SHOWN, output)
        self.assertIn("1 to 1 of 1", output)
        narrow = self.on_terminal(40)
        self.assertTrue(all(len(line) <= 40 for line in narrow.splitlines()), narrow)
        self.assertEqual(narrow.split()[:5], ["TASK", "STATUS", "NAME", "t1", "dispatched"])

    def on_terminal(self, width: int) -> str:
        """The table of tasks on a terminal, without its colours."""
        output = self.run_well("tasks", FORCE_COLOR="1", COLUMNS=str(width), NO_COLOR="1", TERM="xterm")
        return re.sub(r"\x1b\[\d*m", "", output)

    def test_tasks_are_filtered_by_the_relay(self) -> None:
        """By status, daemon and text, and in pages."""
        self.join("build-7")
        self.spawn("t1", "t2", "u3")
        ids = [
            task["taskId"] for task in self.run_json("tasks", "--query", "T", "--limit", "1", "--offset", "1")["tasks"]
        ]
        self.assertEqual(ids, ["t1"])
        self.assertEqual(self.run_json("tasks", "--status", "pending")["total"], 0)
        self.assertEqual(self.run_json("tasks", "--daemon", "build-7")["total"], 3)
        self.assertEqual(self.run_command("tasks", "--status", "nonsense").exit_code, ExitStatus.MISUSED)
        self.assertEqual(self.run_command("tasks", "--follow", "--offset", "1").exit_code, ExitStatus.MISUSED)

    def test_one_task_is_shown_with_what_became_of_it(self) -> None:
        """Whatever is in its id."""
        self.spawn("b c?", name="Compile")
        lines = self.run_well("task", "b c?").splitlines()
        self.assertIn("task        b c?", lines)
        self.assertIn("reason      no daemon connected", lines)
        self.assertEqual(lines[-1], "2024-12-15T10:30:00.000Z  pending")
        self.assertEqual(self.run_json("task", "b c?"), self.get("/tasks/b%20c%3F"))

    def test_cancel_says_what_follows(self) -> None:
        """A pending task is cancelled, another's daemon is told."""
        self.spawn("t1")
        self.assertEqual(self.run_well("cancel", "t1"), "t1 is cancelled\n")
        self.join("build-7")
        self.spawn("t2")
        self.assertEqual(self.run_well("cancel", "t2"), "t2 is dispatched: build-7 is told to interrupt it\n")
        self.assert_fails(self.run_command("cancel", "t1"), ExitStatus.REFUSED, "has finished")

    def test_a_daemon_is_drained_by_its_id_or_hostname(self) -> None:
        """And resumed; the table shows it."""
        self.join("build-7", slots=3)
        self.assertEqual(self.run_well("drain", "build-7"), "build-7 gets no new tasks; it has 0\n")
        row = self.run_well("daemons").splitlines()[1].split()
        self.assertEqual((row[0], row[1], row[2], row[-1]), (daemon_id_of("build-7"), "0/3", "draining", "build-7"))
        self.assertFalse(self.run_json("resume", daemon_id_of("build-7"))["draining"])

    def test_a_hostname_of_two_daemons_is_not_guessed(self) -> None:
        """Their ids are shown."""
        self.join("twin", machineId="m-1")
        self.join("twin", machineId="m-2")
        self.assert_fails(self.run_command("drain", "twin"), ExitStatus.REFUSED, daemon_id_of("m-2"))
        self.assertFalse(any(daemon["draining"] for daemon in self.get("/daemons")["daemons"]))

    def test_the_state_of_a_daemon_is_one_word(self) -> None:
        """The worst that can be said of it."""
        usual = {"healthy": True, "draining": False, "activeTasks": 1, "maxConcurrentTasks": 2}
        for change, word in (
            ({}, "ready"),
            ({"activeTasks": 2}, "full"),
            ({"draining": True, "activeTasks": 2}, "draining"),
            ({"draining": True, "healthy": False}, "unhealthy"),
        ):
            self.assertEqual(state_of({**usual, **change}), word)

    def test_the_log_ends_with_the_newest(self) -> None:
        """As a log does; with JSON each line is an event."""
        self.join("build-7")
        self.join("build-8")
        lines = self.run_well("logs", "-n", "2").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("hostname=build-8", lines[1])
        entries = [json.loads(line) for line in self.run_well("logs", "--json").splitlines()]
        self.assertEqual(entries, self.get("/logs")["logs"][::-1])

    def test_reconnect_has_the_relay_connect(self) -> None:
        """It says how to see what becomes of it."""
        self.assertIn("makima-relay status", self.run_well("reconnect"))
        self.assertEqual(self.run_json("reconnect"), {"reconnecting": True})
        self.assertEqual(len(self.journal("reconnect_requested")), 2)

    def test_a_relay_without_events_is_asked_again_and_again(self) -> None:
        """What is known is shown once."""
        self.join("build-7")
        lines = self.follow("logs", meanwhile=[lambda: None, lambda: self.join("build-8"), lambda: None])
        self.assertEqual([line.split()[1] for line in lines], ["relay_started", *["daemon_connected"] * 2])
        self.assertIn("hostname=build-8", lines[2])

    def test_tasks_are_followed(self) -> None:
        """The oldest first, and then each change that is wanted."""
        daemon = self.join("build-7")
        self.spawn("t1", "t2", "u1")

        def finish() -> None:
            for task_id in ("t1", "u1"):
                daemon.send("taskComplete", taskId=task_id, success=True)

        lines = self.follow("tasks", "--query", "t", meanwhile=[finish, lambda: elapse(self.reactor, 1)])
        self.assertEqual(
            [line.split()[1:3] for line in lines], [["t1", "dispatched"], ["t2", "dispatched"], ["t1", "completed"]]
        )

    def test_a_task_is_followed_to_its_end(self) -> None:
        """Then the command ends by itself."""
        daemon = self.join("build-7")
        self.spawn("t1")
        finish = partial(daemon.send, "taskComplete", taskId="t1", success=False, error="no paper")
        self.meanwhile = [finish, lambda: elapse(self.reactor, 1)]
        result = self.run_command("task", "t1", "--follow")
        self.assertEqual((result.exit_code, result.stderr), (ExitStatus.TASK_FAILED, ""))
        lines = result.stdout.splitlines()
        self.assertEqual([line.split()[2] for line in lines], ["dispatched", "failed"])
        self.assertTrue(lines[-1].endswith("no paper"))

    def test_the_end_of_a_followed_task_is_told_by_the_exit_status(self) -> None:
        """With its output too, and of one that has finished before; who only looks gets no other than 0."""
        daemon = self.join("build-7")
        self.spawn("done", "failed")
        daemon.send("taskComplete", taskId="done", success=True)
        daemon.send("taskComplete", taskId="failed", success=False, error="no paper")
        self.run_well("drain", "build-7")
        self.spawn("cancelled")
        self.server.send("cancelTask", taskId="cancelled")
        ends = {
            (task_id, option): self.run_command("task", task_id, "--follow", *option).exit_code
            for task_id in ("done", "failed", "cancelled")
            for option in ((), ("--output",), ("--json",))
        }
        wanted = {"done": 0, "failed": ExitStatus.TASK_FAILED, "cancelled": ExitStatus.TASK_CANCELLED}
        self.assertEqual(ends, {each: wanted[each[0]] for each in ends})
        told = self.run_command("task", "failed", "--output", "--follow").stderr
        self.assertEqual(told.splitlines()[-1], "makima-relay: the task has failed: no paper")
        for task_id in wanted:
            self.run_well("task", task_id)
            self.run_well("task", task_id, "--output")

    def test_a_relay_that_keeps_no_output_is_said(self) -> None:
        """With the setting that would have it kept; a task that is not there is said as always."""
        self.engine.relay.outputs.limit = 0
        self.spawn("t1")
        self.assert_fails(self.run_command("task", "t1", "--output"), ExitStatus.REFUSED, "--keep-output")
        self.assert_fails(self.run_command("task", "t2", "--output"), ExitStatus.REFUSED, "no task of this id")

    def test_keys_of_a_relay_that_runs_are_changed_there(self) -> None:
        """In the same words as offline."""
        key = self.run_well("keys", "add", "build-7").strip()
        self.assertIsNotNone(self.engine.relay.keys.find(key))
        self.assertNotEqual(self.run_json("keys", "rotate", "build-7")["key"], key)
        said = self.run_well("keys", "rotate", "build-7", FORCE_COLOR="1", TERM="xterm", COLUMNS="100")
        self.assertIn("It is not shown again.", said)
        self.assertEqual(self.run_json("keys", "list"), self.get("/keys"))
        self.assert_fails(self.run_command("keys", "add", "build-7"), ExitStatus.REFUSED, "the name build-7 is in use")
        self.run_well("keys", "add", "gpu-2")
        self.assertEqual(self.run_well("keys", "revoke", "build-7"), "build-7 is revoked\n")
        self.assertIn("no daemon can join", self.run_well("keys", "revoke", "gpu-2"))
        self.assert_fails(self.run_command("keys", "revoke", "build-7"), ExitStatus.REFUSED, "no key named build-7")

    def test_top_draws_no_more_than_fits(self) -> None:
        """At any size; peers' names are text there too."""
        for number in range(30):
            self.join(f"build-{number}", slots=1)
        self.spawn(*(f"t{number}" for number in range(50)), name=NASTY)
        answers = self.get("/status"), *(self.get(path)[path[1:]] for path in ("/daemons", "/tasks", "/logs"))
        view = View().followed_by(*answers)
        for width, height in ((100, 40), (40, 24), (200, 60)):
            console = Console(width=width, height=height, force_terminal=True, color_system=None)
            lines = console.render_lines(draw(view, width, height), pad=False)
            self.assertLessEqual(len(lines), height)
            texts = ["".join(part.text for part in line) for line in lines]
            self.assertTrue(all(len(text) <= width for text in texts))
            self.assertIn("30 connected", "\n".join(texts))
        self.assertIn(SHOWN, "\n".join(texts))
        away = draw(view.without_relay("nobody answers"), 100, 40)
        lines = console.render_lines(away, pad=False)
        self.assertIn("nobody answers; trying again", ["".join(part.text for part in line) for line in lines])

    def test_top_shows_what_is_at_work_however_old_it_is(self) -> None:
        """More tasks than it asks for have come and gone since."""
        daemon = self.join("build-7")
        self.spawn("old", name="the old one")
        for number in range(101):
            self.spawn(f"t{number}")
            daemon.send("taskComplete", taskId=f"t{number}", success=True)
        output = self.run_command("top", FORCE_COLOR="1", TERM="xterm", COLUMNS="100", LINES="30").output
        self.assertIn("the old one", output)

    def test_top_tells_how_fast_it_goes(self) -> None:
        """Between two looks; a relay that was started again in between has no less than nothing to tell."""
        at = datetime(2024, 12, 15, 10, 30, tzinfo=UTC)
        status = self.get("/status")
        views = [View()]
        for seconds, finished, reports in ((0, 10, 100), (2, 12, 150), (4, 12, 0)):
            now = {**status, "totalTasksProcessed": finished, "totalReports": reports}
            views.append(views[-1].followed_by(now, (), (), (), at + timedelta(seconds=seconds)))
        speeds = [(view.finished_a_second, view.reports_a_second) for view in views[1:]]
        self.assertEqual(speeds, [(0, 0), (1, 25), (0, 0)])

    def test_top_needs_a_terminal(self) -> None:
        """Elsewhere it would be of no use."""
        result = self.run_command("top")
        self.assertEqual(result.exit_code, ExitStatus.MISUSED)
        self.assertIn("top needs a terminal", result.stderr)
