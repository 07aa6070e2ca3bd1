"""Relays that find each other, and lose each other, through a real Redis."""

from __future__ import annotations

import json

from makima_relay.core.directory import DirectoryEntry
from tests.cluster.case import RedisTestCase, pause, reactor, until

EMPTIED = "it was emptied: everything is told again"


class PresenceTests(RedisTestCase):
    """Who is there."""

    async def test_relays_find_each_other_and_hear_good_byes(self) -> None:
        """However late one comes; nobody is told of itself."""
        a, b = await self.joined("a", "b")
        (c,) = await self.joined("c")
        await until(lambda: len(c.recorder.only("present")) == 2 and ("present", "c", 0) in a.told)
        self.assertEqual({each[1] for each in a.recorder.only("present")}, {"b", "c"})
        await b.link.leave()
        await until(lambda: ("left", "b") in a.told and ("left", "b") in c.told)
        self.assertEqual(await self.ask("EXISTS", self.names.relay("b")), 0)

    async def test_the_first_thing_told_is_that_it_is_ready(self) -> None:
        """With what others have acknowledged, then who is there, then what they sent."""
        (a,) = await self.joined("a")
        a.link.send("b", 1, b"x")
        await self.ask("HSET", self.names.acknowledged("b"), "a", 7, "c", "many", b"\xff", 1)
        b = self.member("b")
        b.link.start()
        await until(lambda: len(b.told) == 3)
        self.assertEqual(b.told, [("ready", {"a": 7}), ("present", "a", 0), ("entry", "a", 1, b"x")])

    async def test_a_change_is_told_at_once(self) -> None:
        """And a presence vanishes by itself when nobody renews it."""
        a, b = await self.joined("a", "b")
        for free in (3, 0, 5):
            a.free = free
            a.link.announce()
        await until(lambda: ("present", "a", 5) in b.told)
        self.assertLessEqual(await self.ask("TTL", self.names.relay("a")), 15)
        self.assertGreaterEqual(await self.ask("TTL", self.names.relay("a")), 14)

    async def test_nothing_is_kept_for_ever_for_a_relay_that_is_gone(self) -> None:
        """That is put off as long as it is there; should it return later, it is as if Redis had been emptied."""
        a, b = await self.joined("a", "b")
        a.link.send("b", 1, b"x")
        await until(lambda: b.recorder.only("entry"))
        b.link.acknowledge("a", 1)
        await until(lambda: a.recorder.only("acknowledged"))
        for member in (a, b):
            member.free = 1
            member.link.announce()
        await until(lambda: ("present", "b", 1) in a.told and ("present", "a", 1) in b.told)
        names = self.names
        for key in (names.session("b"), names.inbox("b"), names.sent("b"), names.acknowledged("a")):
            self.assertGreater(await self.ask("TTL", key), 29 * 86_400, key)

    async def test_what_was_not_heard_is_found_by_looking(self) -> None:
        """Messages of Redis's are not kept for anybody."""
        a, b = await self.joined("a", "b")
        before = a.recorder.only("present")
        sighting = json.loads(await self.ask("GET", self.names.relay("b")))
        sighting["presence"]["freeSlots"] = 9
        # One that is not newer is nothing new.
        await self.ask("SET", self.names.relay("b"), json.dumps(sighting))
        a.link.roll_call._look()
        await self.ask("PING")
        sighting["at"] += 1
        await self.ask("SET", self.names.relay("b"), json.dumps(sighting))
        await self.ask("HSET", self.names.acknowledged("a"), "b", 4)
        a.link.roll_call._look()
        await until(lambda: a.recorder.only("acknowledged") == [("acknowledged", "b", 4)])
        await until(lambda: len(a.recorder.only("present")) > len(before))
        self.assertEqual(a.recorder.only("present"), [*before, ("present", "b", 9)])
        self.assertEqual(b.recorder.only("left"), [])

    async def test_away_relays_are_listed_for_an_hour(self) -> None:
        """Then they are nobody's business any more."""
        (a,) = await self.joined("a")
        (b,) = await self.joined("b")
        await b.link.leave()
        await until(lambda: ("left", "b") in a.told)
        self.assertFalse(a.link.roll_call.sightings.latest["b"][1])
        sighting = json.loads(await self.ask("HGET", self.names.relays, "b"))
        sighting["at"] -= 3_601_000_000
        await self.ask("HSET", self.names.relays, "b", json.dumps(sighting))
        a.link.roll_call._look()
        await until(lambda: "b" not in a.link.roll_call.sightings.latest)
        while await self.ask("HEXISTS", self.names.relays, "b"):
            await pause()

    async def test_what_is_no_presence_is_not_heeded(self) -> None:
        """Neither in messages nor in keys."""
        a, _ = await self.joined("a", "b")
        said = json.loads(await self.ask("GET", self.names.relay("b")))
        said["at"] += 1_000
        bad = [
            b"\xff",
            b"[]",
            b"{}",
            b'{"at":1}',
            b'{"at":1,"left":"a b"}',
            json.dumps({**said, "at": -1}),
            json.dumps({**said, "at": 10**18}),
            json.dumps({**said, "at": 10**400}),
            json.dumps({**said, "presence": {**said["presence"], "freeSlots": -1}}),
            json.dumps({**said, "presence": {**said["presence"], "relayId": "x" * 65}}),
            json.dumps({**said, "presence": {**said["presence"], "relayId": "a*"}}),
            json.dumps({**said, "presence": {**said["presence"], "agentName": "x" * 10_000}}),
        ]
        told = len(a.told)
        for text in bad:
            await self.ask("PUBLISH", self.names.presences, text)
            await self.ask("PUBLISH", self.names.acknowledged("a"), text)
        await self.ask("HSET", self.names.relays, *[word for place, text in enumerate(bad) for word in (place, text)])
        a.link.roll_call._look()
        await self.ask("PUBLISH", self.names.acknowledged("a"), "3 b")
        await until(lambda: len(a.told) > told)
        self.assertEqual([each for each in a.told[told:] if each[0] != "present"], [("acknowledged", "b", 3)])
        self.assertEqual({each[1:] for each in a.recorder.only("present")}, {("b", 0)})
        self.assertEqual(a.link.roll_call.sightings.latest["b"][0].at, said["at"] - 1_000)


