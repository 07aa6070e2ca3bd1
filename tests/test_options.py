"""The options of ``twistd makima-relay``."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.options import Options
from makima_relay.settings import SETTINGS, Settings


class OptionsTests(SynchronousTestCase):
    """Options become settings, or one line that says why not."""

    def setUp(self) -> None:
        """Have a file with what is required, and no variables of this machine."""
        variables = {name: value for name, value in os.environ.items() if name.startswith("MAKIMA_")}
        for name in variables:
            del os.environ[name]
        self.addCleanup(os.environ.update, variables)
        self.env_file = Path(self.mktemp())
        self.env_file.write_text("MAKIMA_SERVER_URL=ws://h\nMAKIMA_API_KEY=k\n", encoding="utf-8")

    def parse(self, *arguments: str) -> Settings:
        """Parse a command line."""
        options = Options()
        options.parseOptions(["--env-file", str(self.env_file), *arguments])
        return options.settings

    def test_options_become_settings(self) -> None:
        """What is given counts, the rest has its default."""
        settings = self.parse("--agent-name", "edge", "--daemon-grace=5", "--max-message-size", "1MiB")
        self.assertEqual((settings.agent_name, settings.daemon_grace), ("edge", 5.0))
        self.assertEqual((settings.max_message_size, settings.max_daemons), (1 << 20, 10_000))

    def test_every_setting_that_is_no_secret_is_an_option(self) -> None:
        """And no secret is one."""
        offered = {name.removesuffix("=") for name in Options().longOpt}
        for setting in SETTINGS:
            self.assertEqual(setting.name in offered, not setting.secret, setting.name)

    def test_listen_can_be_repeated(self) -> None:
        """Each --listen adds an endpoint."""
        self.assertEqual(self.parse("--listen", "tcp:1", "--listen", "unix:/s").listen, ("tcp:1", "unix:/s"))
        self.assertEqual(self.parse().listen, ("tcp:8787:interface=127.0.0.1",))

    def test_compression_is_a_flag(self) -> None:
        """It takes no value, and its variable still counts where it is not given."""
        self.assertFalse(self.parse().compression)
        self.assertTrue(self.parse("--compression").compression)
        os.environ["MAKIMA_RELAY_COMPRESSION"] = "on"
        self.addCleanup(os.environ.pop, "MAKIMA_RELAY_COMPRESSION")
        self.assertTrue(self.parse().compression)

    def test_a_bad_value_stops_the_start_with_one_line(self) -> None:
        """The text of the exit names the option; there is no traceback."""
        stopped = self.assertRaises(SystemExit, self.parse, "--daemon-grace", "nan")
        self.assertEqual(
            stopped.code, "makima-relay: --daemon-grace: 'nan' is not allowed; it takes a number of seconds above 0"
        )

    def test_a_missing_setting_stops_the_start_with_one_line(self) -> None:
        """So does what is missing."""
        self.env_file.write_text("MAKIMA_API_KEY=k\n", encoding="utf-8")
        stopped = self.assertRaises(SystemExit, self.parse)
        self.assertIsInstance(stopped.code, str)
        self.assertTrue(str(stopped.code).startswith("makima-relay: --server-url is missing"), stopped.code)
        self.assertNotIn("\n", str(stopped.code))
