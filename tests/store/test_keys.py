"""Daemon keys in the database."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from makima_relay.core.effects import Effect, Saved
from makima_relay.core.keys import DaemonKeys, KeyNameTakenError, StoredKeys, UnknownKeyError, digest_of
from makima_relay.core.policy import Policy
from makima_relay.core.relay import Relay
from makima_relay.core.snapshot import Snapshot
from makima_relay.store import writer
from makima_relay.store.keys import read_keys
from tests.core.builders import examples, hello
from tests.store.case import StoreTestCase
from tests.untraced import untraced

#: What may happen to keys: a word, a name, and how many seconds later.
HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(["make", "rotate", "revoke", "use", "wait"]), st.sampled_from("ab"), st.integers(0, 60)),
    max_size=25,
)


def seen(keys: DaemonKeys) -> dict[str, object]:
    """All that can be seen of keys."""
    return {each.name: ([*each.keys], each.last_used_at, each.last_address, each.machines) for each in keys} | {
        "ever made": keys.ever_made
    }


class KeysTests(StoreTestCase):
    """What is written is what is read."""

    def happen(self, relay: Relay, word: str, name: str, number: int, now: float) -> list[Effect]:
        """Have something happen to keys, if it can."""
        digest = digest_of(str(number))
        try:
            match word:
                case "make":
                    return relay.key_made(name, digest, now)
                case "rotate":
                    return relay.key_rotated(name, digest, now)
                case "revoke":
                    return relay.keys_revoked(name, now)
                case "use":
                    key = relay.keys.named(name).keys[-1]
                    return relay.daemon_joined(number, hello(f"{name}{number % 3}"), f"10.0.0.{number}", now, key)
        except (KeyNameTakenError, UnknownKeyError):
            return []
        return relay.time_passed(now, now)

    @untraced
    @examples(150)
    @given(HAPPENINGS, st.integers(1, 8))
    def test_the_database_has_what_the_memory_has(self, happenings: list[tuple[str, str, int]], at_once: int) -> None:
        """However many changes one commit has."""
        self.setUp()
        relay = Relay(Policy(key_rotation_grace=30.0), Snapshot())
        relay.started(0.0, 0.0)
        now, batch = 0.0, []
        for number, (word, name, later) in enumerate(happenings, 1):
            now += later
            batch += [each for each in self.happen(relay, word, name, number, now) if isinstance(each, Saved)]
            if number % at_once == 0 or number == len(happenings):
                with self.connection:
                    writer.write(self.connection.cursor(), batch)
                batch = []
                self.assertEqual(seen(DaemonKeys(read_keys(self.connection.cursor()))), seen(relay.keys))

    def test_a_new_database_has_no_keys(self) -> None:
        """So daemons present the shared key."""
        self.assertEqual(read_keys(self.connection.cursor()), StoredKeys())

    def test_a_key_is_not_in_the_file(self) -> None:
        """Only its digest is."""
        relay = Relay(Policy(), Snapshot())
        decided = relay.key_made("build", digest_of("the-key-itself"), 0.0)
        with self.connection:
            writer.write(self.connection.cursor(), [each for each in decided if isinstance(each, Saved)])
        dump = "\n".join(self.connection.iterdump())
        self.assertIn(digest_of("the-key-itself").hex(), dump.lower())
        self.assertNotIn("the-key-itself", dump)
