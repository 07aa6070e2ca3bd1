"""Reads secrets and certificates again on SIGHUP; no connection is dropped for it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from makima_relay.cautions import readable_by_others
from makima_relay.endpoints import TLSEndpoint
from makima_relay.settings import SecretFile, Settings, SettingsError
from makima_relay.tls import ServerTrust, TLSFilesError


class Source(Protocol):
    """Something that is in files."""

    def read_again(self) -> bool:
        """Use what is there now.

        :return: whether it is anything new.
        :raises SettingsError: when it cannot be used; then all stays as it was.
        :raises TLSFilesError: likewise.
        """


@attrs.define
class Secret:
    """A secret that is in a file.

    :ivar value: what was last read.
    :ivar use: makes the relay go by another value.
    """

    file: SecretFile
    value: str = attrs.field(repr=False)
    use: Callable[[str], None]

    def read_again(self) -> bool:
        """See :meth:`Source.read_again`."""
        value = self.file.read()
        if value == self.value:
            return False
        self.value = value
        self.use(value)
        return True


class Reload:
    """Reads everything again that can be.

    :param sources: what there is, by what the operator calls it.
    :param secret_files: those that only the relay should be able to read, likewise.
    :param note: writes an event into the journal, and so into the log.
    :param warn: writes a line into the log.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, Source]],
        secret_files: Sequence[tuple[str, Path]],
        note: Callable[..., None],
        warn: Callable[[str], None],
    ) -> None:
        self._sources = sources
        self._secret_files = secret_files
        self._note = note
        self._warn = warn

    def warn_of_files(self) -> None:
        """Say which files of secrets others can read."""
        for name, path in self._secret_files:
            for line in readable_by_others(name, path):
                self._warn(line)

    def __call__(self) -> None:
        """Read everything again, and say what became of it."""
        became = [(name, self._read_again(name, source)) for name, source in self._sources]
        changed = ", ".join(name for name, is_new in became if is_new)
        if changed or all(is_new is not None for _, is_new in became):
            self._note(
                "settings_reloaded", f"settings were read again; new: {changed or 'nothing'}", changed=changed or None
            )
        self.warn_of_files()

    def _read_again(self, name: str, source: Source) -> bool | None:
        """Whether there is anything new; none if it cannot be used, which is said then."""
        try:
            return source.read_again()
        except SettingsError as error:
            self._refuse(name, str(error))
        except TLSFilesError as error:
            self._refuse(name, f"{name}: {error}")
        return None

    def _refuse(self, name: str, reason: str) -> None:
        self._note("reload_failed", f"{reason}; what was read before stays in use", setting=name)


def make_reload(
    settings: Settings,
    endpoints: Sequence[object],
    trust: ServerTrust | None,
    uses: Mapping[str, Callable[[str], None]],
    note: Callable[..., None],
    warn: Callable[[str], None],
) -> Reload:
    """Find what can be read again.

    :param endpoints: those of ``settings.listen``.
    :param trust: verifies the server.
    :param uses: by the member of the settings what makes the relay go by another secret.
    :param note: see :class:`Reload`.
    :param warn: see :class:`Reload`.
    """
    sources: list[tuple[str, Source]] = [
        (each.variable, Secret(each, getattr(settings, each.member), uses[each.member]))
        for each in settings.secret_files
    ]
    files = [(each.variable, each.path) for each in settings.secret_files]
    if settings.secret_env_file is not None:
        files.append(("--env-file", settings.secret_env_file))
    for text, endpoint in zip(settings.listen, endpoints, strict=True):
        if isinstance(endpoint, TLSEndpoint):
            # Its files are named with what is wrong with them; the journal cuts long lines.
            name = f"--listen {':'.join(text.split(':')[:2])}"
            sources.append((name, endpoint.certificate))
            files.append((name, endpoint.certificate.files.key))
    if trust is not None:
        sources.append(("--upstream-ca", trust))
    return Reload(sources, files, note, warn)


def on_hangup(reactor: Any, reload: Callable[[], None]) -> None:
    """Have SIGHUP reload instead of end the process, as it would by default."""
    signal.signal(signal.SIGHUP, lambda _number, _frame: reactor.callFromThread(reload))
