"""Blacks out the secrets that the relay knows, wherever text of a peer is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable

#: Shorter secrets would black out half of every sentence; nothing that short is a secret.
_SHORTEST = 4
_BLACK = "[secret]"


def redactor(secrets: Iterable[str | None]) -> Callable[[str], str]:
    """Make the function that blacks out these secrets.

    :param secrets: what must not be shown; none and very short ones are left out.
    """
    # The longest first, in case one holds another.
    known = sorted({each for each in secrets if each and len(each) >= _SHORTEST}, key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in known:
            if secret in text:
                text = text.replace(secret, _BLACK)
        return text

    return redact
