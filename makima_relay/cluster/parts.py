"""The two sides of a membership: who is told what comes from other relays, and what takes part in each session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from makima_relay.cluster.key_share import KeyHolder
from makima_relay.cluster.roll_call import RollCallUser
from makima_relay.cluster.session import Session


class ClusterUser(RollCallUser, KeyHolder, Protocol):
    """Who is told what comes from the cluster: the engine."""

    def cluster_ready(self, acknowledged: Mapping[str, int]) -> None:
        """There is a session.

        :param acknowledged: by relay, up to which number it has acted on what it was sent.
        """

    def cluster_lost(self, reason: str) -> None:
        """There is none any more."""

    def entries_received(self, peer: str, entries: Sequence[tuple[int, bytes]]) -> None:
        """Another relay sent entries, as (number, payload)."""

    def directory_listed(self, task_ids: Sequence[str]) -> None:
        """The directory names this relay as the origin of these tasks; there may be more."""

    def taken_back(self, peer: str, numbers: Sequence[int]) -> None:
        """These entries were taken out of another relay's inbox, which had not read them."""


class Part(Protocol):
    """Something that takes part in each session."""

    def begin(self, session: Session) -> None:
        """There is a session."""

    def end(self) -> None:
        """There is none any more; nothing happens if there was none."""
