"""``docs/command.md``, and what the commands say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli import makima_relay
from makima_relay.cli.errors import MEANINGS, ExitStatus
from makima_relay.cli.reference import PAGE, written
from makima_relay.cli.tasks import STATUSES
from makima_relay.core.tasks import TaskStatus


def commands(group: click.Group, *before: str) -> Iterator[tuple[list[str], click.Command]]:
    """All commands, each with the words that call it."""
    for name, command in group.commands.items():
        yield [*before, name], command
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)


class ReferenceTests(SynchronousTestCase):
    """The page and the commands agree."""

    def test_the_page_is_what_the_commands_say(self) -> None:
        """``python -m makima_relay.cli.reference`` writes it anew."""
        page = PAGE.read_text(encoding="utf-8")
        self.assertEqual(page, written(page))

    def test_the_page_has_all_commands(self) -> None:
        """And each has a help, which has no marks of its source's."""
        page = PAGE.read_text(encoding="utf-8")
        for words, _ in commands(makima_relay):
            self.assertIn(f"\n### makima-relay {' '.join(words)}\n", page)
            result = CliRunner().invoke(makima_relay, [*words, "--help"])
            self.assertEqual((result.exit_code, "\b" in result.output, "\t" in result.output), (0, False, False), words)

    def test_the_readme_names_the_commands(self) -> None:
        """Every one for operators."""
        readme = Path(PAGE.parents[1], "README.md").read_text(encoding="utf-8")
        for name in makima_relay.commands:
            self.assertRegex(readme, rf"[` ]{re.escape(name)}[`( ]", name)

    def test_every_exit_status_has_a_meaning(self) -> None:
        """Which the help shows."""
        self.assertEqual(set(MEANINGS), set(ExitStatus))
        output = CliRunner().invoke(makima_relay, ["--help"]).output
        for status, meaning in MEANINGS.items():
            self.assertIn(f"{status.value:<4} {meaning}", output)

    def test_statuses_of_tasks_are_the_relay_s(self) -> None:
        """As the option takes them."""
        self.assertEqual(set(STATUSES), {status.value for status in TaskStatus})
