"""``setup.sh``: the settings that it writes, and when it installs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import dotenv
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.settings import load

ROOT = Path(__file__).parents[2]
GOOD = {"MAKIMA_SERVER_URL": "wss://makima.example", "MAKIMA_API_KEY": "k3y"}

#: Stands for the Python of .venv: it notes what pip is asked for, and does everything else.
_PYTHON = """#!/bin/sh
if [ "$1 $2 $3" = "-m pip install" ]; then
  shift 3
  echo "$*" >>pip.log
  umask >umask.log
  case $* in *--require-hashes*) if [ -e lock.fails ]; then cat lock.fails; exit 1; fi ;; esac
  echo "Collecting one>=1 (from here)"
  echo "Requirement already satisfied: two"
  echo "Collecting three"
  if [ -e pip.fails ]; then echo "no network"; exit 1; fi
  exit 0
fi
[ ! -e not.locked.for ] || [ "$1" != - ] || exec {python} -c "
import io, platform, sys
platform.machine = lambda: 'pdp-11'
exec(sys.stdin.read())"
exec {python} "$@"
"""
#: What the set-up reads besides its settings.
_FILES = ("setup.sh", "setup.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock")


class SetupTestCase(SynchronousTestCase):
    """Has a directory with a copy of the script, and what it reads."""

    def setUp(self) -> None:
        """Make it."""
        # Resolved, because on some systems the directory for temporary files is behind a link.
        self.directory = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, self.directory)
        for name in _FILES:
            shutil.copy(ROOT / name, self.directory)
        self.env_file = self.directory / ".env"

    def run_setup(
        self, *arguments: str, answers: str = "", umask: int = -1, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script, from another directory."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKIMA_")}
        return subprocess.run(
            [str(self.directory / "setup.sh"), *arguments],
            cwd="/",
            env={**environment, **variables},
            input=answers,
            umask=umask,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def assert_one_line(self, result: subprocess.CompletedProcess[str], words: str, status: int = 1) -> None:
        """It failed, with a line that says why."""
        self.assertEqual((result.returncode, result.stderr.count("\n")), (status, 1), result.stderr)
        self.assertTrue(result.stderr.startswith("setup.sh: "))
        self.assertIn(words, result.stderr)

    def written(self) -> dict[str, str | None]:
        """The settings that it wrote, as the relay reads them."""
        return dict(dotenv.dotenv_values(self.env_file, interpolate=False))


class UnattendedTests(SetupTestCase):
    """``--yes``."""

    def test_the_settings_come_from_the_environment(self) -> None:
        """Nobody else can read them, and the relay takes them."""
        result = self.run_setup("env", "--yes", **GOOD, MAKIMA_AGENT_NAME="edge one")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.written(), {**GOOD, "MAKIMA_AGENT_NAME": "edge one"})
        self.assertEqual(stat.S_IMODE(self.env_file.stat().st_mode), 0o600)
        names = {path.name for path in self.directory.iterdir()}
        self.assertEqual(names, {".env", *_FILES})
        settings = load({"env-file": str(self.env_file)}, {})
        self.assertEqual((settings.server_url, settings.api_key), tuple(GOOD.values()))

    def test_awkward_values_are_read_back_as_they_were(self) -> None:
        """Quotes, signs that mean something to a shell or to the file's reader, whatever the alphabet."""
        for value in (
            "it's",
            "'",
            "''x''",
            '"quoted"',
            "a#b",
            "#",
            "$HOME",
            "${HOME}",
            "$(id)",
            "`id`",
            "back\\slash",
            "\\",
            "\\\\'",
            "\\n",
            "a=b=c",
            "&|;<>*?[]{}()!~^",
            "%s%d",
            "-n",
        ):
            result = self.run_setup("env", "--yes", "--force", **{**GOOD, "MAKIMA_API_KEY": value})
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(self.written()["MAKIMA_API_KEY"], value)
        for name in ("naïve café ☕", " blanks  around ", 'it\'s "me" $HOME # \\'):
            self.run_setup("env", "--yes", "--force", **GOOD, MAKIMA_AGENT_NAME=name)
            self.assertEqual(self.written()["MAKIMA_AGENT_NAME"], name)

    def test_simple_values_are_not_quoted(self) -> None:
        """Other readers of such files know less of quotes."""
        self.run_setup("env", "-y", **GOOD)
        self.assertEqual(self.env_file.read_text(), "MAKIMA_SERVER_URL=wss://makima.example\nMAKIMA_API_KEY=k3y\n")

    def test_an_env_that_is_there_is_kept(self) -> None:
        """Unless that is asked for."""
        self.env_file.write_text("MAKIMA_API_KEY=old\n")
        self.assertEqual(self.run_setup("env", "--yes", **GOOD).returncode, 0)
        self.assertEqual(self.written(), {"MAKIMA_API_KEY": "old"})
        self.run_setup("env", "--yes", "--force", **GOOD)
        self.assertEqual(self.written(), GOOD)

    def test_a_missing_or_wrong_variable_is_one_line(self) -> None:
        """It names the variable, not what may be secret."""
        for change, words in (
            ({"MAKIMA_SERVER_URL": ""}, "MAKIMA_SERVER_URL"),
            ({"MAKIMA_API_KEY": ""}, "MAKIMA_API_KEY"),
            ({"MAKIMA_SERVER_URL": "https://makima.example"}, "MAKIMA_SERVER_URL"),
            ({"MAKIMA_API_KEY": "two words"}, "MAKIMA_API_KEY"),
            ({"MAKIMA_API_KEY": "k\n"}, "MAKIMA_API_KEY"),
            ({"MAKIMA_AGENT_NAME": "a\nb"}, "MAKIMA_AGENT_NAME"),
            ({"MAKIMA_AGENT_NAME": "x" * 256}, "MAKIMA_AGENT_NAME"),
        ):
            result = self.run_setup("env", "--yes", **{**GOOD, **change})
            self.assert_one_line(result, words)
            self.assertNotIn("two words", result.stderr)
            self.assertFalse(self.env_file.exists())

    def test_what_it_does_not_know_is_refused_with_its_usage(self) -> None:
        """Exit status 2; help is no error."""
        for arguments in (["nonsense"], ["--nonsense"], ["env", "--keep"], ["--force"]):
            result = self.run_setup(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
            self.assertIn("Usage: ./setup.sh", result.stderr)
        result = self.run_setup("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("Usage: ./setup.sh", result.stdout)


class AskingTests(SetupTestCase):
    """With somebody who answers."""

    def test_answers_are_written(self) -> None:
        """The URL has a default, the name may be left out; the key is not shown."""
        result = self.run_setup("env", answers="\ns3cret\n\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.written(), {"MAKIMA_SERVER_URL": "wss://api.makima.jp", "MAKIMA_API_KEY": "s3cret"})
        self.assertNotIn("s3cret", result.stdout + result.stderr)
        self.assertEqual(stat.S_IMODE(self.env_file.stat().st_mode), 0o600)

    def test_wrong_answers_are_asked_for_again(self) -> None:
        """Until they are right."""
        self.run_setup("env", answers="nonsense\nws://h:1\n\ntwo words\nk\nedge\n")
        self.assertEqual(
            self.written(), {"MAKIMA_SERVER_URL": "ws://h:1", "MAKIMA_API_KEY": "k", "MAKIMA_AGENT_NAME": "edge"}
        )

    def test_an_env_that_is_there_is_replaced_only_when_that_is_wanted(self) -> None:
        """No is the default."""
        self.env_file.write_text("MAKIMA_API_KEY=old\n")
        for answer in ("\n", "n\n", "no\n"):
            self.assertEqual(self.run_setup("env", answers=answer).returncode, 0)
            self.assertEqual(self.written(), {"MAKIMA_API_KEY": "old"})
        self.run_setup("env", answers="y\n\nnew\n\n")
        self.assertEqual(self.written()["MAKIMA_API_KEY"], "new")

    def test_without_an_answer_nothing_is_written(self) -> None:
        """It says how to do without."""
        for answers in ("", "ws://h\n", "ws://h\nk\n"):
            result = self.run_setup("env", answers=answers)
            self.assertEqual(result.returncode, 1)
            self.assertIn("nobody answers; use --yes", result.stderr)
            self.assertFalse(self.env_file.exists())


class InstallTests(SetupTestCase):
    """Installing, with a stand-in for pip."""

    def setUp(self) -> None:
        """Make a .venv that is good, but empty."""
        super().setUp()
        programs = self.directory / ".venv" / "bin"
        programs.mkdir(parents=True)
        self.add(programs / "python", _PYTHON.format(python=sys.executable))
        self.add(programs / "pip", f"#!{programs / 'python'}\n")
        self.add(programs / "makima-relay", '#!/bin/sh\necho "makima-relay $*"\n')

    @staticmethod
    def add(path: Path, text: str) -> None:
        """Make a program."""
        path.write_text(text)
        path.chmod(0o755)

    def asked_of_pip(self) -> list[str]:
        """What pip was asked to install, and how."""
        log = self.directory / "pip.log"
        return log.read_text().splitlines() if log.exists() else []

    def test_the_demo_is_run_with_its_arguments(self) -> None:
        """After an installation that shows how it goes on."""
        result = self.run_setup("demo", "--keep")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        fetching = ["  fetching one", "  fetching three"]
        self.assertEqual(lines[:5], ["installing into .venv ...", *fetching, *fetching])
        self.assertRegex(lines[5], r"^installed in \d+ s$")
        self.assertEqual(lines[6:], ["makima-relay demo --keep"])

    def test_it_can_install_and_no_more(self) -> None:
        """For services: nothing is asked, written or started; it takes no arguments."""
        result = self.run_setup("install")
        self.assertEqual((result.returncode, result.stderr, len(self.asked_of_pip())), (0, "", 2))
        self.assertFalse(self.env_file.exists())
        self.assertEqual(self.run_setup("install", "--yes").returncode, 2)

    def test_others_can_run_what_is_installed_and_not_change_it(self) -> None:
        """Whatever the umask; a service may run as a user of its own, and only the settings are for nobody else."""
        for umask in (0o000, 0o022, 0o077):
            self.run_setup("--yes", "--force", umask=umask, **GOOD)
            self.assertEqual(int((self.directory / "umask.log").read_text(), 8), 0o022)
            self.assertEqual(stat.S_IMODE(self.env_file.stat().st_mode), 0o600)
            (self.directory / ".venv" / ".installed").unlink()

    def test_it_installs_what_is_locked_and_nothing_else(self) -> None:
        """With hashes, without building what came from elsewhere, and then the package by itself."""
        self.assertEqual(self.run_setup("demo").returncode, 0)
        locked, package = self.asked_of_pip()
        self.assertTrue(locked.endswith("--require-hashes --only-binary :all: -r requirements.lock"), locked)
        self.assertTrue(package.endswith("--no-deps --no-build-isolation -e ."), package)

    def test_a_machine_that_nothing_is_locked_for_gets_what_the_ranges_allow(self) -> None:
        """One line says so, whether that is known beforehand or only pip finds it out."""
        unavailable = "ERROR: No matching distribution found for msgspec==0.22.0\n"
        for mark, text, asked in (("not.locked.for", "", 1), ("lock.fails", unavailable, 2)):
            (self.directory / mark).write_text(text)
            result = self.run_setup("demo")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            said = [line for line in result.stdout.splitlines() if "requirements.lock" in line]
            self.assertEqual(
                said, ["  requirements.lock is not for this Python or machine: taking what setup.py allows instead"]
            )
            self.assertEqual(len(self.asked_of_pip()), asked)
            self.assertTrue(self.asked_of_pip()[-1].endswith("--progress-bar off -e ."))
            for name in (mark, "pip.log", ".venv/.installed"):
                (self.directory / name).unlink()

    def test_a_file_that_is_not_the_locked_one_ends_the_installation(self) -> None:
        """It may be somebody's who would like to be installed: nothing is taken instead."""
        (self.directory / "lock.fails").write_text(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
        )
        result = self.run_setup("demo")
        self.assertEqual((result.returncode, "makima-relay demo" in result.stdout), (1, False))
        self.assertTrue(
            result.stderr.startswith("setup.sh: a file that was fetched is not the one of requirements.lock; ")
        )
        self.assertEqual(len(self.asked_of_pip()), 1)

    def test_the_benchmarks_are_run_with_their_arguments(self) -> None:
        """After an installation with what they need, which serves the relay as well."""
        (self.directory / "benchmarks").mkdir()
        (self.directory / "benchmarks" / "__init__.py").touch()
        self.add(self.directory / "benchmarks" / "__main__.py", "import sys\nprint('measured', *sys.argv[1:])\n")
        result = self.run_setup("bench", "--quick")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines()[-1], "measured --quick")
        self.assertEqual([line.split()[-1] for line in self.asked_of_pip()], [".[bench]"])
        self.run_setup("demo")
        self.assertEqual(len(self.asked_of_pip()), 1)

    def test_it_installs_again_only_when_something_has_changed(self) -> None:
        """A second start is fast."""
        self.run_setup("demo")
        self.assertEqual(self.run_setup("demo").stdout, "makima-relay demo\n")
        self.assertEqual(len(self.asked_of_pip()), 2)
        for times, name in enumerate(("setup.py", "requirements.lock"), 2):
            with (self.directory / name).open("a") as file:
                file.write("# changed\n")
            self.run_setup("demo")
            self.assertEqual(len(self.asked_of_pip()), 2 * times)

    def test_a_failed_installation_shows_the_end_of_what_pip_said(self) -> None:
        """And is tried again the next time."""
        (self.directory / "pip.fails").touch()
        result = self.run_setup("demo")
        self.assertEqual((result.returncode, "makima-relay demo" in result.stdout), (1, False))
        self.assertTrue(result.stderr.startswith("setup.sh: the installation failed; the end of "))
        self.assertTrue(result.stderr.endswith("Collecting three\nno network\n"))
        (self.directory / "pip.fails").unlink()
        self.assertEqual(self.run_setup("demo").returncode, 0)
        self.assertEqual(len(self.asked_of_pip()), 3)

    def test_the_whole_set_up_writes_and_installs(self) -> None:
        """Unattended it starts nothing, but says how to."""
        result = self.run_setup("--yes", **GOOD)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.written(), GOOD)
        self.assertEqual(len(self.asked_of_pip()), 2)
        self.assertEqual(
            result.stdout.splitlines()[-1],
            f"To start the relay:  cd '{self.directory}' && .venv/bin/twistd -n makima-relay",
        )

    def test_the_relay_is_started_when_that_is_wanted(self) -> None:
        """Where its .env is; yes is the default."""
        self.add(self.directory / ".venv" / "bin" / "twistd", '#!/bin/sh\necho "twistd $* in $PWD"\n')
        started = f"twistd -n makima-relay in {self.directory}"
        for answer, wanted in (("\n", True), ("y\n", True), ("n\n", False)):
            result = self.run_setup(answers=f"y\n\nk\n\n{answer}" if self.env_file.exists() else f"\nk\n\n{answer}")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIs(result.stdout.splitlines()[-1] == started, wanted)

    def test_a_venv_that_was_moved_here_is_made_anew(self) -> None:
        """Its programs would run what is at the old place."""
        self.add(self.directory / ".venv" / "bin" / "pip", "#!/somewhere/else/.venv/bin/python\n")
        made = self.directory / "made"
        made.mkdir()
        for name in ("python3.13", "python3.12", "python3.11"):
            self.add(made / name, "#!/bin/sh\nexit 1\n")
        self.add(
            made / "python3", f'#!/bin/sh\n[ "$1" = -m ] && echo "made $4" && exit 1\nexec {sys.executable} "$@"\n'
        )
        result = self.run_setup("demo", PATH=f"{made}:{os.environ['PATH']}")
        self.assertIn(f"made {self.directory}/.venv", result.stdout)
        self.assert_one_line(result, f"python3 cannot make {self.directory}/.venv")

    def test_a_missing_python_is_said_with_how_to_get_one(self) -> None:
        """On the common systems; nothing is asked before."""
        shutil.rmtree(self.directory / ".venv")
        tools = self.directory / "tools"
        tools.mkdir()
        for name in ("bash", "dirname", "cat", "head", "grep"):
            (tools / name).symlink_to(str(shutil.which(name)))
        for arguments in ([], ["demo"], ["test"]):
            result = self.run_setup(*arguments, PATH=str(tools))
            self.assertEqual(result.returncode, 1)
            self.assertIn("Python 3.11 or newer is needed", result.stderr)
            for system in ("Debian", "Fedora", "macOS"):
                self.assertIn(system, result.stderr)
        self.add(tools / "python3", "#!/bin/sh\ncase $2 in *ensurepip*) exit 1 ;; esac\n")
        self.assertIn("python3 has no venv or no pip", self.run_setup("demo", PATH=str(tools)).stderr)
