"""The last 200 connection events."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.journal import LONGEST_FIELD, Entry, Journal, printable
from tests.core.builders import AT


class PrintableTests(SynchronousTestCase):
    """Making a peer's text safe to show."""

    def test_ordinary_text_stays(self) -> None:
        """In any script, blanks too."""
        for text in ("", "a b", "é ü 日本 \U0001f600", "x" * LONGEST_FIELD):
            self.assertEqual(printable(text), text)

    def test_what_could_harm_a_log_is_escaped(self) -> None:
        """Line ends, escapes of terminals, marks that turn text around, half a surrogate pair."""
        self.assertEqual(printable("a\nb\r\x1b[31m\x00"), r"a\nb\r\x1b[31m\x00")
        self.assertEqual(printable("\u202eabc\u2028\ud800"), r"\u202eabc\u2028\ud800")

    def test_long_text_is_cut_to_the_longest_and_says_so(self) -> None:
        """500 characters, the last of which shows that there was more."""
        cut = printable("x" * (LONGEST_FIELD + 1))
        self.assertEqual(cut, "x" * 499 + "…")


class JournalTests(SynchronousTestCase):
    """Writing and showing."""

    def test_entries_are_numbered_and_shown_newest_first(self) -> None:
        """As many as are asked for."""
        journal = Journal()
        entries = [journal.write(AT + n, "event", f"number {n}", {"n": n}) for n in range(3)]
        self.assertEqual(entries[0], Entry(1, AT, "event", "number 0", {"n": 0}))
        self.assertEqual([each.number for each in entries], [1, 2, 3])
        self.assertEqual(journal.latest(2), [entries[2], entries[1]])
        self.assertEqual(journal.latest(9), entries[::-1])

    def test_numbers_go_on_after_a_restart(self) -> None:
        """They increase for ever."""
        left = Entry(41, AT, "event", "left", {})
        journal = Journal([left])
        written = journal.write(AT, "event", "new", {})
        self.assertEqual(written.number, 42)
        self.assertEqual(journal.latest(9), [written, left])

    def test_the_last_200_are_kept(self) -> None:
        """Of this run and the ones before together."""
        journal = Journal([Entry(n, AT, "event", "", {}) for n in range(1, 151)])
        for _ in range(100):
            journal.write(AT, "event", "", {})
        self.assertEqual([each.number for each in journal.latest(1_000)], list(range(250, 50, -1)))

    def test_what_a_peer_said_is_made_printable(self) -> None:
        """In the sentence and in every field; what is no text stays."""
        entry = Journal().write(AT, "event", "a\nb", {"text": "\x00", "number": 5, "none": None})
        self.assertEqual(entry.detail, r"a\nb")
        self.assertEqual(entry.fields, {"text": r"\x00", "number": 5, "none": None})

    def test_secrets_are_blacked_out(self) -> None:
        """In the sentence and in every field."""
        journal = Journal(redact=lambda text: text.replace("sesame", "[secret]"))
        entry = journal.write(AT, "event", "key sesame is wrong", {"message": "sesame"})
        self.assertEqual((entry.detail, entry.fields["message"]), ("key [secret] is wrong", "[secret]"))

    def test_a_secret_is_blacked_out_before_the_text_is_cut(self) -> None:
        """Half a secret at the cut would be half a secret too many."""
        journal = Journal(redact=lambda text: text.replace("sesame", "[secret]"))
        entry = journal.write(AT, "event", "x" * (LONGEST_FIELD - 4) + "sesame" + "y" * 9, {})
        self.assertNotIn("ses", entry.detail)
