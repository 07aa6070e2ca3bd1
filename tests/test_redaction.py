"""Blacking out secrets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.redaction import redactor


class RedactionTests(SynchronousTestCase):
    """Text of peers that holds what must not be shown."""

    def test_every_known_secret_is_blacked_out(self) -> None:
        """As often as it is there."""
        redact = redactor(["first-key", None, "second-key"])
        self.assertEqual(redact("first-key, second-key, first-key!"), "[secret], [secret], [secret]!")

    def test_other_text_stays_as_it_is(self) -> None:
        """Word for word."""
        self.assertEqual(redactor(["first-key"])("nothing of the first kind"), "nothing of the first kind")

    def test_a_secret_that_holds_another_is_blacked_out_whole(self) -> None:
        """Nothing of it is left standing."""
        self.assertEqual(redactor(["key-1", "key-1-and-more"])("it is key-1-and-more"), "it is [secret]")

    def test_what_is_too_short_to_be_a_secret_is_left_alone(self) -> None:
        """It would black out half of every sentence."""
        self.assertEqual(redactor(["", "a", "abc"])("a cab, abc"), "a cab, abc")
