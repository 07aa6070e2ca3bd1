"""A real relay is asked whatever its ``/openapi.json`` says can be asked, and more."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.processes.harness import daemon, say
from tests.processes.test_relay import ProcessTestCase
from tests.untraced import untraced

TOKEN = "a-token-for-admins"
#: Requests of each operation, of good ones and of bad ones.
EXAMPLES = 4


class RequestTests(ProcessTestCase):
    """Made by schemathesis, the same at every run."""

    def setUp(self) -> None:
        """Have a relay at work, with something of everything in it."""
        super().setUp()
        self.relay = self.start(MAKIMA_RELAY_ADMIN_TOKEN=TOKEN)
        self.port = self.relay.port()
        server = self.server.relay()
        connection = self.enterContext(daemon(self.port, "build-7"))
        say(server, type="spawnTask", taskId="t")
        connection.recv()

    @untraced
    def test_every_answer_is_as_the_document_says(self) -> None:
        """Status, headers, type and body; none of them says that there is a bug."""
        load_all_checks()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/openapi.json") as answer:
            schema = schemathesis.openapi.from_dict(json.load(answer))
        asked = {}
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path == "/events":
                # Its answers have no end: tests.processes.test_events reads them.
                continue
            asked[operation.label] = 0
            self.ask_all(operation, GenerationMode.POSITIVE, asked)
            # Of some operations there are no bad requests.
            with contextlib.suppress(Unsatisfiable):
                self.ask_all(operation, GenerationMode.NEGATIVE, asked)
        self.assertTrue(all(asked.values()), asked)
        self.assertIsNone(self.relay.process.poll())

    def ask_all(self, operation: Any, mode: GenerationMode, asked: dict[str, int]) -> None:
        """Ask for one operation."""

        @seed(7)
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            asked[operation.label] += 1
            case.call_and_validate(
                base_url=f"http://127.0.0.1:{self.port}",
                headers={"Authorization": f"Bearer {TOKEN}"},
                # A plain GET is all that can be asked there, and is refused.
                excluded_checks=[positive_data_acceptance] if "/ws/" in operation.path else [],
            )

        ask()
