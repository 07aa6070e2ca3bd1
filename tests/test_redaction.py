"""Blacking out secrets."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from itertools import product
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.new_key import KEY_PREFIX, new_key
from makima_relay.redaction import Redactor
from makima_relay.settings import secrets_of


class RedactionTests(SynchronousTestCase):
    """Text of peers that holds what must not be shown."""

    def test_every_known_secret_is_blacked_out(self) -> None:
        """As often as it is there."""
        redact = Redactor(["first-key", None, "second-key"])
        self.assertEqual(redact("first-key, second-key, first-key!"), "[secret], [secret], [secret]!")

    def test_other_text_stays_as_it_is(self) -> None:
        """Word for word."""
        self.assertEqual(Redactor(["first-key"])("nothing of the first kind"), "nothing of the first kind")

    def test_a_secret_that_holds_another_is_blacked_out_whole(self) -> None:
        """Nothing of it is left standing."""
        self.assertEqual(Redactor(["key-1", "key-1-and-more"])("it is key-1-and-more"), "it is [secret]")

    def test_what_is_too_short_to_be_a_secret_is_left_alone(self) -> None:
        """It would black out half of every sentence."""
        self.assertEqual(Redactor(["", "a", "abc"])("a cab, abc"), "a cab, abc")

    def test_a_secret_is_told_in_other_clothes(self) -> None:
        """In a URL, in JSON, in a representation."""
        for secret in ("p@ss/w?rd", 'a "quoted" one', "naïve\n☕", "back\\slash"):
            redact = Redactor([secret])
            quoted = quote(secret, safe="")
            for shown in (quoted, quoted.lower(), quote(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
                self.assertEqual(redact(f"<{shown}>"), "<[secret]>", shown)
            self.assertEqual(redact(repr(secret.encode())[1:]).strip("'"), "[secret]")

    def test_a_secret_is_told_in_base64(self) -> None:
        """Whatever stands before and behind it, in both alphabets; at most the characters at its edges are left."""
        redact = Redactor(["a??>-key"])
        for before, behind, encode in product(range(4), range(4), (b64encode, urlsafe_b64encode)):
            shown = redact(encode(b"x" * before + b"a??>-key" + b"y" * behind).decode())
            self.assertIn("[secret]", shown)
            self.assertLessEqual(len(shown.replace("[secret]", "")), 4 + 8, shown)

    def test_daemon_keys_are_told_by_their_looks(self) -> None:
        """The relay does not know them any more; its own name is no key."""
        self.assertEqual(Redactor()(f"key {new_key()}, {KEY_PREFIX}plugin"), f"key [secret], {KEY_PREFIX}plugin")
        for before in range(3):
            shown = Redactor()(b64encode(b"x" * before + new_key().encode()).decode())
            self.assertTrue(shown.endswith("[secret]"), shown)
            self.assertLess(len(shown), 12)

    def test_more_secrets_can_be_learnt(self) -> None:
        """Those that were known stay black."""
        redact = Redactor(["first-key"])
        redact.learn(["second-key", None])
        self.assertEqual(redact("first-key, second-key"), "[secret], [secret]")

    def test_the_secrets_of_a_url_are_its_user_and_its_query(self) -> None:
        """As they are written and as they are meant; names of fields are none unless they stand alone."""
        url = "wss://o%40p:p%2Fw@makima.example/path?a=b+c%21&lonely%2Dtoken&d="
        self.assertEqual(
            secrets_of(url),
            ["o%40p", "o@p", "p%2Fw", "p/w", "b+c%21", "b+c!", "b c!", "lonely%2Dtoken", "lonely-token"],
        )
        self.assertEqual(secrets_of("wss://makima.example/path"), [])
