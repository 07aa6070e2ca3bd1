"""Does what the Dockerfile says without an engine: its steps in a clean directory, and then what it has run.

Usage: python .ci/replay_dockerfile.py

Absolute paths are below a scratch directory, and the base image is this machine's Python. Run by root the relay is the
user of the image, which can write to /data alone.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: How long a step, and the start of the relay, may take, in seconds.
_PATIENCE = 600.0
#: How long the engine waits for the end before it kills: its own default.
_GRACE = 10.0
#: Where a Python may be that everybody can run; root's own is none.
_PYTHONS = ("/usr/local/bin/python3", "/usr/bin/python3")
#: The directories of the image that its instructions name.
_PLACES = re.compile(r"(?<![\w.])/(?=(src|opt|data)\b)")


def instructions():
    """Every instruction with its arguments as one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", " ", text)
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def is_sent(name):
    """Whether .dockerignore lets a file into the build: the last line that matches decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.lstrip("!").removeprefix("**/")
        if not pattern or line.startswith("#"):
            continue
        parts = Path(name).parts
        anywhere = line.startswith("**/") and any(fnmatch.fnmatch(part, pattern) for part in parts)
        if anywhere or fnmatch.fnmatch("/".join(parts[: len(Path(pattern).parts)]), pattern):
            sent = line.startswith("!")
    return sent


class Replay:
    """An image that is a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.variables = {"PATH": os.environ["PATH"], "HOME": str(directory / "home")}
        self.place = directory
        self.python = sys.executable if os.geteuid() else next(each for each in _PYTHONS if Path(each).exists())
        self.user = None
        self.entrypoint = self.health = ()

    def inside(self, text):
        """A text with the paths of the image where they are here."""
        return _PLACES.sub(f"{self.directory}/", text)

    def run(self, command, **options):
        """Run a step of the build."""
        result = subprocess.run(
            ["sh", "-euc", command], cwd=self.place, env=self.variables, timeout=_PATIENCE, check=False, **options
        )
        if result.returncode:
            sys.exit(f"failed with {result.returncode}: {command}")

    def do_env(self, rest):
        """Set variables."""
        for pair in shlex.split(self.inside(rest)):
            name, _, value = pair.partition("=")
            self.variables[name] = value.replace(f"${name}", self.variables.get(name, ""))

    def do_workdir(self, rest):
        """Change the directory."""
        self.place = Path(self.inside(rest))
        self.place.mkdir(parents=True, exist_ok=True)

    def do_copy(self, rest):
        """Copy what is sent; from another stage to the same place there is nothing to do."""
        *sources, target = rest.split()
        if sources[0].startswith("--from="):
            if sources[1:] != [target]:
                sys.exit(f"cannot replay COPY {rest}")
            return
        for source in sources:
            wanted = (
                [source]
                if (ROOT / source).is_file()
                else [path.relative_to(ROOT).as_posix() for path in (ROOT / source).rglob("*") if path.is_file()]
            )
            found = [name for name in wanted if is_sent(name)]
            if not found:
                sys.exit(f".dockerignore leaves nothing of {source}")
            for name in found:
                place = self.place / target / (name if target == "./" else Path(name).relative_to(source))
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, place)

    def do_run(self, rest):
        """Run a step; who is not root owns everything anyway."""
        command = re.sub(r"^python ", f"{self.python} ", self.inside(rest))
        if os.geteuid():
            command = re.sub(r" -[og] \d+", "", command)
        print(f"  {rest}", flush=True)
        self.run(command, stdout=subprocess.DEVNULL)

    def do_user(self, rest):
        """Be somebody else from now on."""
        self.user = tuple(map(int, rest.split(":")))

    def do_entrypoint(self, rest):
        """Know what runs."""
        self.entrypoint = json.loads(rest)

    def do_healthcheck(self, rest):
        """Know how it is asked whether it is well."""
        self.health = json.loads(rest.partition("CMD ")[2])

    def build(self):
        """Do every step."""
        for name, rest in instructions():
            do = getattr(self, f"do_{name.lower()}", None)
            if do is not None:
                do(rest)
            elif name not in ("ARG", "FROM", "VOLUME", "EXPOSE", "STOPSIGNAL"):
                sys.exit(f"cannot replay {name}")

    def files(self):
        """Everything outside of the data."""
        return {path for path in self.directory.rglob("*") if not path.is_relative_to(self.directory / "data")}

    def start(self, command, **options):
        """Start something as the user of the image."""
        identity = {} if os.geteuid() else {"user": self.user[0], "group": self.user[1], "extra_groups": []}
        return subprocess.Popen(command, cwd=self.place, env=self.variables, text=True, **identity, **options)

    def try_out(self):
        """Run the relay, ask whether it is well, and end it."""
        before = self.files()
        self.variables |= {
            "MAKIMA_SERVER_URL": "ws://127.0.0.1:9",
            "MAKIMA_API_KEY": "replay",
            "MAKIMA_RELAY_LISTEN": "tcp:0:interface=127.0.0.1",
        }
        relay = self.start(self.entrypoint, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = []
        port = None
        for line in relay.stdout:
            said.append(line)
            found = re.search(r"listening on .*port=(\d+)", line)
            if found:
                port = found[1]
                break
        if port is None:
            sys.exit(f"the relay ended without listening:\n{''.join(said)}")
        health = self.start([each.replace("8787", port) for each in self.health]).wait(_PATIENCE)
        began = time.monotonic()
        relay.send_signal(signal.SIGTERM)
        relay.communicate(timeout=_GRACE)
        print(f"  health check: {health}; end: {relay.returncode} after {time.monotonic() - began:.1f} s")
        if health or relay.returncode:
            sys.exit("".join(said))
        if self.files() != before:
            sys.exit(f"written outside of /data: {self.files() ^ before}")
        print(f"  /data: {sorted(path.name for path in (self.directory / 'data').iterdir())}")


def main():
    """Build, and try what was built."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        directory.chmod(0o755)
        replay = Replay(directory)
        replay.build()
        size = sum(path.stat().st_size for path in (directory / "opt").rglob("*") if path.is_file())
        print(f"  /opt: {size >> 20} MiB")
        replay.try_out()
    print("the Dockerfile's steps and what they make work")


if __name__ == "__main__":
    main()
