"""Files that others may have written: ``.env``, secrets, databases. What is wrong with one is said in one line."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

import dotenv
from click.testing import CliRunner, Result

from makima_relay.cli import makima_relay
from makima_relay.settings import SettingsError, load

_REQUIRED = {"MAKIMA_SERVER_URL": "wss://makima.example", "MAKIMA_API_KEY": "a-key-of-the-server"}
#: What corpus files have where secrets belong; no error may show it.
_SECRET = "s3cret"
#: Bytes of one edit of a database: where, and what is changed there.
_EDIT = 4


@cache
def _directory() -> Path:
    # Of the process: it is removed when that ends.
    directory = tempfile.TemporaryDirectory()
    _directories.append(directory)
    return Path(directory.name)


_directories: list[tempfile.TemporaryDirectory[str]] = []


def _check(said: str, *, has_secrets: bool = True) -> None:
    assert said.strip(), "nothing is said"
    assert "\n" not in said.strip(), said
    assert not has_secrets or _SECRET not in said, said
    assert "Traceback" not in said, said
    assert "this is a bug" not in said, said


def env_file(data: bytes) -> None:
    """A file of variables; a ``…_FILE`` in it may name anything."""
    path = _directory() / "env"
    path.write_bytes(data)
    for environment in (_REQUIRED, {}):
        try:
            load({"env-file": str(path)}, environment)
        except SettingsError as error:
            _check(str(error), has_secrets=not _is_misplaced(path))


def _is_misplaced(path: Path) -> bool:
    """Whether a secret stands where none belongs, so that nobody can know that it is one."""
    try:
        found = dotenv.dotenv_values(path, interpolate=False, encoding="utf-8")
    except UnicodeDecodeError:
        return False
    places = {name for name, value in found.items() if value and _SECRET in value}
    return not places <= {"MAKIMA_API_KEY", "MAKIMA_RELAY_ADMIN_TOKEN"}


def secret_file(data: bytes) -> None:
    """A file with a secret."""
    path = _directory() / "secret"
    path.write_bytes(data)
    try:
        loaded = load({}, {"MAKIMA_SERVER_URL": "wss://makima.example", "MAKIMA_API_KEY_FILE": str(path)})
    except SettingsError as error:
        _check(str(error))
    else:
        assert loaded.api_key.isprintable()


@cache
def _sound_database() -> bytes:
    """A database of the relay's, with a key."""
    path = _directory() / "sound"
    _keys(path, "add", "build-7")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path.read_bytes()


def _keys(path: Path, *arguments: str) -> Result:
    # Offline: a relay of this machine is none of the test's business, and a reactor can run only once.
    return CliRunner(env={"MAKIMA_RELAY_DATABASE": str(path)}).invoke(makima_relay, ["keys", *arguments, "--offline"])


def database(data: bytes) -> None:
    """A database with edits: each is three bytes for where, and one to change a byte with."""
    damaged = bytearray(_sound_database())
    for place in range(0, len(data) - _EDIT + 1, _EDIT):
        damaged[int.from_bytes(data[place : place + 3], "big") % len(damaged)] ^= data[place + 3]
    _open(bytes(damaged))


def foreign_database(data: bytes) -> None:
    """Anything that is named as a database."""
    _open(data)


def _open(content: bytes) -> None:
    path = _directory() / "database"
    for leftover in path.parent.glob("database*"):
        leftover.unlink()
    path.write_bytes(content)
    for arguments in (("list",), ("add", "build-8"), ("rotate", "build-7"), ("revoke", "build-8")):
        result = _keys(path, *arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        if result.exit_code:
            assert result.exit_code == 1, result.output
            # An upgrade that was begun has been told in a line of its own.
            *_, said = result.output.splitlines()
            _check(said)
            assert "Traceback" not in result.output, result.output
