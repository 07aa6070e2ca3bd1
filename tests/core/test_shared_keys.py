"""Daemon keys that several relays share: the last change of a name counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core import effects
from makima_relay.core.effects import CloseDaemon
from makima_relay.core.keys import digest_of
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.shared_keys import SharedKey, SharedName, shared_name
from tests.core.builders import events, hello, of_kind

ONE, TWO, THREE = (digest_of(each) for each in ("one", "two", "three"))


def relay() -> Relay:
    """A relay that has just started, at the epoch."""
    made = Relay(Policy(key_rotation_grace=100.0))
    made.started(0.0, 0.0)
    return made


def said(one: Relay, name: str = "build") -> SharedName:
    """What a relay tells others of a name."""
    found = shared_name(one.keys, name)
    assert found is not None
    assert found.is_sound
    return found


class SharedKeysTests(SynchronousTestCase):
    """Two relays that hear of each other's keys."""

    def setUp(self) -> None:
        """Have them."""
        self.here, self.there = relay(), relay()

    def test_a_name_that_was_made_elsewhere_is_taken(self) -> None:
        """And the shared key no more."""
        self.there.key_made("build", ONE, 10.0)
        decided = self.here.keys_merged([said(self.there)], 11.0)
        self.assertEqual([each.key.digest for each in of_kind(decided, effects.SaveKey)], [ONE])
        self.assertEqual(events(decided), ["key_made"])
        self.assertTrue(self.here.keys.ever_made)
        self.assertEqual(said(self.here), said(self.there))
        self.assertEqual(self.here.keys_merged([said(self.there)], 12.0), [])

    def test_a_rotation_elsewhere_counts_with_its_grace(self) -> None:
        """The older key ends when it ends there."""
        self.there.key_made("build", ONE, 10.0)
        self.here.keys_merged([said(self.there)], 11.0)
        self.there.key_rotated("build", TWO, 20.0)
        decided = self.here.keys_merged([said(self.there)], 21.0)
        self.assertEqual(events(decided), ["key_rotated"])
        self.assertEqual([key.ends_at for key in self.here.keys.of("build")], [120.0, None])

    def test_a_revocation_elsewhere_sends_daemons_away(self) -> None:
        """And their machines are free."""
        self.there.key_made("build", ONE, 10.0)
        self.here.keys_merged([said(self.there)], 11.0)
        self.here.daemon_joined(1, hello("m1"), "a", 12.0, self.here.keys.find("one"))
        self.there.keys_revoked("build", 20.0)
        decided = self.here.keys_merged([said(self.there)], 21.0)
        self.assertEqual(decided[0], effects.RevokeKeys("build", 20.0))
        self.assertEqual([each.connection for each in of_kind(decided, CloseDaemon)], [1])
        self.assertFalse(self.here.keys.is_others("m1", "other"))
        self.assertIsNone(self.here.keys.find("one"))

    def test_what_was_revoked_does_not_come_back(self) -> None:
        """However late a relay hears of it that still has the keys."""
        self.there.key_made("build", ONE, 10.0)
        self.here.keys_merged([said(self.there)], 11.0)
        late = said(self.here)
        self.there.keys_revoked("build", 20.0)
        self.assertEqual(self.there.keys_merged([late], 30.0), [])
        self.assertIsNone(self.there.keys.find("one"))

    def test_a_name_that_was_made_again_has_neither_its_old_keys_nor_their_machines(self) -> None:
        """Also where the revocation between was missed."""
        self.here.key_made("build", ONE, 10.0)
        self.here.daemon_joined(1, hello("m1"), "a", 12.0, self.here.keys.find("one"))
        self.there.keys_merged([said(self.here)], 13.0)
        self.there.keys_revoked("build", 20.0)
        self.there.key_made("build", TWO, 30.0)
        decided = self.here.keys_merged([said(self.there)], 31.0)
        self.assertEqual([each.connection for each in of_kind(decided, CloseDaemon)], [1])
        self.assertEqual([key.digest for key in self.here.keys.of("build")], [TWO])
        self.assertEqual(self.here.keys.named("build").machines, set())

    def test_a_relay_whose_clock_is_behind_has_the_last_word_all_the_same(self) -> None:
        """What it does is done to what it knows."""
        self.there.key_made("build", ONE, 1_000.0)
        self.here.keys_merged([said(self.there)], 10.0)
        self.here.keys_revoked("build", 11.0)
        self.there.keys_merged([said(self.here)], 1_001.0)
        self.assertIsNone(self.there.keys.find("one"))
        self.here.key_made("build", TWO, 12.0)
        self.there.keys_merged([said(self.here)], 1_002.0)
        self.assertIsNotNone(self.there.keys.find("two"))

    def test_a_key_of_another_name_is_not_taken(self) -> None:
        """It stays whose it is."""
        self.here.key_made("other", ONE, 10.0)
        stolen = SharedName(name="build", changed_at=20.0, keys=(SharedKey(ONE, 20.0),))
        self.assertEqual(self.here.keys_merged([stolen], 21.0), [])
        found = self.here.keys.find("one")
        self.assertEqual(found and found.name, "other")

    def test_machines_belong_to_the_name_that_was_first(self) -> None:
        """Here; a name that is not there has none."""
        self.here.key_made("a", ONE, 10.0)
        self.here.key_made("b", TWO, 10.0)
        decided = self.here.machines_merged("a", ["m1", "m2"], 11.0)
        self.assertEqual(decided, [effects.SaveMachine("m1", "a"), effects.SaveMachine("m2", "a")])
        self.assertEqual(self.here.machines_merged("b", ["m1"], 12.0), [])
        self.assertEqual(self.here.machines_merged("c", ["m3"], 12.0), [])

    def test_what_no_relay_can_have_said_is_not_sound(self) -> None:
        """A name whose last key ends would have none one day."""
        for bad in (
            SharedName(name="a", changed_at=1.0),
            SharedName(name="a", changed_at=1.0, revoked_at=2.0),
            SharedName(name="a", changed_at=1.0, keys=(SharedKey(ONE, 1.0, 5.0),)),
            SharedName(name="a", changed_at=2.0, keys=(SharedKey(ONE, 1.0),)),
        ):
            self.assertFalse(bad.is_sound, bad)
        self.assertTrue(SharedName(name="a", changed_at=1.0, revoked_at=1.0).is_sound)


