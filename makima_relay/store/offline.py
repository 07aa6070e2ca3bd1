"""The database while no relay runs on it: what the command line changes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import attrs

from makima_relay.core.effects import Effect, Saved
from makima_relay.core.relay import Relay
from makima_relay.core.state import Policy
from makima_relay.store import reader, writer
from makima_relay.store.database import connect, open_database


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

            def write(decided: Sequence[Effect]) -> None:
                with connection:
                    writer.write(connection.cursor(), [effect for effect in decided if isinstance(effect, Saved)])

            yield Offline(Relay(policy, reader.read_edge(connection.cursor())), write)
    finally:
        database.release()