class DirectoryTests(RedisTestCase):
    """Whose a task is."""

    async def test_a_task_is_claimed_by_the_first_who_asks(self) -> None:
        """Others learn whose it is."""
        a, b = await self.joined("a", "b")
        self.assertEqual(await a.link.claim(["t", "u"]), {})
        self.assertEqual(await b.link.claim(["t", "v"]), {"t": DirectoryEntry("a", "a", 0)})
        self.assertEqual(await a.link.claim(["v"]), {"v": DirectoryEntry("b", "b", 0)})

    async def test_very_many_are_claimed_in_one_go(self) -> None:
        """More than one command takes."""
        a, b = await self.joined("a", "b")
        task_ids = [f"task {each}" for each in range(2_500)]
        await b.link.claim([task_ids[7], task_ids[2_100]])
        self.assertEqual(set(await a.link.claim(task_ids)), {task_ids[7], task_ids[2_100]})

    async def test_only_its_origin_writes_and_drops_an_entry(self) -> None:
        """Or who takes the place of an origin that it names."""
        a, b = await self.joined("a", "b")
        a.link.record("t", 2, "a", "b", None)
        a.link.record("gone", 1, "a", "a", None)
        a.link.forget(["gone", "never there"])
        self.assertEqual(await a.link.claim(["gone"]), {})
        b.link.record("t", 1, "b", "b", None)
        b.link.record("t", 1, "b", "b", "c")
        b.link.forget(["t"])
        self.assertEqual(await b.link.claim(["t"]), {"t": DirectoryEntry("a", "b", 2)})
        b.link.record("t", 1, "b", "b", "a")
        await b.link.claim(["other"])
        self.assertEqual(await a.link.claim(["t"]), {"t": DirectoryEntry("b", "b", 1)})
        b.link.forget(["t"])
        self.assertEqual(await b.link.claim(["t"]), {})

    async def test_what_is_no_entry_is_as_if_there_were_none(self) -> None:
        """Nothing is made of it."""
        (a,) = await self.joined("a")
        await self.ask("HSET", self.names.tasks, "t", "nonsense", "u", b"\xff", "v", "1 a b c")
        self.assertEqual(await a.link.claim(["t", "u", "v"]), {})

    async def test_a_relay_learns_which_tasks_are_said_to_be_its_own(self) -> None:
        """Whenever it is back: it may have missed that some have ended."""
        a, _ = await self.joined("a", "b")
        for number in range(1_000):
            a.link.record(f"t{number}", 1, "ab"[number % 2], "b", None)
        await self.ask("HSET", self.names.tasks, b"\xff", "1 a b", "x", "nonsense")
        await a.link.claim(["u"])
        again = self.member("a")
        again.link.start()
        await until(lambda: len(again.recorder.only("listed")) >= 502)
        expected = {f"t{number}" for number in range(0, 1_000, 2)} | {"u", "\ufffd"}
        self.assertEqual({each[1] for each in again.recorder.only("listed")}, expected)

    async def test_without_redis_nothing_is_found(self) -> None:
        """And not while whoever asks is in the middle of it."""
        member = self.member("a")
        asked = member.link.claim(["t"])
        self.assertFalse(asked.called)
        self.assertEqual(await asked, {})

    async def test_when_redis_is_slow_nothing_is_found(self) -> None:
        """After a second."""
        (a,) = await self.joined("a")
        await self.ask("CLIENT", "PAUSE", 4_500)
        began = reactor.seconds()
        self.assertEqual(await a.link.claim(["t"]), {})
        # Before Redis goes on.
        self.assertLess(reactor.seconds() - began, 4.0)