_CHANGES = st.tuples(st.integers(0, 2), st.sampled_from(["make", "rotate", "revoke", "hear"]), st.integers(0, 2))


class AgreementTests(SynchronousTestCase):
    """Whatever happens where, relays that have heard of all agree."""

    @given(st.lists(_CHANGES, max_size=25))
    def test_relays_that_heard_everything_have_the_same_keys(self, changes: list[tuple[int, str, int]]) -> None:
        """In whatever order they hear it."""
        relays = [relay() for _ in range(3)]
        for number, (who, what, other) in enumerate(changes, 1):
            self.change(relays[who], what, relays[other], float(number))
        for _ in range(2):
            for one in relays:
                for other_relay in relays:
                    self.hear(one, other_relay, 90.0)
        heard = {(each.keys.changed_at("build"), tuple(each.keys.of("build"))) for each in relays}
        self.assertEqual(len(heard), 1, heard)

    def change(self, one: Relay, what: str, other: Relay, now: float) -> None:
        """Have something happen."""
        digest = digest_of(str(now))
        has = bool(one.keys.of("build"))
        if what == "hear":
            self.hear(one, other, now)
        elif what == "make" and not has:
            one.key_made("build", digest, now)
        elif what == "rotate" and has:
            one.key_rotated("build", digest, now)
        elif what == "revoke" and has:
            one.keys_revoked("build", now)

    @staticmethod
    def hear(one: Relay, other: Relay, now: float) -> None:
        """Have a relay hear of what another knows."""
        found = shared_name(other.keys, "build")
        if found is not None:
            one.keys_merged([found], now)
