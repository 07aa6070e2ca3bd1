"""Finds in the code what the journal may say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.docs.pages import ROOT

#: What writes into the journal, and at which place among its arguments the event stands.
_WRITERS = {"log": 1, "_log": 1, "noted": 0, "_note": 0, "turned_away": 1}
_WORDS = re.compile(r"[a-z]+(_[a-z]+)*")


def journal_events() -> set[str]:
    """Every word that the relay may write as an event."""
    package = ROOT / "makima_relay"
    found: set[str] = set()
    for path in package.rglob("*.py"):
        if "sandbox" not in path.parts:
            found.update(_events_in(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _events_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITERS:
            place = _WRITERS[node.func.attr]
            for each in node.args[place : place + 1]:
                yield from _texts(each)


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be."""
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _WORDS.fullmatch(node.value):
        yield node.value
