"""What the lines of the log look like, and which there are."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import LegacyLogObserverWrapper, LogBeginner, Logger, LogPublisher, textFileLogObserver
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.log_format import LeastLevel, LogFormat, shape_log
from makima_relay.log_guard import guard_log
from makima_relay.redaction import Redactor

SECRET = "the-api-key-+/"
#: As no peer's text should look.
NASTY = "\x1b[2J \u2028 \ud800 \r\n {}"


class NoWarnings:
    """Stands for the module of warnings, which the log would take over."""

    showwarning = None


class LogTestCase(SynchronousTestCase):
    """Has a log that begins as ``twistd``'s does: the relay is made, and then there is an observer."""

    def begin(self, log_format: LogFormat = LogFormat.JSON, least: LeastLevel = LeastLevel.INFO) -> Logger:
        """Begin it."""
        publisher = LogPublisher()
        beginner = LogBeginner(publisher, io.StringIO(), sys, NoWarnings())
        self.log = Logger("here", observer=publisher)
        self.log.info("before there is an observer")
        guard_log(Redactor([SECRET, "1234567"]), publisher, in_parts=log_format is LogFormat.JSON)
        shape_log(log_format, least, beginner)
        self.file = io.StringIO()
        self.older: list[str] = []
        beginner.beginLoggingTo(
            [textFileLogObserver(self.file), LegacyLogObserverWrapper(self.note)], redirectStandardIO=False
        )
        return self.log

    def note(self, event: legacy.EventDict) -> None:
        """What ``--syslog`` makes of an event."""
        self.older.append(legacy.textFromEventDict(event) or "")

    def lines(self) -> list[dict[str, Any]]:
        """The objects of all lines."""
        text = self.file.getvalue()
        self.assertTrue(text.endswith("\n"))
        return [json.loads(line) for line in text[:-1].split("\n")]


class JsonTests(LogTestCase):
    """``--log-format json``."""

    def test_a_connection_event_has_its_name_its_sentence_and_its_fields(self) -> None:
        """Time and level too, and whose it is."""
        log = self.begin()
        fields = {"hostname": "h", "attempt": 2, "nextIn": None}
        log.info("daemon_connected: so", event="daemon_connected", detail="so", fields=fields)
        line = self.lines()[-1]
        self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        about = {"level": "info", "logger": "here", "event": "daemon_connected", "message": "so"}
        self.assertEqual(line, {**about, "fields": fields})

    def test_anything_else_has_what_it_was_formatted_with(self) -> None:
        """Without a name."""
        self.begin().warn("listening on {address}", address=("::1", 7))
        line = self.lines()[-1]
        self.assertEqual((line["level"], line["event"], line["message"]), ("warn", None, "listening on ('::1', 7)"))
        self.assertEqual(line["fields"], {"address": "('::1', 7)"})

    def test_what_came_before_is_shown_in_the_same_way(self) -> None:
        """Twisted repeats it."""
        self.begin()
        self.assertEqual([line["message"] for line in self.lines()], ["before there is an observer"])

    def test_a_traceback_is_a_member(self) -> None:
        """The line stays one."""
        log = self.begin()
        try:
            int(SECRET)
        except ValueError:
            log.failure("broken", Failure())
        line = self.lines()[-1]
        self.assertEqual((line["level"], line["message"]), ("critical", "broken"))
        self.assertTrue(line["traceback"].startswith("Traceback (most recent call last):\n"), line)
        self.assertIn("ValueError: invalid literal", line["traceback"])

    def test_no_secret_and_no_control_character_is_in_it(self) -> None:
        """Neither in a name, a value, a text nor a traceback; not even as a number."""
        log = self.begin()
        bad = NASTY + SECRET
        log.info("x", event=bad, detail=bad, fields={bad: bad, "n": 1234567, "huge": 10**30})
        log.info("{a}", a=bad, b={bad: bad}, c=[bad], d=float("nan"))
        log.failure(bad.replace("{}", ""), Failure(ValueError(bad)))
        text = self.file.getvalue()
        self.assertNotIn(SECRET, text)
        self.assertNotIn("1234567", text)
        self.assertTrue(all(line.isprintable() for line in text.split("\n")))
        self.assertEqual(self.lines()[1]["fields"]["huge"], str(10**30))

    def test_syslog_stays_text(self) -> None:
        """It has a format of its own."""
        self.begin().info("so")
        self.assertEqual(self.older, ["before there is an observer", "so"])

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary())
    )
    def test_any_fields_are_one_object_on_one_line(self, fields: dict[str, Any]) -> None:
        """Whatever they are."""
        self.begin().info("x", event="e", detail="d", fields=fields)
        self.assertEqual(len(self.lines()), 2)
        self.assertEqual(self.lines()[1]["event"], "e")


class TextTests(LogTestCase):
    """``--log-format text``."""

    def test_it_is_as_twistd_has_it(self) -> None:
        """Time, whose it is, and words."""
        self.begin(LogFormat.TEXT).info("so: {a}", a=1)
        self.assertRegex(self.file.getvalue().splitlines()[-1], r"^\d{4}-\S+T\S+ \[here#info\] so: 1$")


class LevelTests(LogTestCase):
    """``--log-level``."""

    def test_what_is_below_is_not_shown(self) -> None:
        """Nor to syslog."""
        levels = [each.value for each in LeastLevel]
        for place, least in enumerate(LeastLevel):
            log = self.begin(least=least)
            for level in levels:
                getattr(log, level)("this is {word}", word=level)
            expected = [f"this is {level}" for level in levels[place:]]
            self.assertEqual([text for text in self.older if text.startswith("this")], expected)
            self.assertEqual([each["message"] for each in self.lines()][-len(expected) :], expected)
