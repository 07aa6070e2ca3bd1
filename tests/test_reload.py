"""Reading secrets and certificates again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.reload import Reload, Secret, Source, make_reload
from makima_relay.settings import SecretFile
from makima_relay.tls import TLSFilesError
from tests.settings_case import SettingsTestCase


class BadCertificate:
    """A source that cannot be read again."""

    def read_again(self) -> bool:
        """Say why."""
        raise TLSFilesError("'x.pem' has no certificate")


class ReloadTests(SynchronousTestCase):
    """What is used, and what is said."""

    def setUp(self) -> None:
        """Have two secrets in files."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.used: list[tuple[str, str]] = []
        self.notes: list[tuple[str, str, dict[str, Any]]] = []
        self.warnings: list[str] = []
        self.sources = [(name, self.secret(name)) for name in ("A_FILE", "B_FILE")]

    def path(self, name: str) -> Path:
        """Where a secret is."""
        return self.directory / name

    def secret(self, name: str) -> Source:
        """Have one."""
        self.path(name).write_text("first\n")
        self.path(name).chmod(0o600)
        return Secret(SecretFile("a", name, self.path(name)), "first", lambda value: self.used.append((name, value)))

    def reload(self) -> None:
        """Read them again."""
        files = [(name, self.path(name)) for name in ("A_FILE", "B_FILE")]
        note = lambda event, detail, **fields: self.notes.append((event, detail, fields))  # noqa: E731
        Reload(self.sources, files, note, self.warnings.append)()

    def test_what_has_changed_is_used_and_named(self) -> None:
        """What has not is left alone; nobody says what it is now."""
        self.reload()
        self.path("B_FILE").write_text("second")
        self.reload()
        self.reload()
        self.assertEqual(self.used, [("B_FILE", "second")])
        said = "settings were read again; new: {}"
        self.assertEqual(
            self.notes,
            [
                ("settings_reloaded", said.format("nothing"), {"changed": None}),
                ("settings_reloaded", said.format("B_FILE"), {"changed": "B_FILE"}),
                ("settings_reloaded", said.format("nothing"), {"changed": None}),
            ],
        )

    def test_what_cannot_be_used_is_named_and_the_rest_is_used(self) -> None:
        """One line each; no line has anything of the file."""
        self.sources.insert(0, ("--listen ssl:1", BadCertificate()))
        for content, words in (
            (b"", "is empty; it must hold the secret"),
            (b"two words", "A_FILE: its value is not allowed; it takes printable ASCII"),
            (b"\xff", "cannot be read: it is no UTF-8 text"),
        ):
            self.notes.clear()
            self.path("A_FILE").write_bytes(content)
            self.path("B_FILE").write_bytes(b"new-" + str(len(content)).encode())
            self.reload()
            tls, failed, reloaded = self.notes
            self.assertEqual(
                tls,
                (
                    "reload_failed",
                    "--listen ssl:1: 'x.pem' has no certificate; what was read before stays in use",
                    {"setting": "--listen ssl:1"},
                ),
            )
            self.assertEqual((failed[0], failed[2]), ("reload_failed", {"setting": "A_FILE"}))
            self.assertTrue(failed[1].startswith("A_FILE: "), failed)
            self.assertIn(words, failed[1])
            self.assertNotIn("two words", failed[1])
            self.assertEqual(reloaded[2], {"changed": "B_FILE"})
        self.path("A_FILE").unlink()
        self.reload()
        self.assertIn("cannot be read: No such file or directory", self.notes[-1][1])
        self.assertEqual({name for name, _ in self.used}, {"B_FILE"})

    def test_files_that_others_can_read_are_warned_of_each_time(self) -> None:
        """Somebody may have written them anew."""
        self.path("B_FILE").chmod(0o644)
        self.reload()
        self.assertEqual(len(self.warnings), 1)
        self.assertTrue(self.warnings[0].startswith("B_FILE: others can read "), self.warnings)

    def test_no_secret_is_in_the_representation(self) -> None:
        """Whoever logs the object logs no secret."""
        self.assertNotIn("first", repr(self.sources))


class SourcesTests(SettingsTestCase):
    """What there is to read again."""

    def test_secrets_from_files_are_read_again_and_the_file_of_variables_is_looked_at(self) -> None:
        """Secrets from variables cannot change."""
        key = Path(self.mktemp()).absolute()
        key.write_text("first-key")
        key.chmod(0o600)
        settings = self.load(
            environment={"MAKIMA_API_KEY": "", "MAKIMA_API_KEY_FILE": str(key)},
            file={"MAKIMA_RELAY_ADMIN_TOKEN": "a-token"},
        )
        assert settings.secret_env_file is not None
        settings.secret_env_file.chmod(0o644)
        self.assertEqual((settings.api_key, settings.admin_token), ("first-key", "a-token"))
        used: list[str] = []
        notes: list[str] = []
        warnings: list[str] = []
        reload = make_reload(
            settings,
            [None],
            {},
            {"api_key": used.append},
            lambda event, detail, **_: notes.append(detail),
            warnings.append,
        )
        key.write_text("second-key")
        reload()
        self.assertEqual(used, ["second-key"])
        self.assertEqual(notes, ["settings were read again; new: MAKIMA_API_KEY_FILE"])
        self.assertEqual(len(warnings), 1)
        self.assertTrue(warnings[0].startswith("--env-file: others can read "), warnings)

    def test_a_file_of_variables_without_secrets_is_nobody_s_business(self) -> None:
        """Only what is secret has to be."""
        self.assertIsNone(self.load(file={"MAKIMA_RELAY_MAX_DAEMONS": "7"}).secret_env_file)
        self.assertIsNone(self.load(file={"MAKIMA_SERVER_URL": "ws://h"}).secret_env_file)
        for url in ("ws://user:word@h", "ws://h?token=x", "ws://[h"):
            self.assertIsNotNone(self.load(file={"MAKIMA_SERVER_URL": url}).secret_env_file)
