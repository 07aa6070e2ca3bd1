"""What ``deploy/`` has for Prometheus and Grafana fits what ``/metrics`` says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from makima_relay.core.rejections import Rejection
from makima_relay.core.tasks import TaskStatus
from tests.web.case import ApiTestCase

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus-alerts.yml"
ADAPTER_RULES = DEPLOY / "kubernetes/components/autoscaling/adapter-rules.yaml"
ALERT_TESTS = DEPLOY / "prometheus-alerts.test.yml"
_NAME = re.compile(r"\b(?:makima_relay|process)_[a-z_]+\b")
_MATCHER = re.compile(r'(\w+)=~?"([^"$]+)"')


class MonitoringTests(ApiTestCase):
    """Names and labels."""

    def setUp(self) -> None:
        """Know all samples of a relay."""
        super().setUp()
        families = text_string_to_metric_families(self.ask("GET", "/metrics").body.decode())
        self.found: dict[str, list[dict[str, str]]] = {}
        for family in families:
            for sample in family.samples:
                self.found.setdefault(sample.name, []).append(sample.labels)

    def assert_known(self, expression: str) -> None:
        """Every metric in an expression is told, and every label value in it that is no variable."""
        names = set(_NAME.findall(expression))
        self.assertTrue(names, expression)
        for name in names:
            self.assertIn(name, self.found, expression)
        for label, values in _MATCHER.findall(expression):
            told = {labels.get(label) for name in names for labels in self.found[name]}
            self.assertLessEqual(set(values.split("|")), told, expression)

    def test_every_alert_is_about_what_is_told(self) -> None:
        """The five that the contract asks for."""
        rules = ALERTS.read_text(encoding="utf-8")
        self.assertEqual(len(re.findall(r"^ +- alert: MakimaRelay\w+$", rules, re.MULTILINE)), 5)
        for expression in re.findall(r"^ +expr: (\|\n(?: {10,}.+\n)+|.+)", rules, re.MULTILINE):
            self.assert_known(expression)
        for series in re.findall(r"series: '(.+?)', values", ALERT_TESTS.read_text(encoding="utf-8")):
            self.assertIn(_NAME.findall(series)[0], self.found)

    def test_every_panel_is_about_what_is_told(self) -> None:
        """And no metric of the relay's is missing from the dashboard."""
        dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        for expression in expressions:
            self.assert_known(expression)
        for variable in dashboard["templating"]["list"][1:]:
            self.assertIn(_NAME.findall(variable["query"])[0], self.found)
        shown = {name for expression in expressions for name in _NAME.findall(expression)}
        for name in self.found:
            if name.startswith("makima_relay_") and not name.endswith(("_sum", "_count")):
                self.assertIn(name, shown)
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))

    def test_the_rules_for_the_metrics_adapter_are_about_what_is_told(self) -> None:
        """As it asks Prometheus, with labels of its own."""
        for rule in self.adapter_rules():
            self.assert_known(rule["metricsQuery"])
            self.assert_known(rule["seriesQuery"].replace('namespace!="",', ""))

    @staticmethod
    def adapter_rules() -> list[dict[str, Any]]:
        """Each rule."""
        rules = yaml.safe_load(ADAPTER_RULES.read_text(encoding="utf-8"))["rules"]["external"]
        return list(rules)

    def test_the_page_about_them_names_them_all(self) -> None:
        """With each value that a label can have where those are the relay's words, and each alert."""
        page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
        for name in self.found:
            self.assertIn(f"`{re.sub('_(bucket|sum|count)$', '', name).removeprefix('makima_relay_')}", page)
        for word in (*Rejection, *TaskStatus):
            self.assertIn(f"`{word}`", page)
        for alert in re.findall(r"alert: (\w+)", ALERTS.read_text(encoding="utf-8")):
            self.assertIn(f"`{alert}`", page)


class PromtoolTests(ApiTestCase):
    """What Prometheus itself makes of the alerts."""

    def setUp(self) -> None:
        """Find its tool."""
        super().setUp()
        found = shutil.which("promtool")
        if found is None:
            self.skipTest("there is no promtool (Debian: apt-get install prometheus)")
        self.promtool = found

    def run_promtool(self, *arguments: str) -> None:
        """It must have nothing to say against them."""
        ran = subprocess.run([self.promtool, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_the_alerts_can_be_read(self) -> None:
        """``promtool check rules``."""
        self.run_promtool("check", "rules", str(ALERTS))

    def test_the_alerts_are_raised_when_they_should_be(self) -> None:
        """``promtool test rules``: with a relay that is well, and with each trouble."""
        self.run_promtool("test", "rules", str(ALERT_TESTS))

    def test_the_panels_can_be_read(self) -> None:
        """Each expression as if it were a rule."""
        dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        self.assert_readable([expression.replace("$__rate_interval", "5m") for expression in expressions])

    def test_the_rules_for_the_metrics_adapter_can_be_read(self) -> None:
        """With the labels that it puts into them."""
        queries = [rule["metricsQuery"] for rule in MonitoringTests.adapter_rules()]
        self.assert_readable([query.replace("<<.LabelMatchers>>", 'namespace="makima"') for query in queries])

    def assert_readable(self, expressions: list[str]) -> None:
        """Prometheus can read each."""
        rules = [{"record": f"expression_{number}", "expr": text} for number, text in enumerate(expressions)]
        path = Path(self.mktemp())
        path.write_text(json.dumps({"groups": [{"name": "expressions", "rules": rules}]}), encoding="utf-8")
        self.run_promtool("check", "rules", str(path))

    def test_the_metrics_are_as_prometheus_wants_them(self) -> None:
        """``promtool check metrics``: names, units, help."""
        ran = subprocess.run(
            [self.promtool, "check", "metrics"],
            input=self.ask("GET", "/metrics").body,
            capture_output=True,
            check=False,
        )
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
