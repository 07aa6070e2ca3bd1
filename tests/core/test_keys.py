"""Daemon keys: what is made, rotated, revoked, and whose machines are whose."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core import effects
from makima_relay.core.effects import CloseDaemon, Effect, Gate, SendToDaemon
from makima_relay.core.from_daemons import read_report
from makima_relay.core.keys import KEY_NAME, DaemonKey, DaemonKeys, KeyNameTakenError, UnknownKeyError, digest_of
from makima_relay.core.policy import Policy
from tests.core.builders import AT, D1, NOW, events, examples, hello, of_kind, wire
from tests.core.cases import RelayTestCase
from tests.untraced import untraced

ONE, TWO, THREE = digest_of("one"), digest_of("two"), digest_of("three")


class DaemonKeysTests(SynchronousTestCase):
    """The keys by themselves."""

    def setUp(self) -> None:
        self.keys = DaemonKeys()

    def taken(self, *keys: str) -> list[bool]:
        """Which of these keys are taken."""
        return [self.keys.find(key) is not None for key in keys]

    def test_a_key_is_taken_from_when_it_is_made_until_its_name_is_revoked(self) -> None:
        """And no other."""
        self.assertEqual((self.keys.ever_made, self.taken("one")), (False, [False]))
        self.keys.make("build", ONE, AT)
        self.assertEqual((self.keys.ever_made, self.taken("one", "two", "")), (True, [True, False, False]))
        self.keys.revoke("build", 1_000.0)
        self.assertEqual((self.keys.ever_made, self.taken("one")), (True, [False]))

    def test_a_name_is_used_once(self) -> None:
        """Until it is revoked."""
        self.keys.make("build", ONE, AT)
        self.assertRaises(KeyNameTakenError, self.keys.make, "build", TWO, AT)
        self.keys.revoke("build", 1_000.0)
        self.keys.make("build", TWO, AT)
        self.assertEqual(self.taken("one", "two"), [False, True])

    def test_names_that_are_not_there_are_unknown(self) -> None:
        """Whatever is wanted of them."""
        self.assertRaises(UnknownKeyError, self.keys.revoke, "build", 1_000.0)
        self.assertRaises(UnknownKeyError, self.keys.rotate, "build", ONE, AT, 10.0)
        self.assertRaises(UnknownKeyError, self.keys.named, "build")

    def test_an_older_key_ends_when_its_grace_is_over(self) -> None:
        """Not a moment before."""
        self.keys.make("build", ONE, AT)
        self.keys.rotate("build", TWO, AT, 10.0)
        self.assertEqual(self.keys.expire(AT + 9.9), [])
        self.assertEqual(self.taken("one", "two"), [True, True])
        self.assertEqual([key.digest for key in self.keys.expire(AT + 10)], [ONE])
        self.assertEqual(self.taken("one", "two"), [False, True])

    def test_a_further_rotation_gives_no_key_more_time(self) -> None:
        """Nor less."""
        self.keys.make("build", ONE, AT)
        self.keys.rotate("build", TWO, AT, 10.0)
        self.keys.rotate("build", THREE, AT + 5, 10.0)
        self.assertEqual([key.digest for key in self.keys.expire(AT + 10)], [ONE])
        self.assertEqual([key.digest for key in self.keys.expire(AT + 15)], [TWO])
        self.assertEqual(self.taken("one", "two", "three"), [False, False, True])

    def test_a_machine_belongs_to_the_name_that_it_first_used(self) -> None:
        """Until that is revoked."""
        self.keys.make("a", ONE, AT)
        self.keys.make("b", TWO, AT)
        self.assertTrue(self.keys.claim("m", "a"))
        self.assertFalse(self.keys.claim("m", "b"))
        self.assertEqual([self.keys.is_others("m", name) for name in "ab"], [False, True])
        self.keys.revoke("a", 1_000.0)
        self.assertFalse(self.keys.is_others("m", "b"))
        self.assertTrue(self.keys.claim("m", "b"))

    def test_no_key_is_shown(self) -> None:
        """Not even its digest."""
        self.assertEqual(repr(DaemonKey(ONE, "build", AT)), "DaemonKey(name='build')")

    def test_half_a_surrogate_pair_is_a_wrong_key(self) -> None:
        """No error."""
        self.keys.make("build", ONE, AT)
        self.assertEqual(self.taken("\ud800"), [False])

    @untraced
    @examples(300)
    @given(st.text(max_size=70))
    def test_a_name_is_plain(self, name: str) -> None:
        """Nothing in it needs quoting in a URL, a shell or a log."""
        plain = all(each.isascii() and (each.isalnum() or each in "._-") for each in name)
        self.assertEqual(KEY_NAME.fullmatch(name) is not None, plain and 1 <= len(name) <= 64)


class KeyringTests(RelayTestCase):
    """What becomes of keys, and of who uses them."""

    def setUp(self) -> None:
        self.start(Policy(key_rotation_grace=100.0))
        self.relay.key_made("build", ONE, NOW)

    def join_with(self, key: str, machine: str = "m1") -> tuple[int, Sequence[Effect]]:
        """Have a daemon connect with a key."""
        self._connections += 1
        found = self.relay.keys.find(key)
        decided = self.relay.daemon_joined(self._connections, hello(machine), "10.0.0.1:5", NOW, found)
        return self._connections, decided

    def test_what_is_made_is_kept_and_told(self) -> None:
        """Before anybody can see it."""
        decided = self.relay.key_made("test", TWO, NOW)
        self.assertEqual(decided[0], effects.SaveKey(DaemonKey(TWO, "test", AT)))
        self.assertIsInstance(decided[0], Gate)
        self.assertEqual(events(decided), ["key_made"])

    def test_a_rotation_keeps_both(self) -> None:
        """The older one with its end."""
        decided = self.relay.key_rotated("build", TWO, NOW)
        older, newer = DaemonKey(ONE, "build", AT, AT + 100), DaemonKey(TWO, "build", AT + 0.001)
        self.assertEqual(of_kind(decided, effects.SaveKey), [effects.SaveKey(older), effects.SaveKey(newer)])
        self.assertEqual(events(decided), ["key_rotated"])

    def test_the_first_use_binds_the_machine_before_it_is_welcomed(self) -> None:
        """And every use is noted."""
        _, decided = self.join_with("one")
        use, machine = effects.SaveKeyUse("build", AT, "10.0.0.1:5"), effects.SaveMachine("m1", "build")
        self.assertEqual(decided[:2], [use, machine])
        named = self.relay.keys.named("build")
        self.assertEqual((named.last_used_at, named.last_address, named.machines), (AT, "10.0.0.1:5", {"m1"}))
        _, again = self.join_with("one")
        self.assertEqual(of_kind(again, effects.SaveKeyUse, effects.SaveMachine), [use])

    def test_revoking_closes_the_connections_that_used_a_key_of_the_name(self) -> None:
        """And no others; what they say from then on does not count."""
        self.relay.key_made("other", THREE, NOW)
        self.relay.key_rotated("build", TWO, NOW)
        first, _ = self.join_with("one", "m1")
        second, _ = self.join_with("two", "m2")
        self.join_with("three", "m3")
        decided = self.relay.keys_revoked("build", NOW)
        self.assertEqual(decided[0], effects.RevokeKeys("build", self.relay.keys.revoked["build"]))
        closed = [(each.connection, each.code) for each in decided if isinstance(each, CloseDaemon)]
        self.assertEqual(closed, [(first, 4401), (second, 4401)])
        answers = {each.connection: each.payload for each in decided if isinstance(each, SendToDaemon)}
        self.assertEqual(answers[first], wire("error", code="unauthorized", message="its key is revoked"))
        self.assertEqual([each.machine_id for each in self.relay.daemons()], ["m3"])
        self.assertEqual(self.relay.reports_received(first, [read_report(wire("news", taskId="t1"))], NOW), [])
        self.assertEqual(self.relay.daemon_lost(first, "closed", NOW), [])

    def test_the_tasks_of_a_daemon_that_is_sent_away_are_orphaned(self) -> None:
        """Like those of any that is gone."""
        self.join_with("one")
        self.spawn()
        self.relay.keys_revoked("build", NOW)
        self.assertEqual((self.known().status, self.known().daemon_id), ("orphaned", D1))

    def test_who_still_uses_an_older_key_when_it_ends_is_sent_away(self) -> None:
        """Who uses the newer one stays."""
        self.relay.key_rotated("build", TWO, NOW)
        old, _ = self.join_with("one", "m1")
        self.join_with("two", "m2")
        self.assertEqual(of_kind(self.relay.time_passed(NOW + 99, AT + 99), CloseDaemon), [])
        decided = self.relay.time_passed(NOW + 100, AT + 100)
        self.assertEqual(of_kind(decided, effects.ForgetKeys), [effects.ForgetKeys((ONE,))])
        self.assertEqual([each.connection for each in decided if isinstance(each, CloseDaemon)], [old])
        self.assertIn("key_expired", events(decided))

    def test_who_came_with_the_shared_key_stays(self) -> None:
        """Keys made or revoked later do not concern it."""
        self.join("m9")
        self.relay.keys_revoked("build", NOW)
        self.assertEqual([each.machine_id for each in self.relay.daemons()], ["m9"])
