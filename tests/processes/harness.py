"""Runs a real relay and talks to it with ``websockets``, which shares no code with it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

KEY = "a-key-that-nobody-knows"
TWISTD = (str(Path(sys.executable).with_name("twistd")),)
ROOT = Path(__file__).parents[2]
#: Far more than anything here takes, in seconds; what hangs fails instead of hanging on.
PATIENCE = 60.0
#: Seconds between two looks at something that takes its time: who looks all the time takes the core that it needs.
_PAUSE = 0.01


class StandInServer:
    """A Makima server that accepts every relay and hands out what it hears.

    :param context: for ``wss://``.
    :ivar heard: the payloads that came, heartbeats left out.
    """

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self._scheme = "ws" if context is None else "wss"
        self.heard: queue.Queue[str] = queue.Queue()
        self._connections: queue.Queue[ServerConnection] = queue.Queue()
        self.headers: queue.Queue[Mapping[str, str]] = queue.Queue()
        self._server: Server = serve(self._serve, "127.0.0.1", port, ssl=context)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where a relay finds it."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.put(dict(connection.request.headers.raw_items()))
        first = connection.recv()
        assert json.loads(first)["type"] == "authenticate"
        # A relay that is killed does not say good-bye, and one that is told to reconnect does at any time.
        with contextlib.suppress(ConnectionClosed):
            connection.send(json.dumps({"type": "authenticated", "daemonId": "relay-1"}))
            self._connections.put(connection)
            for payload in connection:
                assert isinstance(payload, str)
                if json.loads(payload)["type"] != "heartbeat":
                    self.heard.put(payload)

    def relay(self) -> ServerConnection:
        """The next relay that connects."""
        return self._connections.get(timeout=PATIENCE)

    def hear(self, number: int) -> list[str]:
        """The next so many reports."""
        return [self.heard.get(timeout=PATIENCE) for _ in range(number)]

    def stop(self) -> None:
        """Drop every relay and listen no more."""
        self._server.shutdown()
        while not self._connections.empty():
            self._connections.get().close()
        self._thread.join(PATIENCE)


class RelayProcess:
    """A relay as an operator runs it.

    :param directory: its working directory, which has its database.
    :param arguments: what follows ``twistd -n``.
    :param environment: further variables.
    :param twistd: the command that runs ``twistd``.
    :param files: the descriptors that it inherits.
    :param patience: seconds after which it is killed, whatever it does.
    """

    def __init__(
        self,
        directory: Path,
        arguments: list[str],
        environment: Mapping[str, str],
        twistd: tuple[str, ...] = TWISTD,
        files: Sequence[int] = (),
        patience: float = 3 * PATIENCE,
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKIMA_")}
        # The one setting with which the whole suite is run both ways.
        inherited["MAKIMA_RELAY_FAST_FRAMES"] = os.environ.get("MAKIMA_RELAY_FAST_FRAMES", "on")
        self.process = subprocess.Popen(
            [*twistd, "-n", "--pidfile=", *arguments],
            cwd=directory,
            env={**inherited, **environment},
            pass_fds=files,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._watchdog = threading.Timer(patience, self.process.kill)
        # Who ends without ending it is not kept waiting for that.
        self._watchdog.daemon = True
        self._watchdog.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read the relay's output up to a line that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            match = re.search(pattern, line)
            if match:
                return match
        raise AssertionError(f"the relay ended without saying {pattern!r}:\n{''.join(self.lines)}")

    def port(self) -> int:
        """The port that it listens on, once it does."""
        return int(self.wait_for(r"listening on .*port=(\d+)")[1])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal.

        :return: its exit status.
        """
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> int:
        """Wait for its end.

        :return: its exit status.
        """
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        status = self.process.wait(PATIENCE)
        self._watchdog.cancel()
        self.process.stdout.close()
        return status

    def output(self) -> str:
        """What it has said so far."""
        return "".join(self.lines)


@contextlib.contextmanager
def daemon(port: int, hostname: str, slots: int = 4, key: str = KEY) -> Iterator[ClientConnection]:
    """Connect as a daemon and authenticate; the answer has been read."""
    with connect(f"ws://127.0.0.1:{port}/ws/daemon") as connection:
        say(connection, type="authenticate", apiKey=key, hostname=hostname, maxConcurrentTasks=slots)
        answer = json.loads(connection.recv(PATIENCE))
        assert answer["type"] == "authenticated", answer
        yield connection


def say(connection: ClientConnection | ServerConnection, **members: Any) -> str:
    """Send a message; it is also what comes back, to compare."""
    payload = json.dumps(members)
    connection.send(payload)
    return payload


def ask(port: int, path: str, method: str = "GET") -> Any:
    """The JSON that the relay answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


def ask_until(port: int, path: str, wanted: Callable[[Any], bool]) -> Any:
    """Ask again and again until there is an answer, and it is what is wanted."""
    answer: Any = None

    def asked() -> bool:
        nonlocal answer
        try:
            answer = ask(port, path)
        except OSError:
            # Too many others may be connected still.
            return False
        return wanted(answer)

    until(asked)
    return answer


def until(wanted: Callable[[], bool]) -> None:
    """Look again and again until it is as wanted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if wanted():
            return
        time.sleep(_PAUSE)
    raise AssertionError("it does not come to be as wanted")
