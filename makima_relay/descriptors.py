"""How many connections the process can have: the operating system gives it so many descriptors."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

#: Descriptors that are not for connections: the database, the log, the server, what libraries open.
RESERVED: Final = 64
#: More descriptors than this are not asked for.
_ENOUGH: Final = 1 << 20


def most_connections() -> int:
    """Take as many descriptors as the process may have, and say for how many connections they are enough.

    Shells and supervisors often give few and allow many: 1,024 are less than the daemons of a large fleet.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(1, (_ENOUGH if soft == resource.RLIM_INFINITY else soft) - RESERVED)
