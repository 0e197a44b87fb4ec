"""`make demo`: the whole bot, with a simulator inside, a throw-away database and a console to chat from.

Needs no account, reads no `.env`, and leaves nothing behind. Only puts settings together; the running is `bot.app`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bot.app import Application
from bot.core.ports import Echo
from bot.plugins import SIMULATED_CLIENT, console_chat
from bot.settings import LogLevel, NeedsViewer, SessionSettings, Settings, WebSettings
from bot.terminal import at_terminal

if TYPE_CHECKING:
    from bot.simulation import SimulatorOptions

PROVIDERS = ("heygen-realtime", "heygen-streaming", "liveavatar")
"""The APIs that the simulator speaks."""


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """A LiveKit server for the simulator, and a key that makes rooms there."""

    url: str
    api_key: str
    api_secret: SecretStr


WELCOME = """\
This is avatar-relay with a simulated avatar: nothing here costs money. Prices are shown as the real service has them.
Type /avatar start, open the link in a browser, and write something.
/help shows every command."""


def demo_settings(settings: Settings, folder: Path, provider: str = SIMULATED_CLIENT) -> Settings:
    """The settings of the demo: what the environment says, but never a real service, database or watch link.

    `Application` replaces every key and address of a service; errors alone are logged, unless LOG_LEVEL says otherwise.
    """
    chosen = {
        "database_url": f"sqlite:///{folder / 'demo.sqlite3'}",
        "avatar": settings.avatar.model_copy(update={"provider": provider, "id": "", "voice_id": ""}),
        "livekit": settings.livekit.model_copy(update={"url": None, "api_key": None, "api_secret": None}),
        "web": _web(settings.web),
        "session": settings.session if at_terminal() else _for_nobody(settings.session),
    }
    if "log_level" not in settings.model_fields_set:
        chosen["log_level"] = LogLevel.ERROR
    return settings.model_copy(update=chosen)


async def run_demo(application: Application, echo: Echo) -> None:
    """Start everything, chat until the input ends, close everything."""
    try:
        await application.start([console_chat()])
        echo(WELCOME)
        await application.serve()
    finally:
        await application.stop()
    echo("Everything is closed.")


def simulated(livekit: LiveKitServer | None = None) -> "SimulatorOptions":
    """How the demo's simulator behaves. Without a terminal nobody opens a page, so a simulated viewer does. `livekit`:
    where it makes real rooms."""
    from bot.simulation import SimulatorOptions  # 4 MB, see there

    options = SimulatorOptions(auto_viewer=not at_terminal())
    return options if livekit is None else options.with_livekit(livekit.url, livekit.api_key, livekit.api_secret)


def _for_nobody(session: SessionSettings) -> SessionSettings:
    """Without a terminal nobody opens a page: what is written is said all the same."""
    if "needs_viewer" in session.model_fields_set:
        return session
    return session.model_copy(update={"needs_viewer": NeedsViewer.NEVER})


def _web(web: WebSettings) -> WebSettings:
    """Any free port and the local address. Who sets WEB_PORT too may show the demo elsewhere through WEB_PUBLIC_URL."""
    if "port" in web.model_fields_set:
        return web
    return web.model_copy(update={"port": 0, "public_url": None})
