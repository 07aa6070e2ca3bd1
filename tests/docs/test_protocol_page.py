"""``docs/protocol.md`` against the code that reads and composes messages."""

from __future__ import annotations

import itertools
import re
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from makima_relay import admission, downstream, websocket
from makima_relay.core import from_daemons, messages
from makima_relay.core.composer import COMPOSERS, Composer
from makima_relay.core.from_daemons import read_first_message, read_hello, read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.members import LONGEST_NAME, LONGEST_TASK_ID, LONGEST_TEXT, InvalidMessageError
from makima_relay.core.reports import MOST_FAULTS
from makima_relay.core.spelling import WireCase
from makima_relay.core.tasks import TaskStatus
from tests.docs.pages import ROOT, Example, in_code, page

PAGE = page("docs/protocol.md")
#: What the arguments of a composer's methods are called on the wire.
_MEMBERS = {
    "authenticate": ("apiKey", "machineId", "hostname", "maxConcurrentTasks"),
    "authenticated": ("daemonId",),
    "error": ("code", "message", "taskId"),
    "heartbeat": ("activeTasks",),
    "interrupt_task": ("taskId",),
    "task_failed": ("taskId", "error"),
}


def read_first(payload: bytes) -> messages.Hello:
    """Read a daemon's first message."""
    first = read_first_message(payload)
    assert first is not None, payload
    return read_hello(*first)


def read(sender: str, meant: str, payload: bytes) -> Any:
    """Read a message as the relay does."""
    if meant == "Hello":
        return read_first(payload)
    return read_report(payload) if sender == "daemon" else read_command(payload)


def composed(method: str, payload: bytes) -> bytes:
    """The relay's own message with the values of an example."""
    members = msgspec.json.decode(payload)
    values = [members[name] for name in _MEMBERS[method] if name in members]
    built: bytes = getattr(COMPOSERS[WireCase.CAMEL], method)(*values)
    return built


class ExampleTests(SynchronousTestCase):
    """Every message on the page."""

    def setUp(self) -> None:
        """Take those that are JSON: behind that word stand the sender and what it is."""
        self.examples = [(each, *each.info.split()[1:]) for each in PAGE.examples if each.info.startswith("json")]

    def test_messages_of_peers_are_read_as_what_the_page_says(self) -> None:
        """By the same functions as those of real peers, and each kind of message has an example."""
        seen = set()
        for example, sender, meant in self.examples:
            if sender != "relay" and meant != "invalid":
                found = read(sender, meant, example.text.strip().encode())
                self.assertEqual(type(found).__name__, meant, example.text)
                seen.add(type(found))
        kinds = messages.DaemonMessage | messages.ServerMessage | messages.Hello
        self.assertEqual(seen, set(kinds.__args__))

    def test_messages_of_the_relay_are_those_that_it_composes(self) -> None:
        """Byte for byte, and each that it can compose has an example."""
        seen = set()
        for example, sender, meant in self.examples:
            if sender == "relay":
                payload = example.text.strip().encode()
                self.assertEqual(composed(meant, payload), payload)
                seen.add(meant)
        self.assertEqual(seen, {name for name in vars(Composer) if not name.startswith("_")})

    def test_invalid_messages_are_answered_as_the_page_says(self) -> None:
        """With the example that follows."""
        pairs = [pair for pair in itertools.pairwise(self.examples) if pair[0][2] == "invalid"]
        self.assertEqual([sender for (_, sender, _), _ in pairs], ["server", "daemon"])
        for (invalid, sender, meant), (answer, *_) in pairs:
            error = self.assertRaises(InvalidMessageError, read, sender, meant, invalid.text.encode())
            expected = COMPOSERS[WireCase.CAMEL].error("invalid_message", str(error))
            self.assertEqual(answer.text.strip().encode(), expected)

    def test_every_example_says_what_it_is(self) -> None:
        """So that none goes untested."""
        kinds = {(sender, meant) for _, sender, meant in self.examples}
        self.assertEqual({sender for sender, _ in kinds}, {"relay", "server", "daemon"})
        drawing = [each for each in PAGE.examples if each.info == ""]
        self.assertEqual(len(drawing) + len(self.examples), len(PAGE.examples))
        self.assertIsInstance(drawing[0], Example)


