"""A bot is killed in the middle of a message, and the next one after it has noted that, before anybody could read it:
the one after that tells. Where people are told, on each platform, it is told once for all."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.platforms.conftest import DRIVERS
from tests.platforms.discord import DiscordDriver
from tests.platforms.platform_driver import LONG
from tests.platforms.running_bot import PATIENCE
from tests.platforms.slack import SlackDriver
from tests.platforms.test_unsaid import begin

NOT_SAID = {"discord": "\N{SPEAKER WITH CANCELLATION STROKE}", "slack": "x"}
Driver = SlackDriver | DiscordDriver
TOLD = {"discord": "Not everything was said", "slack": "may not have been said"}
"""Of a command: on Discord nothing is left with which its author could be told alone."""


@pytest.fixture(params=NOT_SAID)
async def chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    module, name = DRIVERS[request.param]
    driver: Driver = getattr(importlib.import_module(module), name)(tmp_path, environment={"SESSION_RELAY": "all"})
    async with driver:
        await begin(driver)
        yield driver


async def strike(chat: Driver) -> None:
    """Kill the bot while it speaks, and the next one before people can read what that has noted."""
    await chat.bot.until(lambda: any(running.speaker.current for running in chat.bot.bot.sessions))
    await chat.bot.kill_recovering()
    await chat.restart()


async def until_settled(chat: Driver) -> None:
    """Wait until it is noted that people were told."""
    store = chat.bot.bot.sessions.services.store
    ids = [running.session.id for running in chat.bot.bot.sessions]
    async with asyncio.timeout(PATIENCE):
        while any((await store.doubts.of_sessions(ids)).values()):  # noqa: ASYNC110 - a database that others change
            await asyncio.sleep(0.01)


async def test_a_message_is_marked(chat: Driver) -> None:
    marks = await chat.remark(LONG)
    await strike(chat)
    await chat.bot.until(lambda: NOT_SAID[chat.name] in marks())
    await until_settled(chat)


async def test_who_gave_a_command_is_told_once(chat: Driver) -> None:
    await chat.command(f"/avatar say {LONG}")
    await strike(chat)
    await chat.until_read(TOLD[chat.name])
    await until_settled(chat)
    await chat.restart()
    await chat.command("/avatar say all is well again")
    await chat.bot.until(lambda: "all is well again" in chat.bot.spoken)
    assert [TOLD[chat.name] in one.text for one in chat.seen()].count(True) == 1


async def test_who_is_still_being_told_when_the_bot_dies_is_told_by_the_next_one(
    chat: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_being_told = asyncio.Event()

    async def hang(*_: object) -> None:
        is_being_told.set()
        await asyncio.Event().wait()

    await chat.command(f"/avatar say {LONG}")
    with monkeypatch.context() as patch:
        patch.setattr("adapters.chat.slack.outbox.Outbox._tell", hang)
        patch.setattr("adapters.chat.discord.outbox.Outbox._send", hang)
        await strike(chat)
        await asyncio.wait_for(is_being_told.wait(), PATIENCE)
        store = chat.bot.bot.sessions.services.store
        # After whatever has been handed over to be written.
        await store.doubts.settle([])
        (session,) = chat.bot.bot.sessions
        assert await store.doubts.of_sessions([session.session.id]) != {session.session.id: []}
        await chat.bot.kill()
    await chat.restart()
    await chat.until_read(TOLD[chat.name])
