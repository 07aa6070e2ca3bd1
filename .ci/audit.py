"""Asks whether anything that is locked has a known vulnerability, and says so when nobody can be asked."""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-dev.lock"
#: How long the asking may take, in seconds.
_PATIENCE = 60.0
#: Each knows the vulnerabilities of what is on PyPI.
SERVICES = ("pypi", "osv")


def ask(program: Path, service: str) -> list[dict]:
    """What a service says of each package; an empty list when it cannot be asked."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        result = subprocess.run(
            [program, "--vulnerability-service", service, *options, "--requirement", LOCK],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        return json.loads(result.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []


def audit(program: Path) -> int:
    """Ask until somebody knows; a package that no service knows is no package that is known to be good."""
    for service in SERVICES:
        answers = ask(program, service)
        known = [each for each in answers if "skip_reason" not in each]
        bad = [each for each in known if each["vulns"]]
        for each in bad:
            found = ", ".join(vulnerability["id"] for vulnerability in each["vulns"])
            print(f"{each['name']} {each['version']}: {found}")
        if known:
            print(f"{service}: knows {len(known)} of {len(answers)} packages, {len(bad)} of them to be vulnerable")
            return 1 if bad else 0
        print(f"{service}: cannot be asked from here")
    print("NOT CHECKED for known vulnerabilities: no service can be asked from here")
    return 0


def main() -> int:
    """Get the program that asks, and ask."""
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        programs = Path(directory) / "bin"
        install = [programs / "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "pip-audit"]
        if subprocess.run(install, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
            print("NOT CHECKED for known vulnerabilities: pip-audit cannot be installed from here")
            return 0
        return audit(programs / "pip-audit")


if __name__ == "__main__":
    sys.exit(main())
