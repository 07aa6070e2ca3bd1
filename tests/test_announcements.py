"""What is announced, when, and how much of it is remembered."""

from __future__ import annotations

from makima_relay.announcements import INTERVAL, MOST_EVENTS, PROMPTLY, Announcements, Event, EventKind
from makima_relay.core.fleet import Daemon, daemon_id_of
from makima_relay.core.journal import Entry
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import task
from tests.fakes import elapse
from tests.relay_case import RelayTestCase


class AnnouncementsTestCase(RelayTestCase):
    """Has a relay whose start is announced already."""

    def setUp(self) -> None:
        super().setUp()
        self.announcements: Announcements = self.engine.announcements
        elapse(self.reactor, 1.0)
        self.seen = self.announcements.last

    def take(self) -> list[Event]:
        """The events since this was last asked."""
        events = self.announcements.after(self.seen, MOST_EVENTS)
        self.seen = self.announcements.last
        return events

    def of(self, kind: EventKind) -> list[object]:
        """What those of one kind are about."""
        return [event.thing for event in self.take() if event.kind is kind]


class TimeTests(AnnouncementsTestCase):
    """When something is announced."""

    def test_what_happens_after_a_while_is_announced_promptly(self) -> None:
        """What follows at once has to wait for company."""
        calls: list[float] = []
        self.announcements.listeners.append(lambda: calls.append(self.reactor.seconds()))
        began = self.reactor.seconds()
        for _ in range(100):
            self.engine.noted("noted", "x")
            elapse(self.reactor, 0.01)
        waits = [round(call - began, 3) for call in calls]
        self.assertEqual(waits, [round(PROMPTLY + place * INTERVAL, 3) for place in range(4)])

    def test_nothing_is_announced_while_nothing_happens(self) -> None:
        """Nor is anything left on the clock."""
        calls: list[object] = []
        self.announcements.listeners.append(lambda: calls.append(1))
        elapse(self.reactor, 100)
        self.assertEqual(calls, [])

    def test_after_the_end_nothing_is_announced(self) -> None:
        """Whatever is still being saved."""
        self.engine.noted("noted", "x")
        self.announcements.stop()
        self.engine.noted("noted", "y")
        elapse(self.reactor, 1.0)
        self.assertEqual(self.take(), [])


class RingTests(AnnouncementsTestCase):
    """What is remembered."""

    def test_of_a_burst_the_last_thousand_are_remembered(self) -> None:
        """All of it is counted, and nothing is written."""
        tasks = [task(f"t{number}") for number in range(10_000)]
        for each in tasks:
            self.announcements.task_saved(each)
        elapse(self.reactor, INTERVAL)
        self.assertEqual(self.announcements.last, self.seen + 10_000)
        self.assertFalse(self.announcements.knows(self.seen))
        self.assertFalse(self.announcements.knows(self.announcements.last - MOST_EVENTS - 1))
        self.seen = self.announcements.last - MOST_EVENTS
        self.assertTrue(self.announcements.knows(self.seen))
        events = self.take()
        self.assertEqual([event.thing for event in events], tasks[-MOST_EVENTS:])
        self.assertEqual({event.text for event in events}, {None})

    def test_entries_that_are_too_many_are_counted(self) -> None:
        """Whoever reads must know that some are missing."""
        for number in range(MOST_EVENTS + 5):
            self.announcements.entry_saved(Entry(number, 0.0, "noted", "x", {}))
        elapse(self.reactor, INTERVAL)
        self.assertEqual(self.announcements.last, self.seen + MOST_EVENTS + 5)

    def test_no_more_than_is_wanted_is_handed_out(self) -> None:
        """From the oldest on."""
        for number in range(10):
            self.announcements.entry_saved(Entry(number, 0.0, "noted", "x", {}))
        elapse(self.reactor, INTERVAL)
        some = self.announcements.after(self.seen + 2, 3)
        self.assertEqual([event.thing.number for event in some if isinstance(event.thing, Entry)], [2, 3, 4])
        self.assertFalse(self.announcements.knows(self.announcements.last + 1))
        self.assertFalse(self.announcements.knows(-1))

    def test_no_other_process_has_the_same_name(self) -> None:
        """Or ids would be confused."""
        self.start()
        self.assertNotEqual(self.engine.announcements.run, self.announcements.run)


class ThingTests(AnnouncementsTestCase):
    """What is announced."""

    def test_a_task_is_announced_as_it_last_was(self) -> None:
        """Whatever it was in between."""
        self.announcements.task_saved(task("t1"))
        self.announcements.task_saved(task("t1").to(TaskStatus.CANCELLED))
        elapse(self.reactor, INTERVAL)
        self.assertEqual(self.of(EventKind.TASK), [task("t1").to(TaskStatus.CANCELLED)])

    def test_a_daemon_that_came_and_went_meanwhile_is_not_announced(self) -> None:
        """The journal tells of it."""
        self.join("d").lose()
        elapse(self.reactor, INTERVAL)
        self.assertEqual(self.of(EventKind.DAEMON), [])

    def test_a_replaced_daemon_is_announced_once(self) -> None:
        """It is still there."""
        self.join("d")
        elapse(self.reactor, INTERVAL)
        self.take()
        self.join("d")
        elapse(self.reactor, INTERVAL)
        (daemon,) = self.of(EventKind.DAEMON)
        assert isinstance(daemon, Daemon)
        self.assertIsNotNone(daemon.connection)

    def test_the_name_of_a_daemon_is_known_when_it_is_gone(self) -> None:
        """For the tasks that it had."""
        self.join("machine", hostname="build-7").lose()
        elapse(self.reactor, INTERVAL)
        self.assertEqual(self.announcements.hostname(daemon_id_of("machine")), "build-7")
        self.assertIsNone(self.announcements.hostname(None))
        self.assertIsNone(self.announcements.hostname("another"))
