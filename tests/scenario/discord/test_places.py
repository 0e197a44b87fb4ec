"""Servers, channels and threads that go away while an avatar is in them: its session ends, and no stream stays open."""

from collections.abc import Awaitable, Callable

import pytest

from adapters.chat.discord.converters import channel_of
from adapters.chat.discord.outbox import OutgoingMessage
from bot import sentences
from bot.core.models import EndReason
from bot.core.views import Phase
from tests.fakes.discord import Channel
from tests.platforms.discord import DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ANA, LONG


async def gone(chat: DiscordDriver) -> None:
    """Wait until no session is left and nothing costs money."""
    await chat.bot.until(lambda: len(chat.bot.bot.sessions) == 0 and chat.bot.open_streams == 0)


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


# --- closed places stay closed ---------------------------------------------------------------------------------------


async def live_in_thread(chat: DiscordDriver) -> Channel:
    """A thread with a live avatar."""
    thread = chat.twin.add_thread(chat.channel)
    await chat.slash("/avatar start", channel=thread)
    # On a busy machine its first stream may have gone quiet before the panel was drawn once.
    there = [sentences.PHASES[phase] for phase in (Phase.LIVE, Phase.WAITING_FOR_TEXT)]
    await chat.twin.until(
        lambda: any(phase in message.text for phase in there for message in chat.twin.messages(thread))
    )
    return thread


async def everything_shown(chat: DiscordDriver) -> None:
    """Wait until the adapter has nothing left to show."""
    await chat.chat._panels.drained()
    await chat.chat._interactions.drained()
    await chat.chat._outbox.drained()


def posts_in(chat: DiscordDriver, channel: Channel) -> int:
    """How often the bot has tried to write there."""
    return sum(
        request.method == "POST" and request.path == f"/channels/{channel.id}/messages"
        for request in chat.twin.requests
    )


async def archive(chat: DiscordDriver, thread: Channel) -> None:
    await chat.twin.archive_thread(thread)


async def archive_and_lock(chat: DiscordDriver, thread: Channel) -> None:
    await chat.twin.archive_thread(thread, locked=True)


async def lock(chat: DiscordDriver, thread: Channel) -> None:
    await chat.twin.lock_thread(thread)


async def delete(chat: DiscordDriver, thread: Channel) -> None:
    await chat.twin.delete_channel(thread)


async def delete_with_channel(chat: DiscordDriver, thread: Channel) -> None:
    await chat.twin.delete_channel(chat.channel)


async def kick(chat: DiscordDriver, thread: Channel) -> None:
    await chat.twin.kick_bot(chat.guild)


Close = Callable[[DiscordDriver, Channel], Awaitable[None]]


@pytest.mark.parametrize("close", [archive, archive_and_lock, lock, delete, delete_with_channel, kick])
@pytest.mark.parametrize("what", ["silent", "answering", "promised"])
async def test_nothing_is_written_where_the_place_is_closed(chat: DiscordDriver, close: Close, what: str) -> None:
    thread = await live_in_thread(chat)
    if what == "answering":
        await answer_of(await chat.slash("/avatar mode chat", channel=thread))
        await chat.twin.write(thread, chat.people[ANA], LONG, mentions=[chat.twin.bot])
        (running,) = chat.bot.bot.sessions
        await chat.bot.until(lambda: running.speaker.current is not None)
    if what == "promised":
        await chat.twin.write(thread, chat.people[ANA], LONG, mentions=[chat.twin.bot])
        (running,) = chat.bot.bot.sessions
        await chat.bot.until(lambda: running.speaker.current is not None)
        assert "ahead of it" in read(await answer_of(await chat.slash("/avatar say unsaid", channel=thread)))
        # Nobody can be told alone any more.
        chat.twin.age_interactions(15 * 60 + 1)
    await everything_shown(chat)
    before = posts_in(chat, thread)
    await close(chat, thread)
    was_archived = thread.archived
    await gone(chat)
    await everything_shown(chat)
    assert posts_in(chat, thread) == before
    assert thread.archived == was_archived


async def test_thread_that_was_archived_while_the_bot_was_away_stays_archived(chat: DiscordDriver) -> None:
    thread = await live_in_thread(chat)
    await chat.bot.kill()
    await chat.twin.archive_thread(thread)
    await chat.connect()
    await gone(chat)
    await everything_shown(chat)
    assert thread.archived


async def test_session_that_ended_while_its_thread_was_archived_says_no_goodbye(chat: DiscordDriver) -> None:
    thread = await live_in_thread(chat)
    (running,) = chat.bot.bot.sessions
    await chat.bot.kill()
    await chat.twin.archive_thread(thread)
    # Asked from the shell: it closes before the bot has looked around.
    await chat.bot.start()
    recovered = chat.bot.bot.sessions.with_id(running.session.id)
    assert recovered is not None
    recovered.stop.request(EndReason.ADMIN)
    await gone(chat)
    await chat.bot.until(lambda: chat.bot.adapter.unhealthy_reason is None)
    await everything_shown(chat)
    assert thread.archived


async def test_goodbye_is_tried_once_where_the_bot_may_no_longer_write(live: DiscordDriver) -> None:
    live.twin.deny(live.channel, "send_messages")
    before = posts_in(live, live.channel)
    await live.command("/avatar stop")
    await gone(live)
    await everything_shown(live)
    assert posts_in(live, live.channel) == before + 1


async def test_message_that_waits_for_a_thread_does_not_open_it(chat: DiscordDriver) -> None:
    thread = chat.twin.add_thread(chat.channel)
    await chat.twin.archive_thread(thread)
    chat.chat._outbox.post(channel_of(chat.guild.id, thread.id), OutgoingMessage(["too late"]))
    await everything_shown(chat)
    assert thread.archived
    assert chat.twin.messages(thread) == []


async def test_thread_that_people_open_again_hears_the_bot(chat: DiscordDriver) -> None:
    thread = await live_in_thread(chat)
    await chat.twin.archive_thread(thread)
    await gone(chat)
    await chat.twin.reopen_thread(thread)
    await chat.twin.write(thread, chat.people[ANA], "anybody?", mentions=[chat.twin.bot])
    await chat.twin.until(lambda: any("No avatar is in" in read(message) for message in chat.twin.messages(thread)))


async def test_who_may_manage_threads_stays_in_a_locked_one(chat: DiscordDriver) -> None:
    thread = await live_in_thread(chat)
    chat.twin.allow(chat.channel, "manage_threads")
    await chat.twin.lock_thread(thread)
    await chat.twin.write(thread, chat.people[ANA], "still here", mentions=[chat.twin.bot])
    await chat.bot.until(lambda: chat.bot.spoken == ["still here"])


async def test_message_in_an_open_place_costs_no_further_look(live: DiscordDriver) -> None:
    await live.command("/avatar mode chat")
    await live.twin.write(live.channel, live.people[ANA], "who are you?", mentions=[live.twin.bot])
    await live.until_read("stand-in for a language model")
    assert live.twin.count("GET", "/channels/{channel_id}") == 0
