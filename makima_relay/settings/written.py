"""Writes an ``.env`` file, so that what reads it finds the same values again, and nobody else finds them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,=~-]+")


def write_env_file(path: Path, variables: Mapping[str, str]) -> None:
    """Replace an ``.env`` file at once, with mode 0600.

    :param variables: what is to be in it; empty values are left out.
    :raises OSError: when it cannot be written; then it stays as it was.
    """
    text = "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items() if value)
    # Made with mode 0600, whatever the umask.
    number, unfinished = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.absolute().parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(unfinished).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(unfinished).unlink()


def _quoted(value: str) -> str:
    """A value so that python-dotenv, and any shell where possible, reads back the same."""
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
