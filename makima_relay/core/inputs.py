"""How a method becomes an input of the relay: it returns what is to be done about what it was told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from makima_relay.core.effects import Effect
from makima_relay.core.state import State


class _HasState(Protocol):
    _state: State


_P = ParamSpec("_P")
_Told = TypeVar("_Told", bound=_HasState)


def told(method: Callable[Concatenate[_Told, _P], None]) -> Callable[Concatenate[_Told, _P], list[Effect]]:
    """Make a method an input: it returns the effects that were noted while it ran."""

    @functools.wraps(method)
    def input_(self: _Told, /, *args: _P.args, **kwargs: _P.kwargs) -> list[Effect]:
        method(self, *args, **kwargs)
        return self._state.take_effects()

    return input_
