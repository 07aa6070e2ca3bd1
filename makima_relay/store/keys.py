"""Daemon keys in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from makima_relay.core import effects
from makima_relay.core.keys import DaemonKey, StoredKeys

#: Effects on keys. They are written in their order: a name that was revoked may be made again in the same commit.
OF_KEYS = (effects.SaveKey, effects.ForgetKeys, effects.RevokeKeys, effects.SaveMachine, effects.SaveKeyUse)


def write_keys(cursor: Any, batch: Sequence[effects.Saved]) -> None:
    """Write what became of keys.

    :param batch: in order; other effects among them are left out.
    """
    uses: dict[str, effects.SaveKeyUse] = {}
    for effect in batch:
        match effect:
            case effects.SaveKeyUse():
                # Of very many daemons that come at once only the last use is kept.
                uses[effect.name] = effect
            case effects.SaveKey():
                _save_key(cursor, effect.key)
            case effects.SaveMachine():
                cursor.execute(
                    "INSERT OR REPLACE INTO key_machines (machine_id, name) VALUES (?, ?)",
                    (effect.machine_id, effect.name),
                )
            case effects.ForgetKeys():
                cursor.executemany("DELETE FROM keys WHERE digest = ?", [(digest,) for digest in effect.digests])
            case effects.RevokeKeys():
                uses.pop(effect.name, None)
                cursor.execute("DELETE FROM keys WHERE name = ?", (effect.name,))
                cursor.execute("DELETE FROM key_uses WHERE name = ?", (effect.name,))
                cursor.execute("DELETE FROM key_machines WHERE name = ?", (effect.name,))
                cursor.execute(
                    "INSERT OR REPLACE INTO key_revocations (name, at) VALUES (?, ?)", (effect.name, effect.at)
                )
                cursor.execute("UPDATE meta SET value = 1 WHERE name = 'keys_ever_made'")
    cursor.executemany(
        "INSERT OR REPLACE INTO key_uses (name, at, address) VALUES (?, ?, ?)",
        [(each.name, each.at, each.address) for each in uses.values()],
    )


def _save_key(cursor: Any, key: DaemonKey) -> None:
    cursor.execute(
        "INSERT OR REPLACE INTO keys (digest, name, created_at, ends_at) VALUES (?, ?, ?, ?)",
        (key.digest, key.name, key.created_at, key.ends_at),
    )
    cursor.execute("UPDATE meta SET value = 1 WHERE name = 'keys_ever_made'")


def read_keys(cursor: Any) -> StoredKeys:
    """Read all that there is of keys."""
    ever_made = cursor.execute("SELECT value FROM meta WHERE name = 'keys_ever_made'").fetchone()[0]
    keys = cursor.execute("SELECT digest, name, created_at, ends_at FROM keys ORDER BY created_at, ends_at NULLS LAST")
    return StoredKeys(
        ever_made=bool(ever_made),
        keys=tuple(DaemonKey(*row) for row in keys),
        uses=tuple(cursor.execute("SELECT name, at, address FROM key_uses").fetchall()),
        machines=tuple(cursor.execute("SELECT machine_id, name FROM key_machines").fetchall()),
        revoked=tuple(cursor.execute("SELECT name, at FROM key_revocations").fetchall()),
    )
