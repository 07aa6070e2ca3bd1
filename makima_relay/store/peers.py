"""Other relays in the database: what is known of them, and the entries that they have not acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from makima_relay.core import cluster_effects as effects
from makima_relay.core.effects import Saved
from makima_relay.core.snapshot import StoredPeer
from makima_relay.store.rows import write_rows

#: Effects on peers and entries.
OF_PEERS = (
    effects.KeepEntry,
    effects.ForgetEntries,
    effects.DropEntries,
    effects.SaveReceived,
    effects.SavePeer,
)

_KEEP = "INSERT INTO entries (peer, number, payload) {rows}"
_COUNT_UP = """
    INSERT INTO peers (relay_id, agent_name, received, next_number, seen_at) VALUES (?, '', 0, ?, 0)
    ON CONFLICT (relay_id) DO UPDATE SET next_number = max(next_number, excluded.next_number)
"""
_RECEIVED = """
    INSERT INTO peers (relay_id, agent_name, received, next_number, seen_at) VALUES (?, '', ?, 1, 0)
    ON CONFLICT (relay_id) DO UPDATE SET received = max(received, excluded.received)
"""
_SAVE = """
    INSERT INTO peers (relay_id, agent_name, received, next_number, seen_at) VALUES (?, ?, 0, 1, ?)
    ON CONFLICT (relay_id) DO UPDATE SET agent_name = excluded.agent_name, seen_at = excluded.seen_at
"""


def write_peers(cursor: Any, batch: Sequence[Saved]) -> None:
    """Write what became of peers and of the entries toward them.

    Numbers are never used again, so what is dropped or forgotten can come behind all that is kept.

    :param batch: in order; other effects among them are left out.
    """
    _save_peers(cursor, [each for each in batch if isinstance(each, effects.SavePeer)])
    received = {each.peer: each.number for each in batch if isinstance(each, effects.SaveReceived)}
    cursor.executemany(_RECEIVED, list(received.items()))
    _keep_entries(cursor, [each for each in batch if isinstance(each, effects.KeepEntry)])
    for effect in batch:
        match effect:
            case effects.ForgetEntries():
                cursor.execute("DELETE FROM entries WHERE peer = ? AND number <= ?", (effect.peer, effect.up_to))
            case effects.DropEntries():
                rows = [(effect.peer, number) for number in effect.numbers]
                cursor.executemany("DELETE FROM entries WHERE peer = ? AND number = ?", rows)


def _save_peers(cursor: Any, saves: Sequence[effects.SavePeer]) -> None:
    cursor.executemany(_SAVE, [(each.relay_id, each.agent_name, each.seen_at) for each in saves])


def _keep_entries(cursor: Any, keeps: Sequence[effects.KeepEntry]) -> None:
    write_rows(cursor, _KEEP, [(each.peer, each.number, each.payload) for each in keeps])
    last = {each.peer: each.number for each in keeps}
    cursor.executemany(_COUNT_UP, [(peer, number + 1) for peer, number in last.items()])


def read_peers(cursor: Any) -> tuple[StoredPeer, ...]:
    """Read what is known of all other relays, and the entries that each may not have."""
    rows = cursor.execute("SELECT relay_id, agent_name, received, next_number FROM peers ORDER BY relay_id").fetchall()
    return tuple(
        StoredPeer(
            relay_id=row[0], agent_name=row[1], received=row[2], next_number=row[3], entries=_entries(cursor, row[0])
        )
        for row in rows
    )


def _entries(cursor: Any, peer: str) -> tuple[tuple[int, bytes], ...]:
    return tuple(cursor.execute("SELECT number, payload FROM entries WHERE peer = ? ORDER BY number", [peer]))
