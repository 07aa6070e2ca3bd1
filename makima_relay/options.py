"""The options of ``twistd makima-relay``, made from the settings."""

from __future__ import annotations

from twisted.python import usage

from makima_relay.application import make_service, read_settings
from makima_relay.settings import SETTINGS, Setting, Settings

__all__ = ["Options", "makeService"]


def _help(setting: Setting) -> str:
    takes = f"{setting.about}: {setting.kind.takes} [{setting.default or 'none'}; {setting.variable}]"
    return takes.replace("%", "%%")


class Options(usage.Options):
    """Options of the relay; each may be an environment variable instead."""

    synopsis = "[options]"
    longdesc = (
        "Runs the relay. Each option may be set by an environment variable or in an .env file instead; "
        "secrets only there: MAKIMA_API_KEY, MAKIMA_RELAY_ADMIN_TOKEN, or the same with _FILE."
    )
    optParameters = [  # noqa: RUF012 - usage.Options asks for lists
        *[
            [each.name, None, None, _help(each)]
            for each in SETTINGS
            if not (each.secret or each.flag or each.repeatable)
        ],
        ["env-file", None, None, "a file of variables beneath the environment [.env]"],
    ]
    optFlags = [[each.name, None, _help(each)] for each in SETTINGS if each.flag]  # noqa: RUF012
    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, endpoint: str) -> None:
        """Listen on a Twisted endpoint (tcp:, ssl:, unix:, systemd:); may be given more than once."""
        self["listen"].append(endpoint)

    def postOptions(self) -> None:
        """Check the settings at once, so that a bad one stops the start with one line."""
        if any(self.parent and self.parent.get(name) for name in ("uid", "gid", "chroot")):
            raise SystemExit(
                "makima-relay: start it as the user it is to run as; --uid, --gid and --chroot do not work"
            )
        given = {name: value for name, value in self.items() if value is not None}
        for each in SETTINGS:
            if each.flag:
                given[each.name] = "on" if given.get(each.name) else None
        self.settings = read_settings(given)


def makeService(options: Options) -> object:
    """Make the service that ``twistd makima-relay`` runs."""
    return make_service(options.settings)
