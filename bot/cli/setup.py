"""The commands of the shell for setting a bot up: init, doctor, what to paste where, what can be chosen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bot.app import make_chat_model
from bot.cli import catalogue as shell_catalogue
from bot.cli.diagnostics import diagnose
from bot.cli.doctor.check import Check, CheckContext
from bot.cli.doctor.report import as_json as checks_as_json
from bot.cli.doctor.report import examine, has_failed, of_bad_settings, table
from bot.cli.runtime import AsJson, echo, fail, load_settings, run_async, set_up_log
from bot.cli.wizard.questions import Platform
from bot.cli.wizard.wizard import SetupWizard
from bot.core.clock import SystemClock
from bot.core.errors import SettingsError
from bot.core.ports import Clock
from bot.plugins import setup_text
from bot.settings import ENV_FILE, LogLevel, Settings, known_providers, load

setup_app = typer.Typer()

Containing = Annotated[str, typer.Argument(metavar="[TEXT]", help="Only those whose name or id contains it.")]


@setup_app.command(short_help="Ask for what a bot needs, and write .env.")
def init(
    platform: Annotated[Platform | None, typer.Option(help="Where people will write to the avatar.")] = None,
    provider: Annotated[str, typer.Option(help="The avatar service, a value of AVATAR_PROVIDER.")] = "",
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing: take every value from the environment.")
    ] = False,
) -> None:
    """Ask for platform, provider, tokens, address and how people watch, check each as it is given, and write `.env`.

    Tokens are not shown as you type. With --no-input nothing is asked: platform and provider are options, the other
    values come from environment variables of their names, never from the command line, where others could read them.
    """
    set_up_log(Settings(log_level=LogLevel.ERROR))
    ask = None if no_input else _ask
    if ask is None and (platform is None or not provider):
        fail("--no-input needs --platform and --provider.")
    platform = platform or Platform(_choose("Where will people write to the avatar", [p.value for p in Platform]))
    provider = provider or _choose("Which avatar service", known_providers())
    if provider not in known_providers():
        fail(f'--provider is "{provider[:40]}": it must be one of {", ".join(known_providers())}.')
    run_async(_hold_interview(SetupWizard(ENV_FILE, SystemClock(), echo, ask), platform, provider))


async def _hold_interview(interview: SetupWizard, platform: Platform, provider: str) -> None:
    if platform is Platform.SLACK:
        echo("No Slack app yet? At api.slack.com/apps choose Create New App, From a manifest, and paste this:")
        typer.echo(setup_text("slack-manifest")(load(ENV_FILE)))
    settings = await interview.hold(platform, provider)
    if platform is Platform.DISCORD and settings.discord.token is not None:
        echo(f"Invite the bot to your server: {setup_text('discord-invite')(settings)}")
        if (settings.web.public_url or "").startswith("https:"):
            typer.echo(setup_text("discord-activity")(settings))
    if platform is Platform.SLACK and (steps := setup_text("slack-side-pane")(settings)):
        echo(steps)
    console = " --console" if platform is Platform.CONSOLE else ""
    echo(f"Start the bot with: avatar-relay run{console}")


def _ask(words: str, unseen: bool) -> str:
    answer: str = typer.prompt(words, default="", show_default=False, hide_input=unseen)
    return answer


def _choose(words: str, choices: Sequence[str]) -> str:
    while True:
        answer: str = typer.prompt(f"{words} ({', '.join(choices)})", default=choices[0])
        if answer.strip().lower() in choices:
            return answer.strip().lower()


@setup_app.command(short_help="Check everything, and say how to fix what is wrong.")
def doctor(
    channel: Annotated[str, typer.Option(help="Id of a channel whose permissions are checked, too.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Check settings, database, disk, web address, chat platforms, avatar service, picture, chat model and clock.

    Changes nothing, opens no avatar, and asks the chat model one short question. Exits with 1 if something does not
    work. If no bot is running, it listens at WEB_PORT for a moment, to see whether WEB_PUBLIC_URL leads there.
    """
    try:
        load(ENV_FILE)
    except SettingsError as error:
        checks = of_bad_settings(error)
    else:
        checks = _look_at_everything(load_settings(quiet=True), channel or None)
    for line in [checks_as_json(checks)] if as_json else table(checks):
        echo(line)
    if has_failed(checks):
        raise typer.Exit(1)


def _look_at_everything(settings: Settings, channel: str | None = None) -> list[Check]:
    checks: list[Check] = []

    async def look() -> None:
        checks.extend(await examine(_examination(settings, SystemClock(), channel)))

    run_async(look())
    return checks


def _examination(settings: Settings, clock: Clock, channel: str | None = None) -> CheckContext:
    return CheckContext(settings, clock, channel, make_chat_model(settings, clock))


@setup_app.command(short_help="Print the avatars you can choose.")
def avatars(containing: Containing = "", *, as_json: AsJson = False) -> None:
    """Print the avatars of your account at the chosen provider: AVATAR_ID takes the first column."""
    settings = load_settings(quiet=True)
    run_async(shell_catalogue.show_avatars(settings, SystemClock(), echo, containing=containing, as_json=as_json))


@setup_app.command(short_help="Print the voices you can choose.")
def voices(containing: Containing = "", *, as_json: AsJson = False) -> None:
    """Print the voices of your account at the chosen provider: AVATAR_VOICE_ID takes the first column."""
    settings = load_settings(quiet=True)
    run_async(shell_catalogue.show_voices(settings, SystemClock(), echo, containing=containing, as_json=as_json))


@setup_app.command(short_help="Print the link that invites the bot.")
def discord_invite() -> None:
    """Print the link that invites the bot to a Discord server, with exactly the permissions it uses."""
    echo(_words("discord-invite"))


@setup_app.command(short_help="Print how people watch inside Discord.")
def discord_activity() -> None:
    """Print what to switch on in Discord's portal so that people watch inside Discord, with your own values."""
    typer.echo(_words("discord-activity"))


@setup_app.command(short_help="Print the manifest of the Slack app.")
def slack_manifest() -> None:
    """Print the manifest of the Slack app for these settings: paste it where Slack makes a new app from a manifest.

    What the manifest cannot say goes to the standard error: the steps for watching in the side pane (SLACK_EMBED).
    """
    typer.echo(_words("slack-manifest"))
    # Beside it, so that the manifest alone goes where the output is sent.
    if steps := _words("slack-side-pane"):
        typer.echo(f"\n{steps}", err=True)


def _words(name: str) -> str:
    try:
        return setup_text(name)(load_settings(quiet=True))
    except SettingsError as error:
        fail(str(error))


@setup_app.command(short_help="Write a file to attach to a bug report.")
def diagnostics(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("avatar-relay-diagnostics.json"),
) -> None:
    """Write one file to attach to a bug report.

    It holds versions, settings without secrets, what the doctor finds, and counts of rows: no message, no person, no
    key. Read it before you send it.
    """
    settings = load_settings(quiet=True)
    clock = SystemClock()
    found: list[str] = []

    async def look() -> None:
        found.append(await diagnose(settings, clock, await examine(_examination(settings, clock))))

    run_async(look())
    try:
        file.write_text(f"{found[0]}\n", encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {(error.strerror or 'unknown trouble').lower()}.", code=1)
    echo(f"Written to {file}. Read it before you send it.")
