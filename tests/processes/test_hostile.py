"""A relay under attack: whoever behaves does not notice."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from pathlib import Path

from websockets.sync.client import ClientConnection

from tests.processes.harness import PATIENCE, RelayProcess, ask, ask_until, say
from tests.processes.swarm import OFFENCES, Swarm
from tests.processes.test_relay import ProcessTestCase

#: How long the attack takes, in seconds; how many attack at a time, and what decides what they do.
SECONDS, SIZE, SEED = 4.0, 60, 5
#: By how much the relay may grow meanwhile, in MiB; a bomb alone would be 64.
GROWTH = 40
#: How the good daemon's reports begin; those of others may be nested too deep to be read here.
REPORT = '{"type": "bystander", '


class HostileTests(ProcessTestCase):
    """Half-open connections, slow requests, garbage, floods, guesses, bombs."""

    def test_a_swarm_of_offenders_disturbs_nobody(self) -> None:
        """A good daemon's reports arrive, in order; memory is bounded, the log has no traceback, nobody is left."""
        relay = self.start(
            *("--compression", "--auth-timeout", "1", "--max-message-size", "1MiB", "--max-header-size", "8KiB"),
            *("--max-strangers", "40", "--max-daemons", "50"),
        )
        port = relay.port()
        self.server.relay()
        worker = self.daemon(port, "bystander")
        listener = self.listen_to(relay)
        said = self.report_until(worker, time.monotonic() + 0.2)
        before = self.resident(relay)
        swarm = Swarm(port, SIZE, SEED)
        swarm.attack(SECONDS)
        said = self.report_until(worker, time.monotonic() + SECONDS, said)
        swarm.wait()
        self.assertEqual(set(swarm.done), {offence.__name__ for offence in OFFENCES})
        self.hear_in_order(said)
        status = ask_until(port, "/status", lambda status: status["connectedDaemons"] == 1)
        self.assertTrue(status["upstreamConnected"])
        self.assertEqual(ask(port, "/livez"), {"alive": True})
        self.assertLess(self.resident(relay, "VmHWM") - before, GROWTH)
        relay.process.send_signal(signal.SIGTERM)
        listener.join(PATIENCE)
        self.assertEqual(relay.finish(), 0)
        for word in ("Traceback", "Unhandled", "Error:", "exceptions."):
            self.assertNotIn(word, relay.output())

    @staticmethod
    def listen_to(relay: RelayProcess) -> threading.Thread:
        """Read what the relay says while it runs, or it would wait for that."""
        assert relay.process.stdout is not None
        listener = threading.Thread(target=relay.lines.extend, args=(relay.process.stdout,))
        listener.start()
        return listener

    @staticmethod
    def resident(relay: RelayProcess, what: str = "VmRSS") -> float:
        """The memory that a relay has, or had at most (``VmHWM``), in MiB."""
        status = Path(f"/proc/{relay.process.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    @staticmethod
    def report_until(worker: ClientConnection, end: float, number: int = 0) -> int:
        """Report again and again until a time comes.

        :param number: of the first report.
        :return: that of the next.
        """
        while time.monotonic() < end:
            say(worker, type="bystander", n=number)
            number += 1
            time.sleep(0.005)
        return number

    def hear_in_order(self, number: int) -> None:
        """All that the good daemon reported, so much, arrives in order, whatever arrives between."""
        expected = 0
        while expected < number:
            heard = self.server.heard.get(timeout=PATIENCE)
            if heard.startswith(REPORT):
                self.assertEqual(json.loads(heard)["n"], expected)
                expected += 1
