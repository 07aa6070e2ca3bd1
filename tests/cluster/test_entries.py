"""What relays carry to each other through a real Redis."""

from __future__ import annotations

from collections.abc import Sequence

from makima_relay.cluster.inbox import MOST_ENTRIES
from tests.cluster.case import Member, Recorder, RedisTestCase, pause, until


def entries(member: Member) -> list[tuple[int, bytes]]:
    """What came, without from whom."""
    return [(each[2], each[3]) for each in member.recorder.only("entry")]


class Stumbling(Recorder):
    """Stumbles over the first entries that come."""

    def entries_received(self, peer: str, entries: Sequence[tuple[int, bytes]]) -> None:
        """Note each, but for the first time."""
        if not self.only("lost"):
            raise ZeroDivisionError
        super().entries_received(peer, entries)


class EntryTests(RedisTestCase):
    """Entries go from inbox to inbox."""

    async def test_entries_arrive_in_order_and_are_acknowledged(self) -> None:
        """What was acted on leaves the inbox, and its sender is told up to which number."""
        a, b = await self.joined("a", "b")
        for number in range(1, 201):
            a.link.send("b", number, b"x%d" % number)
        await until(lambda: len(entries(b)) == 200)
        self.assertEqual(b.recorder.only("entry"), [("entry", "a", n, b"x%d" % n) for n in range(1, 201)])
        b.link.acknowledge("a", 150)
        await until(lambda: a.recorder.only("acknowledged") == [("acknowledged", "b", 150)])
        self.assertEqual(await self.ask("XLEN", self.names.inbox("b")), 50)

    async def test_an_entry_that_is_sent_again_arrives_once(self) -> None:
        """Who does not know whether an entry was sent sends it again."""
        a, b = await self.joined("a", "b")
        for number in (1, 2, 1, 2, 3):
            a.link.send("b", number, b"x")
        await until(lambda: len(entries(b)) >= 3)
        a.link.send("b", 2, b"x")
        a.link.send("b", 4, b"x")
        await until(lambda: (4, b"x") in entries(b))
        self.assertEqual([number for number, _ in entries(b)], [1, 2, 3, 4])

    async def test_what_was_not_acknowledged_is_read_again_after_a_restart(self) -> None:
        """And what was is not."""
        a, b = await self.joined("a", "b")
        for number in (1, 2, 3):
            a.link.send("b", number, b"x")
        await until(lambda: len(entries(b)) == 3)
        b.link.acknowledge("a", 1)
        await b.link.stop()
        a.link.send("b", 4, b"x")
        again = self.member("b")
        again.link.start()
        await until(lambda: len(entries(again)) == 3)
        self.assertEqual([number for number, _ in entries(again)], [2, 3, 4])

    async def test_what_cannot_be_acted_on_does_not_end_the_reading(self) -> None:
        """A new session goes on behind it; the bug is logged."""
        (a,) = await self.joined("a")
        b = self.member("b", recorder=Stumbling())
        b.link.start()
        for number in (1, 2, 3):
            a.link.send("b", number, b"x")
        await until(lambda: len(entries(b)) == 3)
        self.assertEqual(b.recorder.only("lost"), [("lost", "what came from it cannot be used")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_large_entries_and_those_of_any_bytes_arrive(self) -> None:
        """Payloads are bytes."""
        a, b = await self.joined("a", "b")
        payloads = [bytes(range(256)) * 8_192, b"", b"\r\n$-1\r\n"]
        for number, payload in enumerate(payloads, 1):
            a.link.send("b", number, payload)
        await until(lambda: len(entries(b)) == 3)
        self.assertEqual([payload for _, payload in entries(b)], payloads)

    async def test_a_relay_that_does_not_keep_up_reads_no_more(self) -> None:
        """What it has read and not acted on is bounded; the rest stays in Redis."""
        a, b = await self.joined("a", "b")
        for number in range(1, 3_001):
            a.link.send("b", number, b"x")
        await until(lambda: len(entries(b)) >= MOST_ENTRIES)
        for _ in range(10):
            await self.ask("PING")
        self.assertLess(len(entries(b)), MOST_ENTRIES + 100)
        for up_to in (1_000, 2_000, 3_000):
            await until(lambda up_to=up_to: len(entries(b)) >= up_to)
            b.link.acknowledge("a", up_to)
        await until(lambda: ("acknowledged", "b", 3_000) in a.told)
        self.assertEqual(await self.ask("XLEN", self.names.inbox("b")), 0)

    async def test_what_is_no_entry_is_dropped(self) -> None:
        """Whoever can write into the inbox can write anything."""
        (b,) = await self.joined("b")
        key = self.names.inbox("b")
        bad = [
            ("from", "a", "number", "0", "payload", "x"),
            ("from", "a", "number", "-1", "payload", "x"),
            ("from", "a", "number", "9" * 17, "payload", "x"),
            ("from", "a", "number", "9" * 16, "payload", "x"),
            ("from", b"\xff", "number", "1", "payload", "x"),
            ("from", "a" * 65, "number", "1", "payload", "x"),
            ("from", "b", "number", "1", "payload", "x"),
            ("number", "1", "from", "a", "payload", "x"),
            ("from", "a", "number", "1", "payload", "x", "more", "y"),
            ("x", "y"),
        ]
        for fields in bad:
            await self.ask("XADD", key, "*", *fields)
        await self.ask("XADD", key, "*", "from", "a", "number", "1", "payload", "good")
        await until(lambda: entries(b) == [(1, b"good")])
        b.link.acknowledge("a", 1)
        await until(lambda: b.link._inbox is not None and b.link._inbox.dropped == len(bad))
        await self.ask("PING")
        await self.empty("b")

    async def empty(self, relay_id: str) -> None:
        """Wait until nothing is in an inbox."""
        length = 1
        while length:
            length = await self.ask("XLEN", self.names.inbox(relay_id))


class TakeBackTests(RedisTestCase):
    """What a relay has not read can be taken back."""

    async def test_what_was_not_read_is_taken_back_and_never_read(self) -> None:
        """What was read stays; what others sent stays."""
        a, b, c = await self.joined("a", "b", "c")
        for number in (1, 2):
            a.link.send("b", number, b"read")
        await until(lambda: len(entries(b)) == 2)
        await b.link.stop()
        c.link.send("b", 1, b"of c")
        for number in (3, 4, 5):
            a.link.send("b", number, b"not read")
        a.link.take_back("b")
        await until(lambda: a.recorder.only("taken back"))
        self.assertEqual(a.recorder.only("taken back"), [("taken back", "b", [3, 4, 5])])
        again = self.member("b")
        again.link.start()
        await until(lambda: len(entries(again)) == 3)
        self.assertEqual(
            sorted(again.recorder.only("entry")),
            [("entry", "a", 1, b"read"), ("entry", "a", 2, b"read"), ("entry", "c", 1, b"of c")],
        )

    async def test_what_a_relay_that_leaves_had_not_looked_at_is_taken_back(self) -> None:
        """Also what was on its way to it; what it had looked at stays its."""
        a, b = await self.joined("a", "b")
        a.link.send("b", 1, b"looked at")
        await until(lambda: len(entries(b)) == 1)
        left = b.link.leave()
        for number in range(2, 302):
            a.link.send("b", number, b"too late")
        await left
        a.link.take_back("b")
        await until(lambda: a.recorder.only("taken back"))
        self.assertEqual(a.recorder.only("taken back"), [("taken back", "b", list(range(2, 302)))])
        await b.link.stop()
        again = self.member("b")
        again.link.start()
        await until(lambda: entries(again))
        self.assertEqual((entries(b), entries(again)), ([(1, b"looked at")], [(1, b"looked at")]))

    async def test_what_a_relay_has_read_and_not_looked_at_when_it_leaves_is_unread_again(self) -> None:
        """Whether it has come already or not."""
        a, b = await self.joined("a", "b")
        a.link.send("b", 1, b"looked at")
        await until(lambda: len(entries(b)) == 1)
        assert b.link._inbox is not None
        b.link._inbox._stopped = True
        for number in (2, 3):
            a.link.send("b", number, b"x")
        while (await self.ask("XPENDING", self.names.inbox("b"), "relay"))[0] < 3:
            await pause()
        await b.link.leave()
        a.link.take_back("b")
        await until(lambda: a.recorder.only("taken back"))
        self.assertEqual(a.recorder.only("taken back"), [("taken back", "b", [2, 3])])
        self.assertEqual(entries(b), [(1, b"looked at")])

    async def test_what_was_taken_back_can_be_sent_again(self) -> None:
        """With the same number, or a later one."""
        (a,) = await self.joined("a")
        for number in (1, 2, 3):
            a.link.send("b", number, b"first")
        a.link.take_back("b")
        a.link.send("b", 2, b"second")
        a.link.send("b", 4, b"second")
        b = self.member("b")
        b.link.start()
        await until(lambda: len(entries(b)) == 2)
        self.assertEqual(a.recorder.only("taken back"), [("taken back", "b", [1, 2, 3])])
        self.assertEqual(entries(b), [(2, b"second"), (4, b"second")])

    async def test_from_one_that_has_no_inbox_nothing_is_taken_back(self) -> None:
        """Nobody has ever seen it."""
        (a,) = await self.joined("a")
        a.link.take_back("nobody")
        await until(lambda: a.recorder.only("taken back") == [("taken back", "nobody", [])])

    async def test_what_is_no_number_is_left_out(self) -> None:
        """Whoever can write into Redis can write anything; the session lives on."""
        (a,) = await self.joined("a")
        inbox = self.names.inbox("b")
        await self.ask("XADD", inbox, "*", "from", "a")
        await self.ask("XADD", inbox, "*", "from", "a", "number", "many", "payload", "x")
        await self.ask("HSET", self.names.sent("b"), "a", "many")
        a.link.send("b", 1, b"x")
        a.link.take_back("b")
        await until(lambda: a.recorder.only("taken back", "lost"))
        self.assertEqual(a.recorder.only("taken back", "lost"), [("taken back", "b", [1])])
        await self.ask("HSET", self.names.acknowledged("b"), "a", "many")
        a.link._outgoing.acknowledge("b", 5, [])
        while await self.ask("HGET", self.names.acknowledged("b"), "a") != b"5":
            await pause()
        self.assertEqual(a.recorder.only("lost"), [])

    async def test_very_many_are_taken_back(self) -> None:
        """More than are looked at in one go."""
        (a,) = await self.joined("a")
        for number in range(1, 1_001):
            a.link.send("b", number, b"x")
        a.link.take_back("b")
        await until(lambda: a.recorder.only("taken back"))
        self.assertEqual(a.recorder.only("taken back"), [("taken back", "b", list(range(1, 1_001)))])
        self.assertEqual(await self.ask("XLEN", self.names.inbox("b")), 0)
