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
    """Put the package as it was released last into a directory; where no release is known, as it is now.

    :param directory: is to be on the ``PYTHONPATH``; whatever runs from there calls itself by the result.
    :return: the version.
    """
    directory.mkdir()
    tag = _last_release()
    if tag is None:
        for part in _PARTS:
            shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
    else:
        packed = subprocess.run(["git", "archive", tag, *_PARTS], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(directory, filter="data")
    return _rename(directory / "makima_relay/__init__.py", tag or "copy")


def _last_release() -> str | None:
    try:
        asked = ["git", "describe", "--tags", "--abbrev=0", "--match=v[0-9]*"]
        found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        # No git, no repository, or no release in what was cloned of it.
        return None
    return found.stdout.strip()


def _rename(source: Path, of: str) -> str:
    """Have it call itself so that it cannot be taken for the other."""
    text = source.read_text(encoding="utf-8")
    version = f"0+{re.sub('[^a-z0-9]', '.', of)}"
    source.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', text), encoding="utf-8")
    return version
