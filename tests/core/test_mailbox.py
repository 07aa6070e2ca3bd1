"""The entries on their way to one peer, and those that come from it (``cluster.md``, *Links*)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.cluster_effects import (
    AcknowledgeEntries,
    DropEntries,
    ForgetEntries,
    KeepEntry,
    SaveReceived,
    SendEntry,
)
from makima_relay.core.effects import Effect
from makima_relay.core.entries import (
    Interrupt,
    InvalidEntryError,
    Offer,
    Placed,
    Relayed,
    Reported,
    decode_entry,
    encode_entry,
)
from makima_relay.core.mailbox import MOST_BYTES_SENT, MOST_SENT, Mailbox
from makima_relay.core.snapshot import StoredPeer
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import of_kind

ENTRY = Interrupt("t1", 1)
PAYLOAD = encode_entry(ENTRY)


def framed(before: int, payload: bytes = PAYLOAD) -> bytes:
    """An entry as it is sent behind another."""
    return before.to_bytes(8, "big") + payload


class MailboxTestCase(SynchronousTestCase):
    """Whatever is noted is looked at since the last look."""

    def setUp(self) -> None:
        self._noted: list[Effect] = []
        self.unsettled: dict[Mailbox, None] = {}
        self.box = Mailbox(StoredPeer(relay_id="p", agent_name="p"), self._noted.append, self.unsettled)

    def noted(self) -> list[Effect]:
        """What was noted since."""
        noted = list(self._noted)
        self._noted.clear()
        return noted


class SendingTests(MailboxTestCase):
    """Toward the peer."""

    def test_an_entry_is_kept_first_and_then_sent(self) -> None:
        """Numbered from 1, with the number of the one before it that the peer may not have."""
        self.box.open(1)
        self.assertEqual([self.box.put(ENTRY), self.box.put(ENTRY)], [1, 2])
        first = [KeepEntry("p", 1, PAYLOAD), SendEntry("p", 1, framed(0), 1)]
        self.assertEqual(self.noted(), [*first, KeepEntry("p", 2, PAYLOAD), SendEntry("p", 2, framed(1), 1)])

    def test_nothing_is_sent_to_one_who_is_not_there(self) -> None:
        """It is when that comes, the oldest first; what may have arrived is sent again."""
        self.box.put(ENTRY)
        self.box.put(ENTRY)
        self.assertEqual(of_kind(self.noted(), SendEntry), [])
        self.box.open(1)
        self.assertEqual(self.noted(), [SendEntry("p", 1, framed(0), 1), SendEntry("p", 2, framed(1), 1)])
        self.box.acknowledged(1)
        self.assertEqual(self.noted(), [ForgetEntries("p", 1)])
        self.box.close()
        self.box.open(2)
        self.assertEqual(self.noted(), [SendEntry("p", 2, framed(0), 2)])

    def test_only_so_many_are_under_way(self) -> None:
        """The rest waits for an acknowledgement."""
        self.box.open(1)
        for _ in range(MOST_SENT + 2):
            self.box.put(ENTRY)
        self.assertEqual(len(of_kind(self.noted(), SendEntry)), MOST_SENT)
        self.assertEqual(self.box.unsent(), {MOST_SENT + 1, MOST_SENT + 2})
        self.box.acknowledged(1)
        self.assertEqual(of_kind(self.noted(), SendEntry), [SendEntry("p", MOST_SENT + 1, framed(MOST_SENT), 1)])

    def test_only_so_many_bytes_are_under_way(self) -> None:
        """However few entries they are."""
        self.box.open(1)
        for _ in range(3):
            self.box.put(Offer("t1", 1, None, None, bytes(MOST_BYTES_SENT // 2)))
        self.assertEqual(len(of_kind(self.noted(), SendEntry)), 2)
        self.box.acknowledged(2)
        self.assertEqual(len(of_kind(self.noted(), SendEntry)), 1)

    def test_reports_that_come_together_go_together(self) -> None:
        """Before whatever else there is to say, and not those on several tasks."""
        for payload in (b"1", b"2"):
            self.box.report("t1", 1, "d", payload)
        self.box.report("t2", 1, "d", b"3")
        self.box.put(ENTRY)
        kept = [decode_entry(each.payload) for each in self.noted() if isinstance(each, KeepEntry)]
        self.assertEqual(kept, [Reported("t1", 1, "d", (b"1", b"2")), Reported("t2", 1, "d", (b"3",)), ENTRY])
        self.box.report("t1", 1, "d", b"4")
        self.assertEqual(self.noted(), [])
        self.box.settle()
        self.assertEqual(len(of_kind(self.noted(), KeepEntry)), 1)

    def test_a_number_is_not_used_again(self) -> None:
        """Not after a restart, and none that the peer has acted on."""
        self.box = Mailbox(StoredPeer(relay_id="p", agent_name="p", next_number=5), self._noted.append, self.unsettled)
        self.assertEqual(self.box.put(ENTRY), 5)
        self.box.acknowledged(9)
        self.assertEqual(self.box.put(ENTRY), 10)

    def test_what_is_dropped_is_neither_kept_nor_sent(self) -> None:
        """The next follows the one that is left."""
        for _ in range(3):
            self.box.put(ENTRY)
        self.noted()
        self.box.drop([2])
        self.box.open(1)
        sent = [SendEntry("p", 1, framed(0), 1), SendEntry("p", 3, framed(1), 1)]
        self.assertEqual(self.noted(), [DropEntries("p", (2,)), *sent])
        self.assertEqual(self.box.size, 2 * len(PAYLOAD))


class ReceivingTests(MailboxTestCase):
    """From the peer."""

    def test_what_was_acted_on_is_kept_and_then_acknowledged(self) -> None:
        """Once for all that came together."""
        for number in (1, 2):
            self.assertEqual(self.box.take(number, framed(number - 1)), PAYLOAD)
            self.box.acted_on(number)
        self.assertEqual(list(self.unsettled), [self.box])
        self.box.settle()
        self.assertEqual(self.noted(), [SaveReceived("p", 2), AcknowledgeEntries("p", 2)])
        self.box.settle()
        self.assertEqual(self.noted(), [])

    def test_what_has_come_before_is_not_acted_on(self) -> None:
        """Whether it was acted on or waits to be."""
        self.box.take(1, framed(0))
        self.assertIsNone(self.box.take(1, framed(0)))

    def test_what_follows_a_gap_is_not_acted_on(self) -> None:
        """It comes again, behind what is missing."""
        self.assertIsNone(self.box.take(2, framed(1)))
        self.assertEqual(self.box.take(1, framed(0)), PAYLOAD)
        self.assertEqual(self.box.take(2, framed(1)), PAYLOAD)

    def test_a_number_that_its_sender_has_dropped_is_no_gap(self) -> None:
        """Nothing that matters is missing."""
        self.box.take(1, framed(0))
        self.assertEqual(self.box.take(5, framed(1)), PAYLOAD)
        self.assertEqual(self.box.take(9, framed(0)), PAYLOAD)


class EntryTests(SynchronousTestCase):
    """How entries are written."""

    def test_an_entry_is_read_as_it_was_written(self) -> None:
        """Messages stay bytes."""
        for entry in (
            ENTRY,
            Offer("t1", 2, "a", None, "\u00e9".encode()),
            Placed("t1", 1, "d", "h", TaskStatus.RUNNING),
        ):
            self.assertEqual(decode_entry(encode_entry(entry)), entry)

    def test_what_would_go_on_and_is_no_text_is_refused(self) -> None:
        """A server or a daemon would end its connection, and again when it gets it again."""
        bad = b'{"type":"x","taskId":"t","y":"\xff"}'
        for entry in (Offer("t", 1, None, None, bad), Relayed("t", 1, bad), Reported("t", 1, "d", (b"{}", bad))):
            self.assertRaises(InvalidEntryError, decode_entry, encode_entry(entry))

    def test_what_is_none_is_refused(self) -> None:
        """With the reason: what comes from Redis is checked like any peer's input."""
        for payload in (b"", b"\xc1", b"nonsense", encode_entry(Interrupt("", 1)), encode_entry(Interrupt("t", -1))):
            self.assertRaises(InvalidEntryError, decode_entry, payload)
