"""The routes of daemon keys."""

from __future__ import annotations

import json
from typing import Any

from makima_relay.core.policy import Policy
from makima_relay.ports import StoreUnavailableError
from tests.fakes import HandStore
from tests.relay_case import KEY
from tests.web.case import Answer, ApiTestCase
from tests.wire import Peer

MAKE = b'{"name": "build-7"}'


class KeyTestCase(ApiTestCase):
    """Has a relay with its HTTP side, and words for keys."""

    policy = Policy(health_timeout=1e6, key_rotation_grace=10.0)

    def make(self, name: str = "build-7") -> str:
        """Make the first key of a name."""
        answer = self.ask("POST", "/keys", body=json.dumps({"name": name}).encode())
        self.assertEqual(answer.status, 201, answer.body)
        return str(answer.json["key"])

    def keys(self) -> dict[str, Any]:
        """What is listed, by name."""
        return {each.pop("name"): each for each in self.get("/keys")["keys"]}

    def authenticate(self, key: str, machine: str = "m") -> tuple[Peer, str]:
        """Connect a daemon with a key, and what it is told first."""
        peer = self.connect()
        peer.send("authenticate", apiKey=key, machineId=machine, hostname="h")
        first = peer.take()[0].message
        return peer, first.get("code") or first["type"]


class MakingTests(KeyTestCase):
    """POST /keys."""

    def test_a_key_is_shown_once(self) -> None:
        """And lets daemons in."""
        answer = self.ask("POST", "/keys", body=MAKE)
        self.assertEqual(answer.status, 201)
        self.assertEqual(set(answer.json), {"name", "key", "createdAt"})
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        key = answer.json["key"]
        self.assertRegex(key, r"^makima_relay_[A-Za-z0-9_-]{43}$")
        self.assertNotIn(key, self.ask("GET", "/keys").body.decode())
        self.assertNotIn(key, self.ask("GET", "/logs").body.decode())
        self.assertEqual(self.authenticate(key)[1], "authenticated")

    def test_from_the_first_key_on_the_shared_one_lets_nobody_in(self) -> None:
        """Who is in stays."""
        peer = self.join("old")
        self.make()
        self.assertEqual(self.authenticate(KEY)[1], "unauthorized")
        self.assertEqual((peer.take(), peer.lost), ([], False))

    def test_two_keys_are_never_the_same(self) -> None:
        """They are random."""
        self.assertEqual(len({self.make(f"k{number}") for number in range(20)}), 20)

    def test_a_name_in_use_is_a_conflict(self) -> None:
        """The key that is there stays as it is."""
        key = self.make()
        self.assert_problem(self.ask("POST", "/keys", body=MAKE), 409, "Conflict")
        self.assertEqual(self.authenticate(key)[1], "authenticated")

    def test_a_bad_name_is_refused(self) -> None:
        """With what a name takes; nothing is made."""
        for name in ("", "a b", "x" * 65, "a/b", "schlüssel", "a\n", None, 5, ["a"]):
            said = self.assert_problem(
                self.ask("POST", "/keys", body=json.dumps({"name": name}).encode()), 400, "Bad Request"
            )
            self.assertIn("name must be 1 to 64 characters", said)
        self.assertEqual(self.keys(), {})

    def test_a_bad_body_is_refused(self) -> None:
        """With an example of a good one."""
        for body in (b"", b"{", b"\xff", b"[" * 100_000):
            self.assertIn(
                "build-7", self.assert_problem(self.ask("POST", "/keys", body=body), 400, "Bad Request"), body[:9]
            )
        for body in (b"[]", b"null", b"5", b"{}"):
            self.assert_problem(self.ask("POST", "/keys", body=body), 400, "Bad Request")

    def test_no_key_is_made_that_cannot_be_stored(self) -> None:
        """503, and daemons go on with the key that they have."""
        store = HandStore()
        self.start(store)
        self.make_api()
        self.reactor.advance(1)
        store.commits[-1].done.errback(StoreUnavailableError("disk full"))
        self.assertTrue(self.engine.is_suspended)
        self.assert_problem(self.ask("POST", "/keys", body=MAKE), 503, "Service Unavailable")
        self.assertEqual(self.keys(), {})

    def test_a_key_is_not_shown_when_it_could_not_be_stored_after_all(self) -> None:
        """503: a crash would lose it."""
        store = HandStore()
        self.start(store)
        self.make_api()
        self.reactor.advance(1)
        store.commits[-1].succeeds()
        asked = self.treq.request("POST", "http://localhost:8787/keys", data=MAKE)
        store.commits[-1].fails(StoreUnavailableError("disk full"))
        self.treq.flush()
        response = self.successResultOf(asked)
        self.assertEqual(response.code, 503)
        self.assertNotIn(b"makima_relay_", self.successResultOf(self.treq.content(response)))


