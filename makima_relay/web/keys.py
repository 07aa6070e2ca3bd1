"""The routes of daemon keys (``http-api.md``, *Who may ask*)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from twisted.internet.defer import inlineCallbacks
from twisted.web.iweb import IRequest

from makima_relay.clock import rfc3339
from makima_relay.core.keys import KEY_NAME, KEY_NAME_TAKES, KeyNameTakenError, NamedKeys, UnknownKeyError, digest_of
from makima_relay.engine import Engine
from makima_relay.new_key import new_key
from makima_relay.web.access import Access
from makima_relay.web.answers import json_answer
from makima_relay.web.application import app
from makima_relay.web.parameters import meant
from makima_relay.web.problems import ProblemError

_NAME_TAKES: Final = f"name must be {KEY_NAME_TAKES}"


def wanted_name(body: bytes) -> str:
    """Read the body of ``POST /keys``.

    :raises ProblemError: 400.
    """
    try:
        wanted = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProblemError(400, 'the body must be JSON such as {"name": "build-7"}') from None
    name = wanted.get("name") if isinstance(wanted, dict) else None
    if not isinstance(name, str) or not KEY_NAME.fullmatch(name):
        raise ProblemError(400, _NAME_TAKES)
    return name


class KeyRoutes:
    """Lists, makes, rotates and revokes daemon keys."""

    engine: Engine
    access: Access

    @app.route("/keys", methods=["GET"])
    def keys(self, request: IRequest) -> bytes:
        """All names; a key itself is never shown again."""
        self.access.check_admin(request)
        connected = self._connected()
        return json_answer(request, {"keys": [_shown(each, connected) for each in self.engine.relay.keys]})

    @app.route("/keys", methods=["POST"])
    @inlineCallbacks
    def make_key(self, request: IRequest) -> Any:
        """Make the first key of a name; this is the only time that it is shown."""
        self.access.check_admin(request)
        name = wanted_name(request.content.read())
        self._check_storable()
        key = new_key()
        try:
            self.engine.key_made(name, digest_of(key))
        except KeyNameTakenError:
            raise ProblemError(409, "this name is in use: revoke or rotate it, or take another") from None
        return (yield self._answer_new_key(request, name, key))

    @app.route("/keys/<name>/rotate", methods=["POST"])
    @inlineCallbacks
    def rotate_key(self, request: IRequest, name: str) -> Any:
        """Make a further key of a name; the older one is taken for a while still."""
        self.access.check_admin(request)
        self._check_storable()
        key = new_key()
        try:
            self.engine.key_rotated(meant(name), digest_of(key))
        except UnknownKeyError:
            raise _unknown() from None
        return (yield self._answer_new_key(request, meant(name), key))

    @app.route("/keys/<name>", methods=["DELETE"])
    @inlineCallbacks
    def revoke_keys(self, request: IRequest, name: str) -> Any:
        """Take back all keys of a name."""
        self.access.check_admin(request)
        try:
            self.engine.keys_revoked(meant(name))
        except UnknownKeyError:
            raise _unknown() from None
        yield self.engine.settled()
        if not self.engine.saves:
            raise ProblemError(
                503, "they are taken no more; this will be stored when the database can be written again"
            )
        request.setResponseCode(204)
        return b""

    @inlineCallbacks
    def _answer_new_key(self, request: IRequest, name: str, key: str) -> Any:
        # It may be revoked by the time it is stored.
        created_at = self.engine.relay.keys.named(name).keys[-1].created_at
        yield self.engine.settled()
        if not self.engine.saves:
            # It may be lost with the process, and whoever was given it would not know.
            raise ProblemError(503, "the key could not be stored and is not shown: rotate it when it can be")
        return json_answer(request, {"name": name, "key": key, "createdAt": rfc3339(created_at)}, 201)

    def _check_storable(self) -> None:
        if not self.engine.saves:
            raise ProblemError(503, "the database cannot be written at the moment")

    def _connected(self) -> dict[bytes, int]:
        """How many daemons are connected with each key, by digest."""
        counts: dict[bytes, int] = {}
        for daemon in self.engine.relay.daemons():
            if daemon.key is not None:
                counts[daemon.key] = counts.get(daemon.key, 0) + 1
        return counts


def _unknown() -> ProblemError:
    return ProblemError(404, "there is no key of this name")


def _shown(named: NamedKeys, connected: dict[bytes, int]) -> dict[str, Any]:
    return {
        "name": named.name,
        "createdAt": rfc3339(named.keys[-1].created_at),
        "lastUsedAt": rfc3339(named.last_used_at),
        "lastAddress": named.last_address,
        "machines": len(named.machines),
        "connected": sum(connected.get(key.digest, 0) for key in named.keys),
        "olderKeysUntil": rfc3339(max((key.ends_at for key in named.keys if key.ends_at is not None), default=None)),
    }
