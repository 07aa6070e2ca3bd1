"""The daemons, their slots and their health, and which of them gets the next task."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.composer import COMPOSERS
from makima_relay.core.fleet import Daemon, Fleet, daemon_id_of
from makima_relay.core.spelling import WireCase
from tests.core.builders import NOW, examples, hello
from tests.untraced import untraced

HEALTH_TIMEOUT = 90.0


class DaemonIdTests(SynchronousTestCase):
    """A daemon's id."""

    def test_it_is_a_uuid_of_version_5_made_from_the_machine_alone(self) -> None:
        """The same after every restart and at every relay, so it is written down here."""
        self.assertEqual(daemon_id_of("m1"), daemon_id_of("m1"))
        self.assertNotEqual(daemon_id_of("m1"), daemon_id_of("M1"))
        self.assertEqual(uuid.UUID(daemon_id_of("m1")).version, 5)
        self.assertEqual(daemon_id_of("m1"), "9216146e-0d59-55a9-ba3c-c1285df6a647")

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255))
    def test_it_is_made_as_rfc_4122_says(self, machine_id: str) -> None:
        """Of whatever characters the machine's id is."""
        namespace = uuid.UUID("6f1c3a52-6d0b-5b7e-9a45-1f0c7d9a2e11")
        self.assertEqual(daemon_id_of(machine_id), str(uuid.uuid5(namespace, machine_id)))


class FleetTestCase(SynchronousTestCase):
    """A fleet to which daemons are added."""

    def setUp(self) -> None:
        self.fleet = Fleet(HEALTH_TIMEOUT)
        self.connections = 0
        self.tasks = 0

    def join(self, machine: str, capacity: int, now: float = NOW) -> Daemon:
        """Have a machine connect, known or not."""
        self.connections += 1
        daemon = self.fleet.get(machine) or self.fleet.enlist(Daemon(machine, machine, machine))
        composer = COMPOSERS[WireCase.CAMEL]
        self.fleet.join(daemon, self.connections, hello(machine, capacity), composer, now)
        return daemon

    def give(self, number: int, now: float = NOW) -> str:
        """Dispatch so many tasks, t1, t2 and so on; whoever gets them is named in order."""
        order = []
        for _ in range(number):
            daemon = self.fleet.least_loaded(now)
            if daemon is None:
                order.append("-")
            else:
                self.tasks += 1
                self.fleet.dispatched(daemon, f"t{self.tasks}")
                order.append(daemon.machine_id)
        return " ".join(order)


class LeastLoadedTests(FleetTestCase):
    """Who gets the next task (``protocol.md``, *Dispatch*)."""

    def test_the_one_with_the_fewest_tasks(self) -> None:
        """Whatever its capacity."""
        a, b = self.join("a", 100), self.join("b", 5)
        self.fleet.hold(a, "x")
        self.fleet.hold(a, "y")
        self.fleet.hold(b, "z")
        self.assertEqual(self.give(3), "b a b")

    def test_of_equals_the_one_that_has_waited_longest_since_its_last_dispatch(self) -> None:
        """One that never had a task has waited longest of all."""
        a, b = self.join("a", 9), self.join("b", 9)
        self.assertEqual(self.give(4), "a b a b")
        self.fleet.release(b, "t2")
        self.fleet.release(a, "t3")
        self.join("c", 2)
        self.assertEqual(self.give(4), "c a b c")

    def test_nobody_while_all_slots_are_taken(self) -> None:
        """Until one is free."""
        a = self.join("a", 2)
        self.assertEqual(self.give(3), "a a -")
        self.fleet.release(a, "t1")
        self.assertEqual(self.give(2), "a -")

    def test_nobody_without_slots(self) -> None:
        """A capacity of 0 is allowed."""
        self.join("a", 0)
        self.assertEqual(self.give(1), "-")

    def test_nobody_who_holds_more_than_it_takes(self) -> None:
        """As after adopting tasks, or after coming back with fewer slots."""
        a = self.join("a", 1)
        self.fleet.hold(a, "x")
        self.fleet.hold(a, "y")
        self.fleet.release(a, "x")
        self.assertEqual(self.give(1), "-")

    def test_nobody_who_is_gone(self) -> None:
        """Until it returns, with the capacity that it then has."""
        a = self.join("a", 9)
        self.fleet.hold(a, "x")
        self.fleet.part(a)
        self.assertEqual(self.give(1), "-")
        self.join("a", 2)
        self.assertEqual(self.give(2), "a -")

    def test_nobody_who_is_draining(self) -> None:
        """Until that ends."""
        a = self.join("a", 9)
        for draining, expected in ((True, "-"), (False, "a")):
            a.draining = draining
            self.fleet.reconsider(a)
            self.assertEqual(self.give(1), expected)


