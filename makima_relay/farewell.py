"""What daemons are told when the relay stops: in how long a time to come back, each at a moment of its own.

An upgrade sends all of them away at once. Came they back at once too, the new relay would have nothing else to do.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import Final

#: Daemons that a relay takes in a second beside its other work, whatever else limits them.
_RETURNS: Final = 500
#: Nobody is asked to stay away for longer, in seconds; every fleet has the least, because the next relay has to start.
_LONGEST, _SHORTEST = 30, 1
_INVITATION: Final = re.compile(r"come back within (\d{1,6}) s")


def farewell(daemons: int, accepts: int, grace: float) -> str:
    """The reason of the close.

    :param daemons: how many are sent away.
    :param accepts: connections that are accepted in a second; 0 for no limit.
    :param grace: seconds that a daemon has to return; it is asked back in half of that.
    """
    rate = min(_RETURNS, accepts or _RETURNS)
    seconds = max(_SHORTEST, min(math.ceil(daemons / rate), int(grace / 2), _LONGEST))
    return f"the relay stops, come back within {seconds} s"


def moment_to_return(reason: str, jitter: Callable[[], float] = random.random) -> float | None:
    """When one daemon is to come back, if it was asked to.

    :param reason: why its connection ended.
    :param jitter: gives numbers from 0 to 1.
    :return: seconds from now.
    """
    found = _INVITATION.search(reason)
    return int(found[1]) * jitter() if found else None
