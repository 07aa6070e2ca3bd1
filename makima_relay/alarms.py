"""Timers for very many connections, which are set often and mostly cancelled.

Time is divided into steps, and all alarms of one step share one call of the reactor: to set or cancel one changes a
dictionary, where the reactor would sort each into its heap. What is due in one step is done in one of its turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How late an alarm may be, in seconds.
STEP: Final = 0.01


class _Step(dict["Alarm", None]):
    """The alarms of one step, in the order in which they were set."""

    __slots__ = ("number", "timer")

    number: int
    timer: IDelayedCall


class Alarm:
    """Something that is to be done later, once; made by :meth:`Alarms.callLater`."""

    __slots__ = ("_alarms", "_call", "_step")

    def __init__(self, alarms: Alarms, call: Callable[[], object]) -> None:
        self._alarms = alarms
        self._call = call
        self._step: _Step | None = None

    def active(self) -> bool:
        """Whether it is still to be done."""
        return self._step is not None

    def cancel(self) -> None:
        """Do not do it; nothing happens if it is done already, or was cancelled."""
        step, self._step = self._step, None
        if step is not None:
            del step[self]
            if not step:
                self._alarms.emptied(step)

    def reset(self, delay: float) -> None:
        """Do it at another time.

        :param delay: seconds from now.
        """
        self.cancel()
        self.join(self._alarms.step_in(delay))

    def join(self, step: _Step) -> None:
        """Do it in a step."""
        self._step = step
        step[self] = None

    def ring(self) -> None:
        """Do it now, if it is still to be done."""
        step, self._step = self._step, None
        if step is not None:
            del step[self]
            self._call()


class Alarms:
    """Sets alarms; for those who need no more of a clock than :meth:`callLater`.

    :param clock: the reactor.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._steps: dict[int, _Step] = {}

    def callLater(self, delay: float, call: Callable[[], object]) -> Alarm:
        """Have something done later.

        :param delay: seconds from now; it may become :data:`STEP` more.
        """
        alarm = Alarm(self, call)
        alarm.join(self.step_in(delay))
        return alarm

    def step_in(self, delay: float) -> _Step:
        """The step that is after so many seconds."""
        now = self._clock.seconds()
        number = math.ceil((now + delay) / STEP)
        step = self._steps.get(number)
        if step is None:
            step = self._steps[number] = _Step()
            step.number = number
            step.timer = self._clock.callLater(max(0.0, number * STEP - now), self._ring, step)
        return step

    def emptied(self, step: _Step) -> None:
        """Nothing is left to be done in a step."""
        if step.timer.active():
            step.timer.cancel()
            self._steps.pop(step.number, None)

    def _ring(self, step: _Step) -> None:
        self._steps.pop(step.number, None)
        try:
            for alarm in list(step):
                alarm.ring()
        finally:
            if step:
                # One has raised: the reactor logs it, and the others have their turn.
                step.timer = self._clock.callLater(0, self._ring, step)
