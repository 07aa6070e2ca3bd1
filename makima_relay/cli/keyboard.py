"""Takes keys one by one from the terminal of a command that fills the screen."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer


@implementer(IReadDescriptor)
class Keyboard:
    """Waits, and notices when somebody wants to quit.

    :param reactor: tells the time.
    :param number: the file that keys come from.
    :ivar is_quitting: whether somebody does.
    """

    def __init__(self, reactor: Any, number: int) -> None:
        self._reactor = reactor
        self._number = number
        self._waiting: Deferred[None] | None = None
        self.is_quitting = False

    async def pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until somebody wants to quit."""
        if self.is_quitting:
            return
        waiting: Deferred[None] = Deferred()
        self._waiting = waiting
        timer = self._reactor.callLater(seconds, self._wake)
        try:
            await waiting
        finally:
            if timer.active():
                timer.cancel()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def fileno(self) -> int:
        """Which file it is."""
        return self._number

    def logPrefix(self) -> str:
        """What the log would call it."""
        return "keyboard"

    def doRead(self) -> None:
        """A key was pressed."""
        keys = os.read(self._number, 64)
        if not keys or keys in b"qQ":
            self._quit()

    def connectionLost(self, reason: object) -> None:
        """The terminal is gone."""
        self._quit()

    def _quit(self) -> None:
        self.is_quitting = True
        self._wake()


@contextmanager
def keyboard(reactor: Any) -> Iterator[Keyboard]:
    """Take keys one by one, if there is a terminal to take them from, and leave it as it was."""
    if not sys.stdin.isatty():
        yield Keyboard(reactor, -1)
        return
    keys = Keyboard(reactor, sys.stdin.fileno())
    before = termios.tcgetattr(keys.fileno())
    tty.setcbreak(keys.fileno())
    reactor.addReader(keys)
    try:
        yield keys
    finally:
        reactor.removeReader(keys)
        termios.tcsetattr(keys.fileno(), termios.TCSADRAIN, before)
