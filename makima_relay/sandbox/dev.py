"""A relay that is started again whenever its source changes, between stand-ins that stay.

For those who work on the relay. The stand-ins and what belongs to them are not watched: end it all, and begin again.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from watchfiles import Change, DefaultFilter, watch

import makima_relay
from makima_relay.sandbox import DEFAULT_KEY, SandboxError
from makima_relay.sandbox.demo.household import Household
from makima_relay.sandbox.demo.scenes import DAEMONS
from makima_relay.sandbox.working import without_settings

SOURCE: Final = Path(makima_relay.__file__).parent
#: What the relay does not use, and what it uses only at the command line.
_OTHERS: Final = (SOURCE / "sandbox", SOURCE / "cli")
_POLL_INTERVAL: Final = 0.1
_HOST: Final = "127.0.0.1"
#: Names of changed files that are shown.
_MOST_SHOWN: Final = 3


async def develop(
    reactor: Any, *, port: int, server_port: int, options: Sequence[str], say: Callable[[str], None]
) -> int:
    """Run everything until stopped.

    :param port: the relay's; 0 takes a free one, which it keeps.
    :param server_port: the stand-in server's; likewise.
    :param options: further options of the relay.
    :param say: takes lines for people.
    :return: the exit status.
    :raises SandboxError: when a stand-in cannot be started, or dies.
    """
    directory = Path(tempfile.mkdtemp(prefix="makima-relay-dev-"))
    workshop = Workshop(reactor, directory, port or _free_port(), server_port or _free_port(), options, say)
    changes = SourceWatcher(reactor)
    changes.start()
    try:
        await workshop.open()
        await workshop.work(changes)
    except CancelledError:
        say("stopping")
    finally:
        changes.stop()
        await workshop.close()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as free:
        port: int = free.getsockname()[1]
        return port


class SourceWatcher:
    """Notes which files of the relay's source change.

    :param reactor: has a thread for it.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ended = threading.Event()
        self._changed: set[str] = set()

    def start(self) -> None:
        """Watch from now on."""
        self._reactor.callInThread(self._watch)

    def _watch(self) -> None:
        for changes in watch(SOURCE, watch_filter=_RelaySource(), stop_event=self._ended, raise_interrupt=False):
            self._reactor.callFromThread(self._changed.update, [path for _, path in changes])

    def take(self) -> set[str]:
        """The files that have changed since this was asked last."""
        changed, self._changed = self._changed, set()
        return changed

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()


class _RelaySource(DefaultFilter):
    """Of what editors and Python leave beside the source, nothing counts."""

    def __call__(self, change: Change, path: str) -> bool:
        return super().__call__(change, path) and not any(Path(path).is_relative_to(each) for each in _OTHERS)


@attrs.define(eq=False)
class Workshop:
    """The relay and its stand-ins.

    :ivar directory: where they work, and where their logs are.
    :ivar options: further options of the relay.
    :ivar say: takes lines for people.
    """

    _reactor: Any
    directory: Path
    port: int
    server_port: int
    options: Sequence[str]
    say: Callable[[str], None]
    _stand_ins: Household = attrs.field(init=False)
    _relay: Household = attrs.field(init=False)
    _is_closing: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._stand_ins, self._relay = self._household(), self._household()
        # Whoever is cancelled while it stops a process does not learn of it.
        self._reactor.addSystemEventTrigger("before", "shutdown", self._begin_closing)

    def _begin_closing(self) -> None:
        self._is_closing = True

    def _household(self) -> Household:
        environment = {**without_settings(os.environ), "MAKIMA_API_KEY": DEFAULT_KEY, "PYTHONUNBUFFERED": "1"}
        return Household(self._reactor, self.directory, environment)

    async def open(self) -> None:
        """Start everything, each when what it connects to is there."""
        command = [sys.executable, "-m", "makima_relay.cli", "sandbox"]
        listen = f"tcp:{self.server_port}:interface={_HOST}"
        await self._stand_ins.start("server", [*command, "server", "--listen", listen], r"^listening on (\S+)")
        self.say(f"server (stand-in, key: {DEFAULT_KEY}) at http://{_HOST}:{self.server_port}")
        await self._start_relay()
        for name, slots in DAEMONS.items():
            options = ["--server-url", f"ws://{_HOST}:{self.port}", "--name", name, "--slots", str(slots)]
            await self._stand_ins.start(name, [*command, "daemon", *options], r"^(connected to|cannot connect)")
        self.say(f"daemons (stand-ins): {', '.join(DAEMONS)}")
        self.say(f"""try: curl -d '{{"command": "echo hello"}}' http://{_HOST}:{self.server_port}/tasks""")
        self.say(f"logs: {self.directory}; Ctrl-C ends all of it")

    async def work(self, changes: SourceWatcher) -> None:
        """Start the relay again on each change, until cancelled.

        :raises SandboxError: when a stand-in dies.
        """
        while not self._is_closing:
            await deferLater(self._reactor, _POLL_INTERVAL)
            self._stand_ins.check()
            changed = changes.take()
            if changed:
                await self._reload(changed)
            else:
                self._look_at_relay()

    async def _reload(self, changed: Iterable[str]) -> None:
        await self._relay.stop()
        if not self._is_closing:
            await self._start_relay(f" (changed: {_shown(changed)})")

    async def _start_relay(self, why: str = "") -> None:
        began = time.monotonic()
        self._relay = self._household()
        twistd = str(Path(sys.executable).with_name("twistd"))
        address = ["--listen", f"tcp:{self.port}:interface={_HOST}", "--server-url", f"ws://{_HOST}:{self.server_port}"]
        own = ["--agent-name", "dev", "--database", "relay.sqlite3"]
        command = [sys.executable, twistd, "--nodaemon", "--pidfile=", "makima-relay", *address, *own, *self.options]
        try:
            await self._relay.start("relay", command, r"(listening on) ")
        except SandboxError as error:
            self._relay = self._household()
            self.say(f"{error}\nthe next change starts it again{why}")
        else:
            self.say(f"relay at http://{_HOST}:{self.port}, {time.monotonic() - began:.1f} s{why}")

    def _look_at_relay(self) -> None:
        """Say once that the relay has ended."""
        try:
            self._relay.check()
        except SandboxError as error:
            self._relay = self._household()
            self.say(f"{error}\nthe next change starts it again")

    async def close(self) -> None:
        """Stop everything, and wait for that."""
        await self._relay.stop()
        await self._stand_ins.stop()


def _shown(changed: Iterable[str]) -> str:
    """Some of the changed files, by their place in the source."""
    names = sorted({str(Path(each).relative_to(SOURCE)) for each in changed})
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
