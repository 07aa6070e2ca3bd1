"""Installs what is to be released into empty environments, and sees whether it works there.

Usage: python .ci/smoke.py dist/*

Each distribution gets an environment of its own with what requirements.lock lists, and nothing of this repository.
"""

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: How long any step may take, in seconds.
_PATIENCE = 600.0
#: What a browser asks for, and what is in it.
_PAGES = {"/livez": b"", "/openapi.json": b'"openapi"', "/static/app.js": b"import", "/status": b'"version":"%s"'}


def run(*command, **options):
    """Run a command that has to succeed; what it says is shown if it does not."""
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_PATIENCE, check=False, **options
    )
    if result.returncode:
        sys.exit(f"{result.stdout}\nfailed with {result.returncode}: {' '.join(map(str, command))}")
    return result.stdout


def install(distribution, directory):
    """Make an environment with a distribution, and return where its programs are."""
    venv.create(directory, with_pip=True)
    pip = (directory / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", ROOT / "requirements.lock")
    run(*pip, "--no-deps", "--no-build-isolation", distribution)
    return directory / "bin"


def environment():
    """The variables of this process without those that could change what runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKIMA_", "PYTHON"))}


def look(programs, directory, version):
    """Start a relay, ask it for each kind of thing, and end it."""
    settings = {"MAKIMA_SERVER_URL": "ws://127.0.0.1:9", "MAKIMA_API_KEY": "smoke", "PYTHONUNBUFFERED": "1"}
    relay = subprocess.Popen(
        [programs / "twistd", "-n", "--pidfile=", "makima-relay", "--listen=tcp:0:interface=127.0.0.1"],
        cwd=directory,
        env={**environment(), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        port = next(found[1] for line in relay.stdout if (found := re.search(r"listening on .*port=(\d+)", line)))
        for path, wanted in _PAGES.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=_PATIENCE) as answer:
                body = answer.read()
            if wanted.replace(b"%s", version.encode()) not in body:
                sys.exit(f"{path}: {body[:200]!r}")
    finally:
        relay.terminate()
        relay.communicate()
    if relay.returncode:
        sys.exit(f"the relay ended with {relay.returncode}")


def try_out(distribution, scratch):
    """Install one distribution and use it."""
    programs = install(distribution.absolute(), scratch / "environment")
    directory = scratch / "empty"
    directory.mkdir()
    said = run(programs / "makima-relay", "--version", cwd=directory, env=environment())
    version = re.search(r"\d+\.\d\S*", said)[0]
    if version not in distribution.name:
        sys.exit(f"{distribution.name} says that it is {version}")
    run(programs / "makima-relay", "demo", cwd=directory, env=environment())
    look(programs, directory, version)
    print(f"{distribution.name}: installs, runs the demo, serves ({version})")


def main():
    """Try each."""
    if not sys.argv[1:]:
        sys.exit(__doc__)
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            try_out(Path(name), Path(scratch))


if __name__ == "__main__":
    main()
