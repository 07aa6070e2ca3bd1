"""How types and status words are spelled on the wire (``protocol.md``, *Frames*)."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final, TypeVar

from makima_relay.core.members import LONGEST_NAME

_V = TypeVar("_V")


class WireCase(enum.Enum):
    """How the ``type`` of the relay's own messages is spelled."""

    CAMEL = "camel"
    PASCAL = "pascal"
    SNAKE = "snake"
    #: Only ever an answer to a daemon that shouts; not a setting.
    UPPER = "upper"

    def spell(self, *words: str) -> str:
        """Write words as one type, in this case."""
        match self:
            case WireCase.CAMEL:
                return words[0] + "".join(map(str.capitalize, words[1:]))
            case WireCase.PASCAL:
                return "".join(map(str.capitalize, words))
            case WireCase.SNAKE:
                return "_".join(words)
            case WireCase.UPPER:
                return "_".join(words).upper()


def case_of(spelling: str) -> WireCase:
    """Tell from a peer's spelling of ``authenticate`` how it spells types."""
    if spelling.isupper():
        return WireCase.UPPER
    return WireCase.PASCAL if spelling[:1].isupper() else WireCase.CAMEL


_SEPARATORS = str.maketrans("", "", "_-")


def folded(word: str) -> str:
    """The form in which types and status words are compared: no case, no ``_``, no ``-``."""
    return word.translate(_SEPARATORS).lower()


class BySpelling(dict[str, _V]):
    """What a type stands for, by its spelling; peers choose the spellings, so it forgets all when it has seen too many.

    :param meaning: tells it of a folded type.
    """

    MOST: Final = 1_024

    def __init__(self, meaning: Callable[[str], _V]) -> None:
        super().__init__()
        self._meaning = meaning

    def __missing__(self, spelling: str) -> _V:
        if len(self) >= self.MOST:
            self.clear()
        meant = self._meaning(folded(spelling))
        if len(spelling) <= LONGEST_NAME:
            self[spelling] = meant
        return meant
