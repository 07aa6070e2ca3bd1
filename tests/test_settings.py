"""Settings: options, environment, ``.env`` and defaults, and what becomes of the URL."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.settings import SETTINGS, daemon_endpoint, load, shown_url
from tests.settings_case import (
    EXAMPLES,
    REQUIRED,
    SECRETS,
    SettingsTestCase,
    absolute,
)


class LayerTests(SettingsTestCase):
    """Which source of a setting wins."""

    def test_every_setting_has_an_example_here(self) -> None:
        """A setting that is added is tested as all others are."""
        self.assertEqual({each.name for each in SETTINGS}, {*EXAMPLES, *SECRETS})

    def test_an_option_beats_the_environment_beats_the_file_beats_the_default(self) -> None:
        """Each setting takes the value of the strongest source that has it."""
        for setting in SETTINGS:
            if setting.secret:
                continue
            default, [in_file, in_environment, as_option] = EXAMPLES[setting.name]
            file: dict[str, str] = {}
            environment: dict[str, str] = {}
            options: dict[str, str] = {}
            self.assertEqual(getattr(self.load(), setting.member), absolute(default), setting.name)
            if setting.name != "server-url":
                file[setting.variable] = in_file[0]
                loaded = self.load(options, environment, file)
                self.assertEqual(getattr(loaded, setting.member), absolute(in_file[1]), setting.name)
            environment[setting.variable] = in_environment[0]
            loaded = self.load(options, environment, file)
            self.assertEqual(getattr(loaded, setting.member), absolute(in_environment[1]), setting.name)
            options[setting.name] = as_option[0]
            loaded = self.load(options, environment, file)
            self.assertEqual(getattr(loaded, setting.member), absolute(as_option[1]), setting.name)

    def test_variables_have_the_names_of_the_documentation(self) -> None:
        """The seed's three keep theirs, all others are made from the option's name."""
        variables = {each.name: each.variable for each in SETTINGS}
        for name, variable in {
            "server-url": "MAKIMA_SERVER_URL",
            "agent-name": "MAKIMA_AGENT_NAME",
            **SECRETS,
        }.items():
            self.assertEqual(variables.pop(name), variable)
        for name, variable in variables.items():
            self.assertEqual(variable, "MAKIMA_RELAY_" + name.upper().replace("-", "_"))

    def test_the_env_file_of_the_working_directory_is_read(self) -> None:
        """Without --env-file it is ``.env``."""
        path = Path(".env").absolute()
        path.write_text("MAKIMA_SERVER_URL=ws://from-file\nMAKIMA_API_KEY=filed\n", encoding="utf-8")
        self.addCleanup(path.unlink)
        settings = load({}, {})
        self.assertEqual((settings.server_url, settings.api_key), ("ws://from-file", "filed"))

    def test_the_env_file_can_be_named_by_a_variable(self) -> None:
        """MAKIMA_RELAY_ENV_FILE stands for --env-file."""
        path = Path(self.mktemp())
        path.write_text("MAKIMA_AGENT_NAME='from the file'\n", encoding="utf-8")
        settings = load({}, {**REQUIRED, "MAKIMA_RELAY_ENV_FILE": str(path)})
        self.assertEqual(settings.agent_name, "from the file")

    def test_a_named_env_file_must_be_there(self) -> None:
        """A file that was asked for is not silently left out."""
        text = self.refused({"env-file": "/nowhere/.env"}, REQUIRED)
        self.assertIn("--env-file: '/nowhere/.env' is no file", text)

    def test_an_env_file_that_is_no_text_is_refused(self) -> None:
        """What is no UTF-8 is said to be none."""
        path = Path(self.mktemp())
        path.write_bytes(b"MAKIMA_AGENT_NAME=\xff\xfe\n")
        self.assertIn("no UTF-8 text", self.refused({"env-file": str(path)}, REQUIRED))

    def test_dollar_signs_in_the_env_file_stay(self) -> None:
        """A key may hold what a shell would replace."""
        path = Path(self.mktemp())
        path.write_text("MAKIMA_API_KEY=a${HOME}b\n", encoding="utf-8")
        settings = load({"env-file": str(path)}, {"MAKIMA_SERVER_URL": "ws://h"})
        self.assertEqual(settings.api_key, "a${HOME}b")

    def test_an_empty_variable_counts_as_not_set(self) -> None:
        """As container platforms set variables that have no value."""
        settings = self.load(None, {"MAKIMA_RELAY_DAEMON_GRACE": "", "MAKIMA_RELAY_ADMIN_TOKEN": ""})
        self.assertEqual((settings.daemon_grace, settings.admin_token), (60.0, None))

    def test_several_endpoints_may_be_given(self) -> None:
        """--listen may be repeated, its variable is blank-separated."""
        self.assertEqual(self.load({"listen": ["tcp:1", "unix:/s"]}).listen, ("tcp:1", "unix:/s"))
        self.assertEqual(self.load(None, {"MAKIMA_RELAY_LISTEN": "tcp:1  unix:/s"}).listen, ("tcp:1", "unix:/s"))

    def test_sizes_take_units(self) -> None:
        """KiB, MiB and GiB are powers of 1,024; a bare number is bytes."""
        for text, size in (("7", 7), ("1KiB", 1 << 10), ("2 MiB", 2 << 20), ("1GiB", 1 << 30), ("1gib", 1 << 30)):
            self.assertEqual(self.load({"max-message-size": text}).max_message_size, size)


class UrlTests(SynchronousTestCase):
    """What becomes of the server's URL."""

    def test_the_daemons_path_is_appended_once(self) -> None:
        """A trailing slash is dropped first, a query is kept."""
        for given, made in (
            ("ws://h", "ws://h/ws/daemon"),
            ("ws://h/", "ws://h/ws/daemon"),
            ("wss://h:8443/base", "wss://h:8443/base/ws/daemon"),
            ("wss://h/base/", "wss://h/base/ws/daemon"),
            ("ws://h/ws/daemon", "ws://h/ws/daemon"),
            ("ws://h/ws/daemon/", "ws://h/ws/daemon"),
            ("ws://h/x/ws/daemon?a=b&c", "ws://h/x/ws/daemon?a=b&c"),
            ("ws://h?a=b", "ws://h/ws/daemon?a=b"),
            ("ws://h/ws/daemonX", "ws://h/ws/daemonX/ws/daemon"),
        ):
            self.assertEqual(daemon_endpoint(given), made)

    def test_a_url_is_shown_without_user_information_and_query(self) -> None:
        """Both may hold secrets."""
        for given, shown in (
            ("wss://user:pass@h:1/x?token=t", "wss://h:1/x"),
            ("wss://h/ws/daemon", "wss://h/ws/daemon"),
            ("ws://[::1", "(no URL)"),
        ):
            self.assertEqual(shown_url(given), shown)
