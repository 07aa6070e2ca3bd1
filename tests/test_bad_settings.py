"""What is said about settings that are bad or missing, and that secrets are never shown."""

from __future__ import annotations

from pathlib import Path

from makima_relay.from_settings import connector_options
from makima_relay.settings import SETTINGS, RedisURL, forget_secrets, load, shown_url
from tests.settings_case import (
    BAD,
    REQUIRED,
    SECRETS,
    SettingsTestCase,
)

#: Settings that may hold secrets, and are shown without.
URLS = {each.name for each in SETTINGS if each.url}


class BadValueTests(SettingsTestCase):
    """What is said about values that are not taken."""

    def test_a_bad_option_is_named_with_its_value_and_what_is_taken(self) -> None:
        """One line holds all three."""
        for name, (texts, taken) in BAD.items():
            for text in texts:
                said = self.refused({name: text}, REQUIRED)
                self.assertIn(f"--{name}: ", said)
                # A URL is shown without what may be secret.
                self.assertIn(repr(shown_url(text) if name in URLS else text), said)
                self.assertIn(taken, said)

    def test_a_bad_variable_is_named_by_its_own_name(self) -> None:
        """Who set a variable is not told about an option."""
        variables = {each.name: each.variable for each in SETTINGS}
        for name, (texts, taken) in BAD.items():
            said = self.refused(None, {**REQUIRED, variables[name]: texts[0]})
            self.assertEqual(said.partition(": ")[0], variables[name])
            self.assertIn(taken, said)

    def test_an_empty_option_is_no_value(self) -> None:
        """Nothing is a bad value for whatever needs something."""
        for name in ("server-url", "agent-name", "listen", "daemon-grace", "max-daemons", "wire-case"):
            self.assertIn(f"--{name}", self.refused({name: ""}, REQUIRED))

    def test_blanks_are_no_endpoint(self) -> None:
        """A relay that listens nowhere is no relay."""
        self.assertIn("MAKIMA_RELAY_LISTEN", self.refused(None, {**REQUIRED, "MAKIMA_RELAY_LISTEN": "  "}))

    def test_a_home_directory_of_nobody_is_refused_in_one_line(self) -> None:
        """``~nobody-of-this-name`` is a bad value like any other, for whatever takes a file."""
        nobody = "~no-such-user-here/file"
        self.assertIn("--database: ", self.refused({"database": nobody}, REQUIRED))
        self.assertIn("--upstream-ca: ", self.refused({"upstream-ca": nobody}, REQUIRED))
        self.assertIn("--env-file: ", self.refused({"env-file": nobody}, REQUIRED))
        environment = {"MAKIMA_SERVER_URL": "ws://h", "MAKIMA_API_KEY_FILE": nobody}
        self.assertIn("MAKIMA_API_KEY_FILE: ", self.refused(None, environment))

    def test_a_missing_server_url_is_named_with_both_its_names(self) -> None:
        """The operator learns the option and the variable."""
        said = self.refused(None, {"MAKIMA_API_KEY": "k"})
        self.assertTrue(said.startswith("--server-url is missing"), said)
        self.assertIn("MAKIMA_SERVER_URL", said)

    def test_a_missing_key_is_named_with_both_its_variables(self) -> None:
        """A secret has no option to name."""
        said = self.refused(None, {"MAKIMA_SERVER_URL": "ws://h"})
        self.assertTrue(said.startswith("MAKIMA_API_KEY is missing"), said)
        self.assertIn("MAKIMA_API_KEY_FILE", said)
        self.assertNotIn("--api-key", said)

    def test_credentials_in_a_bad_url_are_not_shown(self) -> None:
        """A URL may hold a password or a token; the error shows neither."""
        said = self.refused({"server-url": "http://me:hunter2@host/path?token=hunter3"}, REQUIRED)
        self.assertIn("http://host/path", said)
        self.assertNotIn("hunter", said)


