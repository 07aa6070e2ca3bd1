"""What the core wants done among the relays of a cluster (``cluster.md``); see :mod:`makima_relay.core.effects`."""

from __future__ import annotations

from makima_relay.core.effects import Effect, Gate, Saved
from makima_relay.core.tasks import Task


class KeepEntry(Gate, frozen=True):
    """Keep an entry for a peer until that has it, and that its number is used.

    :ivar peer: the peer's relay id; so in all effects.
    :ivar number: its place among the entries for this peer: they count from 1, and no number is used twice.
    """

    peer: str
    number: int
    payload: bytes


class ForgetEntries(Saved, frozen=True):
    """Drop the kept entries for a peer up to and with a number: the peer has them."""

    peer: str
    up_to: int


class DropEntries(Saved, frozen=True):
    """Drop kept entries for a peer that are not to reach it any more."""

    peer: str
    numbers: tuple[int, ...]


class SaveReceived(Gate, frozen=True):
    """Keep up to which number a peer's entries were acted on, in one transaction with what came of them."""

    peer: str
    number: int


class SaveForeign(Gate, frozen=True):
    """Keep a task of a peer's as it is now; of one that has finished, or is forgotten, the row goes.

    :ivar task: the task; its key is from the same numbers as the relay's own tasks'.
    :ivar at: when it became so, in seconds since the epoch.
    """

    task: Task
    at: float


class SavePeer(Saved, frozen=True):
    """Keep what is known of a peer; what it was sent and what came of its entries is kept with those.

    :ivar seen_at: seconds since the epoch.
    """

    relay_id: str
    agent_name: str
    seen_at: float


class SendEntry(Effect, frozen=True):
    """Put an entry into a peer's inbox.

    :ivar session: which session with Redis it is for, counted as :meth:`Relay.cluster_ready` is told; in another one it
        would come before others.
    """

    peer: str
    number: int
    payload: bytes
    session: int


class AcknowledgeEntries(Effect, frozen=True):
    """Tell a peer that its entries up to and with a number were acted on: they leave this relay's inbox."""

    peer: str
    number: int


class TakeBack(Effect, frozen=True):
    """Take this relay's entries that a peer has not read out of its inbox, and tell :meth:`Relay.taken_back`.

    :ivar session: as in :class:`SendEntry`.
    """

    peer: str
    session: int


class RecordHolder(Effect, frozen=True):
    """Write into the directory where a task of this relay's is.

    :ivar origin: this relay's id.
    :ivar instead_of: the origin that the entry may name until now, besides this relay; any other's entry stays.
    """

    task_id: str
    attempt: int
    origin: str
    holder: str
    instead_of: str | None = None


class RecordMore(Effect, frozen=True):
    """Tell :meth:`Relay.record_wanted` when others have had their turn: many are written a few at a time."""


class ForgetTasks(Effect, frozen=True):
    """Drop the directory's entries of tasks, as far as they name this relay as their origin."""

    task_ids: tuple[str, ...]


class AnnouncePresence(Effect, frozen=True):
    """Tell the peers at once how many slots are free: the last was taken, or the first became free."""
