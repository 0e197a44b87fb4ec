"""A whole bot in a real browser: the page plays what the bot hands on, from the bot's own address and nowhere else."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import sqlalchemy as sa
from playwright.async_api import Request

from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.models import Actor, Channel, EndReason
from bot.relay import Message
from bot.sessions.registry import StartOptions
from bot.sessions.session import AvatarSession
from bot.settings import AvatarSettings, NeedsViewer, SessionSettings, Settings, StreamSettings, WebSettings
from bot.store import tables
from tests.browser.conftest import Visitor
from tests.browser.test_rooms import LOUDNESS
from tests.browser.visit import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CHANNEL = Channel("console", "home", "general")
HOST = Actor("console", "ana", "Ana")
STORY = "Once upon a time there was a robin who could talk. " * 10
REVOKED_WITHIN = 5.0
LOUDNESS_OF_STREAM = LOUDNESS.replace("video.srcObject", "(window.captured ??= video.captureStream())")


@pytest_asyncio.fixture(loop_scope="session")
async def bot(tmp_path: Path) -> AsyncIterator[Application]:
    """The program without a chat, on a simulated avatar that shows HLS."""
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'bot.sqlite3'}",
        avatar=AvatarSettings(provider="simulator"),
        # These look at the picture; for whom a stream opens, and how long it is kept, is not their business.
        session=SessionSettings(needs_viewer=NeedsViewer.NEVER),
        stream=StreamSettings(linger=300),
        web=WebSettings(port=0),
    )
    bot = Application(settings, SystemClock(), lambda _: None)
    try:
        await bot.start([])
        serving = asyncio.create_task(bot.serve())
        yield bot
        bot.ask_to_stop()
        await serving
    finally:
        await bot.stop()


async def opened(bot: Application) -> tuple[AvatarSession, str]:
    """A session whose stream can be played, and its watch link."""
    await bot.bot.sessions.start(CHANNEL, HOST, StartOptions())
    running = bot.bot.sessions.in_channel(CHANNEL)
    assert running is not None
    async with asyncio.timeout(PATIENCE):
        while running.view().picture is None:  # noqa: ASYNC110 - the provider decides when
            await asyncio.sleep(0.02)
    link = running.view().watch_url
    assert link is not None
    return running, link


async def test_three_browsers_play_from_the_bot_alone(bot: Application, visit: Visitor) -> None:
    running, link = await opened(bot)
    pages = [await visit("about:blank") for _ in range(3)]
    hosts: set[str] = set()
    for page in pages:
        page.page.on("request", lambda request: note(request, hosts))
        await page.page.goto(link)
    for page in pages:
        await page.until_playing()
        await page.page.get_by_role("button", name="Unmute", exact=True).click()
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))

    for page in pages:
        frames = await page.ask("video.getVideoPlaybackQuality().totalVideoFrames")
        await page.until(f"video.getVideoPlaybackQuality().totalVideoFrames > {frames} + 25")
    loudest = [0.0, 0.0, 0.0]
    async with asyncio.timeout(2 * PATIENCE):
        while min(loudest) < 0.01:
            loudest = [
                max(before, await page.ask(LOUDNESS_OF_STREAM)) for before, page in zip(loudest, pages, strict=True)
            ]
    assert hosts == {urlsplit(link).netloc}
    await bot.bot.sessions.stop(running, EndReason.STOPPED, HOST)
    for page in pages:
        await page.until_state("ended")


async def test_a_link_that_is_revoked_ends_the_picture(bot: Application, visit: Visitor) -> None:
    running, link = await opened(bot)
    page = await visit(link)
    page.expect("404")
    await page.until_playing()
    await revoke(bot, running)
    revoked_at = time.monotonic()
    await page.until_state("revoked")
    await page.until("!video.currentSrc || video.readyState === 0")
    assert time.monotonic() - revoked_at < REVOKED_WITHIN


async def test_the_page_goes_over_to_the_next_stream_by_itself(bot: Application, visit: Visitor) -> None:
    running, link = await opened(bot)
    page = await visit(link)
    page.expect("404")  # of a player that asks once more, before the page is told of the next stream
    await page.until_playing()
    await page.ask("window.sameDocument = true")
    before = running.view().picture
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))
    async with asyncio.timeout(PATIENCE):
        while not running.view().speaking:  # noqa: ASYNC110 - the avatar decides when
            await asyncio.sleep(0.02)
    running.mailbox.post(running.speaker.interrupt)
    await bot.bot.relay.receive(Message(CHANNEL, HOST, "and on we go"))
    async with asyncio.timeout(PATIENCE):
        while running.view().picture in (None, before):  # noqa: ASYNC110 - the provider decides when
            await asyncio.sleep(0.02)
    loaded = "performance.getEntriesByType('resource').some((entry) => entry.name.includes('{}'))"
    await page.until(loaded.format(running.view().picture))
    await page.until_playing()
    assert await page.ask("window.sameDocument")


def note(request: Request, hosts: set[str]) -> None:
    """Note where a page goes to; the avatar's still picture is the provider's."""
    if request.resource_type != "image":
        hosts.add(urlsplit(request.url).netloc)


async def revoke(bot: Application, running: AvatarSession) -> None:
    """Replace the random name of the session, in the row and in the process."""
    sessions, nonce = bot.bot.sessions, running.session.link_nonce
    sessions._by_link["another"] = sessions._by_link.pop(nonce)
    async with sessions.services.store._connections.begin() as connection:
        change = sa.update(tables.sessions).where(tables.sessions.c.link_nonce == nonce)
        await connection.execute(change.values(link_nonce="another"))
