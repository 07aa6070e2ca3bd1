"""``makima-relay setup``."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import dotenv
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli import makima_relay
from makima_relay.cli.errors import ExitStatus
from makima_relay.settings.written import write_env_file

ROOT = Path(__file__).parents[2]
GOOD = {"MAKIMA_SERVER_URL": "wss://makima.example", "MAKIMA_API_KEY": "k'3\\y", "MAKIMA_AGENT_NAME": 'the "édge" $x'}
_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


class SetupCommandTests(SynchronousTestCase):
    """What it asks, and what it writes."""

    def setUp(self) -> None:
        """Have a directory."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.env_file = self.directory / ".env"

    def run_command(self, *arguments: str, answers: str = "", **variables: str) -> Result:
        """Run the command."""
        environment: dict[str, str | None] = {**dict.fromkeys(GOOD), **variables}
        words = ["setup", "--env-file", str(self.env_file), *arguments]
        return CliRunner(env=environment).invoke(makima_relay, words, input=answers, prog_name="makima-relay")

    def written(self) -> dict[str, str | None]:
        """What is in the file."""
        return dotenv.dotenv_values(self.env_file, interpolate=False)

    def test_answers_are_written_for_the_owner_only(self) -> None:
        """Those that are not allowed are asked for again; the key is never shown."""
        result = self.run_command(answers="http://x\nwss://makima.example\na b\ns3cret-key\n\n")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(self.written(), {"MAKIMA_SERVER_URL": "wss://makima.example", "MAKIMA_API_KEY": "s3cret-key"})
        self.assertEqual(stat.S_IMODE(self.env_file.stat().st_mode), 0o600)
        self.assertIn("it takes a ws:// or wss:// URL", result.output)
        self.assertNotIn("s3cret-key", result.output)

    def test_a_file_that_is_there_is_kept_unless_one_says_so(self) -> None:
        """No is the default."""
        self.env_file.write_text("precious")
        for arguments, answers in (((), "\n"), ((), "n\n"), (("--yes",), "")):
            result = self.run_command(*arguments, answers=answers, **GOOD)
            self.assertEqual((result.exit_code, self.env_file.read_text()), (0, "precious"), result.output)
        self.assertEqual(self.run_command(answers="y\n\nkey\n\n").exit_code, 0)
        self.assertEqual(self.written(), {"MAKIMA_SERVER_URL": "wss://api.makima.jp", "MAKIMA_API_KEY": "key"})
        self.assertEqual(self.run_command("--yes", "--force", **GOOD).exit_code, 0)
        self.assertEqual(self.written(), GOOD)

    def test_what_is_missing_or_wrong_is_said(self) -> None:
        """By its name; a key is not shown."""
        for variables, words in (
            ({"MAKIMA_SERVER_URL": ""}, "--yes needs MAKIMA_SERVER_URL: a ws://"),
            ({"MAKIMA_API_KEY": "s3 cret"}, "MAKIMA_API_KEY: its value is not allowed"),
            ({"MAKIMA_SERVER_URL": "http://x"}, "MAKIMA_SERVER_URL: its value is not allowed"),
        ):
            result = self.run_command("--yes", **{**GOOD, **variables})
            self.assertEqual(result.exit_code, ExitStatus.MISUSED, result.output)
            self.assertIn(words, result.stderr)
            self.assertNotIn("s3", result.output)
        self.assertIn("nobody answers; use --yes", self.run_command().stderr)
        self.assertFalse(self.env_file.exists())

    @settings(max_examples=50)
    @given(_TEXT)
    def test_any_value_is_read_back(self, text: str) -> None:
        """Quotes, blanks, dollars and all."""
        write_env_file(self.env_file, {"NAME": text})
        self.assertEqual(self.written(), {"NAME": text} if text else {})

    def test_the_script_writes_the_same(self) -> None:
        """What is asked before anything is installed is what is asked afterwards."""
        shutil.copy(ROOT / "setup.sh", self.directory)
        script = [str(self.directory / "setup.sh"), "env", "--yes"]
        for variables in (GOOD, {"MAKIMA_SERVER_URL": "ws://h:1/p?q=1", "MAKIMA_API_KEY": "!~"}):
            self.assertEqual(self.run_command("--yes", "--force", **variables).exit_code, 0)
            by_command = self.env_file.read_bytes()
            self.env_file.unlink()
            subprocess.run(script, check=True, capture_output=True, env={**variables, "PATH": "/usr/bin:/bin"})
            self.assertEqual(self.env_file.read_bytes(), by_command)
