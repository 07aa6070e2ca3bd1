"""What the test cases about peers are made from: one relay of a cluster, and what its peers say to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from makima_relay.core.cluster_effects import SendEntry
from makima_relay.core.directory import DirectoryEntry
from makima_relay.core.effects import Effect, KeepReport, RecallTasks, SendReports, SendToDaemon, SendUpstream
from makima_relay.core.entries import Offer, Placed, decode_entry, encode_entry
from makima_relay.core.policy import Policy
from makima_relay.core.snapshot import Snapshot
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import AT, D2, NOW, presence, wire
from tests.core.cases import RelayTestCase

#: This relay, and two peers.
ME, P, Q = "me", "relay-p", "relay-q"
POLICY = Policy(relay_id=ME, agent_name="edge-me")
PEER_GRACE = 300.0
#: The messages about the task t1 that most of these tests are about.
SPAWN = wire("spawnTask", taskId="t1")
DONE = wire("taskComplete", taskId="t1", success=True)
OUTPUT = wire("taskOutput", taskId="t1", text="x")


def entries(decided: Sequence[Effect], peer: str = P) -> list[Any]:
    """The entries that a peer is sent."""
    return [decode_entry(each.payload[8:]) for each in decided if isinstance(each, SendEntry) and each.peer == peer]


def for_daemons(decided: Sequence[Effect]) -> list[tuple[int, bytes]]:
    """What daemons are sent, with their connections."""
    return [(each.connection, each.payload) for each in decided if isinstance(each, SendToDaemon)]


def for_server(decided: Sequence[Effect]) -> list[bytes]:
    """What the server is sent."""
    sent: list[bytes] = []
    for effect in decided:
        if isinstance(effect, SendUpstream):
            sent.append(effect.payload)
        elif isinstance(effect, SendReports):
            sent.extend(effect.payloads)
    return sent


def placed(attempt: int = 1, status: TaskStatus = TaskStatus.DISPATCHED) -> Placed:
    """What a peer says when its daemon, the second machine, has the task t1."""
    return Placed("t1", attempt, D2, "host-m2", status)


class PeerTestCase(RelayTestCase):
    """A relay with a server, in a cluster with peers that the tests have come.

    :ivar directory: what the directory has of tasks that the relay asks for.
    """

    policy = POLICY

    def setUp(self) -> None:
        self.begin()

    def begin(self, snapshot: Snapshot | None = None) -> None:
        """Begin (again)."""
        self.directory: dict[str, DirectoryEntry] = {}
        self._numbers: dict[str, int] = {}
        self.start(self.policy, snapshot)
        self.connect_server()
        self.relay.cluster_ready(NOW, {})

    def with_answers(self, decided: Sequence[Effect], now: float) -> list[Effect]:
        """See :meth:`tests.core.cases.RelayTestCase.with_answers`; the directory answers too."""
        effects: list[Effect] = []
        for effect in decided:
            if isinstance(effect, RecallTasks):
                found = [self.stored[each] for each in effect.task_ids if each in self.stored]
                entries = {each: self.directory[each] for each in effect.task_ids if each in self.directory}
                answered = self.relay.tasks_recalled(effect.task_ids, found, now, entries)
                effects += self.with_answers(answered, now)
            else:
                effects.append(effect)
        return effects

    def comes(self, peer: str = P, free: int = 2, now: float = NOW, foreign: int = 100) -> list[Effect]:
        """Have a peer be present, which has tasks of others, this relay's or not."""
        return self.relay.peer_present(presence(peer, free, foreign_tasks=foreign), now)

    def says(self, *said: Any, peer: str = P, now: float = NOW) -> list[Effect]:
        """Have a peer send entries."""
        numbered = []
        for entry in said:
            number = self._numbers[peer] = self._numbers.get(peer, 0) + 1
            numbered.append((number, bytes(8) + encode_entry(entry)))
        return self.with_answers(self.relay.entries_received(peer, numbered, now), now)

    def pass_time(self, seconds: float, *present: str) -> list[Effect]:
        """Let time pass, second by second; some peers are present all the time."""
        decided: list[Effect] = []
        for second in range(1, round(seconds) + 1):
            for peer in present:
                decided += self.relay.peer_present(presence(peer, 0), NOW + second)
            decided += self.relay.time_passed(NOW + second, AT + second)
        return decided

    def lend(self) -> None:
        """Have the task t1 go to a peer, whose daemon has it."""
        self.comes()
        self.spawn()
        self.says(placed())

    def offer(self, attempt: int = 1, task_id: str = "t1") -> Offer:
        """What a peer says that has a task of its own to be done."""
        return Offer(task_id, attempt, None, None, wire("spawnTask", taskId=task_id))

    def host(self) -> int:
        """Have a daemon of this relay's own take the task t1 of a peer.

        :return: its connection.
        """
        self.comes()
        connection = self.join(capacity=1)
        self.says(self.offer())
        return connection


def ended(decided: Sequence[Effect]) -> list[bytes]:
    """The ends of tasks that the server is told, which survive a crash."""
    return [each.payload for each in decided if isinstance(each, KeepReport)]
