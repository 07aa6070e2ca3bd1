"""The settings of ``configuration.md``: options, environment and ``.env`` become one frozen :class:`Settings`.

Each setting is one row of :data:`SETTINGS`; whatever is wrong with one is a :class:`SettingsError` that names it, its
value and what it takes.
"""

from makima_relay.settings.sources import SettingsError, load, load_one
from makima_relay.settings.table import SETTINGS, Setting, Settings
from makima_relay.settings.urls import daemon_endpoint, secrets_of, shown_url

__all__ = [
    "SETTINGS",
    "Setting",
    "Settings",
    "SettingsError",
    "daemon_endpoint",
    "load",
    "load_one",
    "secrets_of",
    "shown_url",
]
