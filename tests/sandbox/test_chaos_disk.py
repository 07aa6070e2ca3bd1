"""The disks of the chaos experiment."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from makima_relay.sandbox import SandboxError
from makima_relay.sandbox.chaos.disk import SmallDisk


class SmallDiskTests(SynchronousTestCase):
    """A file system that is made for the experiment."""

    def setUp(self) -> None:
        """Have a directory to mount it on."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "disk"
        self.path.mkdir()

    def test_it_is_full_until_it_is_emptied(self) -> None:
        """And its files are there when it is not any more."""
        try:
            disk = SmallDisk(self.path)
        except SandboxError as error:
            raise SkipTest(str(error)) from None
        try:
            (self.path / "small").write_bytes(b"x")
            disk.fill(os.getpid())
            with self.assertRaises(OSError) as caught:
                (self.path / "big").write_bytes(bytes(1 << 20))
            self.assertEqual(caught.exception.errno, errno.ENOSPC)
            disk.empty(os.getpid())
            (self.path / "big").write_bytes(bytes(1 << 20))
        finally:
            disk.close()
        self.assertFalse(os.path.ismount(self.path))
        self.assertEqual({each.name: each.stat().st_size for each in self.path.iterdir()}, {"small": 1, "big": 1 << 20})
        self.assertEqual([each.name for each in self.path.parent.iterdir()], ["disk"])

    def test_where_it_is_not_allowed_there_is_one_line(self) -> None:
        """With the other way."""
        with self.assertRaisesRegex(SandboxError, r"^--disk tmpfs: [^\n]+; try --disk limit$"):
            SmallDisk(self.path / "missing")
