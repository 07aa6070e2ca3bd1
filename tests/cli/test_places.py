"""Where a relay is looked for."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli.errors import SettingError
from makima_relay.cli.places import Wanted, find_place, find_token
from tests.processes.certificates import make_certificate


class PlaceTests(SynchronousTestCase):
    """By URL, or by the settings of the machine."""

    def setUp(self) -> None:
        """Have a directory without settings."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        before = Path.cwd()
        os.chdir(self.directory)
        self.addCleanup(os.chdir, before)

    def listening(self, text: str) -> str:
        """Where a relay with a setting is looked for."""
        return find_place(Wanted(), {"MAKIMA_RELAY_LISTEN": text}).shown

    def test_a_url_is_taken_as_it_is(self) -> None:
        """With its path, without a slash at the end."""
        for url, found in (
            ("http://relay.example", "http://relay.example"),
            ("https://relay.example:8443/edge/", "https://relay.example:8443/edge"),
            ("http://[::1]:8787/", "http://[::1]:8787"),
        ):
            self.assertEqual(find_place(Wanted(url), {}).url, found)
        self.assertEqual(find_place(Wanted("unix:/run/r.sock"), {}).shown, "unix:/run/r.sock")

    def test_the_first_endpoint_of_the_settings_is_where_the_relay_is(self) -> None:
        """One that listens everywhere is found on loopback."""
        for text, url in (
            ("tcp:8787:interface=127.0.0.1 tcp:9", "http://127.0.0.1:8787"),
            ("tcp:port=99", "http://127.0.0.1:99"),
            ("tcp:99:interface=0.0.0.0", "http://127.0.0.1:99"),
            (r"tcp:99:interface=\:\:", "http://[::1]:99"),
            (r"tcp:99:interface=fd00\:\:1", "http://[fd00::1]:99"),
            ("unix:/run/relay.sock:mode=660", "unix:/run/relay.sock"),
            ("unix:address=/run/relay.sock", "unix:/run/relay.sock"),
        ):
            self.assertEqual(self.listening(text), url)
        self.assertEqual(find_place(Wanted(), {}).url, "http://127.0.0.1:8787")

    def test_only_what_goes_to_another_machine_is_clear(self) -> None:
        """Loopback, UNIX sockets and TLS are not."""
        for url, is_clear in (
            ("http://relay.example", True),
            ("http://192.0.2.1", True),
            ("https://relay.example", False),
            ("http://localhost", False),
            ("http://[::1]", False),
            ("unix:/x", False),
        ):
            self.assertIs(find_place(Wanted(url), {}).is_clear, is_clear, url)

    def test_what_does_not_tell_an_address_asks_for_a_url(self) -> None:
        """A socket of systemd's, a port that the system chooses, and nonsense."""
        for text in ("systemd:domain=INET:name=x", "tcp:0", "tcp:interface=127.0.0.1", "tcp:x", "nonsense"):
            with self.assertRaises(SettingError) as caught:
                self.listening(text)
            self.assertIn("give --url, or set MAKIMA_RELAY_URL", str(caught.exception))

    def test_a_path_that_no_socket_can_have_is_a_wrong_setting(self) -> None:
        """It would be waited for without an end."""
        for path in ("/" + "x" * 107, "/é" + "x" * 105, "/a\0b"):
            error = self.assertRaises(SettingError, find_place, Wanted(f"unix:{path}"), {})
            self.assertIn("path of a unix: socket", str(error))
        error = self.assertRaises(SettingError, self.listening, "unix:/" + "x" * 107)
        self.assertIn("path of a unix: socket", str(error))

    def test_a_relay_with_tls_is_known_by_its_certificate(self) -> None:
        """It may be for any name; one that cannot be read is said."""
        certificate, key = make_certificate(self.directory, "relay.example")
        self.assertEqual(self.listening(f"ssl:8787:privateKey={key}:certKey={certificate}"), "https://127.0.0.1:8787")
        with self.assertRaises(SettingError) as caught:
            self.listening("ssl:8787:privateKey=/nowhere/key")
        self.assertIn("'/nowhere/key' cannot be read", str(caught.exception))
        self.assertIn("--url", str(caught.exception))

    def test_the_settings_may_be_in_a_file(self) -> None:
        """The environment beats it; the token may be in a file of its own."""
        env_file, token = self.directory / "relay.env", self.directory / "token"
        env_file.write_text(f"MAKIMA_RELAY_LISTEN=tcp:99\nMAKIMA_RELAY_ADMIN_TOKEN_FILE={token}\n")
        token.write_text("s3cret\n")
        wanted = Wanted(env_file=str(env_file))
        self.assertEqual(find_place(wanted, {}).url, "http://127.0.0.1:99")
        self.assertEqual(find_token(wanted, {}), "s3cret")
        self.assertEqual(find_token(wanted, {"MAKIMA_RELAY_ADMIN_TOKEN": "other"}), "other")
        self.assertIsNone(find_token(Wanted(), {}))
        for broken in ({"MAKIMA_RELAY_ADMIN_TOKEN_FILE": "/nowhere"}, {"MAKIMA_RELAY_ADMIN_TOKEN": "a b"}):
            with self.assertRaises(SettingError) as caught:
                find_token(Wanted(), broken)
            self.assertNotIn("a b", str(caught.exception))
