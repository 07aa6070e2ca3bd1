"""The Klein application that all routes belong to; modules of routes add theirs."""

from __future__ import annotations

from klein import Klein

from makima_relay.web.answers import answer_errors

app = Klein()
answer_errors(app)
