"""Copies a database while a relay runs on it, by SQLite's online back-up."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs

from makima_relay.store.database import BUSY_TIMEOUT, DatabaseError

#: Pages that are copied before the next look at signals and progress: 32 MiB.
_PAGES_AT_A_TIME: Final = 4_096
_OURS: Final = 0o600
#: The database, SQLite's files beside it, and the relay's lock.
_OWN_SUFFIXES: Final = ("", "-wal", "-shm", "-journal", ".lock")


@attrs.frozen
class Backup:
    """A copy that was made and verified.

    :ivar path: where it is.
    :ivar size: its bytes.
    :ivar tasks: how many tasks are in it.
    """

    path: Path
    size: int
    tasks: int


def back_up(
    database: Path,
    target: Path,
    *,
    replace: bool,
    told: Callable[[float], object],
    pages: int = _PAGES_AT_A_TIME,
) -> Backup:
    """Copy a database as it is at one moment; whoever writes to it goes on.

    The copy takes its name only when it is whole, verified, and on disk.

    :param replace: whether a file of that name may be replaced.
    :param told: is told how far it is, from 0 to 1.
    :param pages: how many are copied before that.
    :raises DatabaseError: when it cannot be done; then there is no new file.
    """
    _check_target(database, target, replace=replace)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _OURS))
        unfinished.chmod(_OURS)
        _copy(database, unfinished, told, pages)
        made = Backup(target, unfinished.stat().st_size, _verify(unfinished))
        _keep(unfinished, target, replace=replace)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise DatabaseError(f"{target}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise DatabaseError(f"database {database}: {error}") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return made


def _check_target(database: Path, target: Path, *, replace: bool) -> None:
    """Refuse a name that must not be taken: to take a live database's place would lose whatever is written later."""
    if os.path.realpath(target) in {os.path.realpath(database) + suffix for suffix in _OWN_SUFFIXES}:
        raise DatabaseError(f"{target} belongs to the database itself; take another name")
    if not replace and (target.exists() or target.is_symlink()):
        raise _exists(target)
    if target.exists() and not target.is_file():
        raise DatabaseError(f"{target} is not a regular file; take another name")


def _exists(target: Path) -> DatabaseError:
    return DatabaseError(f"{target} is there already; take another name, or --force to replace it")


def open_read_only(path: Path, **parameters: str) -> sqlite3.Connection:
    """Open a database that is not to be changed; it must exist.

    :param parameters: further ones of SQLite's URI.
    """
    query = "&".join(f"{name}={value}" for name, value in {"mode": "ro", **parameters}.items())
    return sqlite3.connect(f"file:{quote(str(path))}?{query}", uri=True, timeout=BUSY_TIMEOUT)


def _copy(database: Path, unfinished: Path, told: Callable[[float], object], pages: int) -> None:
    def progress(_status: int, remaining: int, total: int) -> None:
        told(1 - remaining / max(1, total))

    with closing(open_read_only(database)) as source, closing(sqlite3.connect(unfinished)) as copy:
        # It reads what was there at this moment, whatever is written since: the copy never has to begin anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        source.backup(copy, pages=pages, progress=progress, sleep=0)


def _verify(path: Path) -> int:
    """Look whether a copy is whole.

    :return: how many tasks are in it.
    """
    with closing(open_read_only(path, immutable="1")) as copy:
        found = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(1)")]
        if found != ["ok"]:
            raise DatabaseError(f"the database is damaged, and so would be its back-up: {' '.join(found[0].split())}")
        try:
            return int(copy.execute("SELECT count(*) FROM tasks").fetchone()[0])
        except sqlite3.OperationalError:
            raise DatabaseError("this is no database of a relay; name the right one by --database") from None


def _keep(unfinished: Path, target: Path, *, replace: bool) -> None:
    """Give a copy its name, once all of it is on disk."""
    _sync(unfinished)
    if replace:
        unfinished.replace(target)
    else:
        os.link(unfinished, target)
    _sync(target.absolute().parent)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
