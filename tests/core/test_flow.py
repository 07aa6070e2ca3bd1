"""Nothing goes faster to the server than it takes it, and nobody is read faster than that."""

from __future__ import annotations

from makima_relay.core.effects import (
    HoldDaemon,
    KeepReports,
    LoadReports,
    RecallTasks,
    ReleaseDaemon,
    SendMore,
    SendReports,
    SendUpstream,
)
from makima_relay.core.flow import PAGE, PIECE
from makima_relay.core.from_daemons import read_report
from makima_relay.core.outbox import MEMORY_LIMIT
from makima_relay.core.policy import Policy
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D1, NOW, SERVER, of_kind, relayed, wire
from tests.core.cases import RelayTestCase


class CongestionTests(RelayTestCase):
    """The server takes no more for a while."""

    def setUp(self) -> None:
        """Have a server that is congested, and two daemons."""
        super().setUp()
        self.start()
        self.connect_server()
        self.join()
        self.join("m2")
        self.relay.upstream_congested()

    def test_daemons_are_held_each_when_it_next_sends(self) -> None:
        """Once; what was read nevertheless waits."""
        first, second = wire("news", n=1), wire("news", n=2)
        self.assertEqual(self.report(1, first), [HoldDaemon(1)])
        self.assertEqual(self.report(1, second), [])
        self.assertEqual(self.report(2, wire("heartbeat")), [HoldDaemon(2)])
        decided = self.relay.upstream_drained()
        expected = [SendReports(SERVER, [first, second], 2), ReleaseDaemon(1), ReleaseDaemon(2)]
        self.assertEqual(decided, expected)
        third = wire("news", n=3)
        self.assertEqual(self.report(1, third), relayed(third, 3))

    def test_very_many_are_released_a_few_at_a_time(self) -> None:
        """Those first that were held first: what all have in their sockets would be read in one turn."""
        connections = [1, 2, *(self.join(f"m{number}") for number in range(3, 71))]
        for connection in connections:
            self.report(connection, wire("heartbeat"))
        released = [of_kind(self.relay.upstream_drained(), ReleaseDaemon)]
        self.assertEqual(self.relay.upstream_drained(), [])
        while more := self.relay.release_wanted():
            released.append(of_kind(more, ReleaseDaemon))
        self.assertEqual([len(each) for each in released], [32, 32, 6])
        self.assertEqual([each.connection for some in released for each in some], connections)

    def test_the_others_stay_held_if_the_server_is_slow_again_by_then(self) -> None:
        """And are released when it is not."""
        for number in range(3, 41):
            self.join(f"m{number}")
        for connection in range(1, 41):
            self.report(connection, wire("heartbeat"))
        self.assertEqual(len(of_kind(self.relay.upstream_drained(), ReleaseDaemon)), 32)
        self.relay.upstream_congested()
        self.assertEqual(self.relay.release_wanted(), [])
        self.assertEqual(len(of_kind(self.relay.upstream_drained(), ReleaseDaemon)), 8)

    def test_a_connection_that_is_going_is_not_held(self) -> None:
        """Nor is the newer one of the same machine, for what comes on the older."""
        self.join("m1")
        self.assertEqual(of_kind(self.report(1, wire("news")), HoldDaemon), [])
        daemon = self.relay.daemon(D1)
        assert daemon is not None
        self.assertFalse(daemon.held)

    def test_a_lost_server_congests_nobody(self) -> None:
        """What comes is kept for the next."""
        self.report(1, wire("news"))
        self.assertIn(ReleaseDaemon(1), self.relay.upstream_lost(NOW, "gone"))
        self.assertEqual(self.report(1, wire("news")), [])

    def test_a_daemon_that_is_held_is_not_silent(self) -> None:
        """It is healthy until it was heard again, or had the time to be."""
        self.report(1, wire("news"))
        daemon = self.relay.daemon(D1)
        assert daemon is not None
        self.assertTrue(self.relay.healthy(daemon, NOW + 1000))
        self.relay.upstream_drained()
        self.spawn("t", NOW + 1000)
        self.assertEqual(self.known("t").status, TaskStatus.DISPATCHED)
        self.report(1, wire("news"), NOW + 1001)
        self.assertFalse(self.relay.healthy(daemon, NOW + 2000))

    def test_a_pong_does_not_end_the_holding(self) -> None:
        """It may come in one read with what the daemon is held for."""
        self.report(1, wire("news"))
        self.relay.daemon_seen(1, NOW)
        daemon = self.relay.daemon(D1)
        assert daemon is not None
        self.assertTrue(self.relay.healthy(daemon, NOW + 1000))
        self.relay.upstream_drained()
        self.relay.daemon_seen(1, NOW)
        self.assertFalse(self.relay.healthy(daemon, NOW + 1000))

    def test_a_daemon_that_leaves_is_not_held_any_more(self) -> None:
        """Its connection is nobody's."""
        self.report(1, wire("news"))
        self.relay.daemon_lost(1, "gone", NOW)
        self.assertEqual(of_kind(self.relay.upstream_drained(), ReleaseDaemon), [])


