"""``.ci/audit.py``: what it makes of the answers about known vulnerabilities."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"
GOOD = {"name": "one", "version": "1", "vulns": []}
BAD = {"name": "two", "version": "2", "vulns": [{"id": "CVE-1"}]}
UNKNOWN = {"name": "three", "skip_reason": "not found"}


class AuditTests(SynchronousTestCase):
    """With a stand-in for the program that asks."""

    def audit(self, **answers: Any) -> tuple[int, str]:
        """Ask.

        :param answers: what each service says; one that has no answer cannot be reached.
        :return: the exit status, and what is printed.
        """
        spec = importlib.util.spec_from_file_location("audit", SCRIPT)
        assert spec is not None
        assert spec.loader is not None
        audit = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(audit)
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        for service, answer in answers.items():
            (directory / service).write_text(json.dumps({"dependencies": answer}))
        program = directory / "program"
        program.write_text(f'#!/bin/sh\ncat "{directory}/$2"\n')
        program.chmod(0o755)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            return audit.audit(program), printed.getvalue()

    def test_what_is_vulnerable_fails(self) -> None:
        """It is named, with what is known of it."""
        status, said = self.audit(pypi=[GOOD, BAD])
        self.assertEqual(status, 1)
        self.assertIn("two 2: CVE-1\n", said)

    def test_what_is_good_passes(self) -> None:
        """The first service that knows is enough."""
        status, said = self.audit(pypi=[GOOD], osv=[BAD])
        self.assertEqual(status, 0)
        self.assertNotIn("NOT CHECKED", said)

    def test_a_service_that_knows_nothing_is_no_service(self) -> None:
        """The next one is asked."""
        self.assertEqual(self.audit(pypi=[UNKNOWN], osv=[BAD])[0], 1)

    def test_nobody_to_ask_is_said(self) -> None:
        """And is no failure: many machines that build have no such network."""
        for answers in ({}, {"pypi": [UNKNOWN]}, {"pypi": [], "osv": []}):
            status, said = self.audit(**answers)
            self.assertEqual(status, 0)
            self.assertIn("NOT CHECKED", said)
