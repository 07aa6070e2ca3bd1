"""The tests of makima-relay.

With ``MAKIMA_RELAY_FAST_FRAMES=off`` they run without the fast path of :mod:`makima_relay.frames`.

The examples of property tests are the same in every run: a change is judged by what it changes, never by luck, and
nothing has to be remembered between runs. How long one takes is no matter: the machine may be busy.

Coverage is measured of what trial's workers run themselves. In the relays, commands and demos that tests start it would
take as long again.
"""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

from makima_relay.frames import FastFrames

FastFrames.fast_frames = os.environ.get("MAKIMA_RELAY_FAST_FRAMES", "on") == "on"

if Path(sys.argv[0]).name == "workertrial.py":
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

settings.register_profile(
    "makima-relay", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("makima-relay")
