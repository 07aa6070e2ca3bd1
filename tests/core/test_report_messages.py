"""Reading what daemons send: the table of reports, member by member."""

from __future__ import annotations

import json

from makima_relay.core.from_daemons import read_report
from makima_relay.core.members import LONGEST_TEXT, InvalidMessageError
from makima_relay.core.messages import Completion, Heartbeat, Report, StatusChange
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import NO_TASK_IDS, several, wire
from tests.core.cases import RefusingTestCase


class HeartbeatTests(RefusingTestCase):
    """``heartbeat``."""

    def test_active_tasks_may_be_absent(self) -> None:
        """Then the heartbeat says nothing of tasks; null is absent."""
        for payload in (wire("heartbeat"), wire("heartbeat", activeTasks=None), wire("heartbeat", active_tasks=None)):
            self.assertEqual(read_report(payload), Heartbeat(None))

    def test_active_tasks_has_two_spellings_and_camel_case_wins(self) -> None:
        """As every member."""
        self.assertEqual(read_report(wire("heartbeat", active_tasks=["t1"])), Heartbeat(frozenset({"t1"})))
        self.assertEqual(read_report(wire("heartbeat", active_tasks=["b"], activeTasks=[])), Heartbeat(frozenset()))
        both = wire("heartbeat", active_tasks=["b"], activeTasks=None)
        self.assertEqual(read_report(both), Heartbeat(frozenset({"b"})))

    def test_a_task_may_be_listed_twice(self) -> None:
        """It is one task."""
        self.assertEqual(read_report(wire("heartbeat", activeTasks=["a", "a"])), Heartbeat(frozenset({"a"})))

    def test_active_tasks_is_an_array(self) -> None:
        """Anything else is refused by name."""
        for value in ("t1", {"t1": 1}, 5, True):
            self.assertRefused(wire("heartbeat", activeTasks=value), "activeTasks", "array")

    def test_each_of_active_tasks_is_a_task_id(self) -> None:
        """One that is none spoils the whole; null is none."""
        for value in (*NO_TASK_IDS, None):
            self.assertRefused(wire("heartbeat", activeTasks=["t1", value]), "activeTasks", "1 to 128")

    def test_a_heartbeat_has_no_task_of_its_own(self) -> None:
        """A ``taskId`` in it is an unknown member, which is ignored."""
        self.assertEqual(read_report(wire("heartbeat", taskId=5, activeTasks=[])), Heartbeat(frozenset()))


class CompletionTests(RefusingTestCase):
    """``taskComplete``."""

    def test_it_says_whether_the_task_succeeded_and_why_not(self) -> None:
        """All that the relay reads."""
        good = wire("taskComplete", taskId="t1", success=True, result={"any": "thing"})
        self.assertEqual(read_report(good), Completion(good, "t1", success=True, error=None))
        bad = wire("taskComplete", taskId="t1", success=False, error="boom")
        self.assertEqual(read_report(bad), Completion(bad, "t1", success=False, error="boom"))

    def test_it_needs_a_task(self) -> None:
        """None and null are refused by name."""
        for payload in (wire("taskComplete", success=True), wire("taskComplete", taskId=None, success=True)):
            self.assertRefused(payload, "taskComplete", "taskId")

    def test_it_needs_a_boolean_success(self) -> None:
        """Nothing that is merely like one will do."""
        for value in several((None, "true", 1, 0, [], {})):
            self.assertRefused(wire("taskComplete", taskId="t1", success=value), "success", "true or false")
        self.assertRefused(wire("taskComplete", taskId="t1"), "success", "true or false")

    def test_an_error_that_is_no_string_is_shown_as_it_stands(self) -> None:
        """Free text is no reason to refuse a report."""
        for value, text in (({"code": 5}, '{"code":5}'), (5, "5"), (False, "false"), ([], "[]"), (None, None)):
            payload = wire("taskComplete", taskId="t1", success=False, error=value)
            self.assertEqual(read_report(payload), Completion(payload, "t1", success=False, error=text))

    def test_an_error_out_of_range_is_shown_as_it_stands(self) -> None:
        """Even a number that no computer holds."""
        payload = b'{"type":"taskComplete","taskId":"t1","success":false,"error":1e999}'
        self.assertEqual(read_report(payload), Completion(payload, "t1", success=False, error="1e999"))

    def test_a_long_error_is_cut(self) -> None:
        """The relay keeps a bounded part; what is relayed is whole."""
        payload = wire("taskComplete", taskId="t1", success=False, error="é" * (LONGEST_TEXT + 1))
        self.assertEqual(read_report(payload), Completion(payload, "t1", success=False, error="é" * LONGEST_TEXT))

    def test_half_a_surrogate_pair_in_an_error_is_no_crash(self) -> None:
        """It is kept as something that can be stored, in a text, in a structure, and whatever else the message has."""
        for error in ('"cut \\ud83d"', '{"text":"cut \\ud83d"}', '["\\udc00"]'):
            for more in ("", '"\\ud800":1,'):
                payload = f'{{"type":"taskComplete",{more}"taskId":"t1","success":false,"error":{error}}}'.encode()
                report = read_report(payload)
                assert isinstance(report, Completion)
                self.assertTrue((report.error or "").encode())


