"""Servers, channels and threads that go away while an avatar is in them: its session ends, and no stream stays open."""

import pytest

from tests.platforms.discord import DiscordDriver


async def gone(chat: DiscordDriver) -> None:
    """Wait until no session is left and nothing costs money."""
    await chat.bot.until(lambda: len(chat.bot.desk.sessions) == 0 and chat.bot.open_streams == 0)


async def test_session_ends_when_the_bot_is_removed_from_the_server(live: DiscordDriver) -> None:
    await live.twin.kick_bot(live.guild)
    await gone(live)


async def test_session_ends_when_its_channel_is_deleted(live: DiscordDriver) -> None:
    await live.twin.delete_channel(live.channel)
    await gone(live)


@pytest.mark.parametrize("how", ["archived", "deleted", "deleted with its channel"])
async def test_session_in_a_thread_ends_with_the_thread(chat: DiscordDriver, how: str) -> None:
    thread = chat.twin.add_thread(chat.channel)
    await chat.slash("/avatar start", channel=thread)
    await chat.twin.until(lambda: any("live" in message.text for message in chat.twin.messages(thread)))
    match how:
        case "archived":
            await chat.twin.archive_thread(thread)
        case "deleted":
            await chat.twin.delete_channel(thread)
        case _:
            await chat.twin.delete_channel(chat.channel)
    await gone(chat)


async def test_outage_of_a_server_ends_nothing(live: DiscordDriver) -> None:
    await live.twin.guild_outage(live.guild)
    await live.twin.guild_outage(live.guild, over=True)
    await live.write("still here")
    await live.bot.until(lambda: live.bot.spoken == ["still here"])


async def test_channel_that_was_deleted_while_the_bot_was_away_ends_its_session(live: DiscordDriver) -> None:
    await live.bot.kill()
    await live.twin.delete_channel(live.channel)
    await live.connect()
    await gone(live)
