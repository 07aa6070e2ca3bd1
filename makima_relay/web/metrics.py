"""The route that Prometheus asks (``http-api.md``, *Metrics*)."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet import defer
from twisted.internet.defer import inlineCallbacks
from twisted.web.iweb import IRequest

from makima_relay.clock import Clock
from makima_relay.metrics import OPENMETRICS, TEXT, Metrics
from makima_relay.ports import StoreUnavailableError
from makima_relay.store import SQLiteStore
from makima_relay.web.access import Access
from makima_relay.web.routing import Media, route

#: What the database does not say in so many seconds is left out: it may be what the rest is to tell of.
_PATIENCE: Final = 1.0


class MetricsRoute:
    """Writes the metrics."""

    access: Access
    clock: Clock
    store: SQLiteStore
    metrics: Metrics

    @route("GET", "/metrics", admin=True, answers={200: (Media(TEXT), Media(OPENMETRICS))}, name="metrics")
    @inlineCallbacks
    def show_metrics(self, request: IRequest) -> Any:
        """The metrics, as Prometheus or OpenMetrics text."""
        try:
            stored = yield self.store.counts().addTimeout(_PATIENCE, self.clock.reactor)
        except (StoreUnavailableError, defer.TimeoutError):
            stored = {}
        accept = (request.getHeader(b"accept") or b"").decode("latin-1")
        body, content_type = self.metrics.render(accept, stored)
        request.setHeader(b"content-type", content_type.encode())
        request.setHeader(b"content-length", b"%d" % len(body))
        request.setHeader(b"cache-control", b"no-store")
        return body
