"""What an experiment found: figures, and which of them must not be."""

from __future__ import annotations

from typing import Final

import attrs

#: A clean stop must not take so long, in seconds.
STOP_LIMIT: Final = 5.0


@attrs.define(kw_only=True)
class ReportFigures:
    """What became of the reports. All are counts, unless said.

    :ivar sent: made by daemons.
    :ivar delivered: different ones that the server received.
    :ivar duplicated: received again.
    :ivar lost: read by the relay, as its pong shows, and never received.
    :ivar lost_in_window: likewise, but read so shortly before a SIGKILL that this is documented.
    :ivar oldest_in_window: how long before the SIGKILL the oldest of these was read, in seconds.
    :ivar refused: turned away, because the task had gone to another daemon after the grace.
    :ivar reordered: first received after one of the same run with a higher number.
    :ivar sent_again: likewise, but after the end of the run, because a SIGKILL had taken them before they were proven.
    :ivar overtaken: likewise, read by a relay that was cut off and that the daemon had left.
    :ivar elsewhere: received by another server than that of their task.
    :ivar unproven: not read by the relay when the experiment ended.
    """

    sent: int = 0
    delivered: int = 0
    duplicated: int = 0
    lost: int = 0
    lost_in_window: int = 0
    oldest_in_window: float = 0.0
    refused: int = 0
    reordered: int = 0
    sent_again: int = 0
    overtaken: int = 0
    elsewhere: int = 0
    unproven: int = 0


@attrs.define(kw_only=True)
class TaskFigures:
    """What became of the tasks. All are counts, unless said.

    :ivar spawned: made by the server.
    :ivar refused: those that the relay could not take at the time; the server sends them again.
    :ivar completed: those whose success arrived.
    :ivar completions_lost: those whose end the relay had read, but which never arrived.
    :ivar failed: those that the relay gave up, as it may after the grace.
    :ivar wrongly_failed: those that it gave up although a daemon had them, or had ended them.
    :ivar requeued: those that ran more than once.
    :ivar ended_twice: those whose end one server received from two runs.
    :ivar moved: runs that began at a daemon of another relay.
    :ivar taken_away: runs that had to stop although their daemon was not away for the grace.
    :ivar lost_in_window: commands that were read so shortly before a SIGKILL that they were not stored.
    :ivar unfinished: all others that had not ended when the experiment did.
    :ivar longest_overlap: at work at two connected daemons for so long after the relay could know, in seconds.
    """

    spawned: int = 0
    refused: int = 0
    completed: int = 0
    completions_lost: int = 0
    failed: int = 0
    wrongly_failed: int = 0
    requeued: int = 0
    ended_twice: int = 0
    moved: int = 0
    taken_away: int = 0
    lost_in_window: int = 0
    unfinished: int = 0
    longest_overlap: float = 0.0


@attrs.define(kw_only=True)
class RelayFigures:
    """How the relay behaved as a process. Times are in seconds, sizes in bytes.

    :ivar starts: how often it was started.
    :ivar deaths: how often it ended without being asked to.
    :ivar slowest_start: until it listened.
    :ivar slowest_stop: after SIGTERM.
    :ivar bad_stops: exit statuses other than 0 after SIGTERM.
    :ivar damaged: what ``PRAGMA integrity_check`` complained about.
    :ivar checks: how often that was asked.
    :ivar largest_rss: resident memory.
    :ivar memory_slope: how fast it grew once it was warm, in bytes an hour, if the relay was never stopped.
    :ivar largest_database: with its write-ahead log.
    :ivar final_database: likewise, when the relay had stopped.
    :ivar reports_left: reports that are in the database after the last stop.
    """

    starts: int = 0
    deaths: int = 0
    slowest_start: float = 0.0
    slowest_stop: float = 0.0
    bad_stops: list[int | None] = attrs.field(factory=list)
    damaged: list[str] = attrs.field(factory=list)
    checks: int = 0
    largest_rss: int = 0
    memory_slope: float | None = None
    largest_database: int = 0
    final_database: int = 0
    reports_left: int = 0

    def add(self, other: RelayFigures) -> None:
        """Put another relay's to these."""
        for name in ("starts", "deaths", "bad_stops", "damaged", "checks", "reports_left"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("slowest_start", "slowest_stop", "largest_rss", "largest_database", "final_database"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))


@attrs.define(kw_only=True)
class Figures:
    """All that an experiment found.

    :ivar relays: how many worked as one.
    :ivar faults: how often each kind was played.
    :ivar overlap_limit: how long tasks may overlap, in seconds.
    :ivar errors: what went wrong in the experiment itself.
    """

    seed: int
    seconds: float
    overlap_limit: float
    faults: dict[str, int]
    reports: ReportFigures
    tasks: TaskFigures
    relay: RelayFigures
    relays: int = 1
    errors: int = 0

    def faults_found(self) -> list[str]:
        """What must not be, in a few words each."""
        reports, tasks, relay = self.reports, self.tasks, self.relay
        found = {
            "reports lost": reports.lost,
            "reports out of order": reports.reordered,
            "reports that the relay did not take": reports.unproven,
            "completions lost": tasks.completions_lost,
            "tasks wrongly failed": tasks.wrongly_failed,
            "tasks that two runs ended": tasks.ended_twice,
            "tasks wrongly taken away": tasks.taken_away,
            "tasks without an end": tasks.unfinished,
            "relay ended by itself": relay.deaths,
            "bad exit statuses": len(relay.bad_stops),
            "damaged databases": len(relay.damaged),
            "reports left in the database": relay.reports_left,
            "errors of the experiment itself": self.errors,
        }
        words = [f"{what}: {count:,}" for what, count in found.items() if count]
        if tasks.longest_overlap > self.overlap_limit:
            words.append(f"a task was at work twice for {tasks.longest_overlap:.1f} s")
        if relay.slowest_stop >= STOP_LIMIT:
            words.append(f"a clean stop took {relay.slowest_stop:.1f} s")
        return words
