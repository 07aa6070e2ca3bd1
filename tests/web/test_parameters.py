"""Parameters of requests, and what is said about bad ones."""

from __future__ import annotations

from tests.web.case import ApiTestCase

_LIMIT = "limit must be an integer from 1 to 500"
_OFFSET = "offset must be an integer of 0 or more"


class ParameterTests(ApiTestCase):
    """Query parameters of the history and the log."""

    def test_bad_parameters_are_named_with_what_they_take(self) -> None:
        """400, and one sentence."""
        for query, detail in (
            ("limit=0", _LIMIT),
            ("limit=501", _LIMIT),
            ("limit=-1", _LIMIT),
            ("limit=", _LIMIT),
            ("limit=ten", _LIMIT),
            ("limit=1.0", _LIMIT),
            ("limit=1e2", _LIMIT),
            ("limit=%2B1", _LIMIT),
            ("limit=%D9%A3", _LIMIT),
            ("limit=%FF", _LIMIT),
            ("limit=" + "9" * 5000, _LIMIT),
            ("offset=-1", _OFFSET),
            ("offset=x", _OFFSET),
            ("offset=9223372036854775808", _OFFSET),
            ("offset=" + "9" * 5000, _OFFSET),
            ("q=%FF", "q must be UTF-8 text"),
            ("daemon=%FF", "daemon must be UTF-8 text"),
        ):
            self.assert_problem(self.ask_raw(f"/tasks?{query}"), 400, "Bad Request", detail)

    def test_a_bad_status_is_answered_with_those_that_there_are(self) -> None:
        """All seven; their case matters."""
        words = "pending, dispatched, running, orphaned, completed, failed, cancelled"
        for status in ("done", "PENDING", "%FF"):
            said = self.assert_problem(self.ask_raw(f"/tasks?status={status}"), 400, "Bad Request")
            if status != "%FF":
                self.assertEqual(said, f"status must be one of {words}")

    def test_the_log_has_a_limit_of_its_own(self) -> None:
        """1 to 200."""
        for limit in ("0", "201", "x"):
            answer = self.ask("GET", f"/logs?limit={limit}")
            self.assert_problem(answer, 400, "Bad Request", "limit must be an integer from 1 to 200")

    def test_the_last_of_several_values_counts(self) -> None:
        """And unknown parameters do not."""
        answer = self.get("/tasks?limit=1&limit=7&colour=green")
        self.assertEqual((answer["limit"], answer["offset"]), (7, 0))

    def test_bounds_are_taken(self) -> None:
        """The greatest offset is beyond every history."""
        for limit, offset in ((1, 0), (500, 9223372036854775807)):
            answer = self.get(f"/tasks?limit={limit}&offset={offset}")
            self.assertEqual((answer["limit"], answer["offset"], answer["tasks"]), (limit, offset, []))
