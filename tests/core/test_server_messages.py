"""Reading what the server sends, and a daemon's first message."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.from_daemons import presented_key, read_first_message, read_hello
from makima_relay.core.from_server import read_command
from makima_relay.core.members import LONGEST_TEXT, InvalidMessageError
from makima_relay.core.messages import DEFAULT_SLOTS, Authenticated, Command, Hello, ServerError, Spawn
from makima_relay.core.spelling import WireCase
from tests.core.builders import NO_TASK_IDS, several, wire


class ReadCommandTests(SynchronousTestCase):
    """What the server sends, but ``spawnTask``."""

    def assertRefused(self, payload: bytes, *words: str) -> None:
        """A command is refused with a text that holds all of these words."""
        error = self.assertRaises(InvalidMessageError, read_command, payload)
        for word in words:
            self.assertIn(word, str(error), payload)

    def test_authenticated_tells_the_relays_id(self) -> None:
        """In both spellings, and in every spelling of the type."""
        for payload in (
            wire("authenticated", daemonId="d"),
            wire("Authenticated", daemon_id="d"),
            wire("AUTHENTICATED", daemonId="d", daemon_id="snake"),
            wire("authenticated", daemonId=None, daemon_id="d"),
        ):
            self.assertEqual(read_command(payload), Authenticated("d"))
        self.assertEqual(read_command(wire("authenticated")), Authenticated(None))

    def test_an_error_has_a_code_and_a_message(self) -> None:
        """Each may be missing or be no string."""
        for members, error in (
            ({"code": "bad", "message": "no"}, ServerError("bad", "no")),
            ({}, ServerError("", "")),
            ({"code": None, "message": None}, ServerError("", "")),
            ({"code": 5, "message": ["x"]}, ServerError("5", '["x"]')),
            ({"taskId": 5}, ServerError("", "")),
        ):
            self.assertEqual(read_command(wire("error", **members)), error)

    def test_a_command_names_its_task_and_its_daemon(self) -> None:
        """In both spellings; camelCase wins and null is absent."""
        for members, task_id, daemon_id in (
            ({}, None, None),
            ({"taskId": "t1", "daemonId": "d"}, "t1", "d"),
            ({"task_id": "t1", "daemon_id": "d"}, "t1", "d"),
            ({"task_id": "s", "taskId": "t1", "daemon_id": "s", "daemonId": "d"}, "t1", "d"),
            ({"task_id": "t1", "taskId": None, "daemon_id": "d", "daemonId": None}, "t1", "d"),
        ):
            payload = wire("sendInput", **members)
            self.assertEqual(read_command(payload), Command(payload, "sendInput", task_id, daemon_id))

    def test_a_command_keeps_its_payload_and_its_spelling(self) -> None:
        """What is relayed is the very bytes that came."""
        payload = b' {"type":"Send_Input", "taskId":"t1","text":"\\u00e9"} '
        command = read_command(payload)
        assert isinstance(command, Command)
        self.assertIs(command.payload, payload)
        self.assertEqual(command.type, "Send_Input")

    def test_three_types_withdraw_a_task(self) -> None:
        """In every spelling; nothing else does."""
        for kind, withdraws in (
            ("interruptTask", True),
            ("InterruptTask", True),
            ("INTERRUPT_TASK", True),
            ("cancelTask", True),
            ("cancel-task", True),
            ("killTask", True),
            ("kill_task", True),
            ("pauseTask", False),
            ("interrupt", False),
            ("interruptTasks", False),
        ):
            payload = wire(kind, taskId="t1")
            self.assertEqual(read_command(payload), Command(payload, kind, "t1", None, withdraws))

    def test_a_daemon_id_that_is_no_string_is_nobodys(self) -> None:
        """It can be no daemon of ours."""
        for value in several((5, ["d"], {}, False)):
            payload = wire("x", daemonId=value, daemon_id="d")
            self.assertEqual(read_command(payload), Command(payload, "x", None, None))

    def test_a_bad_task_id_is_refused_by_name(self) -> None:
        """In every command."""
        for kind in ("spawnTask", "interruptTask", "x"):
            for value in NO_TASK_IDS:
                self.assertRefused(wire(kind, taskId=value), "taskId", "1 to 128")

    def test_what_is_no_message_is_refused(self) -> None:
        """As in the other direction."""
        self.assertRefused(b"hello", "valid JSON")
        self.assertRefused(b"[]", "JSON object")
        self.assertRefused(b"{}", "type")
        self.assertRefused(b'{"type":""}', "type")
        self.assertRefused(b'{"type":"x","deep":' + b"[" * 100_000, "valid JSON")

    def test_huge_numbers_where_nobody_looks_are_relayed(self) -> None:
        """As in the other direction."""
        payload = b'{"type":"x","taskId":"t1","n":1e400,"m":' + b"9" * 5_000 + b"}"
        self.assertEqual(read_command(payload), Command(payload, "x", "t1", None))


class ReadSpawnTests(SynchronousTestCase):
    """``spawnTask``."""

    def test_it_is_read_in_every_spelling(self) -> None:
        """The payload stays whole."""
        for kind in ("spawnTask", "SpawnTask", "spawn_task", "SPAWN-TASK"):
            payload = wire(kind, taskId="t1", plan={"any": "thing"})
            spawn = read_command(payload)
            self.assertEqual(spawn, Spawn(payload, "t1", None))
            assert isinstance(spawn, Spawn)
            self.assertIs(spawn.payload, payload)

    def test_it_needs_a_task(self) -> None:
        """None and null are refused by name."""
        for payload in (wire("spawnTask"), wire("spawnTask", taskId=None), wire("spawn_task", task_id=None)):
            error = self.assertRaises(InvalidMessageError, read_command, payload)
            self.assertIn("spawnTask needs taskId", str(error))

    def test_a_task_has_a_name_in_one_of_three_spellings(self) -> None:
        """``taskName`` before ``task_name`` before ``name``; null is absent."""
        for members, name in (
            ({"taskName": "a"}, "a"),
            ({"task_name": "b"}, "b"),
            ({"name": "c"}, "c"),
            ({"name": "c", "task_name": "b", "taskName": "a"}, "a"),
            ({"name": "c", "task_name": "b"}, "b"),
            ({"name": "c", "task_name": None, "taskName": None}, "c"),
            ({"name": None}, None),
            ({"name": 5}, "5"),
        ):
            payload = wire("spawnTask", taskId="t1", **members)
            self.assertEqual(read_command(payload), Spawn(payload, "t1", name))

    def test_a_long_name_is_cut(self) -> None:
        """What is kept to show is bounded."""
        payload = wire("spawnTask", taskId="t1", name="x" * (LONGEST_TEXT + 1))
        self.assertEqual(read_command(payload), Spawn(payload, "t1", "x" * LONGEST_TEXT))


class FirstMessageTests(SynchronousTestCase):
    """``authenticate`` of a daemon."""

    def read(self, kind: str = "authenticate", **members: Any) -> Hello:
        """Read a whole first message."""
        first = read_first_message(wire(kind, **members))
        assert first is not None
        return read_hello(*first)

    def assertRefused(self, *words: str, **members: Any) -> None:
        """The members are refused with a text that holds all of these words."""
        error = self.assertRaises(InvalidMessageError, self.read, **members)
        for word in words:
            self.assertIn(word, str(error))

    def test_anything_else_is_none(self) -> None:
        """Other types, and what is no message."""
        for payload in (wire("heartbeat"), wire("authenticated"), b"hello", b"[]", b"{}", b'{"type":""}', b"\xff"):
            self.assertIdentical(read_first_message(payload), None)

    def test_the_daemons_spelling_of_types_is_learnt(self) -> None:
        """What the relay itself sends it is spelled likewise."""
        for kind, case in (
            ("authenticate", WireCase.CAMEL),
            ("Authenticate", WireCase.PASCAL),
            ("AUTHENTICATE", WireCase.UPPER),
        ):
            self.assertEqual(self.read(kind, hostname="h").case, case)

    def test_all_members(self) -> None:
        """In both spellings."""
        expected = Hello("m", "h", 3, WireCase.CAMEL)
        self.assertEqual(self.read(machineId="m", hostname="h", maxConcurrentTasks=3), expected)
        self.assertEqual(self.read(machine_id="m", hostname="h", max_concurrent_tasks=3), expected)
        machine = {"machine_id": "s", "machineId": "m"}
        slots = {"max_concurrent_tasks": 7, "maxConcurrentTasks": 3}
        self.assertEqual(self.read("authenticate", hostname="h", **machine, **slots), expected)

    def test_the_machine_defaults_to_the_hostname(self) -> None:
        """Absent or null."""
        expected = Hello("h", "h", DEFAULT_SLOTS, WireCase.CAMEL)
        self.assertEqual(self.read(hostname="h"), expected)
        self.assertEqual(self.read(hostname="h", machineId=None, machine_id=None), expected)

    def test_ten_slots_are_the_default(self) -> None:
        """Absent or null."""
        self.assertEqual(self.read(hostname="h").capacity, 10)
        self.assertEqual(self.read(hostname="h", maxConcurrentTasks=None).capacity, 10)

    def test_slots_are_an_integer_from_0_to_10000(self) -> None:
        """Its bounds are in; everything else is refused by name."""
        self.assertEqual(self.read(hostname="h", maxConcurrentTasks=0).capacity, 0)
        self.assertEqual(self.read(hostname="h", maxConcurrentTasks=10_000).capacity, 10_000)
        for value in several((-1, 10_001, 1.5, "10", True, False, [], 10**30)):
            self.assertRefused("maxConcurrentTasks", "0 to 10000", hostname="h", maxConcurrentTasks=value)

    def test_a_number_out_of_range_is_refused_by_name(self) -> None:
        """What JSON can say and no computer can hold."""
        first = read_first_message(b'{"type":"authenticate","hostname":"h","maxConcurrentTasks":1e999}')
        assert first is not None
        error = self.assertRaises(InvalidMessageError, read_hello, *first)
        self.assertIn("maxConcurrentTasks", str(error))

    def test_a_hostname_is_needed(self) -> None:
        """Even where a machine is named."""
        self.assertRefused("authenticate needs hostname", machineId="m")
        self.assertRefused("authenticate needs hostname", machineId="m", hostname=None)

    def test_names_have_1_to_255_characters(self) -> None:
        """The hostname and the machine, each refused by name."""
        self.assertEqual(self.read(hostname="h" * 255, machineId="é" * 255).machine_id, "é" * 255)
        for value in several(("", "x" * 256, 5, [], "\ud800")):
            self.assertRefused("hostname", "1 to 255", hostname=value)
            self.assertRefused("machineId", "1 to 255", hostname="h", machineId=value)

    def test_a_key_is_presented_in_two_spellings(self) -> None:
        """CamelCase wins, null is absent."""
        for members, key in (
            ({"apiKey": "k"}, "k"),
            ({"api_key": "k"}, "k"),
            ({"apiKey": "k", "api_key": "s"}, "k"),
            ({"apiKey": None, "api_key": "k"}, "k"),
            ({}, None),
        ):
            self.assertEqual(self.presented(wire("authenticate", hostname="h", **members)), key)

    def test_a_key_that_cannot_be_decoded_is_a_wrong_key(self) -> None:
        """It is there, so no other key stands in for it, and it is quoted nowhere."""
        self.assertNotIsInstance(self.presented(b'{"type":"authenticate","hostname":"h","apiKey":1e999}'), str)
        self.assertIsNot(self.presented(b'{"type":"authenticate","hostname":"h","apiKey":1e999}'), None)

    def presented(self, payload: bytes) -> Any:
        """The key in a first message."""
        first = read_first_message(payload)
        assert first is not None
        return presented_key(first[1])

    def test_a_hello_shows_no_key(self) -> None:
        """However it is printed."""
        self.assertNotIn("sesame", repr(self.read(hostname="h", apiKey="sesame")))
