"""`make demo`: the whole bot, with a simulator inside, a throw-away database and a console to chat from.

Needs no account, reads no `.env`, and leaves nothing behind. Only puts settings together; the running is `bot.app`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from bot.app import SIMULATED_CLIENT, Application, SimulatorOptions, console_chat
from bot.settings import Settings

PROVIDERS = ("heygen-realtime", "heygen-streaming")
"""The APIs that the simulator speaks."""

WELCOME = """\
This is avatar-relay with a simulated avatar: nothing here costs money.
Type /avatar start, open the link in a browser, and write something. /help shows all commands."""


def demo_settings(settings: Settings, folder: Path, provider: str = SIMULATED_CLIENT) -> Settings:
    """The settings of the demo: what the environment says, but never a real service, database or port of a real bot."""
    return settings.model_copy(
        update={
            "database_url": f"sqlite:///{folder / 'demo.sqlite3'}",
            "avatar": settings.avatar.model_copy(update={"provider": provider, "id": "", "voice_id": ""}),
            "web": settings.web.model_copy(update={"port": settings.web.port if _says_port(settings) else 0}),
        }
    )


async def run_demo(application: Application, tell: Callable[[str], None]) -> None:
    """Start everything, chat until the input ends, close everything."""
    try:
        await application.start()
        tell(WELCOME)
        await application.serve([console_chat()])
    finally:
        await application.stop()
    tell("Everything is closed.")


def simulated() -> SimulatorOptions:
    """How the demo's simulator behaves. Without a terminal nobody opens a page, so a simulated viewer does."""
    return SimulatorOptions(auto_viewer=not sys.stdin.isatty())


def _says_port(settings: Settings) -> bool:
    return "port" in settings.web.model_fields_set
