"""What is released: what is in it, that it installs and runs, and what is said of it."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from makima_relay import __version__
from tests.processes.harness import KEY, PATIENCE, ROOT, RelayProcess, ask

#: What the repository has for git alone.
_OF_GIT = {".gitignore"}
#: trial's workers have the repository on their path, and what they start would find the package there.
_NO_REPOSITORY = {"PYTHONPATH": ""}


def run(*command: str) -> str:
    """Run a command that has to succeed.

    :return: what it printed.
    """
    result = subprocess.run(
        command,
        env={**os.environ, **_NO_REPOSITORY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=6 * PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def environment(directory: Path) -> Path:
    """Make an environment that borrows the dependencies of this one.

    :return: its Python.
    """
    run(sys.executable, "-m", "venv", "--without-pip", str(directory))
    packages = next(directory.glob("lib/python*/site-packages"))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory / "bin/python"


def install(python: Path, *what: str) -> None:
    """Install without dependencies."""
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", *what)


class ReleaseTests(SynchronousTestCase):
    """What ``python -m build`` makes of the repository."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.source = self.directory / "source"
        run("git", "-C", str(ROOT), "checkout-index", "--all", f"--prefix={self.source}/")
        self.files = {path.relative_to(self.source).as_posix() for path in self.source.rglob("*") if path.is_file()}

    def assert_starts(self, python: Path) -> None:
        """The installed relay runs, and is this version: its plugin, its options and its schema are there."""
        relay = RelayProcess(
            python.parent,
            ["makima-relay", "--server-url", "ws://127.0.0.1:9", "--listen", "tcp:0:interface=127.0.0.1"],
            {"MAKIMA_API_KEY": KEY, **_NO_REPOSITORY},
            (str(python), "-c", "from twisted.scripts.twistd import run; run()"),
        )
        self.assertEqual(ask(relay.port(), "/status")["version"], __version__)
        self.assertEqual(relay.end(), 0)

    def assert_whole(self, wheel: Path) -> None:
        """It has the package and the plugin, with schema, dashboard and the mark of types, and nothing else."""
        with zipfile.ZipFile(wheel) as archive:
            found = {name for name in archive.namelist() if ".dist-info/" not in name}
            (metadata,) = (archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        self.assertEqual(found, {name for name in self.files if re.match("(makima_relay|twisted)/", name)})
        for name in ("py.typed", "store/schema/0001_initial.sql", "web/static/index.html"):
            self.assertIn(f"makima_relay/{name}", found)
        self.assertIn("twisted/plugins/makima_relay_plugin.py", found)
        self.assertEqual(email.message_from_bytes(metadata)["Version"], __version__)

    def assert_all_of_the_repository(self, sdist: Path) -> None:
        """What is documented can be done with it too."""
        with tarfile.open(sdist) as archive:
            found = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
        made = {name for name in found if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
        self.assertEqual(found - made, self.files - _OF_GIT)

    def test_the_distributions_are_whole_and_the_wheel_installs_and_runs(self) -> None:
        """They are built without asking anybody; the wheel from the source distribution."""
        built = self.directory / "built"
        run(sys.executable, "-m", "build", "--no-isolation", f"--outdir={built}", str(self.source))
        (wheel,), (sdist,) = (list(built.glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
        self.assert_whole(wheel)
        self.assert_all_of_the_repository(sdist)
        python = environment(self.directory / "with-wheel")
        install(python, str(wheel))
        # What runs is not in the source's directory, nor this one.
        where = run(str(python), "-c", "import makima_relay; print(makima_relay.__file__)")
        self.assertTrue(where.startswith(str(python.parents[1] / "lib")), where)
        self.assert_starts(python)

    def test_an_editable_package_runs(self) -> None:
        """``pip install -e .`` does not hide the plugin."""
        python = environment(self.directory / "editable")
        install(python, "--no-build-isolation", "--editable", str(self.source))
        self.assert_starts(python)


class NewsTests(SynchronousTestCase):
    """``changes/``, and what becomes of it."""

    def test_every_fragment_comes_into_the_changelog(self) -> None:
        """None has a name that is passed over."""
        said = run(sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9", "--dir", str(ROOT))
        words = re.sub(r"\s+", " ", said)
        fragments = [path for path in (ROOT / "changes").iterdir() if path.name != "README.md"]
        for path in fragments:
            self.assertIn(re.sub(r"\s+", " ", path.read_text(encoding="utf-8")).strip(), words, path.name)
        self.assertIn("## 9.9.9 (", said)
        self.assertIn("<!-- releases -->\n", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
