"""Writes events as Server-Sent Events, each once for all who read it, and knows how far somebody has read.

The id of an event is the place behind it: the process, the number of the event, and for those who follow the output of
a task the number of its report as well. So whoever comes back with the last id that it has seen misses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec

from makima_relay.announcements import Announcements, Event
from makima_relay.core.output import Outputs, Piece
from makima_relay.web.reports import shown_piece

#: Events, and about how many bytes of them, that are written at a time.
_AT_A_TIME: Final = 32
_SIZE: Final = 32 << 10
#: Bytes of texts of reports, and pieces of events, that are remembered for others who read the same.
MOST_REPORTED: Final = 4 << 20
_MOST_PIECES: Final = 32
#: What it takes to remember a text besides its bytes, about.
_OVERHEAD: Final = 128
_ID: Final = re.compile(r"([0-9a-f]{1,32})-([0-9]{1,15})(?:-([0-9]{1,15}))?")


@attrs.frozen
class Place:
    """How far somebody has read.

    :ivar number: of the last event.
    :ivar output: of the last report, for who follows a task.
    """

    number: int
    output: int | None = None


class EventFeed:
    """What there is to read.

    :param announcements: the events.
    :param outputs: the output of tasks.
    :param shape: what an event says.
    :param redact: blacks out secrets in output.
    """

    def __init__(
        self,
        announcements: Announcements,
        outputs: Outputs,
        shape: Callable[[Event], dict[str, Any]],
        redact: Callable[[str], str],
    ) -> None:
        self._announcements = announcements
        self._outputs = outputs
        self._shape = shape
        self._redact = redact
        self._pieces: dict[int, tuple[int, bytes]] = {}
        self._pieces_up_to = 0
        self._reports: dict[int, bytes] = {}
        self._reported = 0

    # --------------------------------------------------------------------------------------------------- places

    def end(self, *, with_output: bool) -> Place:
        """The place behind all that there is."""
        return Place(self._announcements.last, self._outputs.last if with_output else None)

    def id_of(self, place: Place) -> str:
        """How a place is written."""
        return self._id(place.number, place.output)

    def _id(self, number: int, output: int | None) -> str:
        behind = "" if output is None else f"-{output}"
        return f"{self._announcements.run}-{number}{behind}"

    def place_of(self, id_: str, *, with_output: bool) -> Place | None:
        """The place that an id stands for.

        :return: none if it is none of this process.
        """
        match = _ID.fullmatch(id_)
        if match is None or match[1] != self._announcements.run or int(match[2]) > self._announcements.last:
            return None
        if not with_output:
            return Place(int(match[2]))
        return Place(int(match[2]), self._outputs.last if match[3] is None else min(int(match[3]), self._outputs.last))

    def knows(self, place: Place) -> bool:
        """Whether nothing is missing between a place and the latest event."""
        return self._announcements.knows(place.number)

    # ---------------------------------------------------------------------------------------------------- texts

    def reset(self, place: Place) -> bytes:
        """Tell somebody that events are missing before a place."""
        return b"event: reset\ndata: {}\n" + self.id_line(place)

    def id_line(self, place: Place) -> bytes:
        """The line that makes a place the last one seen, and ends an event; alone it is none."""
        return self._id_line(place.number, place.output)

    def _id_line(self, number: int, output: int | None) -> bytes:
        return f"id: {self._id(number, output)}\n\n".encode()

    def events(self, place: Place) -> tuple[Place, bytes]:
        """Some of the events behind a place that is known.

        :return: the place behind them, and their text; empty if there are none.
        """
        if place.number == self._announcements.last:
            return place, b""
        if place.output is not None:
            return self._write(place)
        if self._pieces_up_to != self._announcements.last or len(self._pieces) >= _MOST_PIECES:
            self._pieces.clear()
            self._pieces_up_to = self._announcements.last
        piece = self._pieces.get(place.number)
        if piece is None:
            behind, text = self._write(place)
            piece = self._pieces[place.number] = (behind.number, text)
        return Place(piece[0]), piece[1]

    def _write(self, place: Place) -> tuple[Place, bytes]:
        texts: list[bytes] = []
        size, number = 0, place.number
        for event in self._announcements.after(number, _AT_A_TIME):
            number += 1
            texts += (self._text(event), self._id_line(number, place.output))
            size += len(texts[-2])
            if size > _SIZE:
                break
        return Place(number, place.output), b"".join(texts)

    def _text(self, event: Event) -> bytes:
        if event.text is None:
            event.text = b"event: %b\ndata: %b\n" % (event.kind.encode(), msgspec.json.encode(self._shape(event)))
        return event.text

    def output(self, task_id: str, place: Place) -> tuple[Place, bytes]:
        """Some of a task's output behind a place; see :meth:`events`."""
        assert place.output is not None, "it follows a task"
        pieces, has_missed = self._outputs.after(task_id, place.output)
        texts: list[bytes] = []
        size, number = 0, place.output
        for piece in pieces:
            number = piece.number
            texts += (self._report(task_id, piece, has_missed=has_missed), self._id_line(place.number, number))
            size += len(texts[-2])
            has_missed = False
            if size > _SIZE:
                break
        return Place(place.number, number), b"".join(texts)

    def _report(self, task_id: str, piece: Piece, *, has_missed: bool) -> bytes:
        text = None if has_missed else self._reports.get(piece.number)
        if text is None:
            members = msgspec.structs.asdict(shown_piece(piece, self._redact))
            shown = {"taskId": task_id, **members, **({"missed": True} if has_missed else {})}
            text = b"event: output\ndata: %b\n" % msgspec.json.encode(shown)
            if not has_missed:
                self._remember(piece.number, text)
        return text

    def _remember(self, number: int, text: bytes) -> None:
        """Leave the text of a report for others, if it leaves room for some."""
        size = len(text) + _OVERHEAD
        if self._reported + size > MOST_REPORTED:
            self._reports.clear()
            self._reported = 0
        if size <= MOST_REPORTED // 4:
            self._reports[number] = text
            self._reported += size
