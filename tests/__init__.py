"""The tests of makima-relay.

With ``MAKIMA_RELAY_FAST_FRAMES=off`` they run without the fast path of :mod:`makima_relay.frames`.

The examples of property tests are the same in every run: a change is judged by what it changes, never by luck, and
nothing has to be remembered between runs. How long one takes is no matter: the machine may be busy.
"""

import os

from hypothesis import HealthCheck, settings

from makima_relay.frames import FastFrames

FastFrames.fast_frames = os.environ.get("MAKIMA_RELAY_FAST_FRAMES", "on") == "on"

settings.register_profile(
    "makima-relay", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("makima-relay")
