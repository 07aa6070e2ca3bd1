"""The settings that the core obeys."""

from __future__ import annotations

import enum

import msgspec

from makima_relay.core.spelling import WireCase


class LossPolicy(enum.Enum):
    """What becomes of a lost task: ``--on-daemon-loss``."""

    FAIL = "fail"
    REQUEUE = "requeue"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the core obeys; their defaults are ``configuration.md``'s.

    :ivar daemon_grace: seconds that a lost daemon has to return.
    :ivar health_timeout: seconds of silence after which a daemon gets no new tasks.
    :ivar on_loss: what becomes of a lost task.
    :ivar most_attempts: how often a task is dispatched before its loss is final.
    :ivar wire_case: how types are spelled toward the server.
    :ivar outbox_limit: bytes of reports in the database above which daemons are not read any more.
    :ivar most_pending: tasks that may be pending; above it no new ones are taken.
    :ivar most_commands: commands that may wait for one task.
    :ivar most_waiting: bytes of messages that may wait for daemons in all.
    :ivar key_rotation_grace: seconds that an older key is taken after a rotation.
    :ivar keep_output: bytes of each task's output that are kept in memory; 0 for none.
    :ivar peer_grace: seconds that a peer has to return.
    :ivar relay_id: this relay's id in its cluster; none without a cluster.
    :ivar agent_name: this relay's name in its cluster.
    """

    daemon_grace: float = 60.0
    health_timeout: float = 90.0
    on_loss: LossPolicy = LossPolicy.FAIL
    most_attempts: int = 3
    wire_case: WireCase = WireCase.CAMEL
    outbox_limit: int = 1 << 30
    most_pending: int = 200_000
    most_commands: int = 1_000
    most_waiting: int = 1 << 30
    key_rotation_grace: float = 86_400.0
    keep_output: int = 64 << 10
    peer_grace: float = 300.0
    relay_id: str | None = None
    agent_name: str = ""
