"""No avatar comes where the bot could not be seen or stopped: nothing is opened there, and nothing is paid."""

import pytest

from adapters.chat.discord import strings
from adapters.chat.discord.permissions import invite_link
from bot import sentences
from tests.fakes.discord import Channel, Fault
from tests.platforms.discord import DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ANA

CHANNEL = "/channels/{channel_id}"


async def refused(chat: DiscordDriver, channel: Channel) -> str:
    """Ask for an avatar; the answer, for the asker alone, once it is sure that nothing was opened."""
    answer = await answer_of(await chat.slash("/avatar start", channel=channel))
    assert answer.ephemeral
    assert len(chat.bot.bot.sessions) == 0
    assert chat.bot.simulator.streams() == []
    assert chat.twin.messages(channel) == []
    return read(answer)


async def test_server_that_has_the_commands_alone_is_answered_with_the_link(chat: DiscordDriver) -> None:
    guild = chat.twin.add_commands_alone()
    chat.twin.join(guild, chat.people[ANA])
    answer = await refused(chat, chat.twin.add_channel(guild))
    assert answer == f"{strings.NOT_A_MEMBER}\n{invite_link(chat.twin.application_id)}"


async def test_after_the_invitation_the_avatar_comes(chat: DiscordDriver) -> None:
    guild = chat.twin.add_commands_alone()
    chat.twin.join(guild, chat.people[ANA])
    channel = chat.twin.add_channel(guild)
    await refused(chat, channel)
    chat.twin.invite_bot(guild)
    await chat.slash("/avatar start", channel=channel)
    await chat.twin.until(lambda: any("live" in message.text for message in chat.twin.messages(channel)))


async def test_direct_message_is_answered_with_the_link(chat: DiscordDriver) -> None:
    # As of an application that a person has added for themselves.
    for command in chat.twin.interactions.commands.all(None):
        command["contexts"], command["integration_types"] = [0, 1, 2], [0, 1]
    answer = await refused(chat, chat.twin.open_dm(chat.people[ANA]))
    assert answer == f"{strings.ONLY_IN_SERVERS}\n{invite_link(chat.twin.application_id)}"


async def test_private_thread_without_the_bot_asks_to_be_mentioned_there(chat: DiscordDriver) -> None:
    thread = chat.twin.add_thread(chat.channel, private=True, without_bot=True)
    assert await refused(chat, thread) == strings.CANNOT_SEE


async def test_private_thread_with_the_bot_needs_no_further_look(chat: DiscordDriver) -> None:
    thread = chat.twin.add_thread(chat.channel, private=True)
    await chat.slash("/avatar start", channel=thread)
    await chat.twin.until(lambda: any("live" in message.text for message in chat.twin.messages(thread)))
    assert chat.twin.count("GET", CHANNEL) == 0


async def test_look_that_fails_opens_nothing(chat: DiscordDriver) -> None:
    thread = chat.twin.add_thread(chat.channel, private=True, without_bot=True)
    chat.twin.fail_next("GET", CHANNEL, Fault.server_error(503))
    assert await refused(chat, thread) == sentences.not_sure_of_channel("Discord")


async def test_locked_thread_is_named(chat: DiscordDriver) -> None:
    thread = chat.twin.add_thread(chat.channel)
    await chat.twin.lock_thread(thread)
    assert await refused(chat, thread) == strings.LOCKED


@pytest.mark.parametrize("code", [50001, 50013, 10003])
async def test_avatar_whose_panel_may_not_be_posted_leaves_at_once(chat: DiscordDriver, code: int) -> None:
    chat.twin.fail_next("POST", "/channels/{channel_id}/messages", Fault.refuse(code), times=1000)
    await chat.slash("/avatar start")
    await chat.bot.until(lambda: chat.bot.simulator.streams() or len(chat.bot.bot.sessions) == 0)
    await chat.bot.until(lambda: len(chat.bot.bot.sessions) == 0 and chat.bot.open_streams == 0)
