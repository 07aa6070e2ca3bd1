"""What Redis answered, checked: other relays wrote it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred

from makima_relay.clock import Clock
from makima_relay.cluster.inbox import HIGHEST
from makima_relay.cluster.sightings import RELAY_ID, Sighting, read_sighting
from makima_relay.core.directory import DirectoryEntry

_ENTRY: Final = re.compile(rb"([0-9]{1,9}) ([A-Za-z0-9-]{1,64}) ([A-Za-z0-9-]{1,64})")


def within(awaited: Deferred[Any], seconds: float, clock: Clock) -> Deferred[Any]:
    """Fires with what is awaited, or with none when that takes too long."""
    done: Deferred[Any] = Deferred()

    def over(result: Any) -> None:
        if timer.active():
            timer.cancel()
            done.callback(result)

    timer = clock.reactor.callLater(seconds, done.callback, None)
    awaited.addCallback(over)
    return done


def read_acknowledged(raw: Sequence[bytes]) -> dict[str, int]:
    """By relay, which number it has acknowledged; what is none is left out."""
    pairs = zip(raw[::2], read_numbers_or_none(raw[1::2]), strict=False)
    named = ((relay_id.decode("latin-1"), number) for relay_id, number in pairs if number is not None)
    return {relay_id: number for relay_id, number in named if RELAY_ID.fullmatch(relay_id)}


def read_numbers(raw: Sequence[bytes]) -> list[int]:
    """Numbers of entries; what is none is left out."""
    return [number for number in read_numbers_or_none(raw) if number is not None]


def read_numbers_or_none(raw: Sequence[bytes]) -> list[int | None]:
    """Numbers of entries, with none for what is no such number."""
    return [int(each) if re.fullmatch(rb"[0-9]{1,16}", each) and int(each) < HIGHEST else None for each in raw]


def read_sightings(raw: Sequence[object]) -> list[Sighting]:
    """The sightings among what is in Redis."""
    return [sighting for each in raw if (sighting := read_sighting(each)) is not None]


def read_directory(raw: Sequence[bytes]) -> dict[str, DirectoryEntry]:
    """A piece of the directory; what is none is left out."""
    return read_entries([each.decode("utf-8", "replace") for each in raw[::2]], raw[1::2])


def read_entries(task_ids: Sequence[str], raw: Sequence[bytes]) -> dict[str, DirectoryEntry]:
    """By task, where it is; tasks that were in nobody's hand are left out."""
    matches = ((task_id, _ENTRY.fullmatch(each)) for task_id, each in zip(task_ids, raw, strict=True))
    return {
        task_id: DirectoryEntry(match[2].decode(), match[3].decode(), int(match[1]))
        for task_id, match in matches
        if match is not None
    }