class HealthTests(FleetTestCase):
    """A daemon that was silent for long gets nothing."""

    def test_healthy_is_heard_of_within_the_timeout(self) -> None:
        """The last moment is in."""
        a = self.join("a", 9)
        self.assertTrue(self.fleet.healthy(a, NOW + HEALTH_TIMEOUT))
        self.assertFalse(self.fleet.healthy(a, NOW + HEALTH_TIMEOUT + 0.001))

    def test_an_unhealthy_daemon_gets_nothing_until_it_is_heard_of(self) -> None:
        """Hearing of it says whether it may get tasks again."""
        a = self.join("a", 9)
        late = NOW + HEALTH_TIMEOUT + 1
        self.assertFalse(self.fleet.seen(a, NOW))
        self.assertEqual(self.give(1, late), "-")
        self.assertTrue(self.fleet.seen(a, late))
        self.assertEqual(self.give(1, late), "a")
        self.assertFalse(self.fleet.seen(a, late))

    def test_the_healthy_ones_get_all(self) -> None:
        """However few tasks the unhealthy one has."""
        self.join("a", 9)
        self.join("b", 2, NOW + 10)
        self.assertEqual(self.give(3, NOW + HEALTH_TIMEOUT + 1), "b b -")

    def test_a_new_connection_is_healthy(self) -> None:
        """Whatever the old one was."""
        a = self.join("a", 9)
        late = NOW + HEALTH_TIMEOUT + 1
        self.give(1, late)
        self.fleet.part(a)
        self.join("a", 9, late)
        self.assertEqual(self.give(1, late), "a")


class WhyNoneTests(FleetTestCase):
    """The words of ``http-api.md``, *Shapes*."""

    def test_no_daemon_is_connected(self) -> None:
        """One that was does not count."""
        self.fleet.hold(self.join("a", 1), "t1")
        self.fleet.part(self.fleet.get("a"))  # type: ignore[arg-type]
        self.assertEqual(self.fleet.why_none(NOW), "no daemon connected")

    def test_all_are_draining_or_unhealthy(self) -> None:
        """Each for its own reason."""
        self.join("a", 1)
        self.join("b", 1, NOW + 50).draining = True
        self.assertEqual(self.fleet.why_none(NOW + HEALTH_TIMEOUT + 1), "all daemons draining or unhealthy")

    def test_there_is_no_free_slot(self) -> None:
        """Some daemon could take tasks if it had room."""
        self.join("a", 0)
        self.join("b", 1).draining = True
        self.assertEqual(self.fleet.why_none(NOW), "no free slot")


