"""The journal: the connection events that ``GET /logs`` shows, the last 200 of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

MOST_ENTRIES: Final = 200
#: What a peer chose is cut to this many characters before it is shown.
LONGEST_FIELD: Final = 500


class Entry(msgspec.Struct, frozen=True):
    """One event.

    :ivar number: increasing, also over restarts.
    :ivar at: seconds since the epoch.
    :ivar event: one of the words of ``http-api.md``, *Shapes*.
    :ivar detail: a sentence for people.
    :ivar fields: further members, named in camelCase.
    """

    number: int
    at: float
    event: str
    detail: str
    fields: dict[str, str | int | None]


def printable(text: str) -> str:
    """Make a peer's text safe to show: control characters and surrogates escaped, cut to a bounded length."""
    text = text if len(text) <= LONGEST_FIELD else text[: LONGEST_FIELD - 1] + "…"
    return escaped(text)


def escaped(text: str) -> str:
    """Make text safe to show on one line: control characters, surrogates and the like escaped."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


class Journal:
    """Numbers the events and remembers the latest.

    :param entries: what is left from an earlier run, oldest first.
    :param redact: blacks out secrets, which a peer may have put into what it said.
    """

    def __init__(self, entries: Iterable[Entry] = (), redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._entries: deque[Entry] = deque(entries, MOST_ENTRIES)
        self._number = self._entries[-1].number if self._entries else 0

    def write(self, at: float, event: str, detail: str, fields: dict[str, str | int | None]) -> Entry:
        """Add an event.

        :param at: seconds since the epoch.
        :param fields: further members; strings in them may come from a peer.
        """
        self._number += 1
        shown = {name: self._shown(value) if isinstance(value, str) else value for name, value in fields.items()}
        entry = Entry(self._number, at, event, self._shown(detail), shown)
        self._entries.append(entry)
        return entry

    def _shown(self, text: str) -> str:
        return printable(self._redact(text))

    def latest(self, limit: int) -> list[Entry]:
        """The latest events, newest first.

        :param limit: how many at most.
        """
        newest_first = reversed(self._entries)
        return [entry for entry, _ in zip(newest_first, range(limit), strict=False)]
