"""Stand-ins for what stands around a relay: a Makima server, a daemon, and a demo that puts all of it together.

For trying out, tests and measurements. They speak ``protocol.md`` and nothing else: what the real ones do beyond it,
these do not.
"""

import traceback

#: The key of stand-ins that were given none.
DEFAULT_KEY = "sandbox"


class SandboxError(Exception):
    """Something that cannot be; the text says in one line what, and what to do."""


def bug_in_one_line(error: BaseException) -> str:
    """What to say of an error that nobody foresaw."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"this is a bug: {error!r} in {place.filename}, line {place.lineno}"
