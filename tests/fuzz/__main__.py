"""Searches, guided by coverage, for bytes at which a target fails: ``python -m tests.fuzz TARGET [options]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.bytes_to_try import CORPUS

with atheris.instrument_imports(include=["makima_relay", "autobahn.websocket", "twisted.web", "werkzeug.http"]):
    from tests.fuzz.targets import PLAIN, WHOLE, whole_relay


def main() -> None:
    """Run until it is stopped, or a target fails."""
    names = [*PLAIN, *WHOLE]
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"which target? {', '.join(names)}")
    name = sys.argv.pop(1)
    target = PLAIN.get(name) or whole_relay(name)
    # What is new is written to the first directory, which is never the corpus.
    if not any(Path(each).is_dir() for each in sys.argv[1:]):
        sys.argv.append(tempfile.mkdtemp())
    atheris.Setup([*sys.argv, str(CORPUS / name)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
