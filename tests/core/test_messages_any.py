"""Any bytes and any JSON: a message is read or refused, and both ways of reading agree."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.from_daemons import presented_key, read_first_message, read_hello, read_report
from makima_relay.core.from_server import _read_command_carefully, read_command
from makima_relay.core.members import InvalidMessageError
from makima_relay.core.messages import Completion, DaemonMessage, Heartbeat, Report, StatusChange
from makima_relay.core.tasks import TaskStatus
from tests.core.builders import examples
from tests.untraced import untraced

TYPES = (
    "heartbeat",
    "Heart_Beat",
    "taskComplete",
    "TASK-COMPLETE",
    "taskStatusChange",
    "task_status_change",
    "taskOutput",
    "authenticate",
    "Authenticate",
    "spawnTask",
    "interruptTask",
    "authenticated",
    "error",
    "",
)
NAMES = (
    "type",
    "taskId",
    "task_id",
    "success",
    "newStatus",
    "new_status",
    "activeTasks",
    "active_tasks",
    "error",
    "hostname",
    "apiKey",
    "maxConcurrentTasks",
    "daemonId",
    "other",
)

task_ids = st.sampled_from(["t1", "t2", "é", "", "x" * 128, "x" * 129, "\ud800"])
words = st.sampled_from(["running", "DONE", "failed", "can_celled", "Interrupted", "paused", ""])
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([2**70, 1.5, -0.0])
values = scalars | task_ids | words | st.sampled_from(TYPES) | st.text(max_size=3)
anything = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(task_ids, inner, max_size=2)
)
members = st.tuples(st.sampled_from(NAMES), anything) | st.tuples(st.just("type"), st.sampled_from(TYPES))
#: Lists of members, in which a name may stand twice as it may on the wire.
likely = st.tuples(
    st.tuples(st.just("type"), st.sampled_from(TYPES)),
    st.tuples(st.sampled_from(["taskId", "task_id", "other"]), task_ids | st.none()),
    st.tuples(st.sampled_from(["success", "newStatus", "activeTasks"]), st.booleans() | words | st.lists(task_ids)),
).map(list)
objects = st.lists(members, max_size=6) | st.tuples(likely, st.lists(members, max_size=3)).map(
    lambda both: [*both[0], *both[1]]
)

spawns = st.tuples(
    st.tuples(st.just("type"), st.sampled_from(["spawnTask", "Spawn_Task", "interruptTask", "error"])),
    st.tuples(st.sampled_from(["taskId", "task_id", "other"]), task_ids | st.none()),
    st.tuples(st.sampled_from(["taskName", "task_name", "name"]), anything | st.just("n" * 9_000)),
    st.tuples(st.sampled_from(["taskName", "task_name", "name"]), anything),
    members,
).map(list)


def encoded(pairs: list[tuple[str, Any]]) -> bytes:
    """An object with these members in this order."""
    return ("{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}").encode()


def plain(word: str) -> str:
    """A type or status word without what does not matter in it."""
    return word.lower().replace("_", "").replace("-", "")


def fine(task_id: object) -> bool:
    """Whether a value is a task id."""
    return isinstance(task_id, str) and 1 <= len(task_id) <= 128 and not any(0xD800 <= ord(c) < 0xE000 for c in task_id)


class RefusedError(Exception):
    """The slow reading refuses a message."""


def read_slowly(payload: bytes) -> DaemonMessage:
    """What ``protocol.md`` makes of a report, with the standard library's JSON and no regard to speed."""
    found: dict[str, Any] = json.loads(payload)

    def member(*spellings: str) -> Any:
        return next((found[each] for each in spellings if found.get(each) is not None), None)

    kind, task_id = member("type"), member("taskId", "task_id")
    if not isinstance(kind, str) or not kind or plain(kind) == "authenticate":
        raise RefusedError
    if plain(kind) == "heartbeat":
        return _heartbeat(member("activeTasks", "active_tasks"))
    if task_id is not None and not fine(task_id):
        raise RefusedError
    if plain(kind) == "taskcomplete":
        if task_id is None or not isinstance(member("success"), bool):
            raise RefusedError
        return Completion(payload, task_id, member("success"), _text(member("error")))
    if plain(kind) == "taskstatuschange":
        return _status_change(payload, task_id, member("newStatus", "new_status"), member("error"))
    return Report(payload, task_id)


def _heartbeat(listed: Any) -> Heartbeat:
    if listed is None:
        return Heartbeat(None)
    if not isinstance(listed, list) or not all(map(fine, listed)):
        raise RefusedError
    return Heartbeat(frozenset(listed))