class SecretTests(SettingsTestCase):
    """Secrets come from variables and files only, and are never shown."""

    def setUp(self) -> None:
        """Have a file for a secret."""
        self.file = Path(self.mktemp())
        self.file.write_text("filed-secret\n", encoding="utf-8")

    def test_a_secret_comes_from_its_variable_or_its_file(self) -> None:
        """The end of the file's last line does not count."""
        for name, variable in SECRETS.items():
            member = name.replace("-", "_")
            self.assertEqual(getattr(self.load(None, {variable: "direct"}), member), "direct")
            others = {key: value for key, value in REQUIRED.items() if key != variable}
            settings = load({}, {**others, f"{variable}_FILE": str(self.file)})
            self.assertEqual(getattr(settings, member), "filed-secret")

    def test_a_secret_given_as_option_is_not_read(self) -> None:
        """Options are for everybody to see in the list of processes."""
        settings = self.load({"api-key": "from-option", "admin-token": "from-option"})
        self.assertEqual((settings.api_key, settings.admin_token), (REQUIRED["MAKIMA_API_KEY"], None))

    def test_a_password_for_redis_is_refused_as_an_option(self) -> None:
        """With where it belongs, and without showing it; a user without password is no secret."""
        for url in ("redis://:hunter2@h", "rediss://user:hunter2@h/1", "unix://:hunter2@/run/redis.sock"):
            said = self.refused({"redis": url}, REQUIRED)
            self.assertTrue(said.startswith("--redis: a URL with a password is not taken as an option"), said)
            self.assertIn("set MAKIMA_RELAY_REDIS or MAKIMA_RELAY_REDIS_FILE instead", said)
            self.assertNotIn("hunter2", said)
        self.assertEqual(self.load({"redis": "redis://user@h"}).redis, RedisURL(host="h", username="user", password=""))

    def test_the_url_of_redis_comes_from_its_variable_or_its_file(self) -> None:
        """Escapes in the password are read; both at once are refused; a bad one in a file is not shown."""
        url = "redis://user:hunt%40er2@h:1/2"
        expected = RedisURL(host="h", port=1, username="user", password="hunt@er2", database=2)
        self.assertEqual(self.load(None, {"MAKIMA_RELAY_REDIS": url}).redis, expected)
        self.file.write_text(f"{url}\n", encoding="utf-8")
        filed = self.load(None, {"MAKIMA_RELAY_REDIS_FILE": str(self.file)})
        self.assertEqual(filed.redis, expected)
        self.assertEqual([each.variable for each in filed.secret_files], ["MAKIMA_RELAY_REDIS_FILE"])
        self.assertEqual(filed.secret_files[0].read(), expected)
        both = {**REQUIRED, "MAKIMA_RELAY_REDIS": url, "MAKIMA_RELAY_REDIS_FILE": str(self.file)}
        self.assertIn("are both set", self.refused(None, both))
        self.file.write_text("http://user:hunter2@h", encoding="utf-8")
        said = self.refused(None, {**REQUIRED, "MAKIMA_RELAY_REDIS_FILE": str(self.file)})
        self.assertTrue(said.startswith("MAKIMA_RELAY_REDIS_FILE: its value is not allowed; it takes redis://"), said)
        self.assertNotIn("hunter2", said)

    def test_the_option_for_redis_beats_a_file(self) -> None:
        """As with every setting that is an option."""
        given = self.load({"redis": "redis://h"}, {"MAKIMA_RELAY_REDIS_FILE": "/nowhere"})
        self.assertEqual(given.redis, RedisURL(host="h"))

    def test_the_password_for_redis_is_not_shown(self) -> None:
        """Neither by the settings nor by the URL itself; it is known as what is to be blacked out."""
        settings = self.load(None, {"MAKIMA_RELAY_REDIS": "rediss://user:hunt%40er2@h"})
        assert settings.redis is not None
        self.assertNotIn("hunt", repr(settings) + str(settings.redis))
        self.assertEqual(str(settings.redis), "rediss://h:6379")
        self.assertEqual(list(settings.redis.secrets()), ["hunt@er2", "hunt%40er2"])
        self.assertEqual(str(RedisURL(host="::1", port=1)), "redis://[::1]:1")
        self.assertEqual(str(RedisURL(path="/s", password="x")), "unix:///s")

    def test_a_name_that_no_file_can_have_is_refused(self) -> None:
        """The environment cannot hold a NUL, but a file of variables can."""
        env_file = Path(self.mktemp())
        for variable in ("MAKIMA_RELAY_ADMIN_TOKEN_FILE", "MAKIMA_RELAY_DATABASE", "MAKIMA_RELAY_UPSTREAM_CA"):
            env_file.write_text(f"{variable}=a\0b\n", encoding="utf-8")
            said = self.refused({"env-file": str(env_file)}, REQUIRED)
            self.assertIn(f"{variable}: 'a\\x00b' is not allowed", said)
        self.assertIn("--env-file: ", self.refused({"env-file": "x" * 5_000}, REQUIRED))

    def test_a_variable_and_its_file_both_set_are_refused(self) -> None:
        """The relay does not guess which is meant."""
        for variable in SECRETS.values():
            said = self.refused(None, {**REQUIRED, variable: "direct", f"{variable}_FILE": str(self.file)})
            self.assertIn(f"{variable} and {variable}_FILE are both set", said)
            self.assertNotIn("direct", said)

    def test_the_environment_beats_the_file_of_variables_for_secrets_too(self) -> None:
        """A secret file named in the environment wins over the variable in ``.env``."""
        environment = {"MAKIMA_SERVER_URL": "ws://h", "MAKIMA_API_KEY_FILE": str(self.file)}
        env_file = Path(self.mktemp())
        env_file.write_text("MAKIMA_API_KEY=weaker\n", encoding="utf-8")
        self.assertEqual(load({"env-file": str(env_file)}, environment).api_key, "filed-secret")

    def test_a_secret_file_that_cannot_be_read_is_named(self) -> None:
        """Missing, a directory, empty, no text: each in one line."""
        empty, binary = Path(self.mktemp()), Path(self.mktemp())
        empty.write_text("\n")
        binary.write_bytes(b"\xff\xfe")
        for path, words in (
            (Path("/nowhere/key"), "No such file"),
            (Path("/"), "cannot be read"),
            (empty, "is empty"),
            (binary, "no UTF-8 text"),
        ):
            environment = {"MAKIMA_SERVER_URL": "ws://h", "MAKIMA_API_KEY_FILE": str(path)}
            said = self.refused(None, environment)
            self.assertTrue(said.startswith("MAKIMA_API_KEY_FILE: "), said)
            self.assertIn(words, said)

    def test_a_bad_secret_is_refused_without_being_shown(self) -> None:
        """What cannot stand in a header is no secret; the error does not quote it."""
        for text in ("two words", "schlüssel", "one\nline", "one\ttab"):
            for variable in SECRETS.values():
                said = self.refused(None, {**REQUIRED, variable: text})
                self.assertTrue(said.startswith(f"{variable}: its value is not allowed"), said)
                self.assertNotIn(text, said)

    def test_secrets_can_be_taken_out_of_the_environment(self) -> None:
        """And nothing else."""
        url = {"MAKIMA_RELAY_REDIS": "redis://:hunter2@h"}
        environment = {
            **REQUIRED,
            **url,
            "MAKIMA_RELAY_ADMIN_TOKEN": "a-token",
            "MAKIMA_RELAY_LISTEN": "tcp:1",
            "HOME": "/",
        }
        forget_secrets(environment)
        self.assertEqual(environment, {"MAKIMA_RELAY_LISTEN": "tcp:1", "HOME": "/"})

    def test_secrets_are_not_in_the_representation(self) -> None:
        """Whoever logs the settings logs no secret."""
        url = "wss://user:pass-word@h/?token=of-the-url"
        settings = self.load(None, {"MAKIMA_RELAY_ADMIN_TOKEN": "a-token-for-admins", "MAKIMA_SERVER_URL": url})
        options = connector_options(settings, "the-key-now", "machine", "edge")
        for secret in ("pass-word", "of-the-url", "the-key-now"):
            self.assertNotIn(secret, repr(settings) + repr(options))
        self.assertNotIn("a-token-for-admins", repr(settings))
        self.assertNotIn(REQUIRED["MAKIMA_API_KEY"], repr(settings))
