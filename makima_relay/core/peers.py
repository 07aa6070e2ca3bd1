"""The peers: the other relays of the cluster, as this one sees them (``cluster.md``)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from makima_relay.core.members import LONGEST_NAME

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class Presence(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a relay says of itself; the members are those of ``GET /cluster``."""

    relay_id: _Name
    agent_name: _Name
    version: Annotated[str, msgspec.Meta(max_length=64)]
    upstream_connected: bool
    connected_daemons: _Count
    free_slots: _Count
    busy_slots: _Count
    active_tasks: _Count
    pending_tasks: _Count
    foreign_tasks: _Count
    oldest_pending_seconds: Annotated[float, msgspec.Meta(ge=0)]
