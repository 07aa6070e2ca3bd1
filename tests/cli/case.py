"""What the tests of commands that ask a relay share: a whole relay in memory, and the command beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from makima_relay.cli import makima_relay
from makima_relay.cli.asking import Surroundings
from makima_relay.cli.errors import ExitStatus
from tests.web.case import ApiTestCase

URL = "http://localhost:8787"


@attrs.frozen
class _Present:
    """Asks what is there at the moment."""

    case: CommandTestCase

    def request(self, *arguments: Any, **options: Any) -> Any:
        """Ask as treq does."""
        return self.case.treq.request(*arguments, **options)


class CommandTestCase(ApiTestCase):
    """Runs the command on a relay in memory.

    :ivar meanwhile: what happens, one after the other, while a command follows; then comes Ctrl-C.
    """

    def setUp(self) -> None:
        """Start the relay."""
        super().setUp()
        self.meanwhile: list[Callable[[], object]] = []

    def run_in_memory(self, main: Callable[[Any], Any]) -> Any:
        """Run a coroutine as a command's process does."""
        results: list[Any] = []
        work = Deferred.fromCoroutine(main(self.reactor))
        work.addBoth(results.append)
        while not results and self.meanwhile:
            self.meanwhile.pop(0)()
            self.treq.flush()
            self.reactor.advance(2.0)
        if not results:
            work.cancel()
            raise SystemExit(ExitStatus.INTERRUPTED)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def run_command(self, *arguments: str, **environment: str | None) -> Result:
        """Run the command."""
        runs: list[Callable[[Any], Any]] = []

        def run_once(main: Callable[[Any], Any]) -> Any:
            runs.append(main)
            assert len(runs) == 1, "a reactor cannot be started again"
            return self.run_in_memory(main)

        around = Surroundings(run_once, lambda _reactor, _place: _Present(self))
        variables = {"MAKIMA_RELAY_URL": URL, "MAKIMA_RELAY_ADMIN_TOKEN": None, **environment}
        return CliRunner(env=variables).invoke(makima_relay, arguments, obj=around, prog_name="makima-relay")

    def run_well(self, *arguments: str, **environment: str | None) -> str:
        """What the command prints, which must succeed."""
        result = self.run_command(*arguments, **environment)
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertNotIn("\t", result.stdout)
        return result.stdout

    def run_json(self, *arguments: str) -> Any:
        """The JSON that the command prints."""
        return json.loads(self.run_well(*arguments, "--json"))

    def follow(self, *arguments: str, meanwhile: list[Callable[[], object]]) -> list[str]:
        """The lines that a command prints up to Ctrl-C."""
        self.meanwhile = meanwhile
        result = self.run_command(*arguments, "--follow")
        self.assertEqual((result.exit_code, result.stderr), (ExitStatus.INTERRUPTED, ""), result.output)
        return result.stdout.splitlines()

    def assert_fails(self, result: Result, status: int, words: str) -> None:
        """It ends with a status, one line and no traceback."""
        self.assertEqual(result.exit_code, status, result.output)
        self.assertIn(words, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("makima-relay: "), result.stderr)
