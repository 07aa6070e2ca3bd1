"""``makima-relay check``: whether a relay with these settings would work."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click
from rich.text import Text

from makima_relay.cli.asking import surroundings
from makima_relay.cli.errors import ExitStatus
from makima_relay.cli.findings import Finding, Verdict, fail, has_failed, ok
from makima_relay.cli.showing import Screen, shown
from makima_relay.redaction import Redactor
from makima_relay.settings import SETTINGS, SettingsError, load, secrets_of

if TYPE_CHECKING:
    from makima_relay.cli.asking import Surroundings
    from makima_relay.settings import Settings

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


def _relay_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of ``twistd makima-relay``, which are listed there."""
    for setting in SETTINGS:
        if setting.secret:
            continue
        name = f"--{setting.name}"
        if setting.flag:
            command = click.option(name, setting.member, flag_value="on", default=None, hidden=True)(command)
        else:
            command = click.option(name, setting.member, multiple=setting.repeatable, hidden=True)(command)
    return command


@click.command()
@click.option("--env-file", metavar="FILE", help="Settings of this machine.  [env var: MAKIMA_RELAY_ENV_FILE]")
@click.option("--offline", is_flag=True, help="Leave the server and Redis alone.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@_relay_settings
def check(env_file: str | None, offline: bool, as_json: bool, **options: Any) -> None:
    """Look whether a relay with these settings would work, and say how to mend what would not.

    It reads the settings as the relay does, and takes the options of `twistd makima-relay` too. It tries the
    database (which it does not change), each address to listen on, Redis where one is named, and the server: its
    name, its port, its certificate, and the API key.

    To try the key it authenticates as the relay would, and leaves at once. The server sees a further daemon for a
    moment, "NAME (check)" with a machine id of its own and maxConcurrentTasks 0; a relay that runs stays connected.

    The exit status is 0 if nothing fails, else 1.

    \b
    Examples:
      makima-relay check
      makima-relay check --listen tcp:9000 --offline
    """  # noqa: D301 - click's mark for lines that stay
    around, screen = surroundings(), Screen()
    given = {setting.name: _given(options[setting.member]) for setting in SETTINGS if not setting.secret}
    shown_findings: list[Finding] = []

    def tell(findings: Sequence[Finding]) -> None:
        shown_findings.extend(findings)
        if not as_json:
            for each in findings:
                screen.line(*_cells(each))

    try:
        settings = load({**given, "env-file": env_file}, os.environ)
    except SettingsError as error:
        tell([fail("settings", str(error))])
    else:
        tell([ok("settings", "complete and well-formed")])
        redis = () if settings.redis is None else settings.redis.secrets()
        redact = Redactor([settings.api_key, settings.admin_token, *secrets_of(settings.server_url), *redis])

        def tell_redacted(findings: Sequence[Finding]) -> None:
            # What the server says may hold what it was told.
            tell([attrs.evolve(each, text=redact(each.text)) for each in findings])

        around.run(lambda reactor: _look(reactor, around, settings, tell_redacted, offline=offline))
    if as_json:
        screen.json([_as_json(each) for each in shown_findings])
    raise SystemExit(ExitStatus.REFUSED if has_failed(shown_findings) else ExitStatus.OK)


async def _look(
    reactor: Any,
    around: Surroundings,
    settings: Settings,
    tell: Callable[[Sequence[Finding]], None],
    *,
    offline: bool,
) -> None:
    from makima_relay.cli.check_files import check_database, check_modes, is_in_use, machine_id_of
    from makima_relay.cli.check_ports import check_listening, check_waking
    from makima_relay.cli.check_server import check_server

    tell(check_modes(settings))
    tell(check_database(settings.database))
    runs = is_in_use(settings.database)
    tell(check_waking(settings))
    for text in settings.listen:
        tell(await check_listening(reactor, around, text, runs=runs))
    if settings.redis is not None and not offline:
        from makima_relay.cli.check_redis import check_redis

        tell([await check_redis(reactor, settings, settings.redis)])
    if not offline:
        tell(await check_server(reactor, settings, machine_id_of(settings.database)))


def _given(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _cells(finding: Finding) -> list[Text]:
    cells = [Text(f"{finding.verdict.value:<4}", _STYLES[finding.verdict]), shown(finding.what, "bold")]
    text = finding.text if finding.remedy is None else f"{finding.text}: {finding.remedy}"
    return [*cells, shown(text)]


def _as_json(finding: Finding) -> Mapping[str, str | None]:
    return {
        "verdict": finding.verdict.value,
        "what": finding.what,
        "text": finding.text,
        "remedy": finding.remedy,
    }
