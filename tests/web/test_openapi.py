"""``/openapi.json``, and what else says which routes there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

from makima_relay import __version__
from makima_relay.web.examples import EXAMPLES, PROBLEM
from makima_relay.web.routing import ROUTES
from tests.web.case import ADMIN_ROUTES, ApiTestCase, declared

PAGE = Path(__file__).parents[2] / "docs/http.md"
_ROW = re.compile(r"^\| (GET|POST|DELETE) \| `(/\S*)` \| (open|admin|key) \|", re.MULTILINE)
_EXAMPLE = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)


class DocumentTests(ApiTestCase):
    """What it says."""

    def setUp(self) -> None:
        """Ask for it."""
        super().setUp()
        self.document = self.get("/openapi.json")

    def operations(self) -> dict[tuple[str, str], dict[str, Any]]:
        """All operations, by method and path."""
        return {
            (method.upper(), path): operation
            for path, operations in self.document["paths"].items()
            for method, operation in operations.items()
        }

    def test_it_is_valid(self) -> None:
        """By the schema of OpenAPI 3.1, references and examples included."""
        self.assertEqual((self.document["openapi"], self.document["info"]["version"]), ("3.1.0", __version__))
        OpenAPIV31SpecValidator(self.document).validate()

    def test_every_route_that_klein_knows_is_in_it(self) -> None:
        """A route that is not declared would be missing."""
        known = set()
        for rule in self.api.app.url_map.iter_rules():
            path = re.sub(r"<(\w+)>", lambda place: f"{{{_camel(place[1])}}}", rule.rule)
            known.update((method, path) for method in (rule.methods or set()) - {"HEAD"})
        self.assertEqual(set(self.operations()), known)

    def test_each_operation_has_a_name_and_a_summary(self) -> None:
        """Programs are made of them."""
        operations = self.operations().values()
        self.assertEqual(len({each["operationId"] for each in operations}), len(operations))
        self.assertTrue(all(each["summary"] and "`" not in each["summary"] for each in operations))

    def test_it_says_who_may_ask(self) -> None:
        """Routes for operators want the token or the cookie, and say what happens without."""
        for (method, path), operation in self.operations().items():
            admin = any(declared(*each) is declared(method, path) for each in ADMIN_ROUTES)
            self.assertEqual(operation["security"], [{"token": []}, {"session": []}] if admin else [], path)
            if admin:
                self.assertLessEqual({"401", "403", "429"}, set(operation["responses"]))

    def test_every_example_is_what_its_type_is(self) -> None:
        """Member by member."""
        for body, example in EXAMPLES.items():
            text = msgspec.json.encode(example)
            self.assertTrue(msgspec.json.decode(text, type=body))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


class PageTests(ApiTestCase):
    """``docs/http.md``."""

    def test_it_has_every_route_and_no_other(self) -> None:
        """With who may ask."""
        rows = {(method, path): who for method, path, who in _ROW.findall(PAGE.read_text(encoding="utf-8"))}
        expected = {(each.method, each.path): "admin" if each.admin else "open" for each in ROUTES}
        found = {route: "open" if who == "key" else who for route, who in rows.items()}
        self.assertEqual(found, expected)

    def test_its_examples_are_those_of_the_document(self) -> None:
        """So they are of the right types."""
        examples = [json.loads(text) for text in _EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))]
        self.assertGreater(len(examples), 6)
        for example in examples:
            self.assertIn(example, [*EXAMPLES.values(), PROBLEM])
