"""The director of the chaos experiment, with a stage that notes what is done on it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.director import Director, Site, Stage
from makima_relay.sandbox.chaos.faults import Fault, Kind, Planned
from makima_relay.sandbox.chaos.proxy import Mode
from tests.fakes import clock_on, elapse

#: When, on what, which method, with which arguments.
Note = tuple[float, str, str, tuple[Any, ...]]


class Recorder:
    """Notes, with the time, whatever is asked of it.

    :param notes: where.
    """

    def __init__(self, name: str, notes: list[Note], reactor: Clock) -> None:
        self._name = name
        self._notes = notes
        self._reactor = reactor
        self.answers: dict[str, Any] = {}

    def __getattr__(self, method: str) -> Any:
        def asked(*args: Any, **_: Any) -> Any:
            self._notes.append((self._reactor.seconds(), self._name, method, args))
            return self.answers.get(method, succeed)(None)

        return asked


class DirectorTests(SynchronousTestCase):
    """Faults at their times."""

    def setUp(self) -> None:
        """Make a stage with two daemons."""
        self.reactor = Clock()
        self.notes: list[Note] = []
        self.lines: list[str] = []
        self.relay, self.proxy, self.ledger, east, west = (
            Recorder(name, self.notes, self.reactor) for name in ("relay", "proxy", "ledger", "east", "west")
        )
        stage: Any = Stage(
            sites=[Site(relay=self.relay, proxy=self.proxy)],  # type: ignore[arg-type]
            workers=[east, west],
            ledger=self.ledger,
        )
        self.director = Director(self.reactor, clock_on(self.reactor), stage, self.lines.append)

    def play(self, *planned: tuple[float, Fault], seconds: float = 60.0) -> list[Note]:
        """Play faults, and let time pass."""
        self.director.begin([Planned(at, fault) for at, fault in planned])
        elapse(self.reactor, seconds)
        self.director.check()
        return self.notes

    def test_upstream_faults_are_mended_when_they_are_over(self) -> None:
        """One after the other."""
        kinds = (Kind.CUT, Kind.STALL, Kind.BLACKHOLE, Kind.REFUSE)
        notes = self.play(*((10.0 * place, Fault(kind, 2.0)) for place, kind in enumerate(kinds)))
        self.assertEqual(
            notes,
            [
                (0.0, "proxy", "cut", ()),
                (10.0, "proxy", "behave", (Mode.STALL,)),
                (12.0, "proxy", "behave", (Mode.FORWARD,)),
                (20.0, "proxy", "behave", (Mode.SWALLOW,)),
                (22.0, "proxy", "behave", (Mode.FORWARD,)),
                (30.0, "proxy", "refuse", ()),
                (32.0, "proxy", "accept", ()),
            ],
        )
        self.assertTrue(self.director.is_done)

    def test_daemons_are_sent_away(self) -> None:
        """Those that the fault names; it is over when they are back."""
        fault = Fault(Kind.LOSS, 4.0, (0, 1))
        self.play((1.0, fault), (2.0, Fault(Kind.RESET, 0.0, (1,))), seconds=3.0)
        self.assertEqual(
            self.notes,
            [(1.0, "east", "go_away", (4.0,)), (1.0, "west", "go_away", (4.0,)), (2.0, "west", "go_away", (0.0,))],
        )
        self.assertEqual((self.director.under_way, self.director.is_done), ([fault], False))
        elapse(self.reactor, 2.0)
        self.assertEqual((self.director.under_way, self.director.is_done), ([], True))
        self.assertEqual((self.director.played[Kind.LOSS], self.director.played[Kind.RESET]), (1, 1))

    def test_a_killed_relay_is_checked_and_started_again(self) -> None:
        """The books know of each step, and of the SIGKILL before it comes."""
        notes = self.play((1.0, Fault(Kind.KILL, 2.0)))
        self.assertEqual(
            [(at, *rest[:2]) for at, *rest in notes],
            [
                (1.0, "ledger", "relay_killed"),
                (1.0, "relay", "kill"),
                (1.0, "ledger", "relay_ended"),
                (1.0, "relay", "check_database"),
                (3.0, "relay", "start"),
                (3.0, "ledger", "relay_ready"),
            ],
        )

    def test_a_stopped_relay_is_started_again(self) -> None:
        """It may have changed its database in its last moment, so that is not looked at."""
        notes = self.play((1.0, Fault(Kind.TERM, 2.0)))
        self.assertEqual([note[2] for note in notes], ["stop", "relay_ended", "start", "relay_ready"])

    def test_a_full_disk_is_over_when_the_relay_has_noticed(self) -> None:
        """It tries now and then."""
        answers = [False, False, True]
        self.relay.answers["can_write"] = lambda _: succeed(answers.pop(0))
        notes = self.play((1.0, Fault(Kind.DISK, 2.0)))
        self.assertEqual(
            [note[2] for note in notes],
            ["fill_disk", "relay_suspended", "empty_disk", "can_write", "can_write", "can_write", "relay_suspended"],
        )
        self.assertEqual([note[0] for note in notes][:3], [1.0, 1.0, 3.0])

    def test_a_relay_that_does_not_notice_is_not_waited_for_for_ever(self) -> None:
        """What comes of it, the books will tell."""
        self.relay.answers["can_write"] = lambda _: succeed(result=False)
        self.play((1.0, Fault(Kind.DISK, 2.0)))
        self.assertTrue(self.director.is_done)

    def test_faults_of_the_relay_wait_for_each_other(self) -> None:
        """It may take longer to start than was planned; those of the upstream go on meanwhile."""
        started: Deferred[None] = Deferred()
        self.relay.answers["start"] = lambda _: started
        self.play((1.0, Fault(Kind.TERM, 1.0)), (3.0, Fault(Kind.KILL, 1.0)), (4.0, Fault(Kind.CUT)), seconds=10.0)
        self.assertEqual([note[2] for note in self.notes], ["stop", "relay_ended", "start", "cut"])
        started.callback(None)
        elapse(self.reactor, 5.0)
        self.assertEqual(self.notes[-1][1:3], ("ledger", "relay_ready"))
        self.assertEqual(self.director.played[Kind.KILL], 1)

    def test_what_goes_wrong_is_told_to_whoever_asks(self) -> None:
        """The first of it."""

        def fails(_: None) -> Any:
            raise SandboxError("the relay does not start")

        self.relay.answers["start"] = fails
        with self.assertRaisesRegex(SandboxError, "does not start"):
            self.play((1.0, Fault(Kind.TERM, 1.0)))

    def test_each_fault_is_noted(self) -> None:
        """Its beginning and its end."""
        self.play((1.0, Fault(Kind.STALL, 1.0)))
        self.assertEqual(self.lines, ["begins: stall for 1.0 s", "is over: stall for 1.0 s"])

    def test_the_end_waits_for_what_is_done_to_the_relay_and_begins_nothing_more(self) -> None:
        """Also what waits for its turn, late on a busy machine."""
        kill = Fault(Kind.KILL, 5.0)
        self.play((0.0, kill), (1.0, kill), (3.0, kill), seconds=2.0)
        finished = Deferred.fromCoroutine(self.director.finish())
        self.assertNoResult(finished)
        elapse(self.reactor, 20.0)
        self.successResultOf(finished)
        self.assertEqual(
            [method for _, name, method, _ in self.notes if name == "relay"], ["kill", "check_database", "start"]
        )
        self.assertEqual(self.director.played[Kind.KILL], 1)

    def test_nothing_comes_after_a_stop(self) -> None:
        """Neither what was planned, nor the rest of what is under way."""
        self.play((1.0, Fault(Kind.TERM, 5.0)), (4.0, Fault(Kind.CUT)), seconds=2.0)
        self.director.stop()
        elapse(self.reactor, 10.0)
        self.director.check()
        self.assertEqual([note[2] for note in self.notes], ["stop", "relay_ended"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ClusterTests(SynchronousTestCase):
    """Two relays, and their Redis."""

    def setUp(self) -> None:
        """Make a stage with one daemon."""
        self.reactor = Clock()
        self.notes: list[Note] = []
        recorders: list[Any] = [
            Recorder(name, self.notes, self.reactor)
            for name in ("relay-1", "relay-2", "proxy", "link-1", "link-2", "redis", "ledger", "daemon")
        ]
        first, second, proxy, link_1, link_2, redis, ledger, daemon = recorders
        sites = [Site(relay=first, proxy=proxy, link=link_1), Site(relay=second, proxy=proxy, link=link_2)]
        stage = Stage(sites=sites, workers=[daemon], ledger=ledger, redis=redis)
        self.director = Director(self.reactor, clock_on(self.reactor), stage, lambda _: None)

    def play(self, *faults: Fault) -> list[tuple[float, str, str, tuple[Any, ...]]]:
        """Play faults ten seconds from each other; what was asked of whom, but for the books."""
        self.director.begin([Planned(10.0 * place, fault) for place, fault in enumerate(faults)])
        elapse(self.reactor, 10.0 * len(faults))
        self.director.check()
        self.assertTrue(self.director.is_done)
        return [note for note in self.notes if note[1] != "ledger"]

    def told(self) -> list[tuple[float, str, tuple[Any, ...]]]:
        """What the books were told."""
        return [(at, method, args) for at, name, method, args in self.notes if name == "ledger"]

    def test_redis_fails_for_all(self) -> None:
        """It stands still, is killed with or without its data, or is emptied."""
        kinds = (Kind.REDIS_STOP, Kind.REDIS_KILL, Kind.REDIS_LOSS, Kind.REDIS_FLUSH)
        self.assertEqual(
            [(at, method) for at, _, method, _ in self.play(*(Fault(kind, 2.0) for kind in kinds))],
            [
                (0.0, "freeze"),
                (2.0, "thaw"),
                (10.0, "kill"),
                (12.0, "start"),
                (20.0, "kill"),
                (20.0, "lose_data"),
                (22.0, "start"),
                (30.0, "flush"),
            ],
        )
        self.assertEqual([args[0] for _, _, args in self.told()], [range(2)] * 8)

    def test_one_relay_is_cut_off_from_redis(self) -> None:
        """The others reach it, and may give up what that one has: the books know."""
        played = self.play(Fault(Kind.REDIS_CUT, 2.0, relay=1), Fault(Kind.REDIS_BLACKHOLE, 3.0))
        self.assertEqual(
            played,
            [
                (0.0, "link-2", "refuse", ()),
                (2.0, "link-2", "accept", ()),
                (10.0, "link-1", "behave", (Mode.SWALLOW,)),
                (13.0, "link-1", "behave", (Mode.FORWARD,)),
            ],
        )
        self.assertEqual(
            self.told(),
            [
                (0.0, "relays_cut_off", ((1,), 0.0)),
                (2.0, "relays_mended", ((1,), 2.0)),
                (10.0, "relays_cut_off", ((0,), 10.0)),
                (13.0, "relays_mended", ((0,), 13.0)),
            ],
        )

    def test_relays_fail_each_for_itself(self) -> None:
        """Two of them also at the same time."""
        self.director.begin([Planned(0.0, Fault(Kind.KILL, 5.0)), Planned(1.0, Fault(Kind.TERM, 5.0, relay=1))])
        elapse(self.reactor, 4.0)
        self.assertEqual(
            [(at, name, method) for at, name, method, _ in self.notes if name != "ledger"],
            [(0.0, "relay-1", "kill"), (0.0, "relay-1", "check_database"), (1.0, "relay-2", "stop")],
        )
        self.assertIn((1.0, "relay_ended", (1.0, 1)), self.told())

    def test_daemons_move_to_another_relay(self) -> None:
        """They are told which."""
        self.assertEqual(self.play(Fault(Kind.MOVE, 0.5, (0,), 1)), [(0.0, "daemon", "go_away", (0.5, 1))])
