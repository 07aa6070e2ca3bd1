"""``/metrics``."""

from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred

from makima_relay.core.messages import Spawn
from makima_relay.core.policy import Policy
from tests.fakes import elapse
from tests.web.case import ApiTestCase

#: All metrics with their labels, as ``http-api.md`` has them.
NAMES = {
    "reports_total": "type",
    "commands_total": "type",
    "relayed_bytes_total": "direction",
    "tasks": "status",
    "tasks_finished_total": "status",
    "dispatch_seconds": None,
    "oldest_pending_seconds": None,
    "daemons": "state",
    "task_slots": "state",
    "upstream_connected": None,
    "upstream_reconnects_total": None,
    "outbox_reports": None,
    "outbox_bytes": "place",
    "database_bytes": None,
    "database_commit_seconds": None,
    "rejected_total": "reason",
}


class MetricsTestCase(ApiTestCase):
    """Scrapes a relay."""

    def scrape(self) -> dict[tuple[str, str | None], float]:
        """All values of now, by name without its prefix, and label."""
        answer = self.ask("GET", "/metrics")
        self.assertEqual(answer.status, 200, answer.body)
        found = {}
        for family in text_string_to_metric_families(answer.body.decode()):
            for sample in family.samples:
                name = sample.name.removeprefix("makima_relay_")
                found[name, next(iter(sample.labels.values()), None)] = sample.value
        return found

    def values(self, *names: str) -> dict[str, float]:
        """Those of one metric that are not 0, by label."""
        return {label or "": value for (name, label), value in self.scrape().items() if name in names and value}


class FormatTests(MetricsTestCase):
    """How they are written."""

    def test_every_metric_of_the_contract_is_there(self) -> None:
        """With its label, from the start, so that a rate sees the first event."""
        found = self.scrape()
        for name, label in NAMES.items():
            spelled = f"{name}_bucket" if name.endswith("dispatch_seconds") or "commit" in name else name
            self.assertTrue(any(each == spelled for each, _ in found), name)
            if label is not None:
                self.assertNotIn((name, None), found)
        self.assertIn(("process_cpu_seconds_total", None), found)
        self.assertIn("makima_relay_build_info{", self.ask("GET", "/metrics").body.decode())

    def test_it_is_the_text_of_prometheus_unless_openmetrics_is_asked_for(self) -> None:
        """As the header Accept says."""
        answer = self.ask("GET", "/metrics")
        self.assertTrue((answer.header("Content-Type") or "").startswith("text/plain; version="))
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        answer = self.ask(
            "GET", "/metrics", {"Accept": "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"}
        )
        self.assertTrue((answer.header("Content-Type") or "").startswith("application/openmetrics-text"))
        self.assertTrue(list(openmetrics.text_string_to_metric_families(answer.body.decode())))

    def test_nonsense_in_the_header_is_no_reason_to_fail(self) -> None:
        """Nor is it repeated in the answer."""
        for accept in (
            "",
            "*/*",
            ";;,=",
            "application/openmetrics-text; version=abc; escaping=x",
            "text/plain; version=9",
        ):
            answer = self.ask("GET", "/metrics", {"Accept": accept})
            self.assertEqual(answer.status, 200, accept)
            self.assertIn(
                answer.header("Content-Type"),
                (
                    "text/plain; version=0.0.4; charset=utf-8",
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                ),
            )

    def test_no_label_comes_from_a_peer(self) -> None:
        """What they make up is ``other``."""
        before = set(self.scrape())
        server, daemon = self.go_live(), self.join("d-of-a-peer")
        daemon.send("type-of-a-peer", taskId="t-of-a-peer")
        server.send("type-of-a-server", taskId="t-of-a-peer")
        self.assertEqual(set(self.scrape()), before)
        self.assertNotIn("-of-a-", self.ask("GET", "/metrics").body.decode())
        self.assertEqual(self.values("reports_total"), {"other": 1})
        self.assertEqual(self.values("commands_total"), {"other": 1})


