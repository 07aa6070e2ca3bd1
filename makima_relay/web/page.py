"""The page that a browser gets at ``/``: what ``/status`` says, for people. No script, nothing that needs a token."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest
from twisted.web.template import Tag, flattenString, tags

#: Seconds after which the page loads itself again.
_REFRESH = 5

STYLE = """
:root { color-scheme: light dark; --line: #8884; --ok: #1a7f37; --wait: #9a6700; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --ok: #3fb950; --wait: #d29922; --bad: #f85149; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .25rem; }
.ok { color: var(--ok); } .connecting { color: var(--wait); } .disconnected { color: var(--bad); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; padding: 0; }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
dt { font-size: .85rem; opacity: .75; } dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
code { font-size: .9em; overflow-wrap: anywhere; }
"""

#: Nothing may be loaded or run; the one style sheet inside the page is allowed by its hash.
CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; style-src 'sha256-%b'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    % base64.b64encode(hashlib.sha256(STYLE.encode()).digest())
)

_SENTENCES = {
    "ok": "Connected to the Makima server.",
    "connecting": "Not connected to the Makima server; the relay is trying. Daemons are served meanwhile.",
    "disconnected": "Not connected to the Makima server, and no longer trying: POST /reconnect starts over.",
}
_FIGURES = (
    ("connectedDaemons", "daemons"),
    ("activeTasks", "active tasks"),
    ("pendingTasks", "pending tasks"),
    ("totalTasksProcessed", "tasks processed"),
)
_ROUTES = (
    ("/status", "this, as JSON"),
    ("/tasks", "the history of tasks"),
    ("/daemons", "the fleet"),
    ("/logs", "connection events"),
    ("/health", "for monitoring"),
)


def render(request: IRequest, status: Mapping[str, Any], signed_in: bool | None = None) -> Deferred[bytes]:
    """Make the page of a status.

    :param status: what ``/status`` answers.
    :param signed_in: whether the browser has signed in; none where it need not.
    """
    name = str(status["agentName"])
    upstream = status["upstream"]
    page = tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            # Not while somebody types.
            "" if signed_in is False else tags.meta(**{"http-equiv": "refresh", "content": str(_REFRESH)}),
            tags.title(f"{name} – makima-relay"),
            tags.style(STYLE),
        ),
        tags.body(
            tags.h1(name),
            tags.p(_SENTENCES[status["status"]], class_=status["status"]),
            tags.dl(*[tags.div(tags.dt(words), tags.dd(str(status[member]))) for member, words in _FIGURES]),
            tags.p(
                "Server: ", tags.code(str(upstream["url"])), f" · reports not yet acknowledged: {upstream['outbox']}"
            ),
            tags.ul(*[_route(path, words) for path, words in _ROUTES]),
            _signing(signed_in),
            tags.p(f"makima-relay {status['version']}, up for {status['uptimeSeconds']:.0f} s"),
        ),
        lang="en",
    )
    document: Deferred[bytes] = flattenString(request, page)
    return document.addCallback(lambda body: b"<!doctype html>" + body)


def _signing(signed_in: bool | None) -> Tag | str:
    """The form to sign in or out with, where there is something to sign in to."""
    if signed_in is None:
        return ""
    if signed_in:
        return tags.form(tags.button("Sign out"), method="post", action="/session/end")
    return tags.form(
        tags.label("Admin token ", tags.input(type="password", name="token", autocomplete="current-password")),
        tags.button("Sign in"),
        method="post",
        action="/session",
    )


def _route(path: str, words: str) -> Tag:
    return tags.li(tags.a(tags.code(path), href=path), f": {words}")
