"""Trace context that comes with a task (W3C Trace Context, section 3.2): it is kept and shown, and changes nothing."""

from __future__ import annotations

import re
from typing import Final

#: Version, trace id, parent id, flags. A later version than 00 may have more behind that.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(text: str | None) -> str | None:
    """Read a ``traceparent``.

    :return: its part that all versions have, 55 characters; none for what is no such thing, which is no error.
    """
    match = None if text is None else _TRACEPARENT.match(text)
    if match is None or text is None:
        return None
    rest = text[match.end() :]
    is_whole = not rest if match[1] == "00" else rest[:1] in ("", "-")
    return match[0] if is_whole else None