class ValueTests(MetricsTestCase):
    """What they say."""

    policy = Policy(health_timeout=8.0)

    def test_messages_are_counted_by_type_and_bytes(self) -> None:
        """However their type is spelled, and invalid ones not at all."""
        server, daemon = self.go_live(), self.join()
        server.send("SpawnTask", taskId="t")
        spawned = len(daemon.take()[0].payload)
        daemon.send("heartbeat")
        daemon.send("task_output", taskId="t")
        daemon.send("taskOutput", taskId="t")
        daemon.send("taskComplete", taskId="t")
        before = self.values("relayed_bytes_total")
        daemon.send("taskComplete", taskId="t", success=True)
        self.assertEqual(self.values("commands_total"), {"spawnTask": 1})
        self.assertEqual(self.values("reports_total"), {"heartbeat": 1, "taskOutput": 2, "taskComplete": 1})
        self.assertEqual(self.values("rejected_total"), {"invalid_message": 1})
        after = self.values("relayed_bytes_total")
        self.assertEqual(after["downstream"], spawned)
        completion = json.dumps({"type": "taskComplete", "taskId": "t", "success": True})
        self.assertEqual(after["upstream"] - before["upstream"], len(completion))

    def test_tasks_are_counted_by_status(self) -> None:
        """Unfinished and finished ones; how often they finished; and how long the oldest has waited."""
        server, daemon = self.go_live(), self.join("d", 2)
        for task_id in ("t1", "t2", "t3", "t4"):
            server.send("spawnTask", taskId=task_id)
        daemon.send("taskOutput", taskId="t2")
        elapse(self.reactor, 7)
        self.assertEqual(self.values("tasks"), {"dispatched": 1, "running": 1, "pending": 2})
        self.assertEqual(self.values("oldest_pending_seconds"), {"": 7})
        daemon.send("taskComplete", taskId="t1", success=True)
        daemon.send("taskComplete", taskId="t2", success=False)
        self.assertEqual(self.values("tasks"), {"dispatched": 2, "completed": 1, "failed": 1})
        self.assertEqual(self.values("tasks_finished_total"), {"completed": 1, "failed": 1})
        self.assertEqual(self.values("oldest_pending_seconds"), {})
        self.assertEqual(self.values("dispatch_seconds_count"), {"": 4})
        self.assertEqual(self.values("dispatch_seconds_sum"), {"": 14})

    def test_the_fleet_is_counted_by_state(self) -> None:
        """Free slots are those that a task could go to."""
        self.join("a", 3)
        self.join("b", 2)
        daemon_id = self.get("/daemons")["daemons"][1]["daemonId"]
        self.go_live().send("spawnTask", taskId="t")
        self.assertEqual(self.values("daemons"), {"healthy": 2})
        self.assertEqual(self.values("task_slots"), {"free": 4, "busy": 1})
        self.post(f"/daemons/{daemon_id}/drain")
        self.assertEqual(self.values("daemons"), {"healthy": 1, "draining": 1})
        self.assertEqual(self.values("task_slots"), {"free": 2, "busy": 1})
        elapse(self.reactor, 8.1)
        self.assertEqual(self.values("daemons"), {"unhealthy": 1, "draining": 1})

    def test_the_server_and_what_waits_for_it_are_told(self) -> None:
        """Whether it is there, how often it came again, and the outbox."""
        daemon = self.join()
        daemon.send("taskOutput", taskId="t")
        self.assertEqual(self.values("upstream_connected"), {})
        self.assertEqual(self.values("outbox_reports"), {"": 1})
        self.assertEqual(
            self.values("outbox_bytes"), {"memory": len(json.dumps({"type": "taskOutput", "taskId": "t"}))}
        )
        self.go_live().lose()
        elapse(self.reactor, 1.5)
        self.accept_upstream()
        self.assertEqual(self.values("upstream_connected"), {"": 1})
        self.assertEqual(self.values("upstream_reconnects_total"), {"": 1})

    def test_the_database_is_told(self) -> None:
        """How large it is, and how long commits take."""
        self.engine.settled()
        found = self.scrape()
        self.assertGreater(found["database_bytes", None], 8_192)
        self.assertGreater(found["database_commit_seconds_count", None], 0)

    def test_they_are_told_while_the_database_does_not_answer(self) -> None:
        """But for what only that knows: this is when they are needed."""
        self.database.counts = Deferred  # type: ignore[method-assign]
        answer = self.treq.request("GET", "http://localhost:8787/metrics")
        elapse(self.reactor, 1)
        self.treq.flush()
        text = self.successResultOf(self.treq.content(self.successResultOf(answer))).decode()
        self.assertIn('makima_relay_tasks{status="pending"} 0.0', text)
        self.assertNotIn('makima_relay_tasks{status="completed"}', text)


class LargeRelayTests(MetricsTestCase):
    """A scrape holds nobody up."""

    def test_more_tasks_are_no_more_work(self) -> None:
        """They are counted as they come and go, not when somebody asks; a scan would visit each of them."""
        self.engine.relay.past_learnt((), is_all=True)
        self.spawn(0, 1_000)
        few = self.work()
        self.spawn(1_000, 2_000)
        self.assertLess(self.work() - few, 1_000)
        self.assertIn(b'makima_relay_tasks{status="pending"} 2000.0', self.look())

    def spawn(self, start: int, stop: int) -> None:
        """Have tasks that wait for a daemon."""
        for number in range(start, stop):
            self.engine.relay.command_received(Spawn(b"{}", f"t{number}", None), 0.0)

    def look(self) -> bytes:
        """What is written."""
        text, _ = self.api.metrics.render("", {})
        return text

    def work(self) -> int:
        """How many steps of the interpreter a look takes: unlike its time, the same on every machine."""
        steps = 0

        def count(frame: FrameType, *_: object) -> Any:
            nonlocal steps
            frame.f_trace_opcodes = True
            steps += 1
            return count

        tracer = sys.gettrace()
        sys.settrace(count)
        try:
            self.look()
        finally:
            sys.settrace(tracer)
        return steps
