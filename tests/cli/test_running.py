"""How the asynchronous part of a command ends."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.cli.errors import ExitStatus

_STUBBORN = dedent("""
    import os, signal
    from twisted.internet.task import deferLater
    from makima_relay.cli.running import run

    async def main(reactor):
        reactor.callLater(0, os.kill, os.getpid(), signal.SIGTERM)
        while True:
            try:
                await deferLater(reactor, 3600)
            except BaseException:
                pass

    run(main)
    """)


class EndingTests(SynchronousTestCase):
    """A signal ends a command, whatever it is at."""

    def test_a_signal_ends_what_takes_its_cancellation_for_a_failure(self) -> None:
        """It is left where it waits again."""
        ended = subprocess.run(
            [sys.executable, "-c", _STUBBORN], check=False, capture_output=True, text=True, timeout=60
        )
        self.assertEqual(ended.returncode, ExitStatus.TERMINATED, ended.stderr)
