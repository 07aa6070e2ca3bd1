"""What is turned away, counted by a fixed set of reasons (``http-api.md``, *Metrics*: no label comes from a peer)."""

from __future__ import annotations

import enum


class Rejection(enum.StrEnum):
    """Why something of a peer's was turned away."""

    #: Connections.
    UNAUTHENTICATED = "unauthenticated"
    UNAUTHORIZED = "unauthorized"
    OVERDUE = "overdue"
    TOO_MANY_DAEMONS = "too_many_daemons"
    TOO_MANY_STRANGERS = "too_many_strangers"
    TOO_MANY_FAILURES = "too_many_failures"
    TOO_MANY_EVENT_STREAMS = "too_many_event_streams"
    FOREIGN_ORIGIN = "foreign_origin"
    UNAVAILABLE = "unavailable"
    #: Messages.
    INVALID_MESSAGE = "invalid_message"
    NOT_YOUR_TASK = "not_your_task"
    DUPLICATE_TASK = "duplicate_task"
    UNROUTABLE = "unroutable"
    OVERLOADED = "overloaded"
