"""When a relay has nothing to do, and for how long."""

from __future__ import annotations

import json

from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cautions import asleep
from makima_relay.core.tasks import TaskStatus
from makima_relay.endpoints import StartError
from makima_relay.hibernation import Hibernation, check_hibernation
from makima_relay.limits.guard import Guard, Limits
from makima_relay.listener import Listener
from tests.fakes import HandStore, elapse, unavailable
from tests.frames import PING, PONG, TEXT
from tests.relay_case import RelayTestCase, only
from tests.wire import ADDRESS, ServerPeer

AFTER = 30.0


class SettingTests(SynchronousTestCase):
    """Who may hibernate."""

    def test_without_a_socket_of_systemds_nobody_may(self) -> None:
        """The line names the option, and what it takes."""
        error = self.assertRaises(StartError, check_hibernation, AFTER, ("tcp:8787", "unix:/systemd:"))
        self.assertRegex(str(error), "^--hibernate-after: .* it takes --listen systemd:")

    def test_with_one_beside_others_it_may(self) -> None:
        """Who connects to that one starts it again; and who does not want to needs none."""
        check_hibernation(AFTER, ("tcp:8787", "systemd:domain=INET:name=makima-relay"))
        check_hibernation(None, ("tcp:8787",))

    def test_what_is_closed_meanwhile_is_said(self) -> None:
        """Only systemd's sockets are open while nobody is there."""
        listen = ("systemd:domain=INET:name=a", "tcp:8787")
        self.assertEqual(
            asleep(AFTER, listen),
            ["--hibernate-after: connections to tcp:8787 are refused while the relay hibernates"],
        )
        self.assertEqual(asleep(None, listen), [])


class HibernationTests(RelayTestCase):
    """What keeps a relay from it."""

    def setUp(self) -> None:
        super().setUp()
        self.calls: list[float] = []
        self.hibernation = self.watch()

    def watch(self, after: float | None = AFTER) -> Hibernation:
        """Begin to count."""
        guard = Guard(Limits(), self.reactor.seconds, self.engine.turned_away)
        self.listener = Listener(self.daemons, Factory(), self.reactor, 10.0, guard)
        watch = Hibernation(
            *(after, self.engine, self.listener, self.clock), lambda: self.calls.append(self.reactor.seconds())
        )
        watch.start()
        return watch

    def assert_awake_until_now(self) -> None:
        """It hibernates so long after now, and does so once; it looks once a second."""
        self.assertEqual(self.calls, [])
        end = self.reactor.seconds() + AFTER
        elapse(self.reactor, 10 * AFTER)
        (at,) = self.calls
        self.assertTrue(end <= at <= end + 2, f"at {at}, not {end}")

    def test_a_relay_that_nobody_wants_anything_of_hibernates(self) -> None:
        """Also while its server is connected; it says so, and for how long it has waited."""
        self.go_live()
        self.assert_awake_until_now()
        (entry,) = self.journal("hibernating")
        self.assertEqual(entry.detail, "nothing to do for 30 s; the next connection starts the relay")

    def test_a_connection_keeps_it_awake_whatever_it_is_for(self) -> None:
        """To end under somebody who asks it something would start it again at once."""
        doorkeeper = self.listener.buildProtocol(ADDRESS)
        assert doorkeeper is not None
        self.listener.connections.add(doorkeeper)
        elapse(self.reactor, 3 * AFTER)
        self.listener.connections.discard(doorkeeper)
        self.assert_awake_until_now()

    def test_a_connection_that_came_and_went_starts_the_count_anew(self) -> None:
        """However short it was."""
        elapse(self.reactor, AFTER - 0.5)
        self.listener.buildProtocol(ADDRESS)
        self.assert_awake_until_now()

    def test_an_unfinished_task_keeps_it_awake(self) -> None:
        """Pending, and orphaned while its daemon is gone."""
        self.go_live().send("spawnTask", taskId="t")
        elapse(self.reactor, 2 * AFTER)
        daemon = self.join("worker")
        daemon.send("taskProgress", taskId="t")
        daemon.lose()
        elapse(self.reactor, 50)
        self.assertEqual(self.engine.relay.unfinished_tasks()[TaskStatus.ORPHANED], 1)
        self.assertEqual(self.calls, [])
        elapse(self.reactor, 11)
        self.prove_on(self.go_live())
        self.assert_awake_until_now()

    def test_reports_that_the_server_may_not_have_keep_it_awake(self) -> None:
        """Until it has proven that it read them."""
        daemon = self.join("worker")
        daemon.send("news")
        daemon.lose()
        elapse(self.reactor, 2 * AFTER)
        server = self.go_live()
        elapse(self.reactor, 2)
        self.assertEqual(self.calls, [])
        self.prove_on(server)
        self.assert_awake_until_now()

    def test_a_task_that_comes_when_it_is_decided_is_refused(self) -> None:
        """It would wait until somebody connects, and the server would believe that it is at work."""
        elapse(self.reactor, AFTER - 1)
        server = self.go_live()
        elapse(self.reactor, 2)
        self.assertEqual(len(self.calls), 1)
        server.take()
        server.send("spawnTask", taskId="late")
        (answer,) = [json.loads(frame.payload) for frame in only(server.take(), TEXT)]
        self.assertEqual((answer["type"], answer["code"], answer["taskId"]), ("error", "unavailable", "late"))
        self.assertTrue(self.engine.relay.is_idle)

    def prove_on(self, server: ServerPeer) -> None:
        """Answer the relay's latest ping, after all its reports."""
        elapse(self.reactor, 0.1)
        server.send_frame(PONG, only(server.take(), PING)[-1].payload)
        self.assertEqual(self.engine.relay.reports_waiting, 0)

    def test_a_database_that_cannot_be_written_keeps_it_awake(self) -> None:
        """Its state would not survive."""
        self.hibernation.stop()
        store = HandStore()
        self.start(store)
        self.watch()
        self.engine.noted("test", "something to be saved")
        elapse(self.reactor, 1)
        store.commits[-1].fails(unavailable())
        elapse(self.reactor, 2 * AFTER)
        self.assertEqual(self.calls, [])
        store.commits[-1].succeeds()
        elapse(self.reactor, 2 * AFTER)
        self.assertEqual(len(self.calls), 1)

    def test_it_is_off_unless_it_is_asked_for(self) -> None:
        """And leaves no timer, then or when it is stopped."""
        self.hibernation.stop()
        before = set(self.reactor.getDelayedCalls())
        self.watch(None)
        self.watch(1.0).stop()
        self.assertEqual(set(self.reactor.getDelayedCalls()), before)
