"""The tests of makima-relay.

With ``MAKIMA_RELAY_FAST_FRAMES=off`` they run without the fast path of :mod:`makima_relay.frames`.
"""

import os

from makima_relay.frames import FastFrames

FastFrames.fast_frames = os.environ.get("MAKIMA_RELAY_FAST_FRAMES", "on") == "on"
