"""``docs/settings.md`` against the table of settings."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.settings import SETTINGS
from makima_relay.settings.table import Setting
from tests.docs.pages import in_code, page

Row = tuple[list[str], list[str], str]


def expected(setting: Setting) -> Row:
    """What the page has to say of a setting: its option, its variables, its default."""
    options = [] if setting.secret else [f"--{setting.name}"]
    variables = [setting.variable, f"{setting.variable}_FILE"] if setting.has_file else [setting.variable]
    default = "required" if setting.required else setting.default or "none"
    return options, variables, default


class SettingsPageTests(SynchronousTestCase):
    """One row for each setting."""

    def test_the_page_has_every_setting_in_the_order_of_the_table_and_nothing_else(self) -> None:
        """With its option, its variable and its default."""
        found = [
            (in_code(option), in_code(variable), default.strip("`"))
            for option, variable, default, _about in page("docs/settings.md").rows("option")
        ]
        self.assertEqual(found.pop(), (["--env-file"], ["MAKIMA_RELAY_ENV_FILE"], ".env"))
        self.assertEqual(found, [expected(each) for each in SETTINGS])

    def test_settings_that_other_pages_name_exist(self) -> None:
        """A variable that is named anywhere in the documentation is one of a setting."""
        variables = {name for each in SETTINGS for name in expected(each)[1]} | {"MAKIMA_RELAY_ENV_FILE"}
        for name in ("README.md", "docs/deployment.md", "docs/security.md", "docs/http.md"):
            named = {code for code in page(name).code if code.startswith("MAKIMA_RELAY_") and code.isupper()}
            self.assertEqual(named - variables, set(), name)
