"""What the composition root must not forget."""

from pathlib import Path
from unittest.mock import patch

from bot.app import Application, WebServer
from bot.rooms import seats_of
from tests.clock import ManualClock
from tests.platforms.relay import settings_with


async def test_the_page_gets_the_seats_of_the_provider(tmp_path: Path) -> None:
    # Without them nothing fails: a page plays, and every message waits for a viewer for ever.
    environment = {
        "AVATAR_PROVIDER": "liveavatar",
        "LIVEAVATAR_API_KEY": "never-used",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'app.sqlite3'}",
    }
    application = Application(settings_with(environment), ManualClock(), lambda _: None)
    with patch("bot.app.WebServer", wraps=WebServer) as made:
        try:
            await application.start([])
            assert made.call_args.kwargs["seats"] is seats_of(application.desk.sessions.house.provider)
        finally:
            await application.stop()