class MemoryTests(FleetTestCase):
    """Who is known, and for how long."""

    def test_offers_that_do_not_hold_any_more_do_not_pile_up(self) -> None:
        """A long life needs no more memory than a short one."""
        a, b = self.join("a", 3), self.join("b", 3)
        self.fleet.hold(b, "x")
        for _ in range(1_000):
            self.assertEqual(self.give(1), "a")
            self.fleet.release(a, f"t{self.tasks}")
        self.assertLess(len(self.fleet._offers), 100)
        self.assertEqual(self.give(4), "a b a b")

    def test_a_daemon_is_found_by_its_connection_while_it_has_it(self) -> None:
        """And counted."""
        a = self.join("a", 1)
        self.assertEqual((self.fleet.on(1), self.fleet.get("a"), len(self.fleet)), (a, a, 1))
        self.assertEqual(list(self.fleet.connected()), [a])
        self.fleet.part(a)
        self.assertEqual((self.fleet.on(1), len(self.fleet)), (None, 0))

    def test_a_daemon_that_is_gone_for_good_is_forgotten(self) -> None:
        """The memory does not grow with every machine that ever came."""
        self.fleet.part(self.join("a", 1))
        self.assertIsNone(self.fleet.get("a"))

    def test_one_that_holds_tasks_is_remembered_until_it_holds_none(self) -> None:
        """It may return for them."""
        a = self.join("a", 1)
        self.fleet.hold(a, "t1")
        self.fleet.part(a)
        self.assertIs(self.fleet.get("a"), a)
        self.fleet.release(a, "t1")
        self.assertIsNone(self.fleet.get("a"))

    def test_one_that_is_draining_is_remembered(self) -> None:
        """An operator's word holds."""
        a = self.join("a", 1)
        a.draining = True
        self.fleet.part(a)
        self.assertIs(self.fleet.get("a"), a)

    def test_a_new_connection_begins_anew(self) -> None:
        """What is counted by connection starts over."""
        a = self.join("a", 1)
        self.fleet.hold(a, "t1")
        a.faults, a.reconciled, a.interrupted, a.refused = 9, True, {"t"}, {"t"}
        self.fleet.part(a)
        self.join("a", 1)
        self.assertEqual((a.faults, a.reconciled, a.interrupted, a.refused), (0, False, set(), set()))


machines = st.sampled_from("abcd")
steps = st.lists(
    st.tuples(st.sampled_from(["join"]), machines, st.integers(0, 3))
    | st.tuples(st.sampled_from(["part", "release", "adopt", "drain", "resume", "seen"]), machines, st.just(0))
    | st.tuples(st.just("give"), st.just(""), st.integers(1, 4))
    | st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 50, 100])),
    max_size=60,
)


class AnyFleetTests(FleetTestCase):
    """Property test; see :func:`tests.core.builders.examples`."""

    @untraced
    @examples(500)
    @given(steps)
    def test_the_least_loaded_is_what_sorting_all_daemons_finds(self, told: list[tuple[str, str, int]]) -> None:
        """After any history, the heap's answer is that of a scan of everybody."""
        self.setUp()
        self.now = NOW
        for what, machine, number in told:
            daemon = self.fleet.get(machine)
            getattr(self, f"_{what}")(machine, number, daemon)
            self.assertIs(self.fleet.least_loaded(self.now), self._sorted_first())

    def _sorted_first(self) -> Daemon | None:
        able = [
            (len(each.tasks), each.last_dispatch, each.connection, each)
            for each in self.fleet.connected()
            if not each.draining and self.now - each.last_seen <= HEALTH_TIMEOUT and len(each.tasks) < each.capacity
        ]
        return min(able)[-1] if able else None

    def _join(self, machine: str, capacity: int, daemon: Daemon | None) -> None:
        if daemon is None or daemon.connection is None:
            self.join(machine, capacity, self.now)

    def _part(self, _machine: str, _number: int, daemon: Daemon | None) -> None:
        if daemon is not None:
            self.fleet.part(daemon)

    def _release(self, _machine: str, _number: int, daemon: Daemon | None) -> None:
        if daemon is not None and daemon.tasks:
            self.fleet.release(daemon, min(daemon.tasks))

    def _adopt(self, _machine: str, _number: int, daemon: Daemon | None) -> None:
        if daemon is not None:
            self.tasks += 1
            self.fleet.hold(daemon, f"t{self.tasks}")

    def _drain(self, _machine: str, _number: int, daemon: Daemon | None, *, draining: bool = True) -> None:
        if daemon is not None:
            daemon.draining = draining
            self.fleet.reconsider(daemon)

    def _resume(self, machine: str, number: int, daemon: Daemon | None) -> None:
        self._drain(machine, number, daemon, draining=False)

    def _seen(self, _machine: str, _number: int, daemon: Daemon | None) -> None:
        if daemon is not None and daemon.connection is not None:
            self.fleet.seen(daemon, self.now)

    def _give(self, _machine: str, number: int, _daemon: Daemon | None) -> None:
        self.give(number, self.now)

    def _wait(self, _machine: str, seconds: int, _daemon: Daemon | None) -> None:
        self.now += seconds
