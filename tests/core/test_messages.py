"""Reading what daemons send: the spelling rules of ``protocol.md``, *Frames*, and the table of reports."""

from __future__ import annotations

import tracemalloc

from makima_relay.core.from_daemons import read_report
from makima_relay.core.members import LONGEST_TEXT, InvalidMessageError
from makima_relay.core.messages import Completion, Heartbeat, Report, StatusChange
from tests.core.builders import NO_TASK_IDS, several, wire
from tests.core.cases import RefusingTestCase


class EnvelopeTests(RefusingTestCase):
    """What holds for every message."""

    def test_a_message_of_an_unknown_type_is_a_report(self) -> None:
        """Unknown types are relayed."""
        payload = wire("somethingNew", taskId="t1")
        self.assertEqual(read_report(payload), Report(payload, "t1"))

    def test_a_report_may_be_about_no_task(self) -> None:
        """A task id is not needed to be relayed."""
        payload = wire("daemonNews", n=1)
        self.assertEqual(read_report(payload), Report(payload, None))

    def test_the_payload_is_the_very_bytes_that_came(self) -> None:
        """What is relayed is neither copied nor encoded again, whatever white space and escapes it has."""
        for payload in (
            b' { "type" : "taskOutput" , "taskId":"t1","\\u0078":"\\u00e9" } ',
            b'{"taskId":"t1","type":"task_complete","success":true}',
            b'{"type":"taskStatusChange","newStatus":"done","task_id":"t1"}',
            b'{"type":"x","half":"\\ud83d","taskId":"t1"}',
        ):
            report = read_report(payload)
            assert not isinstance(report, Heartbeat)
            self.assertIs(report.payload, payload)
            self.assertEqual(report.task_id, "t1")

    def test_a_type_is_read_without_regard_to_case_underscores_and_hyphens(self) -> None:
        """All these are heartbeats."""
        for kind in ("heartbeat", "Heartbeat", "HEARTBEAT", "heart_beat", "HEART-BEAT", "heartBeat", "_heart-beat_"):
            self.assertEqual(read_report(wire(kind, activeTasks=["t1"])), Heartbeat(frozenset({"t1"})), kind)

    def test_each_decisive_type_is_read_in_every_spelling(self) -> None:
        """The three usual spellings and two odd ones."""
        for kind in ("taskComplete", "TaskComplete", "task_complete", "TASK_COMPLETE", "task-complete"):
            self.assertIsInstance(read_report(wire(kind, taskId="t1", success=True)), Completion, kind)
        for kind in ("taskStatusChange", "TaskStatusChange", "task_status_change", "TASK-STATUS-CHANGE"):
            self.assertIsInstance(read_report(wire(kind, taskId="t1", newStatus="done")), StatusChange, kind)

    def test_a_type_is_needed(self) -> None:
        """No, an empty, a null type, and one that is no string are refused."""
        for payload in (b"{}", b'{"type":null}', b'{"type":""}', b'{"type":5}', b'{"type":["x"]}', b'{"Type":"x"}'):
            self.assertRefused(payload, "type must be a non-empty string")

    def test_what_is_no_json_is_refused(self) -> None:
        """Neither half a message, nor two, nor words that JSON does not have."""
        for payload in (
            b"",
            b" ",
            b"hello",
            b'{"type":"x"',
            b'{"type":"x"}{"type":"x"}',
            b"{'type':'x'}",
            b'{"type":"x","n":NaN}',
            b'{"type":"x","n":-Infinity}',
            b'{"type":"x","n":01}',
            b'{"type":"x",}',
            b'{"type":"x","text":"a\nb"}',
        ):
            self.assertRefused(payload, "valid JSON")

    def test_json_that_is_not_in_utf_8_is_refused(self) -> None:
        """A text message is UTF-8 (RFC 6455); zero bytes between the characters make it no JSON."""
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"):
            self.assertRefused('{"type":"x"}'.encode(encoding), "valid JSON")

    def test_what_is_no_object_is_refused(self) -> None:
        """Other JSON values are none of ours."""
        for payload in (b"[]", b'["type"]', b'"type"', b"5", b"null", b"true"):
            self.assertRefused(payload, "JSON object")

    def test_bytes_that_are_no_utf_8_are_no_crash(self) -> None:
        """Where the relay looks closely they are refused, in free text they may stand."""
        for payload in (
            b'{"type":"x","taskId":"\xff"}',
            b'{"type":"\xff"}',
            b'{"type":"heartbeat","activeTasks":["\xff"]}',
        ):
            self.assertRefused(payload)
        for error in (b'"\xff"', b'["\xff"]'):
            payload = b'{"type":"taskComplete","taskId":"t1","success":false,"error":' + error + b"}"
            try:
                read_report(payload)
            except InvalidMessageError as refusal:
                self.assertIn("error", str(refusal))

    def test_deep_nesting_where_nobody_looks_is_relayed_or_refused(self) -> None:
        """Some depth is fine; a depth that nobody means is refused, never a crash."""
        some = b'{"type":"x","deep":' + b"[" * 100 + b"]" * 100 + b"}"
        self.assertEqual(read_report(some), Report(some, None))
        for deep in (b"[" * 100_000 + b"]" * 100_000, b"[" * 100_000, b'{"a":' * 100_000):
            self.assertRefused(b'{"type":"x","deep":' + deep + b"}", "valid JSON")

    def test_deep_nesting_where_free_text_is_wanted_is_no_crash(self) -> None:
        """What can just be decoded may be too deep to be written as text; how deep that is depends on who asks."""
        for depth in range(940, 1_000):
            for inner in (b"1", b'"\\ud800"'):
                deep = b"[" * depth + inner + b"]" * depth
                try:
                    report = read_report(b'{"type":"taskComplete","taskId":"t1","success":false,"error":' + deep + b"}")
                except InvalidMessageError as refusal:
                    self.assertIn("valid JSON", str(refusal))
                else:
                    self.assertIn(getattr(report, "error", "")[:7], ("[" * 7, "nested "))

    def test_much_that_is_nested_is_not_looked_into(self) -> None:
        """It would take twenty times the memory that it takes on the wire, and others would wait meanwhile."""
        much = b"[" + b"[]," * 100_000 + b"[]]"
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for payload in (
            b'{"type":"x","taskId":' + much + b"}",
            b'{"type":"taskComplete","taskId":"t1","success":' + much + b"}",
            b'{"type":"heartbeat","activeTasks":' + much + b"}",
            b'{"type":' + much + b"}",
            b'{"type":"x","taskId":"\\ud800","\\ud800":[' + b"[]," * 400_000 + b"[]]}",
        ):
            self.assertRefused(payload)
        report = read_report(b'{"type":"taskComplete","taskId":"t1","success":false,"error":' + much + b"}")
        self.assertEqual(getattr(report, "error", None), much[:LONGEST_TEXT].decode())
        self.assertLess(tracemalloc.get_traced_memory()[1], 5 * 1_200_000)

    def test_deep_nesting_where_the_relay_looks_is_refused(self) -> None:
        """Members that matter are refused likewise."""
        deep = b"[" * 100_000 + b"]" * 100_000
        self.assertRefused(b'{"type":"heartbeat","activeTasks":' + deep + b"}")
        self.assertRefused(b'{"type":"taskComplete","taskId":"t1","success":' + deep + b"}")

    def test_huge_numbers_where_nobody_looks_are_relayed(self) -> None:
        """No integer and no exponent is too large to pass on."""
        for number in (b"9" * 40, b"-" + b"9" * 5_000, b"1e400", b"1E-99999", b"0." + b"1" * 3_000):
            payload = b'{"type":"x","taskId":"t1","n":' + number + b"}"
            self.assertEqual(read_report(payload), Report(payload, "t1"))

    def test_half_a_surrogate_pair_where_nobody_looks_is_relayed(self) -> None:
        """RFC 8259 lets it pass, and a peer that cuts a UTF-16 string makes it."""
        for payload in (b'{"type":"x","taskId":"t1","text":"\\ud83d"}', b'{"type":"x","taskId":"t1","\\udc00":1}'):
            self.assertEqual(read_report(payload), Report(payload, "t1"))


