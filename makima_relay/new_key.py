"""Makes daemon keys."""

from __future__ import annotations

import secrets
from typing import Final

#: How every key begins, so that a scanner for secrets can tell one.
KEY_PREFIX: Final = "makima_relay_"
_RANDOM_BYTES: Final = 32


def new_key() -> str:
    """Make a key: 256 bits from the operating system behind a prefix."""
    return KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
