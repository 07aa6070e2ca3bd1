"""The database while no relay runs on it: what the command line changes there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import attrs
import msgspec

from makima_relay.core.effects import Effect, Saved
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.snapshot import Snapshot
from makima_relay.store import reader, writer
from makima_relay.store.database import DatabaseError, connect, open_database


class _NonsenseError(Exception):
    """What is in the database cannot have been written by a relay."""


@attrs.frozen
class Offline:
    """A relay that does not run: it decides, and what it decides is written.

    :ivar relay: what is in the database, without its tasks and reports.
    :ivar write: writes what was decided.
    """

    relay: Relay
    write: Callable[[Sequence[Effect]], None]


@contextmanager
def offline(path: Path, policy: Policy) -> Iterator[Offline]:
    """Take hold of a database for a moment.

    The relay inside takes seconds since the epoch for its times.

    :raises makima_relay.store.database.DatabaseError: when a relay runs on it, or it cannot be used.
    """
    database = open_database(path)
    try:
        with closing(connect(database.path)) as connection:
            yield Offline(Relay(policy, _read(connection)), partial(_write, connection))
    except (sqlite3.Error, _NonsenseError, OverflowError) as error:
        raise DatabaseError(f"database {database.path}: it is damaged, or cannot be written: {error}") from None
    finally:
        database.release()


def _read(connection: sqlite3.Connection) -> Snapshot:
    try:
        return reader.read_edge(connection.cursor())
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise _NonsenseError(error) from None


def _write(connection: sqlite3.Connection, decided: Sequence[Effect]) -> None:
    with connection:
        writer.write(connection.cursor(), [effect for effect in decided if isinstance(effect, Saved)])
