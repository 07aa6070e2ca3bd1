"""Who may join as a daemon, decided on the first message alone."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.admission import Admission, Refusal, Welcome
from makima_relay.core.keys import MOST_MACHINES, DaemonKey, DaemonKeys, digest_of
from makima_relay.core.messages import Hello
from makima_relay.core.spelling import WireCase

KEY = "a-key-of-the-server"


def decided(admission: Admission, key: str, machine_id: str = "m") -> int | DaemonKey | None:
    """What comes of a first message: a close code, or the daemon key that let in."""
    hello = {"type": "authenticate", "apiKey": key, "machineId": machine_id, "hostname": "h"}
    decision = admission.decide(json.dumps(hello).encode(), None)
    return decision.code if isinstance(decision, Refusal) else decision.key


class AdmissionTests(SynchronousTestCase):
    """First messages and what is decided on them."""

    def admitted(self, header_key: str | None = None, /, type_: str = "authenticate", **members: Any) -> Hello:
        """Who is let in with a first message."""
        decision = self.decide({"type": type_, **members}, header_key)
        assert isinstance(decision, Welcome), decision
        return decision.hello

    def refused(self, message: object, header_key: str | None = None) -> tuple[str, int]:
        """The code of the answer to a first message and of the close after it."""
        decision = self.decide(message, header_key)
        assert isinstance(decision, Refusal), decision
        answer = json.loads(decision.answer)
        self.assertEqual(set(answer), {"type", "code", "message"})
        self.assertEqual(decision.reason, f"{answer['code']}: {answer['message']}")
        return answer["code"], decision.code

    def decide(self, message: object, header_key: str | None) -> Welcome | Refusal:
        """Decide on a first message."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        return Admission(KEY).decide(payload, header_key)

    def test_the_right_key_lets_in(self) -> None:
        """Whichever way the members are spelled."""
        hello = self.admitted(apiKey=KEY, machineId="m", hostname="h", maxConcurrentTasks=3)
        self.assertEqual((hello.machine_id, hello.hostname, hello.capacity), ("m", "h", 3))
        snake = self.admitted(api_key=KEY, machine_id="m", hostname="h", max_concurrent_tasks=3)
        self.assertEqual(snake, hello)

    def test_once_a_daemon_key_was_made_only_such_keys_let_in(self) -> None:
        """Not the shared one, even when all of them are revoked."""
        keys = DaemonKeys()
        admission = Admission(KEY, keys)
        self.assertEqual(decided(admission, KEY), None)
        key = keys.make("build", digest_of("secret"), 0.0)
        self.assertEqual([decided(admission, each) for each in (KEY, "wrong", "secret")], [4401, 4401, key])
        keys.revoke("build", 1_000.0)
        self.assertEqual([decided(admission, each) for each in (KEY, "secret")], [4401, 4401])

    def test_the_shared_key_can_be_another(self) -> None:
        """The one before is taken no more; daemon keys are not touched by it."""
        keys = DaemonKeys()
        admission = Admission(KEY, keys)
        admission.change_shared_key("another")
        self.assertEqual([decided(admission, each) for each in (KEY, "another")], [4401, None])
        key = keys.make("build", digest_of("secret"), 0.0)
        admission.change_shared_key(KEY)
        self.assertEqual([decided(admission, each) for each in (KEY, "secret")], [4401, key])

    def test_a_machine_of_another_name_is_refused(self) -> None:
        """With a right key."""
        keys = DaemonKeys()
        admission = Admission(KEY, keys)
        keys.make("a", digest_of("of-a"), 0.0)
        b = keys.make("b", digest_of("of-b"), 0.0)
        keys.claim("m", "a")
        self.assertEqual(decided(admission, "of-b", "m"), 4401)
        self.assertEqual(decided(admission, "of-b", "n"), b)
        keys.revoke("a", 1_000.0)
        self.assertEqual(decided(admission, "of-b", "m"), b)

    def test_a_key_has_not_endlessly_many_machines(self) -> None:
        """Those that it has may go on."""
        keys = DaemonKeys()
        admission = Admission(KEY, keys)
        key = keys.make("a", digest_of("of-a"), 0.0)
        for number in range(MOST_MACHINES):
            keys.claim(f"m{number}", "a")
        self.assertEqual(decided(admission, "of-a", "m5"), key)
        self.assertEqual(decided(admission, "of-a", "one-more"), 4401)

    def test_the_key_may_come_with_the_upgrade_request(self) -> None:
        """Where the message has none, or null."""
        self.assertEqual(self.admitted(KEY, hostname="h").hostname, "h")
        self.assertEqual(self.admitted(KEY, hostname="h", apiKey=None).hostname, "h")

    def test_the_key_in_the_message_goes_first(self) -> None:
        """Right or wrong."""
        self.assertEqual(self.admitted("wrong", hostname="h", apiKey=KEY).hostname, "h")
        wrong = {"type": "authenticate", "hostname": "h", "apiKey": "wrong"}
        self.assertEqual(self.refused(wrong, KEY), ("unauthorized", 4401))

    def test_a_wrong_key_is_refused(self) -> None:
        """Missing, wrong, nearly right, no string: all are told the same."""
        hello = {"type": "authenticate", "hostname": "h"}
        self.assertEqual(self.refused(hello), ("unauthorized", 4401))
        for key in ("wrong", "", KEY + " ", KEY[:-1], KEY.upper(), 7, True, [KEY], {"key": KEY}, "\ud800", "ключ"):
            self.assertEqual(self.refused({**hello, "apiKey": key}), ("unauthorized", 4401), key)

    def test_a_wrong_key_is_not_repeated(self) -> None:
        """Neither in the answer nor in what is logged."""
        decision = self.decide({"type": "authenticate", "hostname": "h", "apiKey": "nearly-right"}, None)
        self.assertNotIn("nearly-right", repr(decision))

    def test_who_has_no_key_learns_nothing_else(self) -> None:
        """A wrong key goes before any other fault."""
        message = {"type": "authenticate", "apiKey": "wrong", "maxConcurrentTasks": "many"}
        self.assertEqual(self.refused(message), ("unauthorized", 4401))

    def test_anything_but_authenticate_is_refused(self) -> None:
        """Also what is no message at all, even with a key."""
        for message in (
            {"type": "heartbeat", "apiKey": KEY, "hostname": "h"},
            {"apiKey": KEY, "hostname": "h"},
            {"type": None},
            ["authenticate"],
            b"authenticate",
            b"",
            b"[" * 100_000,
        ):
            self.assertEqual(self.refused(message, KEY), ("unauthenticated", 4401), message)

    def test_the_hostname_is_needed(self) -> None:
        """A string of 1 to 255 characters."""
        for hostname in (None, "", "h" * 256, 7, ["h"], "\ud800"):
            message = {"type": "authenticate", "apiKey": KEY, "hostname": hostname}
            self.assertEqual(self.refused(message), ("invalid_message", 4400), hostname)
        self.assertEqual(self.refused({"type": "authenticate", "apiKey": KEY}), ("invalid_message", 4400))
        self.assertEqual(self.admitted(apiKey=KEY, hostname="ü" * 255).hostname, "ü" * 255)

    def test_the_machine_id_defaults_to_the_hostname(self) -> None:
        """And is a string of 1 to 255 characters if it is there."""
        self.assertEqual(self.admitted(apiKey=KEY, hostname="h").machine_id, "h")
        self.assertEqual(self.admitted(apiKey=KEY, hostname="h", machineId=None).machine_id, "h")
        bad: list[object] = ["", "m" * 256, 7, {}]
        for machine_id in bad:
            message = {"type": "authenticate", "apiKey": KEY, "hostname": "h", "machineId": machine_id}
            self.assertEqual(self.refused(message), ("invalid_message", 4400), machine_id)

    def test_the_number_of_slots_is_an_integer_from_0_to_10000(self) -> None:
        """10 if it is absent or null."""
        for number, capacity in ((0, 0), (1, 1), (10_000, 10_000), (None, 10)):
            self.assertEqual(self.admitted(apiKey=KEY, hostname="h", maxConcurrentTasks=number).capacity, capacity)
        self.assertEqual(self.admitted(apiKey=KEY, hostname="h").capacity, 10)
        for bad in (-1, 10_001, 1.5, "3", True, [3], 10**400):
            message = {"type": "authenticate", "apiKey": KEY, "hostname": "h", "maxConcurrentTasks": bad}
            self.assertEqual(self.refused(message), ("invalid_message", 4400), bad)

    def test_the_answer_is_spelled_as_the_question(self) -> None:
        """A daemon that says ``Authenticate`` is told ``Error``."""
        for spelling, case, error in (
            ("authenticate", WireCase.CAMEL, "error"),
            ("Authenticate", WireCase.PASCAL, "Error"),
            ("AUTHENTICATE", WireCase.UPPER, "ERROR"),
        ):
            self.assertEqual(self.admitted(type_=spelling, apiKey=KEY, hostname="h").case, case)
            decision = self.decide({"type": spelling, "apiKey": "wrong"}, None)
            assert isinstance(decision, Refusal)
            self.assertEqual(json.loads(decision.answer)["type"], error)

    def test_a_key_is_not_in_the_representation_of_who_was_let_in(self) -> None:
        """Nor in the value itself."""
        self.assertNotIn(KEY, repr(self.admitted(apiKey=KEY, hostname="h")))
