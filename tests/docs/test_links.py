"""Whatever a page points to is there."""

from __future__ import annotations

import importlib
import re
from typing import Any

import autobahn.twisted  # noqa: F401 - chooses Twisted, for what is imported by its name
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.pages import ROOT, all_pages, page

_NAME = re.compile(r"makima_relay(\.\w+)+")
_PATH = re.compile(r"(\.ci|benchmarks|deploy|docs|makima_relay|tests|twisted)/[\w./-]*")


def resolved(name: str) -> Any:
    """What a dotted name stands for: a module, or something in one.

    :raises LookupError: when there is no such thing.
    """
    words = name.split(".")
    for end in range(len(words), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(words[:end]))
        except ModuleNotFoundError:
            continue
        for word in words[end:]:
            if not hasattr(found, word) and word not in getattr(found, "__annotations__", {}):
                raise LookupError(name)
            found = getattr(found, word, None)
        return found
    raise LookupError(name)


class LinkTests(SynchronousTestCase):
    """Links, files and names."""

    def test_links_lead_to_files_and_headings_that_exist(self) -> None:
        """A page or heading that was renamed leaves no link behind."""
        broken = []
        for each in all_pages():
            for link in each.links:
                if re.match(r"\w+:", link):
                    continue
                place, _, anchor = link.partition("#")
                target = (each.path.parent / place).resolve() if place else each.path
                if not target.exists() or (anchor and anchor not in page(str(target.relative_to(ROOT))).anchors):
                    broken.append(f"{each.name}: {link}")
        self.assertEqual(broken, [])

    def test_files_that_are_named_exist(self) -> None:
        """A path between backticks is one of the repository."""
        missing = [
            f"{each.name}: {code}"
            for each in all_pages()
            for code in each.code
            if _PATH.fullmatch(code) and not (ROOT / code).exists()
        ]
        self.assertEqual(missing, [])

    def test_modules_and_functions_that_are_named_exist(self) -> None:
        """A dotted name between backticks that begins with the package is something in it."""
        missing = []
        for each in all_pages():
            for code in each.code:
                name = code.removesuffix("()")
                if _NAME.fullmatch(name):
                    try:
                        resolved(name)
                    except LookupError:
                        missing.append(f"{each.name}: {code}")
        self.assertEqual(missing, [])

    def test_no_page_has_marks_of_a_merge(self) -> None:
        """Two versions of a paragraph, and what stood between them."""
        marks = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
        self.assertEqual([each.name for each in all_pages() if marks.search(each.text)], [])

    def test_every_page_can_be_found_from_the_readme(self) -> None:
        """Its index has them all."""
        readme = page("README.md")
        linked = {(ROOT / link.partition("#")[0]).resolve() for link in readme.links}
        self.assertEqual([each.name for each in all_pages() if each.path not in {readme.path, *linked}], [])


class ArchitectureTests(SynchronousTestCase):
    """The map of the modules in ``docs/architecture.md``."""

    def test_every_module_is_on_the_map(self) -> None:
        """And no other is: those of the package itself by their file, its packages by their directory."""
        (chart,) = [each.text for each in page("docs/architecture.md").examples if "service.py" in each.text]
        package = ROOT / "makima_relay"
        modules = {path.name for path in package.glob("*.py") if path.name != "__init__.py"}
        packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
        outside = {"makima_relay_plugin.py"}
        self.assertEqual(set(re.findall(r"\b\w+\.py\b", chart)) - outside, modules)
        self.assertEqual(set(re.findall(r"(?<!\w)(?<!/)\w+/(?= |,)", chart)), packages)