class LossTests(RedisTestCase):
    """Redis is emptied, or goes."""

    async def test_when_redis_is_emptied_everything_begins_anew(self) -> None:
        """It is noticed at once, because the inbox is gone; what was under way can be sent again."""
        a, b = await self.joined("a", "b")
        a.link.send("b", 1, b"x")
        await until(lambda: ("entry", "a", 1, b"x") in b.told)
        await self.ask("FLUSHALL")
        await until(lambda: len(a.recorder.only("ready")) == len(b.recorder.only("ready")) == 2)
        a.link.send("b", 1, b"x")
        await until(lambda: b.recorder.only("entry") == [("entry", "a", 1, b"x")] * 2)
        await until(lambda: a.told.count(("present", "b", 0)) >= 2)
        self.assertEqual(a.recorder.only("lost"), [("lost", EMPTIED)])

    async def test_what_is_sent_before_it_is_noticed_goes_nowhere(self) -> None:
        """Else it would be thought that all before it was there, too."""
        a, b = await self.joined("a", "b")
        await self.ask("DEL", self.names.session("a"))
        a.link.send("b", 2, b"y")
        a.link.announce()
        await until(lambda: len(a.recorder.only("ready")) == 2)
        for number, payload in ((1, b"x"), (2, b"y")):
            a.link.send("b", number, payload)
        await until(lambda: b.recorder.only("entry") == [("entry", "a", 1, b"x"), ("entry", "a", 2, b"y")])

    async def test_what_is_left_of_it_does_not_hide_that_it_was_emptied(self) -> None:
        """A failover may lose some of what was written last."""
        (a,) = await self.joined("a")
        await self.ask("DEL", self.names.session("a"))
        a.link.announce()
        await until(lambda: len(a.recorder.only("ready")) == 2)
        self.assertEqual(a.recorder.only("lost"), [("lost", EMPTIED)])

    async def test_an_inbox_that_was_deleted_is_filled_again(self) -> None:
        """By whoever has not heard that what it sent was acted on."""
        a, b = await self.joined("a", "b")
        a.link.send("b", 1, b"x")
        await until(lambda: b.recorder.only("entry"))
        await self.ask("DEL", self.names.inbox("b"))
        await until(lambda: len(b.recorder.only("ready")) == 2)
        a.link.send("b", 1, b"x")
        await until(lambda: b.recorder.only("entry") == [("entry", "a", 1, b"x")] * 2)

    async def test_forgotten_scripts_are_loaded_again(self) -> None:
        """Redis forgets them when it is started anew."""
        a, b = await self.joined("a", "b")
        await self.ask("SCRIPT", "FLUSH")
        a.link.send("b", 1, b"x")
        await until(lambda: len(a.recorder.only("ready")) == 2)
        a.link.send("b", 1, b"x")
        await until(lambda: ("entry", "a", 1, b"x") in b.told)

    async def test_a_second_relay_with_the_same_id_is_noticed(self) -> None:
        """Whoever copies a database copies the id that is in it."""
        (first,) = await self.joined("a")
        second = self.member("a")
        second.link.start()
        await until(lambda: second.recorder.only("ready"))
        first.link.announce()
        await until(lambda: first.recorder.only("lost"))
        self.assertIn("another relay has the same id", first.recorder.only("lost")[0][1])

    async def test_a_lost_connection_is_made_again(self) -> None:
        """Any of the three that a session has."""
        (a,) = await self.joined("a")
        for times in (2, 3, 4):
            clients = (await self.ask("CLIENT", "LIST")).decode().splitlines()
            own = await self.ask("CLIENT", "ID")
            others = [line.split()[0].removeprefix("id=") for line in clients]
            await self.ask("CLIENT", "KILL", "ID", [each for each in others if int(each) != own][times - 2])
            await until(lambda times=times: len(a.recorder.only("ready")) == times)

    async def test_nothing_is_told_after_a_stop(self) -> None:
        """And what was asked before it is done."""
        a, b = await self.joined("a", "b")
        a.link.send("b", 1, b"last words")
        await a.link.leave()
        a.link.send("b", 2, b"very last words")
        await a.link.stop()
        told = list(a.told)
        await until(lambda: len(b.recorder.only("entry")) == 2)
        self.assertEqual(a.told, told)
        self.assertFalse(a.recorder.only("lost"))
        a.link.announce()
        a.link.send("b", 3, b"nothing")
        self.assertEqual(await a.link.claim(["t"]), {})
