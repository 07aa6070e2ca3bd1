"""Where the relay under test keeps its database, and how that becomes full."""

from __future__ import annotations

import errno
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Final, Protocol

from makima_relay.sandbox import SandboxError

#: What the relay may write of each file on a disk that is full.
_FULL_AT: Final = 4_096
_SIZE: Final = 64 << 20
_CHUNK: Final = 1 << 20


class Disk(Protocol):
    """A disk that can be filled.

    :ivar path: where the database is.
    """

    path: Path

    def fill(self, pid: int) -> None:
        """Let the relay's process write no more."""

    def empty(self, pid: int) -> None:
        """Let it write again."""

    def close(self) -> None:
        """Leave nothing but the files."""


class LimitedFiles:
    """Any disk; the relay's process may write its files only up to a size, as if there were no more room.

    What it gets is EFBIG, which SQLite takes for an I/O error.

    :param path: a directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, pid: int) -> None:
        """See :meth:`Disk.fill`."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_FULL_AT, resource.RLIM_INFINITY))

    def empty(self, pid: int) -> None:
        """See :meth:`Disk.empty`."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def close(self) -> None:
        """See :meth:`Disk.close`."""


class SmallDisk:
    """A file system of a small size, which is filled with a file. Only root can make one.

    What the relay gets is ENOSPC, which SQLite takes for what it is.

    :param path: a directory, on which it is mounted.
    :raises SandboxError: when that is not allowed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        mount = _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=700", "makima-relay-chaos", str(path))
        if mount is not None:
            raise SandboxError(f"--disk tmpfs: {mount}; try --disk limit")

    def fill(self, pid: int) -> None:
        """See :meth:`Disk.fill`."""
        try:
            with self._ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(_CHUNK))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def empty(self, pid: int) -> None:
        """See :meth:`Disk.empty`."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Put the files into the directory itself."""
        kept = self.path.with_name(f"{self.path.name}.kept")
        self._ballast.unlink(missing_ok=True)
        shutil.copytree(self.path, kept)
        _run("umount", "--lazy", str(self.path))
        shutil.copytree(kept, self.path, dirs_exist_ok=True)
        shutil.rmtree(kept)


def _run(*command: str) -> str | None:
    """Run a command.

    :return: what it complains about, if anything.
    """
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    except OSError as error:
        return str(error)
    if ended.returncode == 0:
        return None
    return next(iter(ended.stderr.splitlines()), f"exit status {ended.returncode}")
