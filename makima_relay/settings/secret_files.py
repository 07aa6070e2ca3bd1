"""Files that hold a secret each: the ``…_FILE`` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from makima_relay.settings.values import SECRET, Kind, SettingsError


@attrs.frozen
class SecretFile:
    """A file that holds a secret.

    :ivar member: of :class:`~makima_relay.settings.Settings`, for which it is.
    :ivar variable: the variable that names it.
    :ivar kind: what it holds.
    """

    member: str
    variable: str
    path: Path
    kind: Kind = SECRET

    def read(self) -> Any:
        """The secret that is in the file now.

        :raises SettingsError: when it cannot be read, or holds what cannot be a secret.
        """
        try:
            text = self.path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self.variable}: {str(self.path)!r} cannot be read: {reason(error)}") from None
        if not text:
            raise SettingsError(f"{self.variable}: {str(self.path)!r} is empty; it must hold the secret")
        try:
            return self.kind.read(text)
        except ValueError:
            raise SettingsError(f"{self.variable}: its value is not allowed; it takes {self.kind.takes}") from None


def reason(error: Exception) -> str:
    """Why a file cannot be read, without anything of what is in it."""
    if isinstance(error, OSError):
        return error.strerror or "unknown error"
    return "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
