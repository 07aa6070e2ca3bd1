"""All targets by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fuzz import envelopes, files, streams
from tests.fuzz.edge import CompressingEdge, Edge

#: Takes any bytes, and fails with an error if something that must hold does not.
Target = Callable[[bytes], None]

#: Of bytes alone.
PLAIN: Final[dict[str, Target]] = {
    "report": envelopes.report,
    "command": envelopes.command,
    "hello": envelopes.hello,
    "client_frames": streams.client_frames,
    "server_frames": streams.server_frames,
    "upgrades": streams.upgrades,
    "env_file": files.env_file,
    "secret_file": files.secret_file,
    "database": files.database,
    "foreign_database": files.foreign_database,
}
#: Of a whole relay: whose, and what is done with it.
WHOLE: Final[dict[str, tuple[type[Edge], str]]] = {
    "edge": (Edge, "attack_as_client"),
    "compressing_edge": (CompressingEdge, "attack_as_client"),
    "upstream": (Edge, "attack_as_server"),
    "compressing_upstream": (CompressingEdge, "attack_as_server"),
}


def whole_relay(name: str) -> Target:
    """A target that has a relay of its own, and another when that has seen enough."""
    case, attack = WHOLE[name]
    edge: Edge | None = None

    def target(data: bytes) -> None:
        nonlocal edge
        if edge is None or edge.has_seen_enough:
            if edge is not None:
                edge.doCleanups()
            edge = case()
            edge.setUp()
        getattr(edge, attack)(data)

    return target
