"""``GET /tasks/{taskId}/output``, and following it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.policy import Policy
from makima_relay.redaction import Redactor
from makima_relay.web.event_feed import MOST_REPORTED
from makima_relay.web.reports import shown_report
from tests.core.builders import examples
from tests.untraced import untraced
from tests.web.event_case import EventReader, EventsTestCase
from tests.wire import Peer

SECRET = "a-key-of-the-server"


class OutputTestCase(EventsTestCase):
    """Has a daemon with a task, t1."""

    daemon: Peer

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self) -> None:
        """Start over."""
        self.daemon = self.join("d")
        self.spawn("t1")
        self.wait()

    def put_out(self, *lines: str, task_id: str = "t1") -> None:
        """Have the daemon report output."""
        for line in lines:
            self.daemon.send("taskOutput", taskId=task_id, output=line)

    def lines(self, reader: EventReader) -> list[Any]:
        """Of the events that came: the output, and of others what they are."""
        return [e.data["payload"]["output"] if e.kind == "output" else e.kind for e in reader.take_events()]


class KeptTests(OutputTestCase):
    """What a task has put out lately."""

    def test_it_is_shown_as_it_came(self) -> None:
        """With when it did."""
        sent = self.daemon.send("taskOutput", taskId="t1", output="one", more={"numbers": [1, 2.50]})
        shown = self.get("/tasks/t1/output")
        self.assertEqual(
            {name: value for name, value in shown.items() if name != "lastEventId"},
            {
                "taskId": "t1",
                "output": [{"number": 1, "at": "2024-12-15T10:30:00.500Z", "payload": json.loads(sent)}],
                "truncated": False,
                "limit": 64 << 10,
            },
        )

    def test_only_the_last_of_it_is_kept(self) -> None:
        """And it is said that there was more."""
        self.policy = Policy(keep_output=200)
        self.restart()
        self.begin()
        self.put_out(*map(str, range(10)))
        shown = self.get("/tasks/t1/output")
        self.assertEqual([each["payload"]["output"] for each in shown["output"]], ["7", "8", "9"])
        self.assertEqual((shown["truncated"], shown["limit"]), (True, 200))

    def test_of_very_much_a_part_is_shown_in_each_turn(self) -> None:
        """The relay does other things in between; what comes meanwhile is not in the answer."""
        self.put_out(*map(str, range(450)))
        asked = self.treq.request("GET", "http://localhost:8787/tasks/t1/output")
        self.assertNoResult(asked)
        self.put_out("more")
        for _ in range(2):
            self.reactor.advance(0)
            self.treq.flush()
        answer = self.successResultOf(self.treq.json_content(self.successResultOf(asked)))
        self.assertEqual([each["payload"]["output"] for each in answer["output"]], [str(n) for n in range(450)])

    def test_a_task_without_output_has_none(self) -> None:
        """It is there all the same."""
        shown = self.get("/tasks/t1/output")
        self.assertEqual((shown["output"], shown["truncated"]), ([], False))

    def test_what_was_put_out_before_a_restart_is_gone(self) -> None:
        """The task is known to have run."""
        self.put_out("one")
        self.daemon.send("taskComplete", taskId="t1", success=True)
        self.wait()
        self.reactor.advance(1)
        self.restart()
        shown = self.get("/tasks/t1/output")
        self.assertEqual((shown["output"], shown["truncated"]), ([], True))

    def test_there_must_be_such_a_task(self) -> None:
        """404."""
        self.assert_problem(self.ask("GET", "/tasks/t2/output"), 404, "Not Found", "there is no task of this id")

    def test_the_id_may_have_a_slash(self) -> None:
        """As elsewhere."""
        self.spawn("a/b")
        self.put_out("one", task_id="a/b")
        self.assertEqual(len(self.ask_raw("/tasks/a%2Fb/output").json["output"]), 1)

    def test_secrets_are_blacked_out(self) -> None:
        """Only when it is shown: the server gets what the daemon sent."""
        self.server.take()
        self.put_out(f"the key is {SECRET}")
        self.assertIn(SECRET, self.server.take()[0].message["output"])
        self.assertEqual(self.get("/tasks/t1/output")["output"][0]["payload"]["output"], "the key is [secret]")


class FollowingTests(OutputTestCase):
    """``?output=``."""

    def test_output_comes_as_it_is_put_out(self) -> None:
        """From now on, and only this task's."""
        self.put_out("before")
        self.spawn("t2")
        self.wait()
        reader = self.read("/events?output=t1&only=output")
        self.put_out("one", "two")
        self.put_out("other", task_id="t2")
        self.wait()
        shown = self.get("/tasks/t1/output")["output"]
        self.assertEqual([each.data for each in reader.take_events()], [{"taskId": "t1", **each} for each in shown[1:]])

    def test_other_events_come_besides_unless_only_output_is_wanted(self) -> None:
        """All output of a task before its end."""
        both, output, events = self.read("/events?output=t1"), self.read("/events?output=t1&only=output"), self.read()
        self.put_out("one")
        self.daemon.send("taskComplete", taskId="t1", success=True)
        self.wait()
        self.assertEqual(self.lines(both), ["one", "daemon", "task"])
        self.assertEqual(self.lines(output), ["one"])
        self.assertEqual(self.lines(events), ["daemon", "task"])

    def test_little_of_what_was_read_is_remembered_for_others(self) -> None:
        """However long reports are, as few of them are kept as texts as fit."""
        reader = self.read("/events?output=t1&only=output")
        for _ in range(100):
            self.put_out("x" * 60_000)
            self.wait()
            self.assertEqual(len(self.lines(reader)), 1)
        remembered = self.api.feed._reports
        self.assertTrue(remembered)
        self.assertLessEqual(sum(map(len, remembered.values())), MOST_REPORTED)

    def test_whoever_comes_back_gets_what_it_has_missed(self) -> None:
        """With the id of an event, or of what it was shown."""
        self.put_out("one")
        shown = self.get("/tasks/t1/output")["lastEventId"]
        reader = self.read("/events?output=t1&only=output")
        self.put_out("two", "three")
        self.wait()
        two, three = reader.take_events()
        for last_id, missed in ((two.id, ["three"]), (three.id, []), (shown, ["two", "three"])):
            again = self.read(f"/events?output=t1&only=output&lastEventId={last_id}")
            self.wait()
            self.assertEqual(self.lines(again), missed)

    def test_an_id_of_events_alone_is_known_too(self) -> None:
        """Output comes from then on."""
        reader = self.read()
        self.put_out("one")
        self.wait()
        again = self.read("/events?output=t1", {"Last-Event-ID": reader.last_id})
        self.put_out("two")
        self.wait()
        self.assertEqual([each for each in self.lines(again) if each not in ("task", "daemon")], ["two"])

    def test_an_id_that_is_not_known_is_answered_with_a_reset(self) -> None:
        """Whatever is wanted."""
        again = self.read("/events?output=t1&only=output", {"Last-Event-ID": "unknown-1-1"})
        self.put_out("one")
        self.wait()
        self.assertEqual([each.kind for each in again.take_events()], ["reset", "output"])

    def test_who_cannot_keep_up_is_told_that_something_is_missing(self) -> None:
        """The rest comes."""
        self.policy = Policy(keep_output=200)
        self.restart()
        self.begin()
        reader = self.read("/events?output=t1&only=output")
        self.put_out(*map(str, range(10)))
        self.wait()
        events = reader.take_events()
        self.assertEqual(events[-1].data["payload"]["output"], "9")
        self.assertLess(len(events), 10)
        self.assertEqual([each.data.get("missed", False) for each in events], [True] + [False] * (len(events) - 1))

    def test_without_output_there_is_nothing_to_follow(self) -> None:
        """``--keep-output 0``."""
        self.policy = Policy(keep_output=0)
        self.restart()
        said = "no output is kept here: --keep-output is 0"
        self.assert_problem(self.ask("GET", "/events?output=t1"), 404, "Not Found", said)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class ShownTests(SynchronousTestCase):
    """How a report is shown."""

    def shown(self, payload: bytes) -> str:
        """What is shown of a report; one line of JSON."""
        text = bytes(shown_report(payload, Redactor([SECRET, "12345"]))).decode()
        self.assertNotRegex(text, r"[\r\n]")
        json.loads(text)
        return text

    @untraced
    @given(_JSON, st.sampled_from([None, 1]), st.booleans())
    @examples(200)
    def test_json_stays_what_it_is(self, value: Any, indent: int | None, ascii_only: bool) -> None:
        """Whatever it is, however it is written."""
        payload = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        if "12345" not in str(value):
            try:
                payload.decode()
            except UnicodeDecodeError:
                return
            self.assertEqual(json.loads(self.shown(payload)), value)

    def test_numbers_stay_as_they_are_written(self) -> None:
        """No digit is lost."""
        payload = b'{"n": 1.10, "m": 1e5, "k": 123456789012345678901}'.replace(b"12345", b"54321")
        self.assertEqual(self.shown(payload), payload.decode())

    def test_no_secret_is_shown(self) -> None:
        """Wherever it stands, however its characters are written."""
        hidden = "".join(f"\\u{ord(each):04x}" for each in SECRET)
        for payload in (
            f'{{"output": "key: {SECRET}"}}',
            f'{{"{SECRET}": 1}}',
            f'["{hidden}"]',
            f'{{"a": [{{"{hidden}": 0}}]}}',
            '{"n": 12345}',
            f"no JSON: {SECRET}",
        ):
            text = self.shown(payload.encode())
            self.assertNotIn(SECRET, json.dumps(json.loads(text)), payload)
            self.assertNotIn(SECRET, text, payload)

    def test_what_is_no_json_is_shown_as_text(self) -> None:
        """It was let pass, because what is relayed is not read."""
        for payload in (b'{"a": "\x01"}', b'{"a": "\\ud800"}', b"\xff", b"[" * 5_000, b'{"a": nan}'):
            self.assertEqual(json.loads(self.shown(payload)), payload.decode("utf-8", "replace"))
