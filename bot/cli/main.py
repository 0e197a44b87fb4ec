"""The command line: what can be typed in a shell, its help, its exit codes. What it does lives elsewhere."""

import asyncio
import signal
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from bot import terminal as output
from bot.app import Application
from bot.cli.admin import admin_app
from bot.cli.demo import PROVIDERS, LiveKitServer, demo_settings, run_demo, simulated
from bot.cli.runtime import echo, fail, load_settings, read_settings, run_async, set_up_log
from bot.cli.setup import setup_app
from bot.core.clock import SystemClock
from bot.core.collector import tune_for_serving
from bot.plugins import load_adapters
from bot.settings import ENV_FILE, Settings
from bot.settings.misspelt import misspelt

LiveKitUrl = Annotated[
    str, typer.Option("--livekit", help="Make real rooms on this LiveKit server, such as ws://127.0.0.1:7880.")
]
LiveKitKey = Annotated[str, typer.Option(help="A key of the LiveKit server.", envvar="SIMULATOR_LIVEKIT_KEY")]
LiveKitSecret = Annotated[str, typer.Option(help="The secret of that key.", envvar="SIMULATOR_LIVEKIT_SECRET")]

app = typer.Typer(
    help="Brings a live, talking avatar into a chat channel: start it, write to it, watch it, stop it.\n\n"
    "New here? Try `avatar-relay demo`: it needs no account.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(setup_app)
app.add_typer(admin_app)


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
    run_async(_serve(load_settings(), console=console))


@app.command(short_help="Try everything here and now, without an account.")
def demo(
    provider: Annotated[str, typer.Option(help=f"Which API to speak: {' or '.join(PROVIDERS)}.")] = PROVIDERS[0],
    speed: Annotated[
        float, typer.Option(help="How many times faster than real time everything runs.", min=0.1, max=100.0)
    ] = 1.0,
    livekit: LiveKitUrl = "",
    livekit_key: LiveKitKey = "devkey",
    livekit_secret: LiveKitSecret = "secret",  # noqa: S107 - see `simulator`
) -> None:
    """Try everything here and now: simulator, bot, watch page and a console. No account, no cost.

    With piped input it reads to the end, lets the avatar say everything, closes every stream and ends. It reads no
    `.env`; of the environment it takes settings such as SESSION_IDLE_TIMEOUT, but never a key or a service.
    """
    if provider not in PROVIDERS:
        fail(f'PROVIDER is "{provider}": it must be one of {", ".join(PROVIDERS)}.')
    server = _livekit_server(livekit, livekit_key, livekit_secret)
    settings = read_settings(None)
    with tempfile.TemporaryDirectory(prefix="avatar-relay-demo-") as folder:
        settings = demo_settings(settings, Path(folder), provider)
        set_up_log(settings)
        run_async(_demo(settings, speed, server))


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
    livekit: LiveKitUrl = "",
    livekit_key: LiveKitKey = "devkey",
    livekit_secret: LiveKitSecret = "secret",  # noqa: S107 - what `livekit-server --dev` has; everybody knows it
) -> None:
    """Run the simulator alone: it speaks HeyGen Streaming v1, HeyGen Avatar Realtime v3 and LiveAvatar.

    Point a bot at it with HEYGEN_API_URL and HEYGEN_API_KEY, or LIVEAVATAR_API_URL and LIVEAVATAR_API_KEY. It meters
    what the real services would charge and fails on demand: see docs/simulator.md.
    """
    from bot.simulation import SimulatorOptions, run_simulator  # 4 MB, see there

    options = SimulatorOptions(
        api_key=SecretStr(api_key),
        latency=latency,
        v1_concurrency=concurrency,
        v3_concurrency=concurrency,
        liveavatar_concurrency=concurrency,
        auto_viewer=auto_viewer,
        v1_sunset=sunset,
    )
    if (server := _livekit_server(livekit, livekit_key, livekit_secret)) is not None:
        options = options.with_livekit(server.url, server.api_key, server.api_secret)
        echo(f"LiveKit: v1 and LiveAvatar make their rooms at {livekit}.")
    else:
        echo("LiveKit: no server (--livekit), so no real rooms: LiveAvatar uses a fake room.")
    run_async(_simulate(partial(run_simulator, options, SystemClock(speed), host, port, echo)))


# --- running ---------------------------------------------------------------------------------------------------------


def _livekit_server(url: str, key: str, secret: str) -> LiveKitServer | None:
    if not url:
        return None
    if not url.startswith(("ws://", "wss://")):
        fail(f'--livekit is "{url}": it must begin with ws:// or wss://.')
    return LiveKitServer(url, key, SecretStr(secret))


async def _serve(settings: Settings, *, console: bool) -> None:
    for slip in misspelt(ENV_FILE):
        echo(f"Settings: {slip}.")
    chats = load_adapters(settings, console=console, echo=echo)
    alone_because = "--console is at one process alone" if console else None
    application = Application(settings, SystemClock(), echo, alone_because=alone_because)
    _stop_on_signals(application.ask_to_stop)
    try:
        await application.start(chats)
        tune_for_serving()
        await application.serve()
    finally:
        await application.stop()
    echo("Everything is closed.")


async def _demo(settings: Settings, speed: float, livekit: LiveKitServer | None) -> None:
    application = Application(settings, SystemClock(speed), echo, simulator=simulated(livekit))
    _stop_on_signals(application.ask_to_stop)
    await run_demo(application, echo)


async def _simulate(run_until: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop.set)
    await run_until(stop)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    """SIGHUP too: whoever closes the window of a terminal must not leave an avatar open that costs money."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` asks to be left alone
        loop.add_signal_handler(signal.SIGHUP, stop)
