"""How many connections the process can have."""

from __future__ import annotations

import json
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.descriptors import RESERVED

_PROGRAM = """
import json, resource, sys
from makima_relay.descriptors import most_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(json.dumps([most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""


class DescriptorsTests(SynchronousTestCase):
    """In a process of its own, whose limits are its own too."""

    def test_it_takes_all_that_it_may_have(self) -> None:
        """And leaves some for what is no connection."""
        for soft, hard, taken in ((100, 300, 300), (300, 300, 300), (30, 50, 50)):
            command = [sys.executable, "-c", _PROGRAM, str(soft), str(hard)]
            said = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
            self.assertEqual(json.loads(said), [max(1, taken - RESERVED), taken])
