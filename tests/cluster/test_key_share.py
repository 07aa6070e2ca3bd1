"""Daemon keys that relays share through a real Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from makima_relay.clock import Clock
from makima_relay.core import effects
from makima_relay.core.effects import Effect
from makima_relay.core.keys import digest_of
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.shared_keys import SharedName, shared_name
from tests.cluster.case import Member, Recorder, RedisTestCase, pause, reactor, until
from tests.core.builders import hello

ONE, TWO = digest_of("one"), digest_of("two")


class KeyRing(Recorder):
    """Stands for an engine with a real core, as far as keys are concerned."""

    def __init__(self) -> None:
        super().__init__()
        self.relay = Relay(Policy())
        self.relay.started(0.0, Clock(reactor).wall())
        self.member: Member | None = None

    def act(self, decided: Iterable[Effect]) -> None:
        """Tell other relays what they are to be told."""
        assert self.member is not None
        share = self.member.link.key_share
        for effect in decided:
            match effect:
                case effects.SaveKey(key):
                    share.share(key.name)
                case effects.RevokeKeys(name):
                    share.share(name)
                case effects.SaveMachine(machine_id, name):
                    share.share_machine(name, machine_id)

    def keys_merged(self, names: Sequence[SharedName]) -> None:
        self.act(self.relay.keys_merged(names, 1.0))

    def machines_merged(self, name: str, machine_ids: Iterable[str]) -> None:
        self.act(self.relay.machines_merged(name, machine_ids, 1.0))

    def key_names(self) -> list[str]:
        keys = self.relay.keys
        return [*(named.name for named in keys), *(name for name in keys.revoked if not keys.of(name))]

    def key_name(self, name: str) -> SharedName | None:
        return shared_name(self.relay.keys, name)

    def machines_of(self, name: str) -> list[str]:
        return sorted(self.relay.keys.named(name).machines) if self.relay.keys.of(name) else []

    def machines(self, name: str) -> set[str]:
        """The machines of a name."""
        return set(self.machines_of(name))


class KeyShareTests(RedisTestCase):
    """What one relay is told of keys, all know."""

    async def ring(self, relay_id: str, ring: KeyRing | None = None) -> KeyRing:
        """Have a relay in the cluster."""
        ring = ring or KeyRing()
        ring.member = self.member(relay_id, recorder=ring)
        ring.member.link.start()
        await until(lambda: ring.only("ready"))
        return ring

    async def test_a_key_that_is_made_rotated_and_revoked_here_is_so_everywhere(self) -> None:
        """At once."""
        a, b = await self.ring("a"), await self.ring("b")
        a.act(a.relay.key_made("build", ONE, 1.0))
        await until(lambda: b.relay.keys.find("one"))
        b.act(b.relay.key_rotated("build", TWO, 2.0))
        await until(lambda: a.relay.keys.find("two"))
        self.assertEqual(a.key_name("build"), b.key_name("build"))
        a.act(a.relay.keys_revoked("build", 3.0))
        await until(lambda: not b.relay.keys.find("two"))
        self.assertEqual(a.key_name("build"), b.key_name("build"))

    async def test_machines_of_a_name_are_its_machines_everywhere(self) -> None:
        """A daemon that moves to another relay comes with the key that it had."""
        a, b = await self.ring("a"), await self.ring("b")
        a.act(a.relay.key_made("build", ONE, 1.0))
        a.act(a.relay.daemon_joined(1, hello("m1"), "x", 2.0, a.relay.keys.find("one")))
        await until(lambda: b.machines("build") == {"m1"})
        c = await self.ring("c")
        await until(lambda: c.machines("build") == {"m1"})
        a.act(a.relay.keys_revoked("build", 3.0))
        await until(lambda: not b.relay.keys.is_others("m1", "other"))
        while await self.ask("EXISTS", self.names.machines("build")):
            await pause()

    async def test_relays_that_meet_merge_what_they_know(self) -> None:
        """Keys and machines, both ways; very many machines too."""
        a, b = KeyRing(), KeyRing()
        a.relay.key_made("of-a", ONE, 1.0)
        a.relay.machines_merged("of-a", [f"m{number}" for number in range(1_200)], 1.0)
        b.relay.key_made("of-b", TWO, 1.0)
        await self.ring("a", a)
        await self.ring("b", b)
        await until(lambda: a.relay.keys.find("two") and b.relay.keys.find("one"))
        await until(lambda: len(b.machines("of-a")) == 1_200)

    async def test_what_was_revoked_while_a_relay_was_away_is_revoked_there_when_it_returns(self) -> None:
        """Though it still had the key, and Redis was emptied meanwhile."""
        a = await self.ring("a")
        a.act(a.relay.key_made("build", ONE, 1.0))
        b = await self.ring("b")
        await until(lambda: b.relay.keys.find("one"))
        assert b.member is not None
        await b.member.link.stop()
        a.act(a.relay.keys_revoked("build", 2.0))
        await self.ask("FLUSHALL")
        await until(lambda: len(a.only("ready")) == 2)
        b.told.clear()
        await self.ring("b", b)
        await until(lambda: not b.relay.keys.find("one"))
        self.assertIsNone(a.relay.keys.find("one"))

    async def test_what_is_no_key_is_not_heeded(self) -> None:
        """Neither in the hash, nor in the set, nor in messages."""
        a = await self.ring("a")
        a.act(a.relay.key_made("build", ONE, 1.0))
        while not await self.ask("HEXISTS", self.names.keys, "build"):
            await pause()
        known = (await self.ask("HGET", self.names.keys, "build")).split(b" ", 2)[2]
        said = json.loads(known)
        later = {**said, "changedAt": said["changedAt"] + 100}
        bad = [
            b"\xff",
            b"nonsense",
            b"{}",
            json.dumps({**later, "name": "a b"}).encode(),
            json.dumps(later).encode(),
            json.dumps({**later, "keys": [{"digest": "AAAA", "createdAt": later["changedAt"]}]}).encode(),
            json.dumps({**later, "keys": []}).encode(),
            json.dumps({"of": "build", "machine": "x" * 256}).encode(),
            json.dumps({"of": "other", "machine": "x"}).encode(),
        ]
        for place, text in enumerate(bad):
            await self.ask("PUBLISH", self.names.keys, text)
            await self.ask("HSET", self.names.keys, f"bad {place}", b"1 keys " + text)
            await self.ask("SADD", self.names.machines("build"), text)
        await self.ask("SADD", self.names.machines("build"), json.dumps({"of": "build", "machine": "good"}))
        b = await self.ring("b")
        await until(lambda: "good" in b.machines("build"))
        self.assertEqual(a.key_name("build"), b.key_name("build"))
        self.assertEqual(list(b.key_names()), ["build"])
