"""The database file: one relay at a time, readable by its owner only, with the schema that this program knows.

All of it happens before the reactor runs and before ``twistd`` forks: nothing here keeps an SQLite connection, which
must not cross a fork. The lock does cross it, because it belongs to the open file.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import stat
import sys
import time
import uuid
from contextlib import closing, suppress
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import attrs
from twisted.logger import Logger

#: How long a connection waits for another process that holds the database, in seconds.
BUSY_TIMEOUT = 1.0
#: The mode of all files: only the user that the relay runs as can read and write them.
_OURS = 0o600
#: How every SQLite file begins: sqlite.org/fileformat.html, section 1.3.
_MAGIC = b"SQLite format 3\0"
_log = Logger()


class DatabaseError(Exception):
    """The database cannot be used; the text says in one line why, and what to do."""


@attrs.frozen
class Database:
    """A database file that is ours and has the right schema.

    :ivar path: where it is, absolute.
    :ivar machine_id: the relay's own id, made once.
    :ivar lock: the open lock file; the relay holds it for as long as it lives.
    """

    path: Path
    machine_id: str
    lock: int = attrs.field(repr=False)

    def release(self) -> None:
        """Let another relay have it."""
        os.close(self.lock)


def make_directory(database: Path) -> None:
    """Make the directory of a database if it is missing; what is above it is not the relay's.

    :param database: the file that is to be in it.
    :raises DatabaseError: when it cannot be made.
    """
    directory = database.parent
    try:
        directory.mkdir(0o700)
        # The umask may have taken from it what the relay needs.
        directory.chmod(0o700)
    except FileExistsError:
        return
    except OSError as error:
        raise DatabaseError(f"database {database}: its directory cannot be made: {error.strerror}") from None


def open_database(path: Path, schema: Traversable | None = None) -> Database:
    """Take hold of a database file, and make or upgrade it if need be.

    :param path: where it is or shall be; its directory must exist.
    :param schema: the directory of numbered upgrades; the package's own if none is given.
    :raises DatabaseError: when it belongs to another relay, is newer than this program, or cannot be used.
    """
    schema = schema or resources.files(__package__) / "schema"
    # One file has one lock, whatever links lead to it.
    path = _resolved(path)
    _refuse_other_files(path)
    lock = _lock(path)
    try:
        _create(path)
        machine_id = _prepare(path, _upgrades(schema))
    except (sqlite3.Error, OSError) as error:
        os.close(lock)
        raise DatabaseError(f"database {path}: {error}") from None
    except DatabaseError:
        os.close(lock)
        raise
    return Database(path, machine_id, lock)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise DatabaseError(f"database {path}: its links lead nowhere") from None


def _lock(path: Path) -> int:
    """Take the lock that says whose database it is, on a file beside it: SQLite locks the database its own way."""
    try:
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _OURS)
    except OSError as error:
        raise DatabaseError(f"database {path}: its directory cannot be written: {error.strerror}") from None
    with suppress(OSError):
        os.fchmod(lock, _OURS)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DatabaseError(f"database {path}: another relay uses it; give each its own --database") from None
    return lock


def _refuse_other_files(path: Path) -> None:
    """Leave alone what was named by mistake; a device would be given another mode, a pipe waited for."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        head = _head(path) if is_file else b""
    except FileNotFoundError:
        return
    except OSError as error:
        raise DatabaseError(f"database {path}: cannot be read: {error.strerror}") from None
    if not is_file:
        raise DatabaseError(f"database {path}: this is no file; name another")
    if head and head != _MAGIC:
        raise DatabaseError(f"database {path}: this is no SQLite database; name another file")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_MAGIC))


def _create(path: Path) -> None:
    """Make the file with its mode before SQLite would; SQLite gives the same to side files that it makes."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _OURS))
    path.chmod(_OURS)
    for side_file in (Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(FileNotFoundError):
            side_file.chmod(_OURS)


def newest_schema() -> int:
    """The version of the schema that this program knows."""
    return max(number for number, _ in _upgrades(resources.files(__package__) / "schema"))


def _upgrades(schema: Traversable) -> list[tuple[int, str]]:
    """The numbered upgrades, ``0001_what.sql`` and so on, in order."""
    found = []
    for each in schema.iterdir():
        match = re.fullmatch(r"(\d{4})_\w+\.sql", each.name)
        if match:
            found.append((int(match[1]), each.read_text(encoding="utf-8")))
    return sorted(found)


def _prepare(path: Path, upgrades: list[tuple[int, str]]) -> str:
    with closing(connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise DatabaseError(f"database {path}: it belongs to another program; name another file")
        newest = upgrades[-1][0]
        if version > newest:
            raise DatabaseError(
                f"database {path}: its schema is version {version}, this program knows up to {newest}; "
                "run the newer makima-relay or restore a back-up"
            )
        if 0 < version < newest:
            _tell(f"database {path}: is backed up and upgraded from version {version} to {newest}")
            began = time.monotonic()
            _back_up(connection, path.with_name(f"{path.name}.v{version}.backup"))
            _upgrade(connection, version, upgrades)
            _tell(f"database {path}: is upgraded, which took {time.monotonic() - began:.1f} s")
        else:
            _upgrade(connection, version, upgrades)
        return _machine_id(connection)


def _tell(line: str) -> None:
    """Say it at once: what is logged before the reactor runs is shown when it does, and a long history takes long."""
    sys.stderr.write(f"makima-relay: {line}\n")
    _log.info("{line}", line=line)


def _upgrade(connection: sqlite3.Connection, version: int, upgrades: list[tuple[int, str]]) -> None:
    for number, script in upgrades:
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database as it is before an upgrade; an older back-up of the same version is replaced."""
    target.unlink(missing_ok=True)
    _create(target)
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)


def _machine_id(connection: sqlite3.Connection) -> str:
    with connection:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('machine_id', ?)", (str(uuid.uuid4()),))
    return str(connection.execute("SELECT value FROM meta WHERE name = 'machine_id'").fetchone()[0])


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection with the settings that all of the relay's have."""
    is_new = path.stat().st_size == 0
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, check_same_thread=False)
    if is_new:
        # Both work before anything else is written, and never again. Pages that pruning frees can be given back; and
        # a spawnTask of 2 KB wastes half of a page of 4 KiB: with 8 KiB a task takes half of the writes.
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    configure(connection)
    return connection


def configure(connection: sqlite3.Connection) -> None:
    """Give a connection its settings: a write-ahead log, and commits that survive a power cut.

    :raises sqlite3.Error: when the file is no database, or cannot be used.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA temp_store = MEMORY")
