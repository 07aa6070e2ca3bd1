"""Lines out of the bytes that a program prints, and the percentages in them."""

from __future__ import annotations

import codecs
import re
from typing import Final

#: A longer line is cut into pieces of this many characters.
LONGEST_LINE: Final = 8_192

_RETURN = re.compile(r"\r\n?")
# "%20" in a URL is no percentage, nor is "234%" a part of "1,234%".
_PERCENT = re.compile(r"(?<![0-9.,])([0-9]{1,3})(?:\.[0-9]+|,[0-9]{1,2})? ?%(?!\w)")


class Lines:
    r"""Splits a stream of UTF-8 into lines, however it is cut into chunks.

    ``\n``, ``\r\n`` and ``\r`` end a line; a progress display that returns to the start of its line ends it too. What
    is no UTF-8 becomes U+FFFD.

    :param longest: characters after which a line is cut.
    """

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial = ""
        self._after_return = False

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk.

        :return: the lines that it completes, without their ends.
        """
        return self._split(self._decoder.decode(data))

    def end(self) -> list[str]:
        """Take note that nothing follows.

        :return: what was left, which had no end of line.
        """
        lines = self._split(self._decoder.decode(b"", final=True))
        rest, self._partial = self._partial, ""
        return [*lines, rest] if rest else lines

    def _split(self, text: str) -> list[str]:
        if not text:
            return []
        if self._after_return:
            # The end of line was reported with its "\r" already.
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r")
        *whole, partial = (self._partial + _RETURN.sub("\n", text)).split("\n")
        lines = [piece for line in whole for piece in self._cut(line)]
        *more, self._partial = self._cut(partial)
        return lines + more

    def _cut(self, line: str) -> list[str]:
        """Cut a line into pieces; the last has at least one character, if there is one."""
        return [line[start : start + self._longest] for start in range(0, len(line) or 1, self._longest)]


def percent_in(line: str) -> int | None:
    """The last percentage that a line names, from 0 to 100, without its fraction."""
    found = [int(digits) for digits in _PERCENT.findall(line)]
    return next((each for each in reversed(found) if each <= 100), None)
