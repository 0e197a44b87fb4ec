"""The avatar in Discord's voice channels: the real discord.py against a local voice server, with and without end-to-end
encryption, and the simulator's own sound.
"""

import asyncio
import itertools
import time

import pytest

from tests.platforms.discord import DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ANA, BEN
from tests.scenario.discord.voice_scenario import (
    LONG_WORDS,
    Open,
    bring,
    heard_there,
    loud,
    lounge,
    opened,
    out,
    seen,
    until_loud,
    until_silent,
)


@pytest.fixture(params=[pytest.param("plain", marks=pytest.mark.slow), "encrypted"])
def is_encrypted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "encrypted")


@pytest.fixture
async def voice_chat(open_chat: Open, is_encrypted: bool) -> DiscordDriver:
    return await opened(open_chat, dave=is_encrypted)


@pytest.fixture
async def chat(open_chat: Open) -> DiscordDriver:
    return await opened(open_chat, dave=False)


@pytest.mark.slow
async def test_people_in_the_channel_hear_what_the_avatar_says(voice_chat: DiscordDriver) -> None:
    chat = voice_chat
    await bring(chat)
    packets = chat.twin.voice.heard(chat.guild)
    before = len(packets)
    await chat.write("Good morning to everybody who is here, and thank you for coming.")
    await until_loud(chat, since=before)
    await until_silent(chat)
    # Nobody there was sent anything that they could not decode.
    assert all(one.pcm is not None for one in packets)
    # No packet is missing, twice or out of order, and time goes on evenly.
    for earlier, later in itertools.pairwise(packets):
        assert (later.sequence - earlier.sequence) % 65_536 == 1
        assert (later.timestamp - earlier.timestamp) % (1 << 32) == 960
    # No gap above 100 ms in the middle of what is said, but for pauses of the speech itself.
    spoken = [place for place, one in enumerate(packets) if one in loud(packets)]
    arrivals = [packets[place].at for place in range(spoken[0], spoken[-1] + 1)]
    late = sorted(after - before for before, after in itertools.pairwise(arrivals))
    assert late[len(late) // 2] < 0.04
    assert "Heard in" in await chat.panel()


async def test_an_interrupt_is_heard_at_once(voice_chat: DiscordDriver) -> None:
    chat = voice_chat
    await bring(chat)
    await chat.write(LONG_WORDS)
    await until_loud(chat)
    await asyncio.sleep(1.0)
    packets = chat.twin.voice.heard(chat.guild)
    asked_at = time.monotonic()
    await chat.command("/avatar interrupt")
    await until_silent(chat, 1.5)
    after = [one for one in loud(packets) if one.at > asked_at]
    # Packets, and not a clock: 200 ms of sound after the command.
    assert len(after) <= 10


async def test_it_leaves_when_it_is_told_to_and_the_session_goes_on(chat: DiscordDriver) -> None:
    await bring(chat)
    assert "leaves the voice channel" in await chat.command("/avatar voice leave")
    await out(chat)
    assert len(chat.bot.bot.sessions) == 1
    assert "Heard in" not in await chat.panel()
    assert "no voice channel" in await chat.command("/avatar voice leave")


async def test_it_leaves_with_the_session(chat: DiscordDriver) -> None:
    await bring(chat)
    await chat.write(LONG_WORDS)
    await until_loud(chat)
    await chat.command("/avatar stop")
    await out(chat)
    await chat.chat._voice._tasks.drained()
    assert await chat.bot.bot.sessions.services.store.outlets.entered("discord") == {}


async def test_people_in_the_channel_are_its_viewers(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=True, SESSION_NEEDS_VIEWER="auto")
    await chat.command("/avatar start")
    await chat.until_read("asleep")
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar voice join")
    await chat.write("Hello to you who are here.")
    await until_loud(chat)
    await chat.twin.voice.leave(chat.people[ANA], chat.guild)
    await chat.bot.until(lambda: not any(running.audience.is_there for running in chat.bot.bot.sessions))


async def test_a_second_channel_is_answered_with_the_name_of_the_first(chat: DiscordDriver) -> None:
    await bring(chat)
    other, room = chat.twin.add_channel(chat.guild, "other"), chat.twin.add_channel(chat.guild, "Den", kind="voice")
    await chat.twin.voice.enter(chat.people[BEN], room)
    await answer_of(await chat.slash("/avatar start", by=BEN, channel=other))
    asked = await chat.slash("/avatar voice join", by=BEN, channel=other)
    assert "Lounge" in read(await answer_of(asked))


@pytest.mark.parametrize(("denied", "named"), [("connect", "Connect"), ("speak", "Speak"), ("view_channel", "View")])
async def test_a_permission_that_is_missing_is_named(chat: DiscordDriver, denied: str, named: str) -> None:
    await chat.command("/avatar start")
    await chat.until_read("live")
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    chat.twin.deny(lounge(chat), denied)
    await chat.bot.until(lambda: not getattr(seen(chat).permissions_for(seen(chat).guild.me), denied))
    assert named in await chat.command("/avatar voice join Lounge")
    assert chat.twin.voice.joins == 0


async def test_somebody_who_may_not_go_there_does_not_send_the_avatar(chat: DiscordDriver) -> None:
    await chat.command("/avatar start")
    await chat.until_read("live")
    chat.twin.deny(lounge(chat), "connect", user=chat.people[BEN])
    await chat.bot.until(lambda: len(seen(chat).overwrites) == 1)
    assert "You may not go into Lounge" in await chat.command("/avatar voice join Lounge", by=BEN)


async def test_a_full_channel_is_told(chat: DiscordDriver) -> None:
    lounge(chat).user_limit = 1
    chat.twin.allow(lounge(chat), "connect")
    await chat.bot.until(lambda: (there := chat.client.get_channel(lounge(chat).id)) and there.user_limit == 1)  # type: ignore[union-attr]
    await chat.command("/avatar start")
    await chat.until_read("live")
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    assert "full" in await chat.command("/avatar voice join")


async def test_which_channel_is_asked_where_nobody_says_it(chat: DiscordDriver) -> None:
    assert "No avatar" in await chat.command("/avatar voice join")
    await chat.command("/avatar start")
    assert "Which voice channel" in await chat.command("/avatar voice join")
    assert "I know no voice channel" in await chat.command("/avatar voice join Nowhere")


async def test_on_a_stage_it_asks_to_speak(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=True)
    stage = chat.twin.add_channel(chat.guild, "Forum", kind="stage")
    await chat.twin.voice.enter(chat.people[ANA], stage)
    await chat.command("/avatar start")
    await chat.until_read("live")
    await chat.command("/avatar voice join")
    await chat.until_read("Forum is a stage, and I have asked to speak")
    assert chat.twin.voice.states[chat.guild.id, chat.twin.bot.id].requested
    await chat.twin.voice.invite_to_speak(chat.guild)
    await heard_there(chat)
    await chat.write("Thank you for letting me speak.")
    await until_loud(chat)


async def test_on_a_stage_it_takes_the_floor_where_it_may(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=False)
    stage = chat.twin.add_channel(chat.guild, "Forum", kind="stage")
    chat.twin.allow(stage, "mute_members")
    await chat.twin.voice.enter(chat.people[ANA], stage)
    await chat.command("/avatar start")
    await chat.until_read("live")
    await chat.command("/avatar voice join")
    await heard_there(chat)
    assert not chat.twin.voice.states[chat.guild.id, chat.twin.bot.id].requested


async def test_started_in_a_voice_channels_chat_it_joins_by_itself(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=True, DISCORD_VOICE="auto")
    chat.channel = lounge(chat)
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar start")
    await heard_there(chat)
    await chat.until_read("Heard in")


async def test_in_a_voice_channels_chat_there_is_a_button(chat: DiscordDriver) -> None:
    chat.channel = lounge(chat)
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar start")
    await chat.until_read("live")
    assert "Lounge" in await chat.press("Join voice")
    await heard_there(chat)
    await chat.twin.until(lambda: any(b["label"] == "Leave voice" for b in chat.panels()[-1].buttons))
    await chat.press("Leave voice")
    await out(chat)


async def test_a_start_names_the_channel_or_none(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=False, DISCORD_VOICE="auto")
    assert "I know no voice channel" in await chat.command("/avatar start channel=Nowhere")
    assert len(chat.bot.bot.sessions) == 0
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar start channel=Lounge")
    await heard_there(chat)


async def test_switched_off_it_says_so(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=False, DISCORD_VOICE="off")
    await chat.command("/avatar start")
    assert "switched" in await chat.command("/avatar voice join Lounge")