class TaskIdTests(RefusingTestCase):
    """``taskId``."""

    def test_it_has_two_spellings(self) -> None:
        """CamelCase and snake_case."""
        for payload in (wire("x", taskId="t1"), wire("x", task_id="t1")):
            self.assertEqual(read_report(payload), Report(payload, "t1"))

    def test_no_other_spelling_counts(self) -> None:
        """Members, unlike types, are not folded."""
        for name in ("TaskId", "taskID", "taskid", "task-id", "TASK_ID"):
            payload = wire("x", **{name: "t1"})
            self.assertEqual(read_report(payload), Report(payload, None))

    def test_camel_case_wins(self) -> None:
        """In whatever order they stand."""
        for payload in (wire("x", taskId="camel", task_id="snake"), wire("x", task_id="snake", taskId="camel")):
            self.assertEqual(read_report(payload), Report(payload, "camel"))

    def test_null_is_absent(self) -> None:
        """A null in one spelling leaves the word to the other."""
        for payload, task_id in (
            (wire("x", taskId=None), None),
            (wire("x", task_id=None), None),
            (wire("x", taskId=None, task_id="snake"), "snake"),
            (wire("x", taskId="camel", task_id=None), "camel"),
            (wire("x", taskId=None, task_id=None), None),
        ):
            self.assertEqual(read_report(payload), Report(payload, task_id))

    def test_the_spelling_that_loses_is_not_looked_at(self) -> None:
        """Nonsense under the other name changes nothing."""
        for nonsense in several((5, "", "x" * 129, [])):
            payload = wire("x", taskId="camel", task_id=nonsense)
            self.assertEqual(read_report(payload), Report(payload, "camel"))

    def test_nonsense_in_camel_case_is_refused_whatever_stands_in_snake_case(self) -> None:
        """CamelCase wins where both are there."""
        self.assertRefused(wire("x", taskId=5, task_id="t1"), "taskId")

    def test_it_has_1_to_128_characters(self) -> None:
        """Characters, not bytes; blanks and slashes are characters."""
        for task_id in ("t", "x" * 128, "é" * 128, "\U0001f600" * 128, " ", "a/b\n", "\x00"):
            payload = wire("x", taskId=task_id)
            self.assertEqual(read_report(payload), Report(payload, task_id))

    def test_anything_else_is_refused_by_name(self) -> None:
        """In each type that has a task, and in both spellings."""
        for kind, more in (("x", {}), ("taskComplete", {"success": True}), ("taskStatusChange", {"newStatus": "done"})):
            for value in NO_TASK_IDS:
                self.assertRefused(wire(kind, taskId=value, **more), "taskId", "1 to 128")
                self.assertRefused(wire(kind, task_id=value, **more), "taskId", "1 to 128")

    def test_an_escaped_member_name_is_the_same_name(self) -> None:
        """JSON may write any character as an escape."""
        payload = b'{"\\u0074ype":"x","task\\u0049d":"t1"}'
        self.assertEqual(read_report(payload), Report(payload, "t1"))
