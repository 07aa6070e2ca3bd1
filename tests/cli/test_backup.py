"""``makima-relay backup``."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli import makima_relay
from makima_relay.cli.errors import ExitStatus
from makima_relay.store.backup import back_up
from makima_relay.store.database import connect, open_database


class BackupTests(SynchronousTestCase):
    """Copies of a database that is in use."""

    def setUp(self) -> None:
        """Have a database that a relay holds, with a task in its write-ahead log."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.path, self.target = directory / "relay.sqlite3", directory / "copy.sqlite3"
        self.addCleanup(open_database(self.path).release)
        self.writer = connect(self.path)
        self.addCleanup(self.writer.close)
        self.add("t1")

    def add(self, task_id: str) -> None:
        """Write a task, as the relay would."""
        with self.writer:
            self.writer.execute(
                "INSERT INTO tasks (key, position, task_id, status, attempts, tries, received_at) "
                "SELECT coalesce(max(key), 0) + 1, coalesce(max(key), 0) + 1, ?, 'completed', 1, 1, 0 FROM tasks",
                [task_id],
            )

    def run_command(self, *arguments: str) -> Result:
        """Run the command on the database."""
        environment = {"MAKIMA_RELAY_DATABASE": str(self.path)}
        return CliRunner(env=environment).invoke(makima_relay, ["backup", *arguments], prog_name="makima-relay")

    def ids(self, path: Path) -> list[str]:
        """The tasks of a copy."""
        with closing(sqlite3.connect(path)) as copy:
            return [row[0] for row in copy.execute("SELECT task_id FROM tasks ORDER BY key")]

    def test_the_copy_has_what_was_committed(self) -> None:
        """For its owner only; a relay can begin with it."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        result = self.run_command(str(self.target))
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("1 tasks, without damage", result.output)
        self.assertEqual(stat.S_IMODE(self.target.stat().st_mode), 0o600)
        self.assertEqual(self.ids(self.target), ["t1"])
        open_database(self.target).release()

    def test_a_file_that_is_there_is_replaced_only_by_force(self) -> None:
        """Nothing else is left in the directory."""
        self.target.write_text("precious")
        result = self.run_command(str(self.target))
        self.assertEqual(result.exit_code, ExitStatus.REFUSED)
        self.assertIn("--force", result.output)
        self.assertEqual(self.target.read_text(), "precious")
        result = self.run_command("--force", "--json", str(self.target))
        self.assertEqual(
            json.loads(result.stdout), {"file": str(self.target), "bytes": self.target.stat().st_size, "tasks": 1}
        )
        self.assertEqual([each for each in self.target.parent.iterdir() if "copy" in each.name], [self.target])

    def test_nothing_that_a_relay_uses_is_replaced(self) -> None:
        """Neither the database, by whatever name, nor the files beside it, nor what is no file; not even by force."""
        alias, pipe = self.path.with_name("alias"), self.path.with_name("pipe")
        alias.symlink_to(self.path)
        os.mkfifo(pipe)
        side_files = [self.path.with_name(self.path.name + suffix) for suffix in ("-wal", "-shm", ".lock")]
        for target in (self.path, alias, pipe, *side_files):
            before = target.lstat()
            result = self.run_command("--force", str(target))
            self.assertEqual((result.exit_code, target.lstat().st_ino), (ExitStatus.REFUSED, before.st_ino))
            self.assertIn("take another name", result.stderr)
        result = self.run_command("--database", str(alias), str(side_files[0].with_name("relay.sqlite3-journal")))
        self.assertEqual(result.exit_code, ExitStatus.REFUSED)

    def test_what_is_written_meanwhile_is_not_in_it(self) -> None:
        """It is the database of one moment, and does not begin anew."""
        steps: list[float] = []

        def told(part: float) -> None:
            steps.append(part)
            self.add(f"later-{len(steps)}")

        made = back_up(self.path, self.target, replace=False, told=told, pages=1)
        self.assertEqual((self.ids(self.target), made.tasks), (["t1"], 1))
        self.assertEqual(steps, sorted(steps))
        self.assertGreater(len(self.ids(self.path)), 10)

    def test_what_cannot_be_copied_leaves_nothing_behind(self) -> None:
        """No database, another program's, a damaged one, no directory; one line says which."""
        other, damaged = self.path.with_name("other"), self.path.with_name("damaged")
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE t (x)")
        self.assertEqual(self.run_command(str(damaged)).exit_code, 0)
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2 :] = b"\x5a" * (len(content) - len(content) // 2)
        damaged.write_bytes(content)
        for database, target, words in (
            (self.path.with_name("none"), self.target, "unable to open database file"),
            (other, self.target, "no database of a relay"),
            (damaged, self.target, "amaged"),
            (self.path, self.target / "x", "No such file or directory"),
        ):
            result = self.run_command("--database", str(database), str(target))
            self.assertEqual(result.exit_code, ExitStatus.REFUSED, result.output)
            self.assertIn(words, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertEqual([each for each in self.target.parent.iterdir() if "copy" in each.name], [])
