"""A whole bot with a LiveKit server of the operator's own: it joins the avatar's room, and everybody watches."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from adapters.simulator import SimulatorOptions
from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.models import Actor, Channel, EndReason
from bot.relay import Message
from bot.sessions.registry import StartOptions
from bot.sessions.session import AvatarSession
from bot.settings import (
    AvatarSettings,
    LiveKitSettings,
    NeedsViewer,
    SessionSettings,
    Settings,
    StreamSettings,
    WebSettings,
)
from tests.browser.conftest import Visitor
from tests.browser.test_rooms import LOUDNESS
from tests.browser.visit import PATIENCE
from tests.harness.livekit import LiveKitServer, livekit_program, livekit_server

__all__ = ["livekit_program", "livekit_server"]

# Three browsers and two encoders on perhaps two busy cores.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(180),
]

CHANNEL = Channel("console", "home", "general")
HOST = Actor("console", "ana", "Ana")
STORY = "Once upon a time there was a robin who could talk. " * 10


@pytest_asyncio.fixture(loop_scope="session", params=["liveavatar", "heygen-streaming"])
async def bot(
    request: pytest.FixtureRequest, livekit_server: LiveKitServer, tmp_path: Path
) -> AsyncIterator[Application]:
    """The program without a chat; the avatars' rooms and ours are on the same server."""
    key, secret = livekit_server.api_key, SecretStr(livekit_server.api_secret)
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'bot.sqlite3'}",
        avatar=AvatarSettings(provider=request.param),
        # These look at the picture; for whom a stream opens, and how long it is kept, is not their business.
        session=SessionSettings(needs_viewer=NeedsViewer.NEVER),
        stream=StreamSettings(linger=300),
        livekit=LiveKitSettings(url=livekit_server.url, api_key=SecretStr(key), api_secret=secret),
        web=WebSettings(port=0),
    )
    simulator = SimulatorOptions().with_livekit(livekit_server.url, key, secret)
    bot = Application(settings, SystemClock(), lambda _: None, simulator=simulator)
    try:
        await bot.start([])
        serving = asyncio.create_task(bot.serve())
        yield bot
        bot.ask_to_stop()
        await serving
    finally:
        await bot.stop()


async def opened(bot: Application) -> tuple[AvatarSession, str]:
    """A session with its room, and its watch link."""
    sessions = bot.bot.sessions
    await sessions.start(CHANNEL, HOST, StartOptions())
    running = sessions.in_channel(CHANNEL)
    assert running is not None
    async with asyncio.timeout(PATIENCE):
        while not running.view().has_room:  # noqa: ASYNC110 - the room is made by others
            await asyncio.sleep(0.02)
    link = running.view().watch_url
    assert link is not None
    return running, link


async def test_with_the_bot_in_the_room_three_browsers_watch_one_session_at_once(
    bot: Application, visit: Visitor
) -> None:
    running, link = await opened(bot)
    pages = [await visit(link) for _ in range(3)]
    for page in pages:
        await page.until_playing()
        await page.page.get_by_role("button", name="Unmute", exact=True).click()
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))

    for page in pages:
        await page.until_state("live")
        frames = await page.ask("video.getVideoPlaybackQuality().totalVideoFrames")
        await page.until(f"video.getVideoPlaybackQuality().totalVideoFrames > {frames} + 10", 2 * PATIENCE)
    loudest = [0.0, 0.0, 0.0]
    async with asyncio.timeout(2 * PATIENCE):
        while min(loudest) < 0.01:
            loudest = [max(before, await page.ask(LOUDNESS)) for before, page in zip(loudest, pages, strict=True)]
    assert bot.simulator is not None
    assert [stream.ended for stream in bot.simulator.streams()] == [None]

    await bot.bot.sessions.stop(running, EndReason.STOPPED, HOST)
    for page in pages:
        await page.until_state("ended")
