"""The version before this one, to run beside it."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.processes.harness import ROOT

#: What a relay is made of.
_PARTS = ("makima_relay", "twisted")


def previous_version(directory: Path) -> str:
    """Put the package as it was released last into a directory.

    Before the first release it is that of before the last change of the schema; where git knows neither, as it is now.

    :param directory: is to be on the ``PYTHONPATH``; whatever runs from there calls itself by the result.
    :return: the version.
    """
    directory.mkdir()
    before = _last_release() or _before_the_last_schema()
    if before is None:
        for part in _PARTS:
            shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
    else:
        packed = subprocess.run(["git", "archive", before, *_PARTS], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(directory, filter="data")
    return _rename(directory / "makima_relay/__init__.py", before or "copy")


def _last_release() -> str | None:
    return _git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*")


def _before_the_last_schema() -> str | None:
    changed = _git("log", "--max-count=1", "--diff-filter=A", "--format=%h", "--", "makima_relay/store/schema/*.sql")
    return changed and _git("rev-parse", "--short", "--verify", "--quiet", f"{changed}~1")


def _git(*arguments: str) -> str | None:
    """What git says; nothing where there is no git, no repository, or not enough of it."""
    try:
        found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip() or None


def _rename(source: Path, of: str) -> str:
    """Have it call itself so that it cannot be taken for the other."""
    text = source.read_text(encoding="utf-8")
    version = f"0+{re.sub('[^a-z0-9]', '.', of)}"
    source.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', text), encoding="utf-8")
    return version
