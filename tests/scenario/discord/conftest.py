"""A server on the local Discord with the bot in it, as each test wants it set up."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.platforms.discord import DiscordDriver

Open = Callable[..., Awaitable[DiscordDriver]]


@pytest.fixture
async def open_chat(tmp_path: Path) -> AsyncIterator[Open]:
    """Makes a driver with arguments of `DiscordDriver`, entered and left again."""
    async with AsyncExitStack() as stack:

        async def enter(**given: object) -> DiscordDriver:
            return await stack.enter_async_context(DiscordDriver(tmp_path, **given))  # type: ignore[arg-type]

        yield enter


@pytest.fixture
async def chat(open_chat: Open) -> DiscordDriver:
    """The bot as its defaults have it: it hears messages that mention it."""
    return await open_chat()


@pytest.fixture
async def live(chat: DiscordDriver) -> DiscordDriver:
    """The bot with an avatar in the channel."""
    await bring_avatar(chat)
    return chat


async def bring_avatar(chat: DiscordDriver) -> None:
    """Start the avatar and wait until it is live."""
    await chat.command("/avatar start")
    await chat.until_read("live")
