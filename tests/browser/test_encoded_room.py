"""A room that is encoded, in Chromium, through hls.js and the watch page's own player."""

import asyncio
import os
import signal
import statistics
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from livekit import rtc
from playwright.async_api import Browser, Page

from adapters.media.room.factory import RoomPictures
from adapters.media.room.source import RoomPicture
from bot.core.clock import SystemClock
from bot.core.models import Playback
from tests.browser.avatar_room import AvatarRoom
from tests.harness.livekit import LiveKitServer, livekit_program, livekit_server
from tests.harness.marked_avatar import MarkedAvatar
from tests.harness.picture_page import serving
from tests.unit.media.room.test_rooms import avatar_in, bot_in

__all__ = ["livekit_program", "livekit_server"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(180),
]

PATIENCE = 60.0
LIPS = 250.0
"""Milliseconds that sound and picture may be apart as a page measures them: the sound goes through the machine's
output, which is late by some 100 ms here. What is played itself is within 80 ms (`tests/unit/media/room`)."""


@pytest_asyncio.fixture(loop_scope="session")
async def avatar(livekit_server: LiveKitServer) -> AsyncIterator[tuple[MarkedAvatar, rtc.Room]]:
    """An avatar and the bot in one room."""
    name = str(uuid.uuid4())
    async with avatar_in(livekit_server, name, 640, 360, 25) as avatar, bot_in(livekit_server, name) as room:
        yield avatar, room


@pytest_asyncio.fixture(loop_scope="session")
async def source(avatar: tuple[MarkedAvatar, rtc.Room]) -> AsyncIterator[RoomPicture]:
    """The picture of that room."""
    pictures = RoomPictures(SystemClock())
    pictures.enter("s1", avatar[1])
    source = await pictures.open("s1", Playback())
    yield source
    await source.aclose()


async def opened(browser: Browser, url: str) -> Page:
    page = await (await browser.new_context()).new_page()
    await page.goto(url)
    await until(page, "measured().frames > 10")
    return page


async def until(page: Page, expression: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await page.evaluate(f"Boolean(window.measured) && Boolean({expression})"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def listen(page: Page) -> None:
    """A browser wants to be touched before it is heard."""
    await page.mouse.click(10, 10)
    await page.evaluate("listen()")


async def measured(page: Page) -> dict[str, Any]:
    found = await page.evaluate("measured()")
    assert isinstance(found, dict)
    return found


async def test_three_browsers_see_and_hear_one_room(browser: Browser, livekit_server: LiveKitServer) -> None:
    """What the simulator shows in its rooms: it moves and hums."""
    avatar = AvatarRoom(livekit_server)
    await avatar.join()
    pictures = RoomPictures(SystemClock())
    room = rtc.Room()
    door = avatar.door()
    await room.connect(door.url, door.token)
    pictures.enter("s1", room)
    source = await pictures.open("s1", Playback())
    async with serving(source) as url:
        pages = [await opened(browser, url) for _ in range(3)]
        for page in pages:
            await listen(page)
        for page in pages:
            frames, sounds = (await measured(page))["frames"], "measured().heard.length"
            await until(page, f"measured().frames > {frames} + 20 && {sounds} > 0")
            await page.context.close()
    await source.aclose()
    await room.disconnect()
    await avatar.leave()


async def test_pictures_advance_and_sound_is_heard_with_them(browser: Browser, source: RoomPicture) -> None:
    async with serving(source) as url:
        page = await opened(browser, url)
        await listen(page)
        await until(page, "measured().heard.length > 8")
        found = await measured(page)
        await page.context.close()
    numbers = [frame["number"] for frame in found["seen"]]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 50
    flashes = [frame["at"] for frame in found["seen"] if frame["turned"]]
    offsets = [min((heard - flash for flash in flashes), key=abs) for heard in found["heard"][1:]]
    assert abs(statistics.median(offsets)) < LIPS


async def test_a_larger_picture_and_another_encoder_play_on_without_a_reload(
    browser: Browser, source: RoomPicture, avatar: tuple[MarkedAvatar, rtc.Room]
) -> None:
    async with serving(source) as url:
        page = await opened(browser, url)
        assert (await measured(page))["seen"][-1]["width"] == 640
        await page.evaluate("window.mark = document.querySelector('video').src")
        avatar[0].size = (1280, 720)
        await until(page, "measured().seen.at(-1).width === 1280")
        assert source._encoder.pid is not None
        os.kill(source._encoder.pid, signal.SIGKILL)
        frames = (await measured(page))["frames"]
        await until(page, f"measured().frames > {frames} + 75")
        newest = (await measured(page))["seen"][-1]["number"]
        await until(page, f"measured().seen.at(-1).number > {newest} + 2000")
        assert await page.evaluate("window.mark === document.querySelector('video').src")
        await page.context.close()
