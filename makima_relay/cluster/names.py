"""The names of keys and channels in Redis.

All begin with ``makima:{NAME}:``. The braces are literal: what is in them decides where Redis Cluster keeps a key, so
that all keys of a cluster of relays are in one place and a script may use several.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Names:
    """What a cluster of relays calls its keys.

    :ivar cluster: its name.
    """

    cluster: str

    def _name(self, *parts: str) -> str:
        return ":".join((f"makima:{{{self.cluster}}}", *parts))

    @property
    def relays(self) -> str:
        """A hash: each relay's last presence."""
        return self._name("relays")

    @property
    def presences(self) -> str:
        """The channel of presences and good-byes."""
        return self._name("presence")

    @property
    def tasks(self) -> str:
        """A hash, the directory: attempt, origin and holder of each task."""
        return self._name("tasks")

    @property
    def keys(self) -> str:
        """A hash and a channel: the daemon keys of each name."""
        return self._name("keys")

    def machines(self, name: str) -> str:
        """A set: the machines that belong to the name of a daemon key."""
        return self._name("machines", name)

    def relay(self, relay_id: str) -> str:
        """A relay's presence; it vanishes when it is not renewed."""
        return self._name("relay", relay_id)

    def session(self, relay_id: str) -> str:
        """Which run of a relay it is; missing when Redis was emptied."""
        return self._name("session", relay_id)

    def inbox(self, relay_id: str) -> str:
        """A stream: what others sent a relay."""
        return self._name("inbox", relay_id)

    def sent(self, relay_id: str) -> str:
        """A hash: the number of the last entry that each sender put into a relay's inbox."""
        return self._name("sent", relay_id)

    def acknowledged(self, sender: str) -> str:
        """A hash and a channel: up to which number each relay has acted on what a sender sent."""
        return self._name("acknowledged", sender)

    def rows(self, relay_id: str) -> str:
        """A hash: a relay's tasks, as ``/tasks`` shows them, but for why they wait."""
        return self._name("rows", relay_id)

    def order(self, relay_id: str) -> str:
        """A sorted set: the same tasks, by when they came."""
        return self._name("order", relay_id)

    def ended(self, relay_id: str) -> str:
        """A sorted set: those of them that have finished, by when they did."""
        return self._name("ended", relay_id)

    def why(self, relay_id: str) -> str:
        """Why a relay's pending tasks wait."""
        return self._name("why", relay_id)

    def daemons(self, relay_id: str) -> str:
        """A hash: a relay's daemons, as ``/daemons`` shows them."""
        return self._name("daemons", relay_id)