class ListTests(KeyTestCase):
    """GET /keys."""

    def test_it_says_who_uses_a_key(self) -> None:
        """When, from where, how many machines, how many now."""
        key = self.make()
        unused = self.keys()["build-7"]
        self.assertEqual((unused["lastUsedAt"], unused["lastAddress"], unused["machines"]), (None, None, 0))
        first, _ = self.authenticate(key, "m1")
        self.authenticate(key, "m2")
        first.lose()
        used = self.keys()["build-7"]
        self.assertEqual((used["machines"], used["connected"], used["lastAddress"]), (2, 1, "192.168.1.1:54321"))
        self.assertIsNotNone(used["lastUsedAt"])
        self.assertEqual(set(used), set(unused))

    def test_keys_survive_a_restart(self) -> None:
        """With all that is known of them."""
        key = self.make()
        peer, _ = self.authenticate(key, "m1")
        peer.lose()
        self.reactor.advance(1)
        before = self.keys()
        self.restart()
        self.assertEqual(self.keys(), before)
        self.assertEqual(self.authenticate(KEY)[1], "unauthorized")
        self.assertEqual(self.authenticate(key)[1], "authenticated")


class RotationTests(KeyTestCase):
    """POST /keys/{name}/rotate."""

    def test_both_keys_are_taken_until_the_grace_is_over(self) -> None:
        """Then who uses the older one is sent away."""
        older = self.make()
        peer, _ = self.authenticate(older, "m1")
        answer = self.ask("POST", "/keys/build-7/rotate")
        self.assertEqual((answer.status, set(answer.json)), (201, {"name", "key", "createdAt"}))
        newer = answer.json["key"]
        self.assertEqual([self.authenticate(key, "m2")[1] for key in (older, newer)], ["authenticated"] * 2)
        self.assertIsNotNone(self.keys()["build-7"]["olderKeysUntil"])
        self.reactor.pump([1.0] * 11)
        self.assertEqual(peer.take()[-1].close_code, 4401)
        self.assertEqual([self.authenticate(key, "m2")[1] for key in (older, newer)], ["unauthorized", "authenticated"])
        self.assertIsNone(self.keys()["build-7"]["olderKeysUntil"])

    def test_a_name_that_is_not_there_is_not_found(self) -> None:
        """404."""
        self.assert_problem(self.ask("POST", "/keys/nobody/rotate"), 404, "Not Found")


class RevocationTests(KeyTestCase):
    """DELETE /keys/{name}."""

    def revoke(self, name: str = "build-7") -> Answer:
        """Revoke."""
        return self.ask("DELETE", f"/keys/{name}")

    def test_connections_that_used_its_keys_are_closed_at_once(self) -> None:
        """With 4401, after an error."""
        key, other = self.make(), self.make("other")
        peer, _ = self.authenticate(key, "m1")
        bystander, _ = self.authenticate(other, "m2")
        answer = self.revoke()
        self.assertEqual((answer.status, answer.body), (204, b""))
        error, close = peer.take()
        self.assertEqual((error.message["code"], close.close_code), ("unauthorized", 4401))
        self.assertEqual(bystander.take(), [])
        self.assertEqual(self.authenticate(key, "m1")[1], "unauthorized")
        self.assertEqual(set(self.keys()), {"other"})

    def test_connections_are_closed_also_while_that_cannot_be_stored(self) -> None:
        """At once; 503 says that it is not stored."""
        key = self.make()
        peer, _ = self.authenticate(key, "m1")
        store = HandStore()
        self.engine._commits._store = store
        self.engine.noted("any", "thing")
        self.reactor.advance(1)
        store.commits[-1].fails(StoreUnavailableError("disk full"))
        self.assert_problem(self.revoke(), 503, "Service Unavailable")
        error, close = peer.take()
        self.assertEqual((error.message["code"], close.close_code), ("unauthorized", 4401))
        self.reactor.advance(2)
        self.assertTrue(peer.lost)
        store.commits[-1].succeeds()
        self.assertEqual(set(self.keys()), set())

    def test_what_could_not_be_stored_for_good_is_not_said_to_be_done(self) -> None:
        """503: the key lives on when the relay is started again."""
        self.make()
        store = HandStore()
        self.engine._commits._store = store
        asked = self.treq.request("DELETE", "http://localhost:8787/keys/build-7")
        self.reactor.advance(1)
        store.commits[-1].fails(ValueError("damaged"))
        self.treq.flush()
        self.assertEqual(self.successResultOf(asked).code, 503)

    def test_a_connection_that_is_being_closed_already_is_heard_no_more(self) -> None:
        """Else what it sent before it learnt that a newer one replaced it would count."""
        key = self.make()
        older, _ = self.authenticate(key, "m1")
        self.authenticate(key, "m1")
        older.send("log")
        self.assertEqual(self.engine.relay.reports_waiting, 1)
        self.revoke()
        older.send("log")
        self.assertEqual(self.engine.relay.reports_waiting, 1)

    def test_its_machines_are_free_and_the_name_may_be_used_again(self) -> None:
        """By any other key."""
        key, other = self.make(), self.make("other")
        peer, _ = self.authenticate(key, "m1")
        self.assertEqual(self.authenticate(other, "m1")[1], "unauthorized")
        self.assertFalse(peer.lost)
        self.revoke()
        self.assertEqual(self.authenticate(other, "m1")[1], "authenticated")
        self.assertNotEqual(self.make(), key)

    def test_a_name_that_is_not_there_is_not_found(self) -> None:
        """404, also the second time."""
        self.make()
        self.assertEqual([self.revoke().status for _ in range(2)], [204, 404])
