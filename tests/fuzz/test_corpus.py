"""The corpus, and mutations of it, against every target."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.bytes_to_try import corpus, mutations
from tests.fuzz.targets import PLAIN, WHOLE, Target, whole_relay
from tests.untraced import untraced

#: How many times as many mutations are tried as by default.
TIMES = int(os.environ.get("MAKIMA_FUZZ", "1"))


class CorpusTests(SynchronousTestCase):
    """Nothing fails at what once was found, nor at what is a few changes away from it."""

    def assert_holds(self, target: Target, name: str, mutated: int) -> None:
        """Try the corpus of a target, and so many mutations; what fails is told."""
        kept = corpus(name)
        self.assertGreater(len(kept), 2, name)
        for data in (*kept, *mutations(kept, mutated * TIMES, seed=TIMES)):
            try:
                target(data)
            except Exception as error:
                raise self.failureException(f"{name} fails at {data!r}: {error!r}") from error

    @untraced
    def test_envelopes(self) -> None:
        """Both readings agree on what anybody may send."""
        for name in ("report", "command", "hello"):
            self.assert_holds(PLAIN[name], name, 3_000)

    @untraced
    def test_streams(self) -> None:
        """The fast paths do what Autobahn does."""
        for name in ("client_frames", "server_frames", "upgrades"):
            self.assert_holds(PLAIN[name], name, 300)

    @untraced
    def test_files(self) -> None:
        """What is wrong with one that others wrote is said in one line, without a secret."""
        for name, mutated in (("env_file", 1_000), ("secret_file", 300), ("database", 30), ("foreign_database", 10)):
            self.assert_holds(PLAIN[name], name, mutated)

    @untraced
    def test_a_whole_relay(self) -> None:
        """Nothing is left of an attack, nobody is disturbed, nothing is logged as an error."""
        for name in WHOLE:
            self.assert_holds(whole_relay(name), name, 100)
