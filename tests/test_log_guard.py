"""What stands before the observers of the log."""

from __future__ import annotations

import io
import traceback

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LegacyLogObserverWrapper, Logger, LogLevel, LogPublisher, textFileLogObserver
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.log_guard import LONGEST_MESSAGE, LONGEST_TRACEBACK, guard_log
from makima_relay.new_key import new_key
from makima_relay.redaction import Redactor
from makima_relay.settings import secrets_of

URL = "wss://operator:p%40ss-w0rd@makima.example/x?token=a+query%2Fvalue&lonely-token"
SECRETS = ("the-api-key-+/", "the-admin-token", "operator", "p@ss-w0rd", "a query/value", "lonely-token", new_key())
#: One of each kind that could play tricks on a terminal, or with the lines of a file.
NASTY = "\x1b[2J \x07 \x00 \x7f \x9b31m \u202e \u2066 \u2028 \u2029 \ud800 \r\n [2024] a line that never was"


class LogGuardTestCase(SynchronousTestCase):
    """Has a log of its own, as ``twistd`` sets one up."""

    def setUp(self) -> None:
        """Guard it before there is an observer."""
        self.publisher = LogPublisher()
        guard_log(Redactor([*SECRETS[:2], *secrets_of(URL)]), self.publisher)
        self.file = io.StringIO()
        self.publisher.addObserver(textFileLogObserver(self.file))
        self.older: list[str] = []
        self.publisher.addObserver(LegacyLogObserverWrapper(self.note_as_older_observer))
        self.log = Logger("here", observer=self.publisher)

    def note_as_older_observer(self, event: legacy.EventDict) -> None:
        """What ``--syslog`` makes of an event."""
        self.older.append(legacy.textFromEventDict(event) or "")

    def shown(self) -> str:
        """All that was logged, as any observer shows it."""
        return self.file.getvalue() + "".join(self.older)

    def fail(self, words: str) -> Failure:
        """A failure that says something."""
        try:
            int(words)
        except ValueError as error:
            error.args = (words,)
            return Failure()
        raise AssertionError(words)


class SecretTests(LogGuardTestCase):
    """Nothing that the relay knows to be secret is shown."""

    def assert_black(self, secret: str) -> None:
        self.assertNotIn(secret, self.shown())
        self.assertIn("[secret]", self.file.getvalue())
        self.assertIn("[secret]", "".join(self.older))

    def test_no_field_shows_a_secret(self) -> None:
        """Neither in the text nor in a value, a name, a failure, a representation or an object."""
        for secret in SECRETS:
            for event in (
                {"log_format": "so " + secret.replace("{", "{{")},
                {"log_format": "{a}", "a": secret},
                {"log_format": "{a!r}", "a": secret.encode()},
                {"log_format": "{a[b]}", "a": {"b": secret}},
                {"log_format": "{a.args}", "a": ValueError(secret)},
                {"log_format": "x", "log_system": secret},
                {"log_format": "x", "log_namespace": secret},
                {"log_format": "x", "log_failure": self.fail(secret)},
                {"log_format": "{nowhere}", "a": secret},
            ):
                self.publisher({"log_level": LogLevel.error, "log_time": 1.0, "log_namespace": "here", **event})
                self.assertNotIn(secret, self.shown())

    def test_twisted_s_older_log_is_guarded_too(self) -> None:
        """Its messages, and its errors with their tracebacks."""
        log = legacy.LogPublisher(observerPublisher=self.publisher, publishPublisher=self.publisher)
        log.msg("so", SECRETS[0])
        log.msg(format="%(a)s", a=SECRETS[1])
        log.msg(failure=self.fail(SECRETS[0]), why=SECRETS[1], isError=1)
        self.assert_black(SECRETS[0])
        self.assert_black(SECRETS[1])
        self.assertIn("builtins.ValueError: [secret]", self.file.getvalue())

    def test_a_chain_of_causes_is_guarded(self) -> None:
        """Also what was raised while something else was."""
        error = KeyError(SECRETS[1])
        error.__cause__ = ValueError(SECRETS[0])
        self.log.failure("broken", Failure(error))
        self.log.error("by hand: {text}", text="".join(traceback.format_exception(error)))
        self.assert_black(SECRETS[0])
        self.assert_black(SECRETS[1])

    def test_what_was_learnt_at_a_later_time_is_black_as_well(self) -> None:
        """And what was known before still is."""
        publisher, file = LogPublisher(), io.StringIO()
        redact = Redactor(["first-key"])
        guard_log(redact, publisher)
        publisher.addObserver(textFileLogObserver(file))
        redact.learn(["second-key"])
        Logger("here", observer=publisher).info("first-key, second-key")
        self.assertTrue(file.getvalue().endswith("[here#info] [secret], [secret]\n"), file.getvalue())

    def test_an_event_that_cannot_be_shown_is_not_shown(self) -> None:
        """A trap in an object must not let it through."""

        def broken(_: str) -> str:
            raise ValueError(SECRETS[0])

        publisher, file = LogPublisher(), io.StringIO()
        guard_log(broken, publisher)
        publisher.addObserver(textFileLogObserver(file))
        Logger("here", observer=publisher).info("{a}", a=SECRETS[0])
        self.assertNotIn(SECRETS[0], file.getvalue())
        self.assertIn("(an event that cannot be shown: ValueError)", file.getvalue())


