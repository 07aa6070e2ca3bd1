"""Trace context in a ``spawnTask``."""

from __future__ import annotations

import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.from_server import read_command
from makima_relay.core.messages import Spawn
from makima_relay.core.tracing import traceparent_of
from tests.untraced import untraced

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class FormatTests(SynchronousTestCase):
    """What a ``traceparent`` is."""

    def test_what_the_format_allows_is_taken(self) -> None:
        """Of a later version the part that is known."""
        for text in (TRACE, TRACE[:-2] + "00", "cc" + TRACE[2:]):
            self.assertEqual(traceparent_of(text), text)
        self.assertEqual(traceparent_of(f"01{TRACE[2:]}-what-the-future-brings"), f"01{TRACE[2:]}")

    def test_anything_else_is_as_if_it_were_not_there(self) -> None:
        """Upper case, ids of nothing but zeros, version ff, too short and too long."""
        for text in (
            None,
            "",
            TRACE.upper(),
            TRACE[:-1],
            TRACE + "0",
            TRACE + "-00",
            TRACE + "\n",
            "01" + TRACE[2:] + "x",
            "ff" + TRACE[2:],
            " " + TRACE,
            f"00-{'0' * 32}-00f067aa0ba902b7-01",
            f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        ):
            self.assertIsNone(traceparent_of(text), text)

    @untraced
    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text() | st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,9}\Z"))
    def test_whatever_comes_out_is_one(self, text: str) -> None:
        """55 characters that are harmless anywhere."""
        found = traceparent_of(text)
        if found is not None:
            self.assertRegex(found, re.compile(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z"))
            self.assertTrue(text.startswith(found))


class MessageTests(SynchronousTestCase):
    """Where it stands."""

    def trace(self, **members: object) -> str | None:
        """The trace of a ``spawnTask`` with these members; read fast, and with care, which must not differ."""
        found = []
        for more in ({}, {"taskName": 7}):
            command = read_command(json.dumps({"type": "spawnTask", "taskId": "t", **more, **members}).encode())
            assert isinstance(command, Spawn)
            found.append(command.traceparent)
        self.assertEqual(found[0], found[1])
        return found[0]

    def test_it_is_read_in_every_spelling(self) -> None:
        """The format's own goes first."""
        for spelling in ("traceparent", "traceParent", "trace_parent"):
            self.assertEqual(self.trace(**{spelling: TRACE}), TRACE)
        other = TRACE[:-1] + "0"
        self.assertEqual(self.trace(trace_parent=other, traceparent=TRACE, traceParent=other), TRACE)
        self.assertEqual(self.trace(traceparent=None, traceParent=TRACE, trace_parent=other), TRACE)

    def test_nonsense_there_is_no_reason_to_refuse_a_task(self) -> None:
        """Whatever its type is."""
        for value in (7, {}, [TRACE], True, "so", "\ud800", 10**400):
            self.assertIsNone(self.trace(traceparent=value))
        self.assertIsNone(self.trace())
