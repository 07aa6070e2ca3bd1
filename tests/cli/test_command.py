"""The command line of ``makima-relay``."""

from __future__ import annotations

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from makima_relay import __version__
from makima_relay.cli import makima_relay


class CommandTests(SynchronousTestCase):
    """What is shown, and what is refused."""

    def run_command(self, *arguments: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(makima_relay, arguments, prog_name="makima-relay")

    def test_without_arguments_it_shows_its_help(self) -> None:
        """Which is no error."""
        result = self.run_command()
        self.assertEqual(result.exit_code, 0)
        self.assertEqual(result.output, self.run_command("--help").output)
        for command in ("demo", "sandbox"):
            self.assertRegex(result.output, rf"(?m)^  {command} ")

    def test_the_stand_ins_have_a_help(self) -> None:
        """With and without asking for it."""
        result = self.run_command("sandbox")
        self.assertEqual(result.exit_code, 0)
        self.assertEqual(result.output, self.run_command("sandbox", "--help").output)
        for command in ("server", "daemon"):
            self.assertRegex(result.output, rf"(?m)^  {command} ")
            self.assertEqual(self.run_command("sandbox", command, "-h").exit_code, 0)

    def test_the_examples_stay_lines(self) -> None:
        """So that they can be copied."""
        output = self.run_command("sandbox", "server", "--help").output
        self.assertIn('\n    curl -d \'{"command": "echo hello"}\' http://127.0.0.1:8788/tasks\n', output)

    def test_no_option_takes_a_secret(self) -> None:
        """The key is a variable."""
        for command in ("server", "daemon"):
            self.assertNotIn("key", self.run_command("sandbox", command, "--help").output.lower())

    def test_the_version_is_the_package_s(self) -> None:
        """In one line."""
        self.assertEqual(self.run_command("--version").output, f"makima-relay {__version__}\n")

    def test_what_is_wrong_is_said_without_a_traceback(self) -> None:
        """With the option, what was given and what it takes."""
        for arguments, status, words in (
            (["nonsense"], 2, "No such command 'nonsense'"),
            (["sandbox", "nonsense"], 2, "No such command 'nonsense'"),
            (["demo", "--nonsense"], 2, "No such option"),
            (["sandbox", "daemon", "--slots", "0"], 2, "'--slots': 0 is not in the range 1<=x<=10000"),
            (["sandbox", "daemon", "--name", "a\nb"], 2, "'--name': 'a\\nb' is not allowed; it takes 1 to 255"),
            (["sandbox", "daemon", "--server-url", "http://h"], 1, "--server-url: 'http://h' is not allowed; it takes"),
        ):
            result = self.run_command(*arguments)
            self.assertEqual(result.exit_code, status, result.output)
            self.assertIn(words, result.output)
            self.assertNotIn("Traceback", result.output)
