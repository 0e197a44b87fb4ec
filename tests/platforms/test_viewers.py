"""Nothing is said to nobody: what people read of it, and how a page that is opened has it said, on every platform."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession

from adapters.simulator import Effect
from tests.platforms.platform_driver import ADA, Driver
from tests.platforms.running_bot import settings_with

SETTINGS = settings_with({"SESSION_NEEDS_VIEWER": "auto", "STREAM_LINGER": "5", "QUEUE_MAX_AGE": "600"})
WAITS = "The avatar says it as soon as somebody opens the watch link."


async def begin(chat: Driver, **changes: object) -> None:
    """Start an avatar that nobody watches."""
    chosen = {"session": SETTINGS.session, "stream": SETTINGS.stream, **changes}
    chat.bot._settings = chat.bot._settings.model_copy(update=chosen)
    await chat.restart()
    assert "It costs nothing until somebody watches" in await chat.command("/avatar start")
    await chat.bot.until(lambda: any(running.is_live for running in chat.bot.bot.sessions))


@asynccontextmanager
async def open_page(chat: Driver) -> AsyncIterator[None]:
    """Somebody has the watch page open, as far as the bot can tell."""
    application = chat.bot._application
    assert application is not None
    (running,) = application.bot.sessions
    link = application._links.url(running.session.link_nonce)
    served = re.findall(r"served at (http://[\w.:]+\d)", "\n".join(chat.bot.told))[-1]
    assert link is not None
    page = f"{served}/w/{link.rpartition('/')[2]}/live"
    async with ClientSession() as client, client.ws_connect(page, headers={"Origin": served}):
        yield


async def test_what_is_written_is_said_as_soon_as_a_page_is_open_and_the_stream_let_go_when_it_is_closed(
    chat: Driver,
) -> None:
    await begin(chat)
    answer = await chat.command("/avatar say good morning")
    assert WAITS in answer
    await chat.write("and good evening")
    await chat.until_read("The avatar is waiting for a viewer. Open the watch link, and it says what you wrote.")
    assert "waiting for a viewer" in await chat.command("/avatar status")
    if chat.has_buttons:
        assert "Skip" in await chat.panel()
    assert not chat.bot.simulator.streams()

    async with open_page(chat):
        await chat.bot.until(lambda: chat.bot.spoken == ["good morning", "and good evening"])
    await chat.bot.until(lambda: not chat.bot.open_streams)
    assert len(chat.bot.simulator.streams()) == 1


async def test_it_is_woken_by_hand_for_who_watches_and_for_nobody_else(chat: Driver) -> None:
    await begin(chat)
    assert "Nobody is watching yet. Open the link first" in await chat.command("/avatar wake")
    async with open_page(chat):
        if chat.has_buttons:
            await chat.until_read("asleep; the next message wakes it")
            answer = await chat.press("Wake")
        else:
            answer = await chat.command("/avatar wake")
        assert "waking up" in answer
        await chat.bot.until(lambda: chat.bot.open_streams)
        await chat.bot.until(lambda: not chat.bot.open_streams)


async def test_an_account_that_is_full_is_told_and_what_was_written_waits(chat: Driver) -> None:
    await begin(chat)
    chat.bot.simulator.faults.add(method="POST", path="/v3/avatar-realtime", effect=Effect.STATUS, status=402, times=1)
    async with open_page(chat):
        await chat.write("good morning", by=ADA)
        await chat.until_read("The avatar cannot wake up now. The avatar account has no credit left.")
        await chat.bot.until(lambda: chat.bot.spoken == ["good morning"])