class ControlCharacterTests(LogGuardTestCase):
    """A peer's text is one line, and only text."""

    def assert_harmless(self) -> None:
        for line in self.file.getvalue().split("\n"):
            self.assertTrue(line.lstrip("\t").isprintable(), line)
            self.assertFalse(line.startswith(" [2024]"), line)
        self.file.getvalue().encode()

    def test_no_control_character_gets_past(self) -> None:
        """Wherever it stands in an event."""
        self.log.info("{a}", a=NASTY)
        self.log.info("{a!r}", a=NASTY.encode("utf-8", "surrogatepass"))
        self.log.failure("why: " + NASTY, self.fail(NASTY))
        self.publisher({"log_format": "x", "log_time": 1.0, "log_system": NASTY, "log_level": LogLevel.info})
        self.assert_harmless()
        self.assertIn(r"\x1b[2J \x07 \x00 \x7f \x9b31m \u202e \u2066 \u2028", self.file.getvalue())

    @given(st.text(st.characters(), max_size=40))
    def test_any_text_is_one_line(self, words: str) -> None:
        """Twisted indents the lines of a traceback; nothing else begins one."""
        self.file.truncate(self.file.seek(0))
        self.log.info("so: {words}.", words=words)
        self.assertEqual(self.file.getvalue().count("\n"), 1)
        self.assert_harmless()

    def test_long_text_is_cut(self) -> None:
        """One message must not fill the disk; a secret at the edge is black before that."""
        edge = "x" * (LONGEST_MESSAGE - 5)
        self.log.failure("{a}", self.fail("y" * 2 * LONGEST_TRACEBACK), a=edge + SECRETS[0] + "x" * LONGEST_MESSAGE)
        self.assertLess(len(self.file.getvalue()), LONGEST_MESSAGE + LONGEST_TRACEBACK + 200)
        self.assertIn("x[sec…\n", self.file.getvalue())


class OrdinaryTests(LogGuardTestCase):
    """What is harmless is shown as it was."""

    def test_level_name_and_words_stay(self) -> None:
        """As ``twistd`` shows them."""
        self.log.info("three {things}, {{braces}}", things="blind mice")
        self.assertTrue(self.file.getvalue().endswith("[here#info] three blind mice, {braces}\n"), self.file.getvalue())
        self.assertEqual(self.older, ["three blind mice, {braces}"])

    def test_tracebacks_keep_their_lines(self) -> None:
        """Or nobody could read them."""
        self.log.failure("broken", self.fail("so"))
        lines = self.file.getvalue().splitlines()
        self.assertTrue(lines[0].endswith("[here#critical] broken"), lines)
        self.assertEqual(lines[1], "\tTraceback (most recent call last):")
        self.assertEqual(lines[-1].strip(), "builtins.ValueError: so")

    def test_what_is_repeated_is_guarded_once(self) -> None:
        """Twisted repeats what came before there was an observer."""
        event = {"log_level": LogLevel.info, "log_time": 1.0, "log_format": "a", "log_failure": self.fail("b")}
        self.publisher(event)
        first = self.file.getvalue()
        self.publisher(event)
        self.assertEqual(self.file.getvalue(), first * 2)
