"""What a report costs: by its size, the number of daemons, and the rate."""

from __future__ import annotations

from functools import partial

from benchmarks.load.daemons import connect_many
from benchmarks.load.reports import DIFFERENT, Reports
from benchmarks.load.server import Server
from benchmarks.machine import most_connections
from benchmarks.model import Column, Effort, Measurement, Row, Sample
from benchmarks.subjects import AUTOBAHN, DIRECT, HAPROXY, NODE, PEERS, RELAY, SHARE_COLUMNS, Subject, present, running

COLUMNS = (Column("cost", "CPU µs/report", 2), Column("rate", "reports/s"), *SHARE_COLUMNS)
#: Daemons at full speed, and seconds that they send; before that they send a part of it unmeasured.
DAEMONS = 20
_SECONDS = 3.0
_WARM_UP = 0.2


async def cost(
    subject: Subject,
    effort: Effort,
    *,
    size: int = 200,
    daemons: int = DAEMONS,
    rate: float | None = None,
    together: int | None = None,
) -> Sample:
    """Have daemons report.

    :param size: bytes of a report.
    :param rate: reports a second; none for full speed.
    :param together: reports that a daemon writes at a time.
    """
    reports = Reports(daemons, size, together, effort.number(DIFFERENT))
    server = Server(reports.heard)
    await server.listen()
    async with running(subject, server) as under_test:
        connected = await connect_many(under_test.port, daemons)
        for index, daemon in enumerate(connected):
            reports.send_one(daemon, index)
        await reports.all_arrived()
        seconds = effort.seconds(_SECONDS)
        await reports.flow(connected, seconds * _WARM_UP, rate)
        before = reports.arrived
        with under_test.usage() as usage:
            await reports.flow(connected, seconds, rate)
    return usage.each(reports.arrived - before)


def _compared(size: int, effort: Effort) -> list[Row]:
    return [Row(each.name, partial(cost, each, effort, size=size)) for each in (RELAY, *present(*PEERS), DIRECT)]


#: Reports in a second and in a write, for comparisons in which nothing may pile up.
_STEADY_RATE = 10_000
_STEADY_TOGETHER = 10


def _by_daemons(effort: Effort) -> list[Row]:
    numbers = (10, min(effort.number(10_000, 50), most_connections()))
    return [
        Row(
            f"{number:,} daemons",
            partial(cost, RELAY, effort, daemons=number, rate=_STEADY_RATE, together=_STEADY_TOGETHER),
        )
        for number in numbers
    ]


def _one_by_one(effort: Effort) -> list[Row]:
    return [
        Row(each.name, partial(cost, each, effort, rate=_STEADY_RATE, together=1))
        for each in (RELAY, *present(HAPROXY, NODE, AUTOBAHN))
    ]


REPORTS_200 = Measurement(
    "reports-200",
    f"reports of 200 B at full speed from {DAEMONS} daemons, outbox and acknowledgement on",
    COLUMNS,
    partial(_compared, 200),
    "3.5 µs and 200,000/s; 2.5 µs, ahead of Node, at most 3 times HAProxy",
)
REPORTS_4K = Measurement(
    "reports-4k",
    f"reports of 4 KiB at full speed from {DAEMONS} daemons",
    COLUMNS,
    partial(_compared, 4096),
    "12 µs; 8 µs",
)
REPORTS_APART = Measurement(
    "reports-apart",
    f"reports of 200 B at {_STEADY_RATE:,}/s from {DAEMONS} daemons, each in a write of its own",
    COLUMNS,
    _one_by_one,
)
REPORTS_BY_DAEMONS = Measurement(
    "reports-by-daemons",
    f"reports of 200 B at {_STEADY_RATE:,}/s, {_STEADY_TOGETHER} in a write, from few and from many daemons",
    COLUMNS,
    _by_daemons,
    "within 10 %",
)
