"""The settings of ``configuration.md``: options, environment and ``.env`` become one frozen :class:`Settings`.

Each setting is one row of :data:`SETTINGS`; whatever is wrong with one is a :class:`SettingsError` that names it, its
value and what it takes.
"""

from makima_relay.settings.redis_url import RedisURL
from makima_relay.settings.secret_files import SecretFile
from makima_relay.settings.sources import forget_secrets, load, load_one, load_secret
from makima_relay.settings.table import SETTINGS, TOKEN_VARIABLE, Setting, Settings
from makima_relay.settings.urls import daemon_endpoint, secrets_of, shown_url
from makima_relay.settings.values import SettingsError

__all__ = [
    "SETTINGS",
    "TOKEN_VARIABLE",
    "RedisURL",
    "SecretFile",
    "Setting",
    "Settings",
    "SettingsError",
    "daemon_endpoint",
    "forget_secrets",
    "load",
    "load_one",
    "load_secret",
    "secrets_of",
    "shown_url",
]