class MemberTests(SynchronousTestCase):
    """The table of members."""

    def test_members_are_read_in_each_spelling_of_the_table(self) -> None:
        """What one spelling gives, every other does."""
        spellings = {in_code(name)[0]: in_code(also) for name, also, _ in PAGE.rows("member")}
        hello = {"machineId": "m", "maxConcurrentTasks": 3}
        for name, value in hello.items():
            for spelling in (name, *spellings[name]):
                payload = {"type": "authenticate", "hostname": "h", spelling: value}
                found = read_first(msgspec.json.encode(payload))
                self.assertIn(value, (found.machine_id, found.capacity), spelling)
        for name in (*spellings["taskName"], "taskName"):
            found_task = read_command(msgspec.json.encode({"type": "spawnTask", "taskId": "t", name: "n"}))
            self.assertEqual(getattr(found_task, "name", None), "n")
        for task_id, listed, status in itertools.product(
            ("taskId", *spellings["taskId"]),
            ("activeTasks", *spellings["activeTasks"]),
            ("newStatus", *spellings["newStatus"]),
        ):
            changed = read_report(msgspec.json.encode({"type": "taskStatusChange", task_id: "t", status: "done"}))
            self.assertEqual(getattr(changed, "task_id", None), "t")
            self.assertEqual(getattr(changed, "status", None), TaskStatus.COMPLETED)
            beat = read_report(msgspec.json.encode({"type": "heartbeat", listed: ["t"]}))
            self.assertEqual(getattr(beat, "active_tasks", None), {"t"})

    def test_the_limits_are_those_of_the_code(self) -> None:
        """The numbers of the table, and of what closes a connection."""
        takes = {in_code(name)[0]: what for name, _, what in PAGE.rows("member")}
        for name, numbers in {
            "taskId": [1, LONGEST_TASK_ID],
            "machineId": [1, LONGEST_NAME],
            "hostname": [1, LONGEST_NAME],
            "maxConcurrentTasks": [0, messages.MOST_SLOTS, messages.DEFAULT_SLOTS],
            "activeTasks": [messages.MOST_LISTED],
            "taskName": [LONGEST_TEXT],
            "error": [LONGEST_TEXT],
        }.items():
            self.assertEqual([int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d", takes[name])], numbers)
        self.assertIn(f"or a first one over {downstream.LONGEST_HELLO >> 10} KiB", PAGE.prose)
        self.assertEqual(MOST_FAULTS, 10)
        self.assertIn("the tenth message that cannot be read", PAGE.prose)

    def test_status_words_mean_what_the_table_says(self) -> None:
        """And there are no others."""
        rows = PAGE.rows("`newStatus` | the task becomes")
        table = {word: in_code(status)[0] for words, status in rows for word in in_code(words)}
        for word, status in table.items():
            changed = read_report(msgspec.json.encode({"type": "taskStatusChange", "taskId": "t", "newStatus": word}))
            self.assertEqual(getattr(changed, "status", None), TaskStatus(status), word)
        self.assertEqual(set(table), set(from_daemons._STATUS_WORDS))

    def test_the_statuses_of_tasks_are_those_of_the_code(self) -> None:
        """In the order of a task's life."""
        listed = [word for words, _ in PAGE.rows("status") for word in in_code(words)]
        self.assertEqual(listed, [status.value for status in TaskStatus])


class RefusalTests(SynchronousTestCase):
    """The tables of closes and of errors."""

    def test_the_close_codes_are_those_of_the_code(self) -> None:
        """With 1009, which Autobahn sends."""
        codes = {
            value
            for module in (admission, downstream, websocket)
            for name, value in vars(module).items()
            if name.startswith("CLOSE_") and name != "CLOSE_TIMEOUT"
        }
        listed = {int(code) for code, _, _ in PAGE.rows("code | `error` before it")}
        self.assertEqual(listed, {*codes, 1009})

    def test_the_error_codes_are_those_of_the_code(self) -> None:
        """Each that the relay may send is on the page, and no other."""
        edge = [ROOT / "makima_relay" / name for name in ("admission.py", "downstream.py")]
        pattern = re.compile(r'(?:\.error|_refusal)\((?:\w+(?:\.\w+)?, )?"(\w+)"')
        sent = set()
        for path in (*edge, *(ROOT / "makima_relay" / "core").glob("*.py")):
            sent.update(pattern.findall(path.read_text(encoding="utf-8")))
        listed = {word for _, error, _ in PAGE.rows("code | `error` before it") for word in in_code(error)}
        listed.update(in_code(code)[0] for code, _ in PAGE.rows("code | why"))
        listed.update(re.findall(r'"type":"error","code":"(\w+)"', PAGE.text))
        self.assertEqual(listed, sent)
