"""``makima-relay backup``: a copy of the database, whether a relay runs on it or not."""

from __future__ import annotations

import os
from pathlib import Path

import click

from makima_relay.cli.errors import CommandError, SettingError
from makima_relay.cli.showing import Screen, size
from makima_relay.settings import SettingsError, load_one


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--database", metavar="FILE", help="The relay's database.  [env var: MAKIMA_RELAY_DATABASE]")
@click.option("--env-file", metavar="FILE", help="Settings of this machine.  [env var: MAKIMA_RELAY_ENV_FILE]")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def backup(file: Path, database: str | None, env_file: str | None, force: bool, as_json: bool) -> None:
    """Copy the database into FILE, while the relay runs.

    The copy is the database of one moment. It has mode 0600, because tasks are in it, is checked for damage, and
    has its name only when it is whole. To go back to it: stop the relay, put it in the database's place, and
    remove the database's -wal and -shm files.

    \b
    Examples:
      makima-relay backup /var/backups/makima-relay.sqlite3
      makima-relay backup --force nightly.sqlite3
    """  # noqa: D301 - click's mark for lines that stay
    from makima_relay.store.backup import back_up
    from makima_relay.store.database import DatabaseError

    screen = Screen()
    try:
        source = load_one("database", {"database": database, "env-file": env_file}, os.environ)
        with screen.progress("copying") as told:
            made = back_up(source, file, replace=force, told=told)
    except SettingsError as error:
        raise SettingError(str(error)) from None
    except DatabaseError as error:
        raise CommandError(str(error)) from None
    if as_json:
        screen.json({"file": str(made.path.absolute()), "bytes": made.size, "tasks": made.tasks})
    else:
        screen.line(f"{made.path}: {size(made.size)}, {made.tasks} tasks, without damage")
