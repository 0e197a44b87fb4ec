"""The command line: what can be typed in a shell, its help, its exit codes. What it does lives elsewhere.

Exit codes: 0 done, 1 it could not be done, 2 a setting or the database is not right; the output says what.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import SecretStr

from bot import output, shell, shell_admin
from bot.app import Application, SimulatorOptions, run_simulator
from bot.chats import configured_chats
from bot.clock import SystemClock
from bot.demo import PROVIDERS, demo_settings, run_demo, simulated
from bot.errors import AvatarRelayError, SettingsError, StoreError
from bot.logs import configure
from bot.settings import Settings, load

app = typer.Typer(
    help="Brings a live, talking avatar into a chat channel: start it, write to it, watch it, stop it.\n\n"
    "New here? Try `avatar-relay demo`: it needs no account.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
sessions_app = typer.Typer(
    help="See the open sessions and close them, with the bot running or not.", no_args_is_help=True
)
people_app = typer.Typer(help="See who is blocked, shut people out and let them in again.", no_args_is_help=True)
db_app = typer.Typer(
    help="Look after the database. The bot upgrades it by itself when it starts.", no_args_is_help=True
)
app.add_typer(sessions_app, name="sessions", short_help="See open sessions and close them.")
app.add_typer(people_app, name="people", short_help="See who is blocked, block and unblock.")
app.add_typer(db_app, name="db", short_help="Look after the database.")

ENV_FILE = Path(".env")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")]
Person = Annotated[str, typer.Argument(metavar="PERSON", help="As platform:id, such as discord:1234.")]


def main() -> None:
    """The entry point `avatar-relay`."""
    output.prepare()
    try:
        app()
    finally:
        output.finish()


@app.command(short_help="Run the bot with what is configured.")
def run(
    console: Annotated[bool, typer.Option("--console", help="Chat from this terminal as well.")] = False,
) -> None:
    """Run the bot with whatever is configured in the environment and `.env`.

    Says in one line each what it started and what it left out and why. Ctrl-C or SIGTERM closes every avatar, waits
    until the provider has confirmed it, and ends. docs/configuration.md explains every setting.
    """
    _run(_serve(_settings(), console=console))


@app.command(short_help="Try everything here and now, without an account.")
def demo(
    provider: Annotated[str, typer.Option(help=f"Which API to speak: {' or '.join(PROVIDERS)}.")] = PROVIDERS[0],
    speed: Annotated[
        float, typer.Option(help="How many times faster than real time everything runs.", min=0.1, max=100.0)
    ] = 1.0,
) -> None:
    """Try everything here and now: simulator, bot, watch page and a console. No account, no cost.

    With piped input it reads to the end, lets the avatar say everything, closes every stream and ends. It reads no
    `.env`; of the environment it takes settings such as SESSION_IDLE_TIMEOUT, but never a key or a service.
    """
    if provider not in PROVIDERS:
        _fail(f'PROVIDER is "{provider}": it must be one of {", ".join(PROVIDERS)}.')
    settings = _read_settings(None)
    with tempfile.TemporaryDirectory(prefix="avatar-relay-demo-") as folder:
        settings = demo_settings(settings, Path(folder), provider)
        _log(settings)
        _run(_demo(settings, speed))


@app.command(short_help="Run the simulator of the avatar services alone.")
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
    livekit: Annotated[
        str, typer.Option(help="Make real rooms on this LiveKit server, such as ws://127.0.0.1:7880.")
    ] = "",
    livekit_key: Annotated[
        str, typer.Option(help="A key of the LiveKit server.", envvar="SIMULATOR_LIVEKIT_KEY")
    ] = "devkey",
    livekit_secret: Annotated[
        str, typer.Option(help="The secret of that key.", envvar="SIMULATOR_LIVEKIT_SECRET")
    ] = "secret",  # noqa: S107 - what `livekit-server --dev` has; everybody knows it
) -> None:
    """Run the simulator alone: it speaks HeyGen Streaming v1, HeyGen Avatar Realtime v3 and LiveAvatar.

    Point a bot at it with HEYGEN_API_URL and HEYGEN_API_KEY, or LIVEAVATAR_API_URL and LIVEAVATAR_API_KEY. It meters
    what the real services would charge and fails on demand; docs/simulator.md tells how.
    """
    options = SimulatorOptions(
        api_key=SecretStr(api_key),
        latency=latency,
        v1_concurrency=concurrency,
        v3_concurrency=concurrency,
        liveavatar_concurrency=concurrency,
        auto_viewer=auto_viewer,
        v1_sunset=sunset,
    )
    if livekit:
        if not livekit.startswith(("ws://", "wss://")):
            _fail(f'--livekit is "{livekit}": it must begin with ws:// or wss://.')
        options = options.with_livekit(livekit, livekit_key, SecretStr(livekit_secret))
        _tell(f"LiveKit: v1 and LiveAvatar make their rooms at {livekit}.")
    else:
        _tell("LiveKit: no server (--livekit), so no real rooms: LiveAvatar answers, with a stand-in for its room.")
    _run(_simulate(options, speed, host, port))


@sessions_app.command("list", short_help="Print every open session.")
def sessions_list(*, as_json: AsJson = False) -> None:
    """Print every open session, one line each: its id, state, channel, provider, who started it and when (UTC)."""
    _run(shell.list_sessions(_settings(), SystemClock(), _tell, as_json=as_json))


@sessions_app.command("stop", short_help="Close one session.")
def sessions_stop(
    session_id: Annotated[str, typer.Argument(metavar="ID", help="As `sessions list` shows it.")],
) -> None:
    """Close one session, and wait until its stream is closed at the provider."""
    _run(shell.stop_session(_settings(), SystemClock(), _tell, session_id))


@sessions_app.command("stop-all", short_help="Close every session.")
def sessions_stop_all() -> None:
    """Close every session, and wait until the streams are closed at the provider."""
    _run(shell.stop_all(_settings(), SystemClock(), _tell))


@sessions_app.command("cleanup")
def sessions_cleanup() -> None:
    """Close what nobody uses.

    While the bot runs, and always on PostgreSQL: sessions that have been silent for a minute. While it does not run:
    every open session.
    """
    _run(shell.clean_up(_settings(), SystemClock(), _tell))


@app.command(short_help="Show how long avatars were open today.")
def usage(*, as_json: AsJson = False) -> None:
    """Show for how long avatars were open today (UTC), by channel, and what that costs where a price is known."""
    _run(shell_admin.show_usage(_settings(), SystemClock(), _tell, as_json=as_json))


@app.command(short_help="Show the limits and what is used of them.")
def limits(*, as_json: AsJson = False) -> None:
    """Show the limits of LIMIT_..., and how much of them each channel with an avatar has used today (UTC)."""
    _run(shell_admin.show_limits(_settings(), SystemClock(), _tell, as_json=as_json))


@people_app.command("block", short_help="Shut a person out.")
def people_block(person: Person) -> None:
    """Shut a person out, in every workspace. A running bot notices within seconds."""
    _run(shell_admin.block(_settings(), SystemClock(), _tell, person))


@people_app.command("unblock", short_help="Let a person in again.")
def people_unblock(person: Person) -> None:
    """Let a person in again, wherever they were blocked."""
    _run(shell_admin.unblock(_settings(), SystemClock(), _tell, person))


@people_app.command("blocked", short_help="Print who is blocked.")
def people_blocked(*, as_json: AsJson = False) -> None:
    """Print who is blocked, where, by whom and since when (UTC)."""
    _run(shell_admin.show_blocked(_settings(), SystemClock(), _tell, as_json=as_json))


@db_app.command("upgrade", short_help="Bring the database to the newest revision.")
def db_upgrade() -> None:
    """Bring the database to the newest revision; makes it where there is none."""
    _run(shell.upgrade_database(_settings(), _tell))


@db_app.command("current", short_help="Print the revision of the database.")
def db_current() -> None:
    """Print which revision the database has, and which is the newest."""
    _run(shell.show_revision(_settings(), _tell))


# --- running ---------------------------------------------------------------------------------------------------------


async def _serve(settings: Settings, *, console: bool) -> None:
    chats = configured_chats(settings, console=console, tell=_tell)
    application = Application(settings, SystemClock(), _tell)
    _stop_on_signals(application.ask_to_stop)
    try:
        await application.start(chats)
        await application.serve()
    finally:
        await application.stop()
    _tell("Everything is closed.")


async def _demo(settings: Settings, speed: float) -> None:
    application = Application(settings, SystemClock(speed), _tell, simulator=simulated())
    _stop_on_signals(application.ask_to_stop)
    await run_demo(application, _tell)


async def _simulate(options: SimulatorOptions, speed: float, host: str, port: int) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop.set)
    await run_simulator(options, SystemClock(speed), host, port, _tell, stop)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    """SIGHUP too: whoever closes the window of a terminal must not leave an avatar open that costs money."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` asks to be left alone
        loop.add_signal_handler(signal.SIGHUP, stop)


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except (SettingsError, StoreError) as error:
        _fail(str(error))
    except AvatarRelayError as error:
        _fail(str(error), code=1)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None  # before the signals were ours; 128 + SIGINT, as shells count


def _settings() -> Settings:
    settings = _read_settings(ENV_FILE)
    _log(settings)
    return settings


def _read_settings(env_file: Path | None) -> Settings:
    try:
        return load(env_file)
    except SettingsError as error:
        _fail(str(error))


def _log(settings: Settings) -> None:
    configure(settings.log_level, settings.log_format, settings.secrets())


def _tell(line: str) -> None:
    in_terminal = sys.stdout is not None and sys.stdout.isatty()
    output.write_line(output.broken(line, shutil.get_terminal_size().columns) if in_terminal else line)


def _fail(message: str, code: int = 2) -> NoReturn:
    """End with a sentence on stderr."""
    text = message[:1].upper() + message[1:]
    typer.echo(text if text.endswith((".", "?", "!")) else f"{text}.", err=True)
    raise typer.Exit(code)
