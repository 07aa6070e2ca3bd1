"""The database file: its lock, its mode, its schema and their upgrades."""

from __future__ import annotations

import io
import os
import sqlite3
import stat
import sys
import uuid
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.store.database import Database, DatabaseError, connect, make_directory, open_database

FIRST = """
-- A first schema.
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
CREATE TABLE things (name TEXT);
"""
SECOND = "ALTER TABLE things ADD COLUMN colour TEXT;\nUPDATE things SET colour = 'grey';\n"


def mode_of(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


class DatabaseTestCase(SynchronousTestCase):
    """Has a path for a database and a directory for a schema."""

    def setUp(self) -> None:
        """Make the directory."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.path = directory / "relay.sqlite3"
        self.schema = directory / "schema"
        self.schema.mkdir()
        self.opened: list[Database] = []
        self.addCleanup(self.release_all)

    def open(self, *upgrades: str) -> Database:
        """Open the database, with a schema of these upgrades or with the relay's own."""
        for number, script in enumerate(upgrades, 1):
            (self.schema / f"{number:04}_step.sql").write_text(script, encoding="utf-8")
        self.opened.append(open_database(self.path, self.schema if upgrades else None))
        return self.opened[-1]

    def release_all(self) -> None:
        """Let go of every database, as relays do that stop."""
        while self.opened:
            self.opened.pop().release()

    def refused(self, *upgrades: str) -> str:
        """What is said when it cannot be opened; always one line that names the file."""
        said = str(self.assertRaises(DatabaseError, self.open, *upgrades))
        self.assertNotIn("\n", said)
        self.assertTrue(said.startswith(f"database {self.path}: "), said)
        return said


class DatabaseTests(DatabaseTestCase):
    """What happens before anything is read or written."""

    def test_only_its_owner_can_read_it(self) -> None:
        """The database has mode 0600, and so have its side files and its lock, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        self.open()
        with closing(connect(self.path)) as connection:
            connection.execute("INSERT INTO meta VALUES ('x', 1)")
            connection.commit()
            modes = {each.name.removeprefix(self.path.name): mode_of(each) for each in self.path.parent.glob("relay*")}
        self.assertEqual(modes, {"": 0o600, "-wal": 0o600, "-shm": 0o600, ".lock": 0o600})

    def test_side_files_that_were_open_to_others_are_closed_to_them(self) -> None:
        """SQLite takes them as it finds them."""
        with closing(sqlite3.connect(self.path)) as other:
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("PRAGMA user_version = 0")
            side_files = [Path(f"{self.path}{end}") for end in ("-wal", "-shm")]
            Path(f"{self.path}.lock").touch(0o644)
            for each in side_files:
                each.chmod(0o644)
            self.open()
            self.assertEqual([mode_of(each) for each in side_files], [0o600, 0o600])
            self.assertEqual(mode_of(Path(f"{self.path}.lock")), 0o600)

    def test_a_file_that_was_open_to_others_is_closed_to_them(self) -> None:
        """An operator may have made the file with the mode of the day."""
        self.path.touch(0o644)
        self.open()
        self.assertEqual(mode_of(self.path), 0o600)

    def test_a_second_relay_is_refused(self) -> None:
        """Two relays with one database would deliver and forget each other's reports."""
        self.open()
        self.assertIn("another relay uses it; give each its own --database", self.refused())

    def test_a_released_database_can_be_opened_again(self) -> None:
        """A clean stop leaves nothing behind that would hinder the next start."""
        self.open()
        self.release_all()
        self.assertEqual(self.open().path, self.path)

    def test_the_machine_id_is_made_once(self) -> None:
        """The relay is the same to the server after every restart."""
        first = self.open()
        self.release_all()
        self.assertEqual(str(uuid.UUID(first.machine_id)), first.machine_id)
        self.assertEqual(self.open().machine_id, first.machine_id)

    def test_two_relays_have_two_machine_ids(self) -> None:
        """The id is the database's own."""
        first = self.open()
        self.path = self.path.with_name("other.sqlite3")
        self.assertNotEqual(self.open().machine_id, first.machine_id)

    def test_commits_survive_a_power_cut(self) -> None:
        """Every connection writes ahead and waits for the disk."""
        self.open()
        with closing(connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))
            self.assertEqual(connection.execute("PRAGMA synchronous").fetchone(), (2,))

    def test_a_new_database_has_pages_in_which_tasks_fit_well(self) -> None:
        """And its freed pages can be given back; both can be had at the beginning only."""
        self.open()
        with closing(connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA page_size").fetchone(), (8192,))
            self.assertEqual(connection.execute("PRAGMA auto_vacuum").fetchone(), (2,))

    def test_what_is_no_database_is_refused(self) -> None:
        """The file is named, and left as it was."""
        junk = b"these are holiday pictures, not a database" * 50
        self.path.write_bytes(junk)
        self.assertIn("this is no SQLite database", self.refused())
        self.assertEqual(self.path.read_bytes(), junk)

    def test_what_is_no_file_is_refused(self) -> None:
        """A pipe is not waited for, a device not given another mode, and a link to itself not followed."""
        os.mkfifo(self.path, 0o644)
        self.assertIn("this is no file", self.refused())
        self.assertEqual(mode_of(self.path), 0o644)
        self.path.unlink()
        self.path.mkdir()
        self.assertIn("this is no file", self.refused())
        self.path.rmdir()
        self.path.symlink_to(self.path)
        self.assertIn("its links lead nowhere", self.refused())
        self.assertEqual([each.name for each in self.path.parent.iterdir() if each.suffix == ".lock"], [])
        self.path = self.path.with_name("x" * 300)
        self.assertIn("too long", self.refused())

    def test_a_database_of_another_program_is_refused(self) -> None:
        """Nothing is made in it."""
        with closing(sqlite3.connect(self.path)) as other:
            other.execute("CREATE TABLE users (name TEXT)")
        self.assertIn("it belongs to another program", self.refused())
        with closing(sqlite3.connect(self.path)) as other:
            self.assertEqual(other.execute("SELECT name FROM sqlite_master").fetchall(), [("users",)])

    def test_a_link_to_a_database_is_the_same_database(self) -> None:
        """It has one lock, whatever it is called."""
        self.open()
        link = self.path.with_name("link.sqlite3")
        link.symlink_to(self.path.absolute())
        self.assertIn("another relay uses it", str(self.assertRaises(DatabaseError, open_database, link)))

    def test_a_directory_that_is_not_there_is_refused(self) -> None:
        """Only a relay that starts makes one."""
        self.path = self.path.parent / "missing" / "relay.sqlite3"
        self.assertIn("its directory cannot be written: No such file or directory", self.refused())

    def test_a_directory_that_was_made_is_for_its_owner_only(self) -> None:
        """Whatever the umask."""
        for umask in (0, 0o077, 0o777):
            self.path = self.path.parent / f"missing-{umask}" / "relay.sqlite3"
            before = os.umask(umask)
            try:
                make_directory(self.path)
                self.open()
            finally:
                os.umask(before)
            self.assertEqual((mode_of(self.path.parent), mode_of(self.path)), (0o700, 0o600))

    def test_a_directory_in_one_that_is_not_there_is_not_made(self) -> None:
        """It is rather a slip of the pen than a wish."""
        self.path = self.path.parent / "missing" / "state" / "relay.sqlite3"
        said = str(self.assertRaises(DatabaseError, make_directory, self.path))
        self.assertEqual(said, f"database {self.path}: its directory cannot be made: No such file or directory")
        self.assertFalse(self.path.parent.parent.exists())

    def test_a_directory_that_is_there_keeps_its_mode(self) -> None:
        """It is the operator's."""
        self.path.parent.chmod(0o755)
        make_directory(self.path)
        self.open()
        self.assertEqual(mode_of(self.path.parent), 0o755)

    def test_a_refused_database_is_not_locked(self) -> None:
        """Whoever puts the file right can start at once."""
        self.path.write_bytes(b"junk" * 1000)
        self.refused()
        self.path.unlink()
        self.assertEqual(self.open().path, self.path)


class UpgradeTests(DatabaseTestCase):
    """From one schema to the next."""

    def things(self, path: Path) -> list[tuple[str, ...]]:
        """The rows of the table that is upgraded."""
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT * FROM things").fetchall()

    def make_first(self) -> None:
        """Have a database of the first schema with something in it."""
        self.open(FIRST)
        self.release_all()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("INSERT INTO things VALUES ('chair')")

    @property
    def backup(self) -> Path:
        """Where the back-up of version 1 is."""
        return self.path.with_name(f"{self.path.name}.v1.backup")

    def test_a_new_database_has_the_newest_schema_and_needs_no_back_up(self) -> None:
        """All upgrades are applied in their order."""
        self.open(FIRST, SECOND)
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (2,))
        self.assertFalse(self.backup.exists())

    def test_an_older_database_is_backed_up_and_upgraded(self) -> None:
        """The back-up is the database as it was, for its owner only."""
        self.make_first()
        self.open(FIRST, SECOND)
        self.assertEqual(self.things(self.path), [("chair", "grey")])
        self.assertEqual(self.things(self.backup), [("chair",)])
        self.assertEqual(mode_of(self.backup), 0o600)

    def test_who_starts_the_relay_is_told_when_an_upgrade_begins_and_that_it_ended(self) -> None:
        """On the standard error stream: with a long history it takes seconds. Nothing is said without one."""
        said = io.StringIO()
        self.patch(sys, "stderr", said)
        self.make_first()
        self.assertEqual(said.getvalue(), "")
        self.open(FIRST, SECOND)
        lines = said.getvalue().splitlines()
        expected = (
            f"makima-relay: database {self.path}: is backed up and upgraded from version 1 to 2",
            f"makima-relay: database {self.path}: is upgraded, which took ",
        )
        self.assertEqual(len(lines), len(expected))
        for line, beginning in zip(lines, expected, strict=True):
            self.assertTrue(line.startswith(beginning), line)
        self.release_all()
        self.open(FIRST, SECOND)
        self.assertEqual(said.getvalue().splitlines(), lines)

    def test_an_upgraded_database_is_not_upgraded_again(self) -> None:
        """An upgrade runs once."""
        self.make_first()
        self.open(FIRST, SECOND)
        self.release_all()
        self.backup.unlink()
        self.open(FIRST, SECOND)
        self.assertFalse(self.backup.exists())

    def test_the_machine_id_survives_an_upgrade(self) -> None:
        """The relay stays who it is."""
        first = self.open(FIRST)
        self.release_all()
        self.assertEqual(self.open(FIRST, SECOND).machine_id, first.machine_id)

    def test_a_failing_upgrade_changes_nothing(self) -> None:
        """It is one transaction, and the relay does not start."""
        self.make_first()
        self.assertIn("no such table: missing", self.refused(FIRST, f"{SECOND} DELETE FROM missing;"))
        self.assertEqual(self.things(self.path), [("chair",)])

    def test_a_newer_schema_is_refused(self) -> None:
        """An older program does not touch what it does not understand."""
        self.open(FIRST, SECOND)
        self.release_all()
        (self.schema / "0002_step.sql").unlink()
        said = self.refused(FIRST)
        self.assertIn("its schema is version 2, this program knows up to 1", said)
        self.assertIn("run the newer makima-relay or restore a back-up", said)

    def test_other_files_beside_the_upgrades_are_left_alone(self) -> None:
        """Only numbered scripts are upgrades."""
        (self.schema / "README.md").write_text("DROP TABLE things;")
        (self.schema / "0003_draft.sql.orig").write_text("DROP TABLE things;")
        self.open(FIRST, SECOND)
        self.assertEqual(self.things(self.path), [])
