"""Reports that came together have the effects that they have one by one."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.effects import Effect, HoldDaemon, RecallTasks, SendReports, SendUpstream
from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.messages import Hello
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.spelling import WireCase
from tests.core.builders import NOW, SERVER, examples, wire
from tests.untraced import untraced

#: Tasks that are at work here, at work elsewhere, and unknown.
TASKS = ("here", "here too", "elsewhere", "unknown")

kinds = st.one_of(
    st.builds(lambda task_id: ("taskOutput", {"taskId": task_id}), st.sampled_from(TASKS)),
    st.builds(lambda task_id: ("taskOutput", {"taskId": task_id}), st.sampled_from(TASKS[:2])),
    st.builds(lambda task_id: ("taskComplete", {"taskId": task_id, "success": True}), st.sampled_from(TASKS)),
    st.sampled_from([("news", {}), ("heartbeat", {}), ("heartbeat", {"activeTasks": ["here"]})]),
)


def one_by_one(decided: Iterable[Effect]) -> list[Effect]:
    """Effects in which no reports are sent together, and daemons are held last: in the middle of a read none can be."""
    alone: list[Effect] = []
    for effect in decided:
        if isinstance(effect, SendReports):
            first = effect.number - len(effect.payloads) + 1
            alone += [
                SendUpstream(effect.connection, each, number) for number, each in enumerate(effect.payloads, first)
            ]
        else:
            alone.append(effect)
    return sorted(alone, key=lambda effect: isinstance(effect, HoldDaemon))


class RunTests(SynchronousTestCase):
    """One relay is told all at once, another one by one."""

    def relay(self, *, connected: bool) -> Relay:
        """A relay with two daemons; both have work."""
        relay = Relay(Policy())
        relay.started(NOW, NOW)
        if connected:
            relay.upstream_ready(SERVER, NOW)
        for connection, name, slots in ((1, "m", 2), (2, "n", 1)):
            relay.daemon_joined(connection, Hello(name, name, slots, WireCase.CAMEL), "a", NOW)
        for task_id in ("here", "elsewhere", "here too"):
            relay.command_received(read_command(wire("spawnTask", taskId=task_id)), NOW)
            relay.tasks_recalled((task_id,), (), NOW)
        return relay

    @untraced
    @examples(200)
    @given(st.lists(st.lists(kinds, min_size=1, max_size=8), max_size=4), st.booleans(), st.booleans())
    def test_together_they_do_what_they_do_alone(
        self, runs: list[list[tuple[str, dict[str, object]]]], connected: bool, congested: bool
    ) -> None:
        """The same effects in the same order, whatever is among them; also when they wait for a look-up."""
        together, alone = self.relay(connected=connected), self.relay(connected=connected)
        if congested:
            together.upstream_congested()
            alone.upstream_congested()
        for run in runs:
            reports = [read_report(wire(kind, n=place, **members)) for place, (kind, members) in enumerate(run)]
            decided = together.reports_received(1, reports, NOW)
            expected = [effect for report in reports for effect in alone.reports_received(1, [report], NOW)]
            self.assertEqual(one_by_one(decided), one_by_one(expected))
            asked = next((effect.task_ids for effect in decided if isinstance(effect, RecallTasks)), None)
            if asked is not None:
                answers = [one_by_one(relay.tasks_recalled(asked, (), NOW)) for relay in (together, alone)]
                self.assertEqual(*answers)
        self.assertEqual(together.outbox_bytes, alone.outbox_bytes)
        self.assertEqual(one_by_one(together.upstream_ready(901, NOW)), one_by_one(alone.upstream_ready(901, NOW)))
