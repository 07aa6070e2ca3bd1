"""The command line of the chaos experiment."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli import makima_relay
from makima_relay.sandbox import running
from makima_relay.sandbox.chaos.faults import PLAIN, Kind
from makima_relay.sandbox.chaos.options import ChaosOptions


class ChaosCommandTests(SynchronousTestCase):
    """What it makes of its options; nothing is run."""

    def setUp(self) -> None:
        """Take what would be run."""
        self.taken: list[partial[Any]] = []
        self.patch(running, "run", self.taken.append)

    def run_command(self, *arguments: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(makima_relay, ["sandbox", "chaos", *arguments], prog_name="makima-relay")

    def options(self, *arguments: str) -> ChaosOptions:
        """What a command line means."""
        result = self.run_command(*arguments)
        self.assertEqual(result.exit_code, 0, result.output)
        options: ChaosOptions = self.taken[-1].keywords["options"]
        return options

    def test_without_options_everything_fails_for_a_minute(self) -> None:
        """With a seed that is another each time."""
        options = self.options()
        self.assertEqual((options.seconds, options.daemons, options.rate), (60.0, 20, 2_000.0))
        self.assertEqual((options.kinds, options.on_daemon_loss, options.small_disk), (PLAIN, "requeue", False))
        self.assertEqual((options.plot, options.figures, options.every), (None, None, None))
        self.assertEqual(len({options.seed, *(self.options().seed for _ in range(3))}), 4)

    def test_faults_are_chosen_by_their_names(self) -> None:
        """Or none, for a soak."""
        self.assertEqual(self.options("--faults", "kill, cut").kinds, (Kind.CUT, Kind.KILL))
        self.assertEqual(self.options("--faults", "none").kinds, ())

    def test_all_options_count(self) -> None:
        """Each of them."""
        words = "--seed 7 --disk tmpfs --every 0.5 --on-daemon-loss fail --plot p.svg --json f.json"
        options = self.options(*words.split())
        self.assertEqual((options.seed, options.small_disk, options.every), (7, True, 0.5))
        self.assertEqual(
            (options.on_daemon_loss, options.plot, options.figures), ("fail", Path("p.svg"), Path("f.json"))
        )

    def test_several_relays_have_more_that_fails(self) -> None:
        """Which is refused where there is one."""
        options = self.options("--relays", "3")
        self.assertEqual((options.relays, options.kinds), (3, tuple(Kind)))
        self.assertEqual(self.options("--faults", "redis-kill,cut", "--relays", "2").kinds, (Kind.CUT, Kind.REDIS_KILL))
        refused = self.run_command("--faults", "redis-kill")
        self.assertIn("'redis-kill' is not allowed; it takes all, none, or", " ".join(refused.output.split()))

    def test_what_is_wrong_is_refused(self) -> None:
        """With what it takes."""
        for arguments, words in (
            (["--faults", "kill,fire"], "'fire' is not allowed; it takes all, none, or some of cut, stall, blackhole"),
            (["--seconds", "1"], "'--seconds': 1.0 is not in the range"),
            (["--daemons", "0"], "'--daemons': 0 is not in the range"),
            (["--disk", "floppy"], "'floppy' is not one of"),
        ):
            result = self.run_command(*arguments)
            self.assertEqual(result.exit_code, 2)
            self.assertIn(words, " ".join(result.output.split()))
