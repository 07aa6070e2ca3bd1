"""``makima-relay setup``: asks for what a relay needs, as ``./setup.sh`` does before anything is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from makima_relay.cli.errors import CommandError, SettingError
from makima_relay.cli.showing import Screen
from makima_relay.settings.table import SETTINGS, Setting

_DEFAULT_URL: Final = "wss://api.makima.jp"
_ASKED: Final = ("server-url", "api-key", "agent-name")


def _settings() -> list[Setting]:
    return [setting for name in _ASKED for setting in SETTINGS if setting.name == name]


@click.command()
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: take the variables of the same names.")
@click.option("--force", is_flag=True, help="With --yes: replace a file that is there.")
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".env"),
    show_default=True,
    help="The file to write.",
)
def setup(yes: bool, force: bool, env_file: Path) -> None:
    """Ask for the server's URL, the API key and this relay's name, and write them into .env.

    The file has mode 0600. The key is not shown while it is typed, and never afterwards.

    \b
    Examples:
      makima-relay setup && makima-relay check && twistd -n makima-relay
      MAKIMA_SERVER_URL=wss://api.makima.jp MAKIMA_API_KEY=… makima-relay setup --yes
    """  # noqa: D301 - click's mark for lines that stay
    from makima_relay.settings.written import write_env_file

    if force and not yes:
        raise click.UsageError("--force goes with --yes")
    if not _may_write(env_file, yes=yes, force=force):
        Screen().line(f"keeping {env_file}")
        return
    try:
        found = {each.variable: _from_environment(each) if yes else _answer(each) for each in _settings()}
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise CommandError("nobody answers; use --yes with MAKIMA_SERVER_URL and MAKIMA_API_KEY set") from None
    try:
        write_env_file(env_file, found)
    except OSError as error:
        raise CommandError(f"{env_file}: {error.strerror}") from None
    Screen().line(f"wrote {env_file}; makima-relay check tells whether it works")


def _may_write(env_file: Path, *, yes: bool, force: bool) -> bool:
    if not env_file.exists():
        return True
    return force if yes else click.confirm(f"There is {env_file} already. Replace all of it?")


def _from_environment(setting: Setting) -> str:
    text = os.environ.get(setting.variable, "")
    if not text and setting.required:
        raise SettingError(f"--yes needs {setting.variable}: {setting.kind.takes}")
    if text and not _is_good(setting, text):
        raise SettingError(f"{setting.variable}: its value is not allowed; it takes {setting.kind.takes}")
    return text


def _is_good(setting: Setting, text: str) -> bool:
    try:
        setting.kind.read(text)
    except (ValueError, OverflowError):
        return False
    return True


_PROMPTS: Final[dict[str, Callable[[], str]]] = {
    "server-url": lambda: click.prompt("Makima server URL", default=_DEFAULT_URL),
    "api-key": lambda: click.prompt("API key (not shown)", hide_input=True),
    "agent-name": lambda: click.prompt("Name of this relay (optional)", default="", show_default=False),
}


def _answer(setting: Setting) -> str:
    while True:
        text = _PROMPTS[setting.name]().strip()
        if (not text and not setting.required) or _is_good(setting, text):
            return text
        click.echo(f"  it takes {setting.kind.takes}")
