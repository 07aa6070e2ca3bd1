"""The overview: tasks, daemons, and what is done with them."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Route, expect

from tests.browser.case import BrowserTestCase, answer
from tests.processes.harness import PATIENCE, daemon, say


class TaskTests(BrowserTestCase):
    """The table of tasks."""

    def test_a_task_is_followed_through_its_states(self) -> None:
        """Without anybody loading the page again: waiting and why, at work, done."""
        page = self.page()
        row = self.row(page, "#tasks", "followed task")
        say(self.stage.link, type="spawnTask", taskId="followed", taskName="followed task")
        self.see(row, "pending", "no daemon connected")
        worker = self.daemon("follower")
        self.see(row, "dispatched", "follower")
        worker.recv(PATIENCE)
        say(worker, type="taskOutput", taskId="followed", output="hello")
        self.see(row, "running")
        say(worker, type="taskComplete", taskId="followed", success=False, error="exit status 3")
        self.see(row, "failed", "exit status 3")
        expect(row.get_by_role("button")).to_be_hidden()
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        self.see(page.locator("#timeline"), re.compile("pending.*dispatched.*running.*failed", re.DOTALL))
        self.see(page.locator("#output"), "hello")
        page.go_back()
        self.see(row, "failed")

    def test_why_a_task_waits_is_told_anew_when_it_changes(self) -> None:
        """In the table and on its own page, although no event says so."""
        say(self.stage.link, type="spawnTask", taskId="waits", taskName="waiting task")
        page = self.page()
        row = self.row(page, "#tasks", "waiting task")
        self.see(row, "no daemon connected")
        with daemon(self.stage.port, "without-slots", 0):
            self.see(row, "no free slot")
        self.see(row, "no daemon connected")
        row.get_by_role("link").click()
        trouble = page.locator("#task-trouble")
        self.see(trouble, "no daemon connected")
        for _ in range(2):
            # What a page asks for when it is opened would have told the first time.
            with daemon(self.stage.port, "without-slots", 0):
                self.see(trouble, "no free slot")
            self.see(trouble, "no daemon connected")
        say(self.stage.link, type="cancelTask", taskId="waits")

    def test_tasks_are_found_and_leafed_through(self) -> None:
        """By what the address says too, so that it can be passed on."""
        for number in range(60):
            say(self.stage.link, type="spawnTask", taskId=f"leaf-{number:02}", taskName=f"leaf {number:02}")
        page = self.page()
        page.get_by_label("Name or id").fill("leaf ")
        pager = page.locator("#tasks-pager")
        self.see(pager, "1–25 of 60")
        pager.get_by_label("Next page").click()
        self.see(page.locator("#tasks tbody tr").first, "leaf 34")
        expect(pager.get_by_label("Next page")).to_be_focused()
        pager.get_by_label("Last page").click()
        self.see(pager, "51–60 of 60")
        expect(page).to_have_url(re.compile(r"#/\?offset=50&q=leaf$"))
        page.reload()
        self.see(page.locator("#tasks tbody tr").last, "leaf 00")
        page.locator("#filter-status").select_option("completed")
        self.see(page.locator("#tasks"), "No task is like that.")
        page.get_by_role("button", name="Clear").click()
        self.see(page.locator("#tasks tbody tr").first, "leaf 59")
        for number in range(60):
            say(self.stage.link, type="cancelTask", taskId=f"leaf-{number:02}")

    def test_a_task_is_cancelled_after_a_question(self) -> None:
        """Not before; and the focus comes back."""
        say(self.stage.link, type="spawnTask", taskId="unwanted", taskName="unwanted task")
        page = self.page()
        row = self.row(page, "#tasks", "unwanted task")
        page.get_by_role("button", name="Cancel unwanted task").click()
        dialog = page.get_by_role("dialog")
        self.see(dialog, "Cancel this task?", "unwanted task")
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Cancel unwanted task")).to_be_focused()
        self.see(row, "pending")
        page.get_by_role("button", name="Cancel unwanted task").click()
        dialog.get_by_role("button", name="Cancel the task").click()
        expect(dialog).to_be_hidden()
        # It is not there for long.
        self.see(page.locator("#toasts"), "The task is cancelled.")
        self.see(row, "cancelled")

    def test_a_task_that_is_not_there_is_said_and_nothing_else(self) -> None:
        """Its page has no empty boxes; that of one that is there has them."""
        page = self.page("#/tasks/nowhere", expected="/tasks/nowhere")
        self.see(page.locator("#task-trouble"), "There is no task of this id.")
        expect(page.locator("#task-columns")).to_be_hidden()
        say(self.stage.link, type="spawnTask", taskId="somewhere", taskName="somewhere")
        page.evaluate("() => { location.hash = '#/tasks/somewhere' }")
        self.see(page.locator("#timeline"), "pending")
        say(self.stage.link, type="cancelTask", taskId="somewhere")

    def test_what_cannot_be_done_is_said_where_it_was_asked_for(self) -> None:
        """A task that has finished meanwhile."""
        page = self.page(expected="/cancel$")
        say(self.stage.link, type="spawnTask", taskId="quick", taskName="quick task")
        button = page.get_by_role("button", name="Cancel quick task")
        button.click()
        page.route(
            "**/cancel", answer(status=409, json={"detail": "the task has finished; there is nothing to cancel"})
        )
        page.get_by_role("button", name="Cancel the task").click()
        self.see(page.get_by_role("alert").last, "nothing to cancel")
        say(self.stage.link, type="cancelTask", taskId="quick")


class ThroughputTests(BrowserTestCase):
    """The charts."""

    def test_finished_tasks_and_reports_are_drawn_as_they_come(self) -> None:
        """With what they come to in words, for who cannot see them."""
        worker = self.daemon("reporter")
        page = self.page()
        self.see(page.locator("#tasks-title"), "Tasks")
        chart = page.locator("#reports svg")
        expect(chart).to_have_attribute("aria-label", re.compile("^At most 0 reports"))
        for number in range(20):
            say(worker, type="taskOutput", taskId="drawn", output=str(number))
        say(worker, type="taskComplete", taskId="drawn", success=True)
        expect(chart).to_have_attribute("aria-label", re.compile(r"^At most [\d.]+[1-9] reports|^At most [1-9]"))
        expect(chart.locator("rect").first).to_be_attached()
        expect(page.locator("#throughput svg rect").first).to_be_attached()
        self.see(page.locator("#reports-now"), re.compile(r"now \d"))


class FleetTests(BrowserTestCase):
    """The daemons."""

    def test_a_daemon_is_drained_and_resumed(self) -> None:
        """Each after a question; its slots are told in words too."""
        worker = self.daemon("drained-1", 3)
        say(self.stage.link, type="spawnTask", taskId="in-slot", taskName="in a slot")
        worker.recv(PATIENCE)
        page = self.page()
        row = self.row(page, "#fleet", "drained-1")
        self.see(row, "1 of 3", "healthy")
        expect(row.locator(".slots .used")).to_have_count(1)
        page.get_by_role("button", name="Drain drained-1").click()
        dialog = page.get_by_role("dialog")
        self.see(dialog, "It finishes the 1 task that it has.")
        dialog.get_by_role("button", name="Drain", exact=True).click()
        self.see(row, "draining")
        page.get_by_role("button", name="Resume drained-1").click()
        dialog.get_by_role("button", name="Resume", exact=True).click()
        self.see(row, "healthy")
        say(worker, type="taskComplete", taskId="in-slot", success=True)
        self.see(row, "0 of 3")

    def test_a_large_fleet_is_leafed_through(self) -> None:
        """Of thousands of daemons, a page is drawn; the rest can be searched."""
        daemons = [
            {
                "daemonId": f"id-{number}",
                "hostname": f"host-{number}",
                "machineId": f"host-{number}",
                "maxConcurrentTasks": 40,
                "activeTasks": number % 41,
                "healthy": number != 1234,
                "draining": False,
                "connectedAt": "2024-12-15T10:30:00.000Z",
                "lastSeen": "2024-12-15T10:30:00.000Z",
                "address": "192.0.2.1:5000",
            }
            for number in range(2000)
        ]
        page = self.page(routes={"**/daemons": answer(json={"daemons": daemons})})
        self.see(page.locator("#fleet-pager"), "1–12 of 2,000")
        expect(page.locator("#fleet tbody tr")).to_have_count(12)
        self.see(page.locator("#fleet tbody tr").nth(10), "host-10")
        page.get_by_label("Order").select_option("state")
        self.see(page.locator("#fleet tbody tr").first, "host-1234", "silent")
        page.locator("#fleet-text").fill("host-1999")
        expect(page.locator("#fleet tbody tr")).to_have_count(1)
        self.assertLess(page.evaluate("document.querySelectorAll('*').length"), 1500)


class OutputTests(BrowserTestCase):
    """A task's page."""

    def test_output_is_printed_as_it_comes_and_once(self) -> None:
        """What was kept, then what is told; escape sequences are left out, also when they are cut in two."""
        say(self.stage.link, type="spawnTask", taskId="a/b c", taskName="talks")
        reports = [
            {"type": "taskOutput", "taskId": "a/b c", "output": "\x1b[1;31mred\x1b[0m one"},
            {"type": "taskOutput", "taskId": "a/b c", "output": "two\n"},
            {"type": "taskProgress", "taskId": "a/b c", "percent": 40},
            {"type": "taskOutput", "taskId": "a/b c", "output": "three\r\n", "stream": "stderr"},
        ]
        kept = [
            {"number": number, "at": "2024-12-15T10:30:00.000Z", "payload": each}
            for number, each in enumerate(reports, 1)
        ]
        streamed = "".join(f"event: output\ndata: {json.dumps(each)}\n\n" for each in kept[1:])
        page = self.page()
        known = {"taskId": "a/b c", "output": kept[:2], "truncated": True, "lastEventId": "aa-1-2"}
        page.route("**/output", answer(json=known))
        page.route(
            re.compile(r"/events\?output=a%2Fb%20c$"),
            answer(content_type="text/event-stream", body=f"retry: 100\n\n{streamed}"),
        )
        page.get_by_role("link", name="talks").click()
        self.see(page.locator("#output"), "three")
        expect(page.locator("#output")).to_have_text("red one\ntwo\nthree\n")
        expect(page.locator("#output .stderr")).to_have_text("three\n")
        self.see(page.locator("#task-progress"), "40 %")
        self.see(page.locator("#output-note"), "the beginning is not kept")
        page.unroute_all()
        say(self.stage.link, type="cancelTask", taskId="a/b c")

    def test_output_goes_on_after_a_restart_of_the_relay(self) -> None:
        """Which counts from 1 again."""
        say(self.stage.link, type="spawnTask", taskId="t-on", taskName="goes on")
        answers = [
            {"lastEventId": f"{run}-1-1", "output": [{"number": 1, "at": None, "payload": {"output": text}}]}
            for run, text in (("aa", "before\n"), ("aa", "before\n"), ("bb", "after\n"))
        ]

        def kept(route: Route) -> None:
            shown = answers.pop(0) if len(answers) > 1 else answers[0]
            route.fulfill(json={"taskId": "t-on", "truncated": False, "limit": 65536, **shown})

        page = self.page()
        page.route("**/output", kept)
        page.route(
            re.compile(r"/events\?output=t-on$"), answer(content_type="text/event-stream", body="retry: 100\n\n")
        )
        page.get_by_role("link", name="goes on").click()
        expect(page.locator("#output")).to_have_text("before\nafter\n")
        page.unroute_all()
        say(self.stage.link, type="cancelTask", taskId="t-on")

    def test_terminal_output_is_made_plain(self) -> None:
        """Colours, titles, links and the cursor's ways go; what may go on in the next report is kept for it."""
        page = self.page()
        said = {
            "\x1b[38;5;196mx\x1b[0m": ["x", ""],
            "\x1b]0;title\x07x\x1b]8;;https://x.example\x1b\\y\x1b]8;;\x1b\\": ["xy", ""],
            "\x1bPq#0\x1b\\x\x1b(B\x1b7\x9b2Jy": ["xy", ""],
            "a\r\nb\rc\x00\x08d\te\n": ["a\nb\ncd\te\n", ""],
            "x\x1b[3": ["x", "\x1b[3"],
            "x\x1b": ["x", "\x1b"],
            "x\x1b]0;ti": ["x", "\x1b]0;ti"],
            "☕ é <b>": ["☕ é <b>", ""],
        }
        script = "(said) => import('/static/format.js').then(({plain}) => Object.values(plain(said)))"
        for output, wanted in said.items():
            self.assertEqual(page.evaluate(script, output), wanted)
