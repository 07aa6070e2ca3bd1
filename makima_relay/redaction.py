"""Blacks out the secrets that the relay knows, wherever text of a peer is shown or a line is logged."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from makima_relay.new_key import KEY_PREFIX

#: Shorter secrets would black out half of every sentence; nothing that short is a secret.
_SHORTEST: Final = 4
#: In Base64 so little of a shorter one is left that it would be found in other text.
_SHORTEST_IN_BASE64: Final = 6
_BLACK: Final = "[secret]"
_URL_SAFE: Final = str.maketrans("+/", "-_")


class Redactor:
    """Blacks out secrets: as they are, and as they look in a URL, in JSON, in a ``repr`` and in Base64.

    :param secrets: what must not be shown; none and very short ones are left out.
    """

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._forms: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str | None]) -> None:
        """Black out these too from now on."""
        forms = {form for each in secrets if each and len(each) >= _SHORTEST for form in _forms(each)}
        # The longest first, in case one holds another.
        self._forms = sorted(forms.union(self._forms), key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        """Black out what is secret in a text."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, _BLACK)
        for beginning, daemon_key in _DAEMON_KEYS:
            if beginning in text:
                text = daemon_key.sub(_BLACK, text)
        return text


def _forms(secret: str) -> Iterator[str]:
    """How a secret may look."""
    raw = secret.encode("utf-8", "surrogatepass")
    yield from (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], repr(raw)[2:-1])
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield quoted
        yield re.sub("%..", lambda match: match[0].lower(), quoted)
    if len(raw) >= _SHORTEST_IN_BASE64:
        for encoded in _in_base64(raw):
            yield from (encoded, encoded.translate(_URL_SAFE))


def _in_base64(raw: bytes) -> Iterator[str]:
    """The characters of Base64 that tell of these bytes alone, wherever among others they begin."""
    for before, first in ((0, 0), (1, 2), (2, 3)):
        encoded = b64encode(bytes(before) + raw).decode()
        yield encoded[first : 8 * (before + len(raw)) // 6]


def _beginning_with(beginning: str) -> tuple[str, re.Pattern[str]]:
    return beginning, re.compile(re.escape(beginning) + r"[\w+/-]{40,}={0,2}", re.ASCII)


#: Of daemon keys the relay knows only digests, but it can tell one when it sees it, also in Base64.
_DAEMON_KEYS: Final = [_beginning_with(each) for each in (KEY_PREFIX, *_in_base64(KEY_PREFIX.encode()))]
