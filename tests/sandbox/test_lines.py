"""Lines out of bytes, and percentages out of lines."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.sandbox.lines import LONGEST_LINE, Lines, percent_in

#: Ends of lines, characters of every width, and bytes that are no UTF-8.
_PIECES = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"a", b"bc", "é".encode(), "☕".encode(), "𝄞".encode(), b"\xff", b"\xe2\x98", b"\0"]
)


def split(chunks: list[bytes], longest: int = LONGEST_LINE) -> list[str]:
    """The lines of a stream that comes in chunks."""
    lines = Lines(longest)
    return [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()


class LinesTests(SynchronousTestCase):
    """Splitting."""

    @given(st.lists(_PIECES).map(b"".join), st.lists(st.integers(0, 60)), st.integers(1, 5))
    def test_any_chunking_gives_the_same_lines(self, data: bytes, cuts: list[int], longest: int) -> None:
        """It is the bytes that count, not the reads in which they came."""
        edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        chunks = [data[start:end] for start, end in itertools.pairwise(edges)]
        self.assertEqual(split(chunks, longest), split([data], longest))
        self.assertEqual(split([bytes([byte]) for byte in data], longest), split([data], longest))

    @given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")))
    def test_a_character_stays_whole_however_it_is_cut(self, text: str) -> None:
        """Every byte may come in a read of its own."""
        self.assertEqual("".join(split([bytes([byte]) for byte in text.encode()])), text)

    @given(st.lists(st.text(alphabet="ab ☕", min_size=1)), st.sampled_from(["\n", "\r\n", "\r"]))
    def test_every_kind_of_end_of_line_ends_one(self, lines: list[str], end: str) -> None:
        """Unix's, Windows's, and the return of a progress display."""
        self.assertEqual(split([end.join(lines).encode()]), lines)

    def test_a_line_is_there_as_soon_as_it_ends(self) -> None:
        """Also when a return ends it, though a line feed may follow."""
        lines = Lines()
        self.assertEqual(lines.feed(b"40%\r"), ["40%"])
        self.assertEqual(lines.feed(b"\n50%"), [])
        self.assertEqual(lines.end(), ["50%"])

    def test_empty_lines_are_lines(self) -> None:
        """Nothing is left out."""
        self.assertEqual(split([b"a\n\n\nb\n"]), ["a", "", "", "b"])

    def test_what_is_no_utf_8_is_replaced(self) -> None:
        """Also at the end, where a character breaks off."""
        self.assertEqual(split([b"a\xffb\n\xe2\x98"]), ["a\ufffdb", "\ufffd"])

    def test_a_long_line_is_cut_into_pieces(self) -> None:
        """It is not held back until its end comes."""
        lines = Lines(longest=4)
        self.assertEqual(lines.feed(b"abcdefghi"), ["abcd", "efgh"])
        self.assertEqual(lines.feed(b"jkl\n"), ["ijkl"])
        self.assertEqual(lines.end(), [])


class PercentTests(SynchronousTestCase):
    """Finding percentages."""

    def test_percentages_are_found(self) -> None:
        """With and without fraction and blank."""
        for line, percent in (
            ("40%", 40),
            ("done: 7 % of it", 7),
            ("[=====>   ] 99.9%", 99),
            ("12,5% fertig", 12),
            ("step 3/4 (75%)...", 75),
            ("first 10%, then 20%", 20),
            ("100%", 100),
            ("0%", 0),
            ("growth of 250%, now at 30%", 30),
            ("now at 30%, growth of 250%", 30),
        ):
            self.assertEqual(percent_in(line), percent, line)

    def test_what_only_looks_like_a_percentage_is_none(self) -> None:
        """Escapes of URLs, numbers without sign, parts of greater numbers."""
        for line in ("", "40", "a%20b", "/x3%2Fy", "1,234%", "150%", "%", "1234%"):
            self.assertIsNone(percent_in(line), line)