class StatusChangeTests(RefusingTestCase):
    """``taskStatusChange``."""

    def test_each_status_word_has_its_status(self) -> None:
        """The words of the table of reports."""
        for word, status in (
            ("running", TaskStatus.RUNNING),
            ("completed", TaskStatus.COMPLETED),
            ("done", TaskStatus.COMPLETED),
            ("failed", TaskStatus.FAILED),
            ("cancelled", TaskStatus.CANCELLED),
            ("interrupted", TaskStatus.CANCELLED),
        ):
            payload = wire("taskStatusChange", taskId="t1", newStatus=word)
            self.assertEqual(read_report(payload), StatusChange(payload, "t1", status, None), word)

    def test_status_words_are_compared_as_types_are(self) -> None:
        """Without regard to case, underscores and hyphens."""
        for word in ("Running", "RUNNING", "run_ning", "Run-Ning"):
            payload = wire("taskStatusChange", taskId="t1", newStatus=word)
            self.assertEqual(read_report(payload), StatusChange(payload, "t1", TaskStatus.RUNNING, None), word)

    def test_the_word_has_two_spellings_and_camel_case_wins(self) -> None:
        """As every member."""
        for members, status in (
            ({"new_status": "failed"}, TaskStatus.FAILED),
            ({"new_status": "failed", "newStatus": "done"}, TaskStatus.COMPLETED),
            ({"new_status": "failed", "newStatus": None}, TaskStatus.FAILED),
        ):
            payload = wire("taskStatusChange", taskId="t1", **members)
            self.assertEqual(read_report(payload), StatusChange(payload, "t1", status, None))

    def test_it_may_say_why(self) -> None:
        """``error`` is kept as a completion's is."""
        payload = wire("taskStatusChange", taskId="t1", newStatus="failed", error="boom")
        self.assertEqual(read_report(payload), StatusChange(payload, "t1", TaskStatus.FAILED, "boom"))

    def test_a_word_that_the_relay_does_not_know_is_relayed(self) -> None:
        """So are one that is absent and a change of no task."""
        for members in ({"newStatus": "paused"}, {"newStatus": ""}, {"newStatus": None}, {}):
            payload = wire("taskStatusChange", taskId="t1", **members)
            self.assertEqual(read_report(payload), Report(payload, "t1"))
        payload = wire("taskStatusChange", newStatus="done")
        self.assertEqual(read_report(payload), Report(payload, None))

    def test_a_word_that_is_no_string_is_refused(self) -> None:
        """By name."""
        for value in several((5, True, ["done"], {})):
            self.assertRefused(wire("taskStatusChange", taskId="t1", newStatus=value), "newStatus", "string")


class SecondAuthenticateTests(RefusingTestCase):
    """``authenticate`` again."""

    def test_it_is_refused_in_every_spelling_and_its_key_is_not_quoted(self) -> None:
        """It holds a key, so it is never relayed."""
        for kind in ("authenticate", "Authenticate", "AUTHENTICATE", "authen_ticate"):
            payload = json.dumps({"type": kind, "apiKey": "sesame", "taskId": "t1"}).encode()
            error = self.assertRaises(InvalidMessageError, read_report, payload)
            self.assertNotIn("sesame", str(error))
