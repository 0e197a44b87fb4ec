"""The command line: what can be typed in a shell, its help, its exit codes. What it does lives elsewhere.

Exit codes: 0 done, 1 it could not be done, 2 a setting or the database is not right; the output says what.
"""

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import SecretStr

from bot import shell
from bot.app import Application, SimulatorOptions, configured_chats, run_simulator
from bot.clock import SystemClock
from bot.demo import PROVIDERS, demo_settings, run_demo, simulated
from bot.errors import AvatarRelayError, SettingsError, StoreError
from bot.logs import configure
from bot.settings import LogLevel, Settings, load

app = typer.Typer(
    help="Brings a live, talking avatar into a chat channel: start it, write to it, watch it, stop it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
sessions_app = typer.Typer(
    help="Look at open sessions and close them, with the bot running or not.", no_args_is_help=True
)
db_app = typer.Typer(
    help="Look after the database. The bot upgrades it by itself when it starts.", no_args_is_help=True
)
app.add_typer(sessions_app, name="sessions")
app.add_typer(db_app, name="db")

NOTHING_TO_START = """\
Nothing to start: no chat platform is configured.
  Discord: set DISCORD_TOKEN.   Slack: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN.
  Or chat from here with `avatar-relay run --console`, or try everything without an account with `avatar-relay demo`."""


def main() -> None:
    """The entry point `avatar-relay`."""
    app()


@app.command()
def run(
    console: Annotated[bool, typer.Option("--console", help="Chat from this terminal as well.")] = False,
) -> None:
    """Run the bot with whatever is configured in the environment and `.env`.

    Says in one line each what it started and what it left out and why. Ctrl-C or SIGTERM closes every avatar, waits
    until the provider has confirmed it, and ends. See `.env.example` for every setting.
    """
    _run(_serve(_settings(), console=console))


@app.command()
def demo(
    provider: Annotated[str, typer.Option(help=f"Which API to speak: {' or '.join(PROVIDERS)}.")] = PROVIDERS[0],
) -> None:
    """Try everything here and now: simulator, bot, watch page and a console. No account, no cost.

    With piped input it reads to the end, lets the avatar say everything, closes every stream and ends.
    """
    if provider not in PROVIDERS:
        _fail(f'PROVIDER is "{provider}": it must be one of {", ".join(PROVIDERS)}.')
    settings = _settings(env_file=None)
    quiet = (
        settings
        if "log_level" in settings.model_fields_set
        else settings.model_copy(update={"log_level": LogLevel.ERROR})
    )
    with tempfile.TemporaryDirectory(prefix="avatar-relay-demo-") as folder:
        _run(_demo(demo_settings(quiet, Path(folder), provider)))


@app.command()
def simulator(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any.", min=0, max=65535)] = 8090,
    api_key: Annotated[str, typer.Option(help="The one key it accepts.", envvar="SIMULATOR_API_KEY")] = "simulator",
    speed: Annotated[float, typer.Option(help="Seconds of the simulated world per second.", min=0.1)] = 1.0,
    latency: Annotated[float, typer.Option(help="Seconds before every answer.", min=0.0)] = 0.0,
    concurrency: Annotated[int, typer.Option(help="Open streams per API.", min=1)] = 3,
    auto_viewer: Annotated[
        bool, typer.Option("--auto-viewer", help="v1: a simulated viewer joins every room.")
    ] = False,
    sunset: Annotated[bool, typer.Option("--sunset", help="v1: answer 410, as the real one does now.")] = False,
) -> None:
    """Run the simulator alone: a server that speaks HeyGen Streaming v1 and HeyGen Avatar Realtime v3.

    Point a bot at it with HEYGEN_API_URL and HEYGEN_API_KEY. It can fail on demand: see /simulator/faults in
    docs/simulator.md.
    """
    options = SimulatorOptions(
        api_key=SecretStr(api_key),
        latency=latency,
        v1_concurrency=concurrency,
        v3_concurrency=concurrency,
        auto_viewer=auto_viewer,
        v1_sunset=sunset,
    )
    _run(_simulate(options, speed, host, port))


@sessions_app.command("list")
def sessions_list() -> None:
    """Print every open session, one line each."""
    _run(shell.list_sessions(_settings(), SystemClock(), _tell))


@sessions_app.command("stop")
def sessions_stop(
    session_id: Annotated[str, typer.Argument(metavar="ID", help="As `sessions list` shows it.")],
) -> None:
    """Close one session, and wait until its stream is closed at the provider."""
    _run(shell.stop_session(_settings(), SystemClock(), _tell, session_id))


@sessions_app.command("cleanup")
def sessions_cleanup() -> None:
    """Close what nobody uses.

    While the bot runs: sessions that have been silent for a minute. While it does not: every open session.
    """
    _run(shell.clean_up(_settings(), SystemClock(), _tell))


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the newest revision; makes it where there is none."""
    _run(shell.upgrade_database(_settings(), _tell))


@db_app.command("current")
def db_current() -> None:
    """Print which revision the database has, and which is the newest."""
    _run(shell.show_revision(_settings(), _tell))


# --- running ---------------------------------------------------------------------------------------------------------


async def _serve(settings: Settings, *, console: bool) -> None:
    chats = configured_chats(settings, console=console, tell=_tell)
    if not chats:
        raise SettingsError(NOTHING_TO_START)
    application = Application(settings, SystemClock(), _tell)
    _stop_on_signals(application.ask_to_stop)
    try:
        await application.start()
        await application.serve(chats)
    finally:
        await application.stop()
    _tell("Everything is closed.")


async def _demo(settings: Settings) -> None:
    application = Application(settings, SystemClock(), _tell, simulator=simulated())
    _stop_on_signals(application.ask_to_stop)
    await run_demo(application, _tell)


async def _simulate(options: SimulatorOptions, speed: float, host: str, port: int) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop.set)
    await run_simulator(options, SystemClock(speed), host, port, _tell, stop)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except (SettingsError, StoreError) as error:
        _fail(str(error))
    except AvatarRelayError as error:
        _fail(str(error), code=1)


def _settings(env_file: Path | None = Path(".env")) -> Settings:
    try:
        settings = load(env_file)
    except SettingsError as error:
        _fail(str(error))
    configure(settings.log_level, settings.log_format, settings.secrets())
    return settings


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(message: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)
