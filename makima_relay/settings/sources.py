"""Gathers the settings from options, environment and ``.env`` file; the only module that reads these."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import dotenv

from makima_relay.settings import values
from makima_relay.settings.secret_files import SecretFile, reason
from makima_relay.settings.table import SETTINGS, Setting, Settings
from makima_relay.settings.urls import secrets_of, shown_url
from makima_relay.settings.values import SettingsError

_ENV_FILE = Setting("env-file", values.FILE, ".env", "variables beneath the environment")


def load(options: Mapping[str, str | Sequence[str] | None], environment: Mapping[str, str]) -> Settings:
    """Gather the settings: option beats environment beats ``.env`` file beats default.

    :param options: option names to what was given on the command line.
    :param environment: the process's variables.
    :raises SettingsError: at the first that is missing or wrong.
    """
    env_file, variables = _read_env_file(options, environment)
    layers = (environment, variables)
    found: dict[str, Any] = {}
    files = []
    for setting in SETTINGS:
        text, source = _find(setting, options, layers)
        if isinstance(source, SecretFile):
            files.append(source)
            found[setting.member] = source.read()
        elif text is not None:
            found[setting.member] = _value(setting, text, source)
        elif setting.required:
            raise SettingsError(_missing(setting))
    found.setdefault("database", values.FILE.read("makima-relay.sqlite3"))
    secret_env_file = env_file if _has_secrets(variables) else None
    return Settings(**found, secret_files=tuple(files), secret_env_file=secret_env_file)


def forget_secrets(environment: MutableMapping[str, str]) -> None:
    """Take out of an environment what may be secret, so that nothing finds it there or inherits it."""
    for setting in SETTINGS:
        if setting.secret or setting.url:
            environment.pop(setting.variable, None)


def _has_secrets(variables: Mapping[str, str]) -> bool:
    return any(
        setting.secret or (setting.url and secrets_of(variables[setting.variable]))
        for setting in SETTINGS
        if setting.variable in variables
    )


def load_one(name: str, options: Mapping[str, str | None], environment: Mapping[str, str]) -> Any:
    """Gather one setting that is no secret, without asking for the required ones.

    :param name: its option.
    :raises SettingsError: when it is wrong.
    """
    setting = next(each for each in SETTINGS if each.name == name)
    text, source = _find(setting, options, (environment, _read_env_file(options, environment)[1]))
    if text is None and setting.default is not None:
        text = setting.default
    return None if text is None else _value(setting, text, str(source))


def load_secret(name: str, options: Mapping[str, str | None], environment: Mapping[str, str]) -> str | None:
    """Gather one setting that is a secret, if it is there.

    :param name: what would be its option.
    :raises SettingsError: when it is wrong.
    """
    setting = next(each for each in SETTINGS if each.name == name)
    text, source = _find_secret(setting, (environment, _read_env_file(options, environment)[1]))
    if isinstance(source, SecretFile):
        return str(source.read())
    return text if text is None else str(_value(setting, text, source))


def _missing(setting: Setting) -> str:
    about = f"({setting.about}; {setting.kind.takes})"
    if setting.secret:
        return f"{setting.variable} is missing: set it or {setting.variable}_FILE {about}"
    return f"--{setting.name} is missing: give it or set {setting.variable} {about}"


def _find(
    setting: Setting,
    options: Mapping[str, str | Sequence[str] | None],
    layers: Sequence[Mapping[str, str]],
) -> tuple[str | None, str | SecretFile]:
    """The setting's text and where it stands. What is empty in a file or the environment counts as not set."""
    given = None if setting.secret else options.get(setting.name)
    if given is not None and given != []:
        return (given if isinstance(given, str) else " ".join(given)), f"--{setting.name}"
    if setting.has_file:
        return _find_secret(setting, layers)
    for layer in layers:
        if layer.get(setting.variable):
            return layer[setting.variable], setting.variable
    return None, ""


def _find_secret(setting: Setting, layers: Sequence[Mapping[str, str]]) -> tuple[str | None, str | SecretFile]:
    """The secret and where it stands: in a variable, or in a file, which holds it then."""
    file_variable = f"{setting.variable}_FILE"
    for layer in layers:
        direct, file = layer.get(setting.variable), layer.get(file_variable)
        if direct and file:
            raise SettingsError(f"{setting.variable} and {file_variable} are both set: unset one of them")
        if direct:
            return direct, setting.variable
        if file:
            path = _path_of_secret(file, file_variable)
            return None, SecretFile(setting.member, file_variable, path, setting.kind)
    return None, ""


def _path_of_secret(file: str, variable: str) -> Path:
    try:
        path: Path = values.FILE.read(file)
    except RuntimeError as error:  # the home directory of nobody
        raise SettingsError(f"{variable}: {file!r} cannot be read: {reason(error)}") from None
    except ValueError:
        raise SettingsError(f"{variable}: {file!r} is not allowed; it takes {values.FILE.takes}") from None
    return path


def _value(setting: Setting, text: str, source: str) -> Any:
    try:
        value = setting.kind.read(text.strip() if not setting.secret else text)
    except (ValueError, OverflowError, RuntimeError):  # the last is for the home directory of nobody
        shown = "its value" if setting.secret else repr(shown_url(text) if setting.url else text)
        raise SettingsError(f"{source}: {shown} is not allowed; it takes {setting.kind.takes}") from None
    if setting.filed and source == f"--{setting.name}" and value.password:
        instead = f"the process list shows it; set {setting.variable} or {setting.variable}_FILE instead"
        raise SettingsError(f"{source}: a URL with a password is not taken as an option, because {instead}")
    return value


def _read_env_file(
    options: Mapping[str, str | Sequence[str] | None], environment: Mapping[str, str]
) -> tuple[Path, dict[str, str]]:
    given, source = _find(_ENV_FILE, options, (environment,))
    path = values.FILE.read(".env") if given is None else _value(_ENV_FILE, given, str(source))
    if given is not None and not _is_file(path):
        raise SettingsError(f"{source}: {given!r} is no file; it takes {_ENV_FILE.kind.takes} of NAME=value lines")
    try:
        found = dotenv.dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{source or path}: cannot be read: {reason(error)}") from None
    return path, {name: value for name, value in found.items() if value}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a directory that is not to be looked into
        return False
