"""The part of ``makima-relay check`` that looks at files: the database, and who can read secrets."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Final

from makima_relay import cautions
from makima_relay.cli.findings import Finding, fail, ok, warn
from makima_relay.cli.showing import size
from makima_relay.settings import Settings
from makima_relay.store.backup import open_read_only
from makima_relay.store.database import newest_schema

_WHAT: Final = "database"
#: Free bytes below which the disk counts as nearly full.
_FEW: Final = 256 << 20


def check_modes(settings: Settings) -> list[Finding]:
    """Who else can read secrets, or replace the database, or listen on the way to the server."""
    files = [(each.variable, each.path) for each in settings.secret_files]
    if settings.secret_env_file is not None:
        files.append(("--env-file", settings.secret_env_file))
    lines = [line for name, path in files for line in cautions.readable_by_others(name, path)]
    lines += cautions.writable_by_others(settings.database)
    lines += cautions.clear_upstream(settings.server_url)
    return [warn("secrets", line) for line in lines] or [ok("secrets", "nobody else can read them")]


def check_database(path: Path) -> list[Finding]:
    """Whether a relay could use its database; nothing in it is changed."""
    if not path.exists():
        return [_missing(path)]
    if not path.is_file():
        return [fail(_WHAT, f"{path} is no file", "name another one by --database")]
    try:
        with closing(open_read_only(path)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            is_foreign = version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
    except sqlite3.Error as error:
        return [fail(_WHAT, f"{path}: {error}", _remedy(error))]
    if is_foreign:
        return [fail(_WHAT, f"{path} belongs to another program", "name another file by --database")]
    return [_schema(path, version), _writable(path), *_room(path)]


def is_in_use(path: Path) -> bool:
    """Whether a relay runs on a database."""
    try:
        lock = os.open(f"{path.resolve()}.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def machine_id_of(path: Path) -> str:
    """The relay's own machine id; a new one where there is none yet."""
    try:
        with closing(open_read_only(path)) as connection:
            return str(connection.execute("SELECT value FROM meta WHERE name = 'machine_id'").fetchone()[0])
    except (sqlite3.Error, TypeError):
        return str(uuid.uuid4())


def _missing(path: Path) -> Finding:
    directory = path.parent if path.parent.exists() else path.parent.parent
    if not directory.is_dir():
        return fail(_WHAT, f"{path}: there is no directory {directory}", "make it, for the relay's user")
    if not os.access(directory, os.W_OK | os.X_OK):
        return fail(_WHAT, f"{path}: {directory} cannot be written", "give it to the relay's user, or name another")
    return ok(_WHAT, f"{path} is not there yet; the relay makes it at its first start")


def _schema(path: Path, version: int) -> Finding:
    newest = newest_schema()
    if version > newest:
        text = f"{path}: its schema is version {version}, this program knows up to {newest}"
        return fail(_WHAT, text, "install the makima-relay that it belongs to, or a newer one")
    if version < newest:
        return ok(_WHAT, f"{path}: schema {version}; the relay upgrades it to {newest}, and leaves a copy beside it")
    return ok(_WHAT, f"{path}: schema {version}" + (", a relay runs on it" if is_in_use(path) else ", free"))


def _writable(path: Path) -> Finding:
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        remedy = "run this as the relay's user; or give file and directory to it"
        return fail(_WHAT, "this user cannot write it, or the files beside it", remedy)
    try:
        with closing(sqlite3.connect(path, timeout=2.0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return fail(_WHAT, f"it cannot be written: {error}", _remedy(error))
    return ok(_WHAT, "it can be written")


def _room(path: Path) -> list[Finding]:
    free = shutil.disk_usage(path.parent).free
    if free >= _FEW:
        return []
    return [warn(_WHAT, f"only {size(free)} are free on its disk", "make room: a full disk stops the relay")]


def _remedy(error: sqlite3.Error) -> str:
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return "another program holds it: end that program"
    if isinstance(error, sqlite3.OperationalError):
        return "see who may read it, and whether its disk has room"
    return "name the right file by --database, or put a back-up in its place"
