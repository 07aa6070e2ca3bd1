"""What ``makima-relay check`` finds: a line for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import attrs


class Verdict(Enum):
    """How it is; the words are shown."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@attrs.frozen
class Finding:
    """One thing that was looked at.

    :ivar what: what it is about.
    :ivar text: how it is, in one line.
    :ivar remedy: how to mend it, where it is not well.
    """

    verdict: Verdict
    what: str
    text: str
    remedy: str | None = None


def ok(what: str, text: str) -> Finding:
    """It is well."""
    return Finding(Verdict.OK, what, text)


def warn(what: str, text: str, remedy: str | None = None) -> Finding:
    """It works, but the operator had better know of it."""
    return Finding(Verdict.WARN, what, text, remedy)


def fail(what: str, text: str, remedy: str | None = None) -> Finding:
    """A relay could not work like that."""
    return Finding(Verdict.FAIL, what, text, remedy)


def has_failed(findings: Sequence[Finding]) -> bool:
    """Whether something would keep a relay from working."""
    return any(each.verdict is Verdict.FAIL for each in findings)
