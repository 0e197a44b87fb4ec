"""What a bot does not use is not in its memory: which modules a start imports, each start in a process of its own."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bot.store import migrate

pytestmark = pytest.mark.slow

START = """
import asyncio, json, sys

for missing in sys.argv[1:]:
    sys.modules[missing] = None

import bot.cli.main  # what `avatar-relay` imports
from bot.app import Application
from bot.core.clock import SystemClock
from bot.plugins import load_adapters
from bot.settings import load

said = []

async def main():
    settings = load(None)
    application = Application(settings, SystemClock(), said.append)
    try:
        await application.start(load_adapters(settings, console=False, echo=said.append))
    finally:
        await application.stop()

asyncio.run(main())
print(json.dumps([said, sorted(sys.modules)]))
"""

DISCORD = {"DISCORD_TOKEN": "a.discord.token"}
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
OAUTH = {
    "SLACK_CLIENT_ID": "1.2",
    "SLACK_CLIENT_SECRET": "a-secret-of-the-test",
    "SLACK_SIGNING_SECRET": "another-secret-of-the-test",
    "WEB_SECRET": "a-web-secret-of-the-test-that-is-long-enough",
    "WEB_PUBLIC_URL": "https://watch.example.com",
}

OF_STEPS = {"alembic", "mako"}
OF_DISCORD = {"adapters.chat.discord.adapter", "discord"}
OF_SLACK = {"adapters.chat.slack.adapter", "slack_bolt", "slack_sdk"}
OF_OAUTH = {"cryptography"}
OF_OTHERS = {
    "adapters.chat.console",
    "adapters.llm",
    "adapters.simulator",
    "asyncpg",
    "emoji",
    "bot.simulation",
    "livekit",
    "numpy",
    "platformdirs",
    "prompt_toolkit",
    "sqlalchemy.dialects.postgresql",
}
"""For the console, the set-up, a simulator, PostgreSQL, a chat model, or a room that the bot is in itself."""


def started(folder: Path, *missing: str, **settings: str) -> tuple[list[str], set[str]]:
    """Start a bot without the packages `missing`, and stop it: what it said, and which modules it imported."""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", START, *missing],
        cwd=folder,
        env={
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HOME": str(folder),
            "AVATAR_PROVIDER": "heygen-streaming",
            "HEYGEN_API_KEY": "a-key-of-the-test",
            "DATABASE_URL": f"sqlite:///{folder / 'bot.sqlite3'}",
            "WEB_HOST": "127.0.0.1",
            "WEB_PORT": "0",
        }
        | settings,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, modules = json.loads(done.stdout.splitlines()[-1])
    return said, set(modules)


@pytest.mark.parametrize(
    ("settings", "used", "unused"),
    [
        pytest.param(DISCORD, OF_DISCORD, OF_SLACK | OF_OAUTH, id="Discord"),
        pytest.param(SLACK, OF_SLACK, OF_DISCORD | OF_OAUTH, id="Slack"),
        pytest.param(OAUTH, OF_SLACK | OF_OAUTH, OF_DISCORD, id="Slack with OAuth"),
        pytest.param(DISCORD | SLACK, OF_DISCORD | OF_SLACK, OF_OAUTH, id="both"),
    ],
)
@pytest.mark.parametrize("has_database", [True, False])
async def test_a_start_imports_what_it_uses_alone(
    tmp_path: Path, settings: dict[str, str], used: set[str], unused: set[str], has_database: bool
) -> None:
    if has_database:
        await migrate.upgrade(f"sqlite:///{tmp_path / 'bot.sqlite3'}")
    _, modules = started(tmp_path, **settings)
    assert used <= modules
    assert not (unused | OF_OTHERS | OF_STEPS) & modules


async def test_a_database_that_misses_steps_gets_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bot.sqlite3'}"
    await migrate.upgrade(url)
    await migrate.downgrade(url, "-1")
    _, modules = started(tmp_path, **DISCORD)
    assert modules >= OF_STEPS
    assert await migrate.current(url) == migrate.head()


@pytest.mark.parametrize(
    ("missing", "extra"), [("discord", "discord"), ("slack_bolt", "slack"), ("cryptography", "slack")]
)
@pytest.mark.parametrize("is_set_up", [True, False])
def test_a_package_that_is_missing_is_told_at_the_start(
    tmp_path: Path, missing: str, extra: str, is_set_up: bool
) -> None:
    ours, others = (DISCORD, SLACK) if extra == "discord" else (SLACK, DISCORD)
    said, _ = started(tmp_path, missing, **(ours | others if is_set_up else others))
    assert (
        f"{extra.capitalize()}: left out; {missing} is not installed. "
        f"Add it with: pip install 'avatar-relay[{extra}]'" in said
    )


@pytest.mark.parametrize("name", sorted(OF_STEPS | OF_DISCORD | OF_SLACK | OF_OAUTH | OF_OTHERS))
def test_what_is_not_to_be_imported_exists(name: str) -> None:
    assert find_spec(name) is not None
