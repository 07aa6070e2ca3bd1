"""What the parts of a relay are to go by, made of its settings."""

from __future__ import annotations

from makima_relay.connector_options import Backoff, ConnectorOptions
from makima_relay.core.composer import COMPOSERS
from makima_relay.core.policy import Policy
from makima_relay.downstream import DownstreamOptions
from makima_relay.limits.guard import Limits
from makima_relay.settings import Settings, daemon_endpoint


def policy(settings: Settings, relay_id: str, agent_name: str) -> Policy:
    """What the core goes by.

    :param relay_id: the relay's own id in a cluster.
    :param agent_name: its name there.
    """
    return Policy(
        daemon_grace=settings.daemon_grace,
        health_timeout=settings.daemon_health_timeout,
        on_loss=settings.on_daemon_loss,
        most_attempts=settings.max_task_attempts,
        wire_case=settings.wire_case,
        outbox_limit=settings.outbox_limit,
        most_pending=settings.max_pending_tasks,
        most_commands=settings.max_waiting_commands,
        most_waiting=settings.max_waiting_size,
        key_rotation_grace=settings.key_rotation_grace,
        keep_output=settings.keep_output,
        peer_grace=settings.peer_grace,
        relay_id=None if settings.redis is None else relay_id,
        agent_name=agent_name,
    )


def limits(settings: Settings) -> Limits:
    """What peers may take."""
    return Limits(
        strangers=settings.max_strangers,
        strangers_per_address=settings.max_strangers_per_address,
        accepts=settings.max_accepts,
        failures=settings.max_failures,
        refusal=settings.failure_refusal,
        messages=settings.max_daemon_messages,
        traffic=settings.max_daemon_traffic,
    )


def downstream_options(settings: Settings) -> DownstreamOptions:
    """What the daemons' connections go by."""
    return DownstreamOptions(
        auth_timeout=settings.auth_timeout,
        keepalive=(settings.daemon_ping_interval, settings.daemon_ping_timeout),
        max_message_size=settings.max_message_size,
        max_daemons=settings.max_daemons,
        compression=settings.compression,
        fast_frames=settings.fast_frames,
    )


def connector_options(settings: Settings, api_key: str, machine_id: str, agent_name: str) -> ConnectorOptions:
    """What the connection to the server goes by.

    :param api_key: the key to present.
    :param machine_id: the relay's own.
    :param agent_name: the name to present.
    """
    return ConnectorOptions(
        url=daemon_endpoint(settings.server_url),
        headers={"Authorization": f"Bearer {api_key}", "X-Makima-API-Key": api_key},
        hello=COMPOSERS[settings.wire_case].authenticate(api_key, machine_id, agent_name, 0),
        backoff=Backoff(settings.reconnect_initial_delay, settings.reconnect_max_delay),
        auth_timeout=settings.auth_timeout,
        most_attempts=settings.max_reconnect_attempts,
        keepalive=(settings.ping_interval, settings.ping_timeout),
        max_message_size=settings.max_message_size,
        compression=settings.compression,
        fast_frames=settings.fast_frames,
    )
