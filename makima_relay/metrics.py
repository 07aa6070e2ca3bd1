"""What a relay tells Prometheus (``http-api.md``, *Metrics*): looked up when it is asked, so that nothing else pays."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from makima_relay import __version__
from makima_relay.clock import Clock
from makima_relay.core.from_daemons import ReportReader
from makima_relay.core.rejections import Rejection
from makima_relay.core.tally import COMMAND_TYPES, OTHER, Histogram
from makima_relay.core.tasks import FINISHED, TaskStatus
from makima_relay.engine import Engine
from makima_relay.store import SQLiteStore
from makima_relay.upstream import Upstream

_PREFIX: Final = "makima_relay_"
#: The formats that there are.
TEXT: Final = "text/plain"
OPENMETRICS: Final = "application/openmetrics-text"


@attrs.frozen(kw_only=True, eq=False)
class Metrics:
    """The metrics of one relay.

    :ivar reports: has counted what the daemons reported.
    """

    engine: Engine
    upstream: Upstream
    store: SQLiteStore
    reports: ReportReader
    clock: Clock
    _started_at: float = attrs.field(init=False)

    @_started_at.default
    def _now(self) -> float:
        return self.clock.wall()

    def render(self, accept: str, stored: Mapping[TaskStatus, int]) -> tuple[bytes, str]:
        """Write all metrics as they are now.

        :param accept: the formats that are taken, as a header has them: OpenMetrics if it is among them, else text.
        :param stored: how many tasks are stored in each status; those that are missing are left out.
        :return: the text, and its type.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Scrape(self, stored))
        if _takes_openmetrics(accept):
            return openmetrics.generate_latest(registry), f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
        return generate_latest(registry), f"{TEXT}; version=0.0.4; charset=utf-8"

    def total_reports(self) -> int:
        """What the daemons reported since the start: all but that they are alive."""
        counts = self.reports.counts()
        return sum(counts.values()) - counts["heartbeat"]

    def _collect(self, stored: Mapping[TaskStatus, int]) -> Iterator[Metric]:
        yield from self._messages()
        yield from self._tasks(stored)
        yield from self._fleet()
        yield from self._server()
        yield from self._database()
        yield from self._process()

    def _messages(self) -> Iterator[Metric]:
        relay, tally = self.engine.relay, self.engine.relay.tally
        yield _counters("reports", "Messages of authenticated daemons, by type", "type", self.reports.counts())
        commands = {name: tally.commands[name] for name in (*COMMAND_TYPES, OTHER)}
        yield _counters("commands", "Messages of the server that are meant for daemons, by type", "type", commands)
        relayed = {"upstream": relay.report_bytes, "downstream": tally.relayed_down}
        yield _counters("relayed_bytes", "Bytes of messages that are passed on", "direction", relayed)
        rejected = {reason.value: relay.rejected[reason] for reason in Rejection}
        yield _counters("rejected", "Connections and messages that were turned away", "reason", rejected)

    def _tasks(self, stored: Mapping[TaskStatus, int]) -> Iterator[Metric]:
        relay = self.engine.relay
        # Of what is not finished memory knows more, of the rest only the database knows.
        counts = {**stored, **relay.unfinished_tasks()}
        by_status = {status.value: counts[status] for status in TaskStatus if status in counts}
        yield _gauges("tasks", "Tasks that are kept, by status", "status", by_status)
        finished = {status.value: relay.tally.finished[status] for status in TaskStatus if status in FINISHED}
        yield _counters("tasks_finished", "Tasks that finished, by their last status", "status", finished)
        yield _histogram("dispatch_seconds", "From the receipt of a task to its first dispatch", relay.tally.dispatch)
        oldest = relay.oldest_pending(self.clock.monotonic())
        yield _gauge("oldest_pending_seconds", "For how long the oldest pending task has waited", oldest)

    def _fleet(self) -> Iterator[Metric]:
        census = self.engine.relay.census(self.clock.monotonic())
        daemons = {"healthy": census.healthy, "unhealthy": census.unhealthy, "draining": census.draining}
        yield _gauges("daemons", "Connected daemons", "state", daemons)
        slots = {"free": census.free, "busy": census.busy}
        yield _gauges("task_slots", "Slots of connected daemons; free: of healthy ones, not draining", "state", slots)

    def _server(self) -> Iterator[Metric]:
        relay = self.engine.relay
        yield _gauge("upstream_connected", "Whether the server has authenticated the relay", self.upstream.live)
        again = max(0, relay.tally.upstream_connections - 1)
        yield _counter("upstream_reconnects", "Connections to the server after the first", again)
        yield _gauge("outbox_reports", "Reports that the server may not have yet", relay.reports_waiting)
        memory, disk = relay.outbox_bytes
        yield _gauges("outbox_bytes", "Bytes of them; some may be in both", "place", {"memory": memory, "disk": disk})

    def _database(self) -> Iterator[Metric]:
        yield _gauge("database_bytes", "Size of the database with its write-ahead log", self.store.size())
        yield _histogram("database_commit_seconds", "How long commits took", self.engine.commit_durations)

    def _process(self) -> Iterator[Metric]:
        about = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily(f"{_PREFIX}build", "What runs", value=about)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime
        yield CounterMetricFamily("process_cpu_seconds", "CPU time of the process", value=cpu)
        yield GaugeMetricFamily("process_start_time_seconds", "When it started", value=self._started_at)
        with suppress(OSError):
            # Only Linux has it.
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            memory = pages * resource.getpagesize()
            yield GaugeMetricFamily("process_resident_memory_bytes", "Memory that it has", value=memory)


class _Scrape(Collector):
    """One look at the metrics."""

    def __init__(self, metrics: Metrics, stored: Mapping[TaskStatus, int]) -> None:
        self._metrics = metrics
        self._stored = stored

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        return self._metrics._collect(self._stored)  # noqa: SLF001 - a part of it


def _takes_openmetrics(accept: str) -> bool:
    """Whether a header Accept names OpenMetrics: whoever does prefers it."""
    return any(kind.partition(";")[0].strip().lower() == OPENMETRICS for kind in accept.split(","))


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, about, value=value)


def _gauges(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, about, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, about, value=value)


def _counters(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, about, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def _histogram(name: str, about: str, histogram: Histogram) -> Metric:
    buckets = [("+Inf" if bound == float("inf") else str(bound), count) for bound, count in histogram.buckets()]
    return HistogramMetricFamily(_PREFIX + name, about, buckets=buckets, sum_value=histogram.sum)
