"""What becomes of secrets that were read again: whoever goes by them goes by the new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from makima_relay.admission import Admission
from makima_relay.clustering import Clustering
from makima_relay.connector_options import ConnectorOptions
from makima_relay.redaction import Redactor
from makima_relay.settings import RedisURL
from makima_relay.upstream import Upstream
from makima_relay.web.access import Access


def renewals(
    redact: Redactor,
    admission: Admission,
    access: Access,
    upstream: Upstream,
    options: Callable[[str], ConnectorOptions],
    clustering: Clustering,
) -> Mapping[str, Callable[[Any], None]]:
    """By the member of the settings what makes the relay go by another secret.

    :param options: what the connection to the server goes by with a key.
    """

    def use_api_key(key: str) -> None:
        redact.learn([key])
        admission.change_shared_key(key)
        upstream.connector.change_options(options(key))

    def use_admin_token(token: str) -> None:
        redact.learn([token])
        access.change_token(token)

    def use_redis(url: RedisURL) -> None:
        redact.learn(url.secrets())
        clustering.change_url(url)

    return {"api_key": use_api_key, "admin_token": use_admin_token, "redis": use_redis}