def _status_change(payload: bytes, task_id: str | None, word: Any, error: Any) -> DaemonMessage:
    if word is not None and not isinstance(word, str):
        raise RefusedError
    status = {
        "running": TaskStatus.RUNNING,
        "completed": TaskStatus.COMPLETED,
        "done": TaskStatus.COMPLETED,
        "failed": TaskStatus.FAILED,
        "cancelled": TaskStatus.CANCELLED,
        "interrupted": TaskStatus.CANCELLED,
    }.get(plain(word or ""))
    if task_id is None or status is None:
        return Report(payload, task_id)
    return StatusChange(payload, task_id, status, _text(error))


def _text(value: Any) -> str | None:
    """Whether there is an error; its exact words are another test's."""
    return None if value is None else "some"


def without_words(message: DaemonMessage) -> DaemonMessage:
    """A report whose error, if any, is ``some``."""
    if isinstance(message, Completion):
        return Completion(message.payload, message.task_id, message.success, _text(message.error))
    if isinstance(message, StatusChange):
        return StatusChange(message.payload, message.task_id, message.status, _text(message.error))
    return message


def read_all(payload: bytes) -> list[Any]:
    """Read a message in every way, and keep what was read."""
    read: list[Any] = []
    for reader in (read_report, read_command):
        try:
            read.append(reader(payload))
        except InvalidMessageError as error:
            read.append(str(error))
    first = read_first_message(payload)
    if first is not None:
        presented_key(first[1])
        try:
            read.append(read_hello(*first))
        except InvalidMessageError as error:
            read.append(str(error))
    return read


class AnyMessageTests(SynchronousTestCase):
    """Property tests; see :func:`tests.core.builders.examples`."""

    @untraced
    @examples(300)
    @given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
    @example(b'{"type":"taskComplete","taskId":"t1","success":false,"error":"\xff"}')
    @example(b"\xff\xfe{\x00}\x00")
    def test_any_bytes_are_read_or_refused(self, payload: bytes) -> None:
        """Nothing but an invalid message ever comes of reading nonsense."""
        self.assertGreaterEqual(len(read_all(payload)), 2)

    @untraced
    @examples(300)
    @given(objects.map(encoded), st.integers(0, 200), st.sampled_from([b"", b"\\", b'"', b"\xff", b"\x00", b"\\ud800"]))
    def test_a_damaged_message_is_read_or_refused(self, payload: bytes, place: int, damage: bytes) -> None:
        """Likewise where a message has lost or gained a few bytes."""
        self.assertGreaterEqual(len(read_all(payload[:place] + damage + payload[place + 1 :])), 2)

    @untraced
    @examples(300)
    @given(objects.map(encoded))
    @example(b'{"type":"taskComplete","\\ud800":1,"taskId":"t1","success":false,"error":{"a":"\\ud800"}}')
    def test_any_object_is_read_or_refused_and_its_payload_stays(self, payload: bytes) -> None:
        """Whatever was read holds the very bytes that came."""
        for message in read_all(payload):
            self.assertIs(getattr(message, "payload", payload), payload)

    @untraced
    @examples(500)
    @given(objects.map(encoded))
    @example(b'{"type":"x","taskId":5,"taskId":"t1"}')
    @example(b'{"type":"taskOutput","taskId":null,"task_id":"t1"}')
    def test_the_reading_agrees_with_a_slow_one(self, payload: bytes) -> None:
        """The fast path, the careful one and a third, written from the contract alone, come to the same."""
        try:
            expected = read_slowly(payload)
        except RefusedError:
            self.assertRaises(InvalidMessageError, read_report, payload)
        else:
            self.assertEqual(without_words(read_report(payload)), expected)

    @untraced
    @examples(500)
    @given(spawns.map(encoded))
    @example(b'{"type":"spawnTask","taskId":"t1","taskName":null,"task_name":"","name":"x"}')
    @example(b'{"type":"spawnTask","taskId":"t1","name":"x","name":5}')
    def test_both_readings_of_a_spawn_agree(self, payload: bytes) -> None:
        """What the fast one reads the careful one reads as well, and what is refused is refused for the same reason."""
        try:
            expected = _read_command_carefully(payload)
        except InvalidMessageError as refusal:
            error = self.assertRaises(InvalidMessageError, read_command, payload)
            self.assertEqual(str(error), str(refusal))
        else:
            self.assertEqual(read_command(payload), expected)
