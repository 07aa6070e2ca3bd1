"""Writes the reference of the command into ``docs/command.md``: ``python -m makima_relay.cli.reference``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from makima_relay.cli import makima_relay
from makima_relay.cli.errors import MEANINGS

PAGE: Final = Path(__file__).parents[2] / "docs" / "command.md"
_BEGIN: Final = "<!-- From here on this is made by `python -m makima_relay.cli.reference`. -->\n"


def written(page: str) -> str:
    """A page whose second half is what the commands say of themselves.

    :param page: the page as it is.
    """
    head, _, _ = page.partition(_BEGIN)
    return head + _BEGIN + "\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    yield "## Exit status\n"
    yield "| | |\n|---|---|"
    yield from (f"| {status.value} | {meaning} |" for status, meaning in MEANINGS.items())
    yield "\n## Commands\n"
    for context in _contexts(makima_relay, None):
        # The epilogue of the command itself is the table above.
        text = _without_epilogue(context) if context.parent is None else context.get_help()
        yield f"### {context.command_path}\n\n```\n{text.rstrip()}\n```\n"


def _without_epilogue(context: click.Context) -> str:
    formatter = context.make_formatter()
    for part in ("format_usage", "format_help_text", "format_options"):
        getattr(context.command, part)(context, formatter)
    return formatter.getvalue()


def _contexts(command: click.Command, parent: click.Context | None) -> Iterator[click.Context]:
    """The command and all beneath it, each as it is when it is called."""
    context = command.make_context(
        command.name if parent else "makima-relay", ["--"], parent, terminal_width=100, resilient_parsing=True
    )
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _contexts(command.commands[name], context)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
