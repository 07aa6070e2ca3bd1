"""What a pong of the relay's proves: that what its peer had sent before is in the database."""

from __future__ import annotations

from tests.fakes import Commit, HandStore, elapse, unavailable
from tests.frames import PING, PONG, Frame
from tests.relay_case import RelayTestCase, only
from tests.wire import Peer


class SafePongTests(RelayTestCase):
    """Pings that follow what has to be committed."""

    def setUp(self) -> None:
        """Have a live server, and a daemon with two tasks, on a store whose commits and look-ups are ours to answer."""
        super().setUp()
        self.store = HandStore()
        self.start(self.store)
        self.server = self.go_live()
        self.settle()
        self.server.take()
        self.daemon = self.connect()
        self.daemon.send("authenticate", apiKey="a-key-of-the-server", hostname="d")
        self.settle()
        for task_id in ("t", "u"):
            self.spawn(task_id)
            self.settle()
        self.daemon.take()

    def spawn(self, task_id: str) -> None:
        """Have the server spawn a task that the store does not know."""
        self.server.send("spawnTask", taskId=task_id)
        self.store.recalls[-1].done.callback([])

    def open_commits(self) -> list[Commit]:
        """Those that are not completed."""
        return [commit for commit in self.store.commits if not commit.done.called]

    def settle(self) -> None:
        """Let everything be committed."""
        elapse(self.reactor, 0.06)
        while commits := self.open_commits():
            commits[0].succeeds()
            elapse(self.reactor, 0.06)

    def pongs(self, peer: Peer) -> list[Frame]:
        """The pongs that a peer got since the last time."""
        return only(peer.take(), PONG)

    def test_with_nothing_to_commit_it_comes_at_once(self) -> None:
        """On either side, with what the ping said."""
        for peer in (self.server, self.daemon):
            peer.send_frame(PING, b"p")
            self.assertEqual(self.pongs(peer), [Frame(PONG, b"p")])

    def test_before_authentication_it_comes_at_once(self) -> None:
        """Nothing of a stranger's is kept."""
        stranger = self.connect()
        stranger.send_frame(PING, b"p")
        self.assertEqual(self.pongs(stranger), [Frame(PONG, b"p")])

    def test_behind_a_completion_it_waits_for_the_commit(self) -> None:
        """Or a daemon would forget what the relay might still lose."""
        self.daemon.send("taskComplete", taskId="t", success=True)
        self.daemon.send_frame(PING, b"p")
        self.assertEqual(self.pongs(self.daemon), [])
        self.settle()
        self.assertEqual(self.pongs(self.daemon), [Frame(PONG, b"p")])

    def test_behind_a_new_task_it_waits_for_the_look_up_and_the_commit(self) -> None:
        """The server may forget it then."""
        self.server.send("spawnTask", taskId="v")
        self.server.send_frame(PING, b"p")
        self.assertEqual(self.open_commits(), [])
        self.assertEqual(self.pongs(self.server), [])
        self.store.recalls[-1].done.callback([])
        self.assertEqual(self.pongs(self.server), [])
        self.settle()
        self.assertEqual(self.pongs(self.server), [Frame(PONG, b"p")])

    def test_new_questions_do_not_put_it_off_for_ever(self) -> None:
        """A server that never stops spawning gets its pongs in time nevertheless."""
        self.server.send("spawnTask", taskId="first")
        self.server.send("spawnTask", taskId="second")
        self.server.send_frame(PING, b"p")
        self.store.recalls[-1].done.callback([])
        self.server.send("spawnTask", taskId="third")
        self.settle()
        self.assertEqual(self.pongs(self.server), [])
        self.store.recalls[-1].done.callback([])
        self.server.send("spawnTask", taskId="fourth")
        self.settle()
        self.assertFalse(self.store.recalls[-1].done.called)
        self.assertEqual(self.pongs(self.server), [Frame(PONG, b"p")])

    def test_of_several_that_wait_the_latest_is_answered_when_its_time_has_come(self) -> None:
        """Not when that of the first has: more may have been sent between them."""
        self.daemon.send("taskComplete", taskId="t", success=True)
        self.daemon.send_frame(PING, b"1")
        self.daemon.send("taskComplete", taskId="u", success=True)
        self.daemon.send_frame(PING, b"2")
        self.daemon.send_frame(PING, b"3")
        (commit,) = self.open_commits()
        commit.succeeds()
        self.assertEqual(self.pongs(self.daemon), [Frame(PONG, b"1")])
        self.settle()
        self.assertEqual(self.pongs(self.daemon), [Frame(PONG, b"3")])
        self.daemon.send_frame(PING, b"4")
        self.assertEqual(self.pongs(self.daemon), [Frame(PONG, b"4")])

    def test_while_commits_fail_it_says_only_that_the_relay_lives(self) -> None:
        """Or the server would take the relay for dead, as long as the disk is full."""
        self.server.send("spawnTask", taskId="v")
        self.server.send_frame(PING, b"1")
        self.store.recalls[-1].done.callback([])
        (commit,) = self.open_commits()
        commit.done.errback(unavailable())
        self.assertEqual(self.pongs(self.server), [Frame(PONG, b"1")])
        self.server.send_frame(PING, b"2")
        self.assertEqual(self.pongs(self.server), [Frame(PONG, b"2")])

    def test_a_connection_that_closes_meanwhile_gets_none(self) -> None:
        """There is nobody to tell."""
        self.daemon.send("taskComplete", taskId="t", success=True)
        self.daemon.send_frame(PING, b"p")
        self.daemon.send_close(1000)
        self.settle()
        self.assertEqual(self.pongs(self.daemon), [])
