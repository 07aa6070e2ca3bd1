"""``makima-relay keys``."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli import makima_relay
from makima_relay.cli.asking import Surroundings
from makima_relay.cli.errors import ExitStatus, UnreachableError
from makima_relay.core.keys import DaemonKeys
from makima_relay.store.database import connect, open_database
from makima_relay.store.keys import read_keys


def nobody_answers(_main: object) -> None:
    """No relay runs on this machine."""
    raise UnreachableError("no relay answers")


class KeysTests(SynchronousTestCase):
    """Keys in the database of a relay that does not run."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()

    def run_command(self, *arguments: str) -> Result:
        """Run the command on the database."""
        environment = {
            "MAKIMA_RELAY_DATABASE": str(self.path),
            "MAKIMA_RELAY_KEY_ROTATION_GRACE": "1h",
            "MAKIMA_RELAY_URL": None,
        }
        around = Surroundings(nobody_answers)
        return CliRunner(env=environment).invoke(
            makima_relay, ["keys", *arguments], obj=around, prog_name="makima-relay"
        )

    def run_well(self, *arguments: str) -> str:
        """Run the command, which must succeed."""
        result = self.run_command(*arguments)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.output

    def stored(self) -> DaemonKeys:
        """What is in the database."""
        connection = connect(self.path)
        self.addCleanup(connection.close)
        return DaemonKeys(read_keys(connection.cursor()))

    def test_a_key_that_was_added_is_taken(self) -> None:
        """It is printed alone in a line, for scripts."""
        key = self.run_well("add", "build-7").removesuffix("\n")
        found = self.stored().find(key)
        assert found is not None
        self.assertEqual(found.name, "build-7")
        self.assertNotIn(key, self.run_well("list"))

    def test_a_rotated_key_is_taken_beside_the_older_one(self) -> None:
        """For the time of the setting."""
        older = self.run_well("add", "build-7").strip()
        newer = self.run_well("rotate", "build-7").strip()
        keys = self.stored()
        ending = keys.find(older)
        assert ending is not None
        assert ending.ends_at is not None
        self.assertAlmostEqual(ending.ends_at - keys.named("build-7").keys[-1].created_at, 3600, delta=1)
        self.assertIsNotNone(keys.find(newer))

    def test_a_revoked_key_is_taken_no_more(self) -> None:
        """And is not listed."""
        key = self.run_well("add", "build-7").strip()
        self.assertIn("build-7", self.run_well("list"))
        self.assertEqual(json.loads(self.run_well("revoke", "build-7", "--json")), {"name": "build-7", "revoked": True})
        self.assertIsNone(self.stored().find(key))
        self.assertNotIn("build-7", self.run_well("list"))

    def test_what_is_wrong_is_one_line(self) -> None:
        """With what to do."""
        self.run_well("add", "build-7")
        for arguments, words in (
            (("add", "build-7"), "in use"),
            (("revoke", "nobody"), "no key named nobody"),
            (("rotate", "nobody"), "no key named nobody"),
            (("add", "a b"), "1 to 64 characters"),
            (("list", "--database", "/nowhere/x"), "/nowhere/x"),
        ):
            result = self.run_command(*arguments)
            self.assertNotEqual(result.exit_code, 0, arguments)
            self.assertIn(words, result.output, arguments)
            self.assertNotIn("Traceback", result.output)

    def test_while_a_relay_runs_its_database_is_left_alone(self) -> None:
        """Its memory would not know."""
        running = open_database(self.path)
        self.addCleanup(running.release)
        for arguments, status in (
            (("add", "build-7"), ExitStatus.UNREACHABLE),
            (("add", "build-7", "--offline"), ExitStatus.REFUSED),
            (("list", "--database", str(self.path)), ExitStatus.REFUSED),
        ):
            result = self.run_command(*arguments)
            self.assertEqual(result.exit_code, status, result.output)
            self.assertIn("another relay uses it", result.output)

    def test_a_relay_that_was_named_is_the_only_one(self) -> None:
        """If it does not answer, nothing is done elsewhere."""
        result = self.run_command("add", "build-7", "--url", "http://relay.example")
        self.assertEqual(result.exit_code, ExitStatus.UNREACHABLE, result.output)
        self.assertFalse(self.path.exists())

    def test_a_damaged_database_is_said_in_one_line(self) -> None:
        """Whatever is wrong with it: a table that is gone, or values that no relay writes."""
        for damage in (
            "DROP TABLE keys",
            "DROP TABLE journal",
            "DELETE FROM meta WHERE name = 'keys_ever_made'",
            "UPDATE journal SET fields = 'no JSON'",
            "UPDATE keys SET created_at = 1e300",
        ):
            self.path = Path(self.mktemp()).absolute()
            self.run_well("add", "build-7")
            with closing(connect(self.path)) as connection, connection:
                connection.execute(damage)
            result = self.run_command("list")
            self.assertEqual(result.exit_code, 1, damage)
            self.assertIn(f"makima-relay: database {self.path}: it is damaged", result.output)
            self.assertEqual(result.output.count("\n"), 1, result.output)
