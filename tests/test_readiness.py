"""What systemd is told, at a real socket."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.readiness import Readiness, Supervisor, take_supervisor
from tests.fakes import HandStore, elapse, unavailable
from tests.relay_case import RelayTestCase
from tests.supervisor import Listening, a_name


class SupervisorTests(SynchronousTestCase):
    """Who is told, and how."""

    def test_files_and_abstract_names_are_reached(self) -> None:
        """Each text is one datagram, a line for each fact."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for name in (str(Path(directory.name) / "notify"), a_name()):
            listening = Listening(name)
            self.addCleanup(listening.socket.close)
            Supervisor(name).tell("READY=1", "STATUS=wéll")
            self.assertEqual(listening.heard(), ["READY=1\nSTATUS=wéll"])

    def test_nobody_who_listens_is_no_trouble(self) -> None:
        """Neither a name that was never there nor one that is full ends the relay."""
        Supervisor().tell("READY=1")
        Supervisor("/nowhere/at/all").tell("READY=1")
        Supervisor("/" + "x" * 200).tell("READY=1")
        name = a_name()
        listening = Listening(name)
        self.addCleanup(listening.socket.close)
        for _ in range(1000):
            Supervisor(name).tell("WATCHDOG=1")
        self.assertLess(len(listening.heard()), 1000)

    def test_it_is_taken_out_of_the_environment(self) -> None:
        """What the relay starts is not what systemd started; all else stays."""
        environment = {
            "NOTIFY_SOCKET": "/run/systemd/notify",
            "WATCHDOG_USEC": "60000000",
            "WATCHDOG_PID": str(os.getpid()),
            "LISTEN_PID": "1",
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "makima-relay",
            "PATH": "/usr/bin",
        }
        self.assertEqual(take_supervisor(environment), Supervisor("/run/systemd/notify", 60.0))
        self.assertEqual(environment, {"PATH": "/usr/bin"})
        self.assertEqual(take_supervisor(environment), Supervisor())

    def test_a_watchdog_of_another_process_is_not_ours(self) -> None:
        """The variables are inherited; they name whom they are for."""
        given = {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid() + 1)}
        self.assertIsNone(take_supervisor(given).patience)
        self.assertEqual(take_supervisor({"WATCHDOG_USEC": "500000"}).patience, 0.5)

    @given(st.text())
    def test_whatever_the_variables_are_the_relay_starts(self, text: str) -> None:
        """A time that is none is none."""
        patience = take_supervisor({"WATCHDOG_USEC": text, "NOTIFY_SOCKET": text}).patience
        self.assertTrue(patience is None or patience > 0)


class ReadinessTests(RelayTestCase):
    """What is told when."""

    def setUp(self) -> None:
        super().setUp()
        name = a_name()
        self.listening = Listening(name)
        self.addCleanup(self.listening.socket.close)
        self.supervisor = Supervisor(name, patience=60.0)

    def reach(self, patience: float | None = None) -> Readiness:
        """The relay has come so far that it is ready."""
        readiness = Readiness(Supervisor(self.supervisor.address, patience), self.clock)
        readiness.reached(self.engine, self.upstream)
        return readiness

    def test_it_is_ready_before_the_server_is_connected(self) -> None:
        """A server that is away must not keep daemons from being served."""
        self.reach()
        self.assertEqual(self.listening.heard(), ["READY=1", "STATUS=server: idle; daemons: 0"])

    def test_the_sentence_follows_the_relay(self) -> None:
        """It is sent when it changes, and not else."""
        self.reach()
        self.listening.heard()
        elapse(self.reactor, 20)
        self.assertEqual(self.listening.heard(), [])
        self.go_live()
        self.join("one")
        self.join("two")
        elapse(self.reactor, 6)
        self.assertEqual(self.listening.heard(), ["STATUS=server: connected; daemons: 2"])

    def test_signs_of_life_come_at_half_the_patience(self) -> None:
        """A minute has two; without a watchdog there are none."""
        self.reach(patience=60.0)
        elapse(self.reactor, 89)
        self.assertEqual(self.listening.heard().count("WATCHDOG=1"), 3)
        elapse(self.reactor, 2)
        self.assertEqual(self.listening.heard(), ["WATCHDOG=1"])

    def test_without_a_watchdog_there_is_no_sign_of_life(self) -> None:
        """Nobody asked for it."""
        self.reach()
        elapse(self.reactor, 600)
        self.assertNotIn("WATCHDOG=1", self.listening.heard())

    def test_a_commit_that_hangs_is_no_life(self) -> None:
        """Only a restart may help then; when it ends after all, the relay lives."""
        store = HandStore()
        self.start(store)
        self.reach(patience=60.0)
        self.engine.noted("test", "something to be saved")
        elapse(self.reactor, 31)
        self.assertEqual(self.listening.heard().count("WATCHDOG=1"), 2)
        elapse(self.reactor, 120)
        self.assertEqual(self.listening.heard(), [])
        store.commits[-1].succeeds()
        elapse(self.reactor, 30)
        self.assertIn("WATCHDOG=1", self.listening.heard())

    def test_commits_that_fail_and_are_tried_again_are_life(self) -> None:
        """A disk that is full is no fuller after a restart; people are told."""
        store = HandStore()
        self.start(store)
        self.reach(patience=6.0)
        self.engine.noted("test", "something to be saved")
        elapse(self.reactor, 1)
        self.listening.heard()
        begin, heard = self.reactor.seconds(), []
        for number in range(1, 30):
            store.commits[-1].fails(unavailable())
            while len(store.commits) == number:
                elapse(self.reactor, 0.1)
            heard += self.listening.heard()
        self.assertGreaterEqual(heard.count("WATCHDOG=1"), (self.reactor.seconds() - begin) // 3)
        self.assertIn("STATUS=server: idle; daemons: 0; the database cannot be written", heard)

    def test_a_reload_is_told_before_and_after(self) -> None:
        """With the time, by which systemd knows which of several it was."""
        readiness = Readiness(self.supervisor, self.clock)
        readiness.reloading()
        readiness.reloaded()
        before, after = self.listening.heard()
        self.assertRegex(before, r"^RELOADING=1\nMONOTONIC_USEC=[0-9]+$")
        self.assertEqual(after, "READY=1")

    def test_the_end_is_told_and_is_the_last(self) -> None:
        """No timer is left, also when the relay never became ready."""
        others = set(self.reactor.getDelayedCalls())
        readiness = self.reach(patience=60.0)
        self.listening.heard()
        readiness.stopping()
        self.assertEqual(set(self.reactor.getDelayedCalls()), others)
        elapse(self.reactor, 600)
        self.assertEqual(self.listening.heard(), ["STOPPING=1\nSTATUS=stopping"])
        Readiness(self.supervisor, self.clock).stopping()
        self.assertEqual(self.listening.heard(), ["STOPPING=1\nSTATUS=stopping"])
