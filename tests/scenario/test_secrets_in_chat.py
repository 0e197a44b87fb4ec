"""No key and no token is in what the program posts on Discord and Slack, prints, serves or stores, with every service
behind it and while each of them fails with the credentials in its error.

The program runs as a process of its own with its log at DEBUG, and talks to a local Discord and Slack through
discord.py and slack-bolt (`chat_services`). The console, and the providers one by one, are in `test_secrets.py`.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.livekit import livekit_program, livekit_server  # noqa: F401 - fixtures
from tests.scenario.chat_scenario import Story
from tests.scenario.chat_services import ChatServices
from tests.scenario.secret_scan import assert_none_of
from tests.scenario.served_program import ServedProgram
from tests.scenario.setup.shell import run

# Real rooms, real encoders, and perhaps two busy cores.
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(180)]

CREATING = {"heygen-realtime": "/v3/avatar-realtime", "liveavatar": "/v1/sessions/token"}
CLOSING = {"heygen-realtime": "/v3/avatar-realtime/*/cancel", "liveavatar": "/v1/sessions/stop"}


@pytest.mark.parametrize(
    ("provider", "log_format", "is_http"), [("heygen-realtime", "json", False), ("liveavatar", "text", True)]
)
async def test_no_secret_is_posted_printed_served_or_stored(
    tmp_path: Path, request: pytest.FixtureRequest, provider: str, log_format: str, is_http: bool
) -> None:
    """With rooms on a LiveKit server, and without."""
    livekit = request.getfixturevalue("livekit_server") if provider == "liveavatar" else None
    async with ChatServices(livekit=livekit, is_http=is_http) as services:
        # The stream is closed by who stops the avatar, whose call fails, and not before for want of talk.
        patient = {"STREAM_LINGER": "600", "SESSION_IDLE_TIMEOUT": "900"}
        settings = services.settings(tmp_path, AVATAR_PROVIDER=provider, LOG_FORMAT=log_format, **patient)
        gateway = services.gateway
        async with ServedProgram(tmp_path, settings) as program:
            story = Story(services, program)
            await story.begin()
            assert "Starting" in await story.on_discord("avatar start")
            assert "Starting" in await story.on_slack("/avatar", "start")
            await story.until_read("live")
            await story.on_discord("avatar say", text="good morning")
            story.echoes.append(gateway.echo_next("POST", "/answers/v1/chat/completions", status=401))
            await story.on_slack("/avatar", "ask what can you do?")
            await story.until_echoed()
            await story.on_discord("avatar ask", text="who are you?")
            await story.meet_errors_of_the_platforms()
            for link in story.links:
                await story.watch(link)
            await story.on_discord("avatar-admin sessions", by=story.ada)
            for admin in ("sessions", "usage", "limits", "cleanup"):
                await story.on_slack("/avatar-admin", admin, by="eve")
            story.echoes.append(gateway.echo_next("*", f"/avatars{CLOSING[provider]}", is_html=True))
            assert "Stopping" in await story.on_discord("avatar stop")
            await story.on_slack("/avatar-admin", "stop-all", by="eve")
            await story.until_both_avatars_have_left()
            story.echoes.append(gateway.echo_next("POST", f"/avatars{CREATING[provider]}", status=401))
            await story.on_discord("avatar start")
            await story.until_echoed()
            if is_http:
                await story.install_elsewhere()
            assert await program.stop() == 0
        places = {
            "the chat": services.posted,
            "the web": story.served.text,
            "the output": program.output,
            "the log": program.log,
            "the database": database_in(tmp_path),
            "the shell": await said_by_the_shell(tmp_path, settings),
        }
        assert '"level": "debug"' in program.log or "[debug" in program.log
        assert bool(story.doors) is (provider == "liveavatar")
        secrets = {*services.credentials.values(), *services.issued, *story.states, *story.doors}
        assert_none_of(secrets, places)
        capabilities = {link.rpartition("/")[2] for link in story.links}
        chat = places.pop("the chat")
        # Each page is told where the picture behind its own link is.
        places["the web"] = re.sub(r'"hls_url": ?"[\w.-]+/media/', "", places["the web"])
        assert all(capability in chat for capability in capabilities), "the link itself is for the chat"
        assert_none_of(capabilities, places)


def database_in(folder: Path) -> str:
    """The database as its files and as its dump show it."""
    raw = b"".join(path.read_bytes() for path in folder.rglob("bot.sqlite3*"))
    with closing(sqlite3.connect(folder / "bot.sqlite3")) as database:
        return "\n".join([raw.decode("latin-1"), *database.iterdump()])


async def said_by_the_shell(folder: Path, settings: dict[str, str]) -> str:
    """What the commands print that people copy into reports, and the file of `diagnostics`."""
    said: list[str] = []
    for command in (["doctor", "--json"], ["doctor"], ["sessions", "list", "--json"], ["diagnostics", "report.json"]):
        ran = await run(folder, *command, **settings)
        assert ran.code == 0, (command, ran.out + ran.err)
        said += [ran.out, ran.err]
    return "\n".join([*said, (folder / "report.json").read_text()])
