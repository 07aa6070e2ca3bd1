"""``requirements.lock`` and ``requirements-dev.lock``: what deployments, and the tests, are installed from."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import attrs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[1]
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", re.MULTILINE)


@attrs.frozen
class Pin:
    """One version that a lock file allows, with the hashes of its files."""

    requirement: Requirement
    hashes: int

    @property
    def is_for_here(self) -> bool:
        """Whether this Python would install it."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()

    @property
    def version(self) -> str:
        """The one version."""
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "==", specifier
        return specifier.version


def read_lock(name: str) -> dict[str, Pin]:
    """What a lock file has for this Python, by name."""
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    pins = [
        Pin(Requirement(entry.partition("\n")[0].removesuffix(" \\")), len(_HASH.findall(entry))) for entry in entries
    ]
    return {canonicalize_name(pin.requirement.name): pin for pin in pins if pin.is_for_here}


def asked_for(extra: str) -> list[Requirement]:
    """What the package asks for, and what its build does.

    The former as it was installed, which ``./setup.sh test`` does anew when ``setup.py`` has changed.
    """
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [*needs(Requirement(f"makima-relay[{extra}]")), *map(Requirement, build)]


def needs(requirement: Requirement) -> list[Requirement]:
    """What a package that is installed needs here, for itself and for the extras that are asked for."""
    extras = ["", *requirement.extras]
    found = [Requirement(each) for each in metadata.requires(requirement.name) or ()]
    return [each for each in found if each.marker is None or any(each.marker.evaluate({"extra": x}) for x in extras)]


def all_needed(extra: str) -> set[str]:
    """The names of everything that the package needs here, of itself or through others."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = asked_for(extra)
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            waiting += needs(requirement) if key[0] != "setuptools" else ()
    return {name for name, _ in seen} - {"makima-relay"}


class LockTests(SynchronousTestCase):
    """``./setup.sh lock`` has been run since ``setup.py`` was changed."""

    def test_every_requirement_is_locked_in_its_range_with_hashes(self) -> None:
        """Of the package, of its build, and of its tests."""
        for name, extra in (("requirements.lock", ""), ("requirements-dev.lock", "dev")):
            lock = read_lock(name)
            for requirement in asked_for(extra):
                pin = lock.get(canonicalize_name(requirement.name))
                assert pin is not None, f"{name} lacks {requirement}"
                self.assertTrue(requirement.specifier.contains(pin.version), f"{name}: {requirement}")
            for pin in lock.values():
                self.assertGreater(pin.hashes, 0, pin.requirement)

    def test_nothing_is_locked_that_is_not_needed(self) -> None:
        """And nothing is missing that something locked needs in turn."""
        for name, extra in (("requirements.lock", ""), ("requirements-dev.lock", "dev")):
            self.assertEqual(set(read_lock(name)), all_needed(extra), name)

    def test_the_tests_run_with_what_is_deployed(self) -> None:
        """The longer file has each version of the shorter one."""
        tested = {name: pin.version for name, pin in read_lock("requirements-dev.lock").items()}
        for name, pin in read_lock("requirements.lock").items():
            self.assertEqual(tested[name], pin.version, name)

    def test_no_registry_and_no_path_is_in_it(self) -> None:
        """Whoever installs decides where from."""
        for name in ("requirements.lock", "requirements-dev.lock"):
            said = [line.strip() for line in (ROOT / name).read_text().splitlines() if not _HASH.match(line)]
            for line in said:
                self.assertNotRegex(line, r"://|^-|@|/(?!setup\.sh lock)", name)