class PieceTests(RelayTestCase):
    """A backlog does not go all at once."""

    def test_a_backlog_in_memory_goes_in_pieces(self) -> None:
        """Others have their turn between them; who sends more meanwhile is held, or it would never catch up."""
        self.start()
        self.join()
        large = [wire("news", n=number, text="x" * (PIECE // 2)) for number in range(3)]
        for payload in large:
            self.report(1, payload)
        decided = self.relay.upstream_ready(SERVER, NOW)[2:]
        self.assertEqual(decided, [SendReports(SERVER, large[:2], 2), SendMore(SERVER)])
        fresh = wire("news", n=9)
        self.assertEqual(self.report(1, fresh), [HoldDaemon(1)])
        rest = SendReports(SERVER, [large[2], fresh], 4)
        self.assertEqual(self.relay.more_wanted(SERVER), [rest, ReleaseDaemon(1)])

    def test_pieces_for_a_connection_that_is_gone_are_not_sent(self) -> None:
        """Neither from memory nor from the database."""
        self.start()
        self.connect_server()
        self.relay.upstream_lost(NOW, "gone")
        self.assertEqual(self.relay.more_wanted(SERVER), [])
        self.assertEqual(self.relay.reports_loaded(SERVER, [(1, b"a")], 1), [])


class FullTests(RelayTestCase):
    """The outbox has no room for more."""

    def fill(self, size: int, times: int, seconds: float = 0.0) -> list[object]:
        """Have a daemon report much."""
        decided: list[object] = []
        for _ in range(times):
            decided += self.report(1, wire("news", text="x" * size), NOW + seconds)
        return decided

    def test_a_full_memory_holds_daemons_until_the_database_has_its_part(self) -> None:
        """All goes there at once, and half of the memory must be free before they are read again."""
        self.start()
        self.join()
        self.assertEqual(self.fill(MEMORY_LIMIT // 4, 4), [HoldDaemon(1)])
        self.assertFalse(self.relay.has_room_for_reports)
        (kept,) = self.relay.time_passed(NOW, AT)
        self.assertEqual(self.relay.outbox_bytes[1], sum(len(payload) for _, payload in kept.reports))
        self.assertEqual(self.relay.reports_stored(4), [ReleaseDaemon(1)])
        self.assertTrue(self.relay.has_room_for_reports)
        self.assertEqual(self.relay.reports_waiting, 4)

    def test_what_waits_for_a_look_up_counts(self) -> None:
        """It may come to be reports, and a look-up may take long."""
        self.start()
        self.join()
        report = read_report(wire("taskOutput", taskId="old", text="x" * MEMORY_LIMIT))
        asked = self.relay.reports_received(1, [report], NOW)
        self.assertEqual(asked, [RecallTasks(("old",)), HoldDaemon(1)])
        self.relay.upstream_ready(SERVER, NOW)
        decided = self.relay.tasks_recalled(["old"], [], NOW)
        self.assertEqual(of_kind(decided, ReleaseDaemon), [])
        self.assertEqual(of_kind(self.relay.acknowledged(1), ReleaseDaemon), [ReleaseDaemon(1)])

    def test_reports_that_have_waited_long_enough_are_kept_by_those_that_come(self) -> None:
        """The timer may be late: when very many daemons send at once, one turn of the reactor takes long."""
        self.start()
        self.join()
        first = wire("news", n=1)
        self.report(1, first)
        self.assertEqual(self.report(1, wire("news", n=2), NOW + 0.07), [])
        (kept,) = self.report(1, wire("news", n=3), NOW + 0.1)
        assert isinstance(kept, KeepReports)
        self.assertEqual([number for number, _ in kept.reports], [1, 2, 3])

    def test_at_the_limit_of_the_database_daemons_are_held_until_the_server_has_taken_some(self) -> None:
        """``--outbox-limit``; what was read is kept all the same."""
        self.start(Policy(outbox_limit=2_000))
        self.join()
        self.assertEqual(self.fill(900, 2), [])
        self.relay.time_passed(NOW + 1, AT + 1)
        self.assertEqual(self.fill(900, 1, 1), [])
        self.relay.time_passed(NOW + 2, AT + 2)
        self.assertEqual(self.fill(900, 1, 2), [HoldDaemon(1)])
        self.assertFalse(self.relay.has_room_for_reports)
        (sent,) = of_kind(self.relay.upstream_ready(SERVER, NOW), SendReports)
        self.assertEqual((len(sent.payloads), sent.number), (4, 4))
        self.assertEqual(of_kind(self.relay.acknowledged(1), ReleaseDaemon), [])
        self.assertEqual(of_kind(self.relay.acknowledged(2), ReleaseDaemon), [ReleaseDaemon(1)])

    def test_what_left_the_memory_is_read_back_before_the_rest(self) -> None:
        """A page at a time, and in order."""
        self.start()
        self.join()
        self.fill(MEMORY_LIMIT // 4 - 1_000, 5)
        self.relay.time_passed(NOW, AT)
        self.relay.reports_stored(5)
        (load,) = of_kind(self.relay.upstream_ready(SERVER, NOW), LoadReports)
        self.assertEqual((load.after, load.size), (0, PAGE))
        decided = self.relay.reports_loaded(SERVER, [(1, b"a")], load.up_to)
        self.assertEqual(decided, [SendUpstream(SERVER, b"a", 1), SendMore(SERVER)])
        (rest,) = of_kind(self.relay.more_wanted(SERVER), SendUpstream)
        self.assertEqual(rest.number, load.up_to + 1)
