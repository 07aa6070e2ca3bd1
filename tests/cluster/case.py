"""What the tests of the cluster share: members of it, and who writes down what they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from makima_relay.clock import Clock
from makima_relay.cluster.connection import TIMEOUT, Connection, Dial, open_connection
from makima_relay.cluster.membership import Membership
from makima_relay.cluster.names import Names
from makima_relay.connector_options import Backoff
from makima_relay.core.peers import Presence
from makima_relay.core.shared_keys import SharedName
from makima_relay.settings.redis_url import read_redis_url
from tests.cluster.redis_server import MISSING, RedisServer
from tests.core.builders import presence

#: Far more than anything takes here, in seconds.
PATIENCE = 60.0
reactor: Any = global_reactor


class Recorder:
    """Stands for the engine; writes down what it is told.

    :ivar told: everything, in order.
    """

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def cluster_ready(self, acknowledged: Mapping[str, int]) -> None:
        """Note it."""
        self.told.append(("ready", dict(acknowledged)))

    def cluster_lost(self, reason: str) -> None:
        """Note it."""
        self.told.append(("lost", reason))

    def peer_present(self, presence: Presence) -> None:
        """Note it."""
        self.told.append(("present", presence.relay_id, presence.free_slots))

    def peer_left(self, relay_id: str) -> None:
        """Note it."""
        self.told.append(("left", relay_id))

    def entries_received(self, peer: str, entries: Sequence[tuple[int, bytes]]) -> None:
        """Note each."""
        self.told += [("entry", peer, *entry) for entry in entries]

    def entries_acknowledged(self, peer: str, up_to: int) -> None:
        """Note it."""
        self.told.append(("acknowledged", peer, up_to))

    def directory_listed(self, task_ids: Sequence[str]) -> None:
        """Note each."""
        self.told += [("listed", task_id) for task_id in task_ids]

    def taken_back(self, peer: str, numbers: Sequence[int]) -> None:
        """Note it."""
        self.told.append(("taken back", peer, list(numbers)))

    def keys_merged(self, names: Sequence[SharedName]) -> None:
        """Note each."""
        self.told += [("keys", name) for name in names]

    def machines_merged(self, name: str, machine_ids: Iterable[str]) -> None:
        """Note each."""
        self.told += [("machine", name, machine_id) for machine_id in machine_ids]

    def key_names(self) -> list[str]:
        """It has no keys."""
        return []

    def key_name(self, name: str) -> SharedName | None:
        """It has none."""
        return None

    def machines_of(self, name: str) -> list[str]:
        """It knows none."""
        return []

    def only(self, *kinds: str) -> list[tuple[Any, ...]]:
        """What it was told of these kinds."""
        return [each for each in self.told if each[0] in kinds]


class Member:
    """A member of a cluster with who is told.

    :ivar free: the slots that it says are free.
    """

    def __init__(self, relay_id: str, dial: Dial, cluster: str, recorder: Recorder | None = None) -> None:
        self.relay_id = relay_id
        self.recorder = recorder or Recorder()
        self.free = 0
        self.link = Membership(
            self.recorder,
            lambda: presence(relay_id, self.free),
            names=Names(cluster),
            relay_id=relay_id,
            dial=dial,
            clock=Clock(reactor),
            backoff=Backoff(0.05, 0.1),
        )

    @property
    def told(self) -> list[tuple[Any, ...]]:
        """What its user was told."""
        return self.recorder.told


async def until(wanted: Callable[[], object]) -> None:
    """Let the reactor run until it is as wanted."""
    deadline = reactor.seconds() + PATIENCE
    while not wanted():
        assert reactor.seconds() < deadline, "it does not come to be as wanted"
        await pause()


def pause() -> Deferred[None]:
    """Let others work before one looks again."""
    return deferLater(reactor, 0.005)


class RedisTestCase(TestCase):
    """Has a Redis, and members of a cluster on it."""

    skip = MISSING
    cluster = "test"
    options: tuple[str, ...] = ()
    url_of_asking: str | None = None

    def setUp(self) -> None:
        """Start Redis."""
        self.redis = RedisServer(*self.options)
        self.addCleanup(self.redis.stop)
        self.members: list[Member] = []
        self.addCleanup(self.stop_members)
        self.names = Names(self.cluster)

    def dial(self, url: str | None = None) -> Dial:
        """The way to it."""
        return Dial(read_redis_url(url or self.redis.url), UNIXClientEndpoint(reactor, str(self.redis.path)))

    def member(self, relay_id: str, url: str | None = None, recorder: Recorder | None = None) -> Member:
        """Have a member that is not yet connected."""
        member = Member(relay_id, self.dial(url), self.cluster, recorder)
        self.members.append(member)
        return member

    async def joined(self, *relay_ids: str) -> list[Member]:
        """Have members that are connected, and know each other."""
        members = [self.member(each) for each in relay_ids]
        for member in members:
            member.link.start()
        known = len(relay_ids) - 1
        await until(lambda: all(len({each[1] for each in m.recorder.only("present")}) == known for m in members))
        await until(lambda: all(m.recorder.only("ready") for m in members))
        return members

    def stop_members(self) -> Any:
        """Disconnect all."""
        return self._stop_members()

    async def _stop_members_one_by_one(self) -> None:
        for member in self.members:
            await member.link.stop()

    def _stop_members(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop_members_one_by_one())

    async def ask(self, *words: str | bytes | int) -> Any:
        """Have Redis do something."""
        if not hasattr(self, "_asking"):
            self._asking = Connection(reactor, TIMEOUT)
            await open_connection(self.dial(self.url_of_asking), self._asking)
            self.addCleanup(self._asking.transport.abortConnection)
        return await self._asking.execute_command(*words)
