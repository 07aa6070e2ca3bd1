"""The routes of daemon keys (``http-api.md``, *Who may ask*)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from twisted.internet.defer import inlineCallbacks
from twisted.web.iweb import IRequest

from makima_relay.core.keys import KEY_NAME, KEY_NAME_TAKES, KeyNameTakenError, UnknownKeyError, digest_of
from makima_relay.engine import Engine
from makima_relay.new_key import new_key
from makima_relay.web import bodies, shapes
from makima_relay.web.access import Access
from makima_relay.web.answers import json_answer
from makima_relay.web.parameters import meant
from makima_relay.web.problems import ProblemError
from makima_relay.web.routing import route

_NAME_TAKES: Final = f'name must be {KEY_NAME_TAKES}, as in {{"name": "build-7"}}'


def wanted_name(body: bytes) -> str:
    """Read the body of ``POST /keys``.

    :raises ProblemError: 400.
    """
    try:
        name = msgspec.json.decode(body, type=bodies.WantedKey).name
    except msgspec.ValidationError:
        raise ProblemError(400, _NAME_TAKES) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProblemError(400, 'the body must be JSON such as {"name": "build-7"}') from None
    # A pattern of JSON Schema lets a line end behind it.
    if not KEY_NAME.fullmatch(name):
        raise ProblemError(400, _NAME_TAKES)
    return name


class KeyRoutes:
    """Lists, makes, rotates and revokes daemon keys."""

    engine: Engine
    access: Access

    @route("GET", "/keys", admin=True, answers={200: bodies.Keys})
    def keys(self, request: IRequest) -> bytes:
        """All names; a key itself is never shown again."""
        connected = self._connected()
        keys = [
            shapes.key(named, sum(connected.get(key.digest, 0) for key in named.keys))
            for named in self.engine.relay.keys
        ]
        return json_answer(request, bodies.Keys(keys=keys))

    @route("POST", "/keys", admin=True, body=[bodies.WantedKey], answers={201: bodies.NewKey}, errors=(400, 409, 503))
    @inlineCallbacks
    def make_key(self, request: IRequest) -> Any:
        """Make the first key of a name; this is the only time that it is shown."""
        name = wanted_name(request.content.read())
        self._check_storable()
        key = new_key()
        try:
            self.engine.key_made(name, digest_of(key))
        except KeyNameTakenError:
            raise ProblemError(409, "this name is in use: revoke or rotate it, or take another") from None
        return (yield self._answer_new_key(request, name, key))

    @route("POST", "/keys/<name>/rotate", admin=True, answers={201: bodies.NewKey}, errors=(404, 503))
    @inlineCallbacks
    def rotate_key(self, request: IRequest, name: str) -> Any:
        """Make a further key of a name; the older one is taken for a while still."""
        self._check_storable()
        key = new_key()
        try:
            self.engine.key_rotated(meant(name), digest_of(key))
        except UnknownKeyError:
            raise _unknown() from None
        return (yield self._answer_new_key(request, meant(name), key))

    @route("DELETE", "/keys/<name>", admin=True, answers={204: None}, errors=(404, 503))
    @inlineCallbacks
    def revoke_keys(self, request: IRequest, name: str) -> Any:
        """Take back all keys of a name."""
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
        answer = bodies.NewKey(name=name, key=key, created_at=shapes.moment(created_at))
        return json_answer(request, answer, 201)

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
