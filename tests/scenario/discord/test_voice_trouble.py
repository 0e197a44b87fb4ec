"""What goes wrong in voice channels, each on purpose, and what takes long: words in order, many servers, many joins."""

import asyncio
import itertools
import math
import struct
import time
from collections.abc import Sequence

import pytest

from adapters.chat.discord.voice import connection
from bot.core.sound import RATE, Sound
from tests.fakes.discord.voice import Packet
from tests.platforms.discord import DiscordDriver, answer_of
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
    start_in_vain,
    until_loud,
    until_silent,
)

pytestmark = pytest.mark.slow


@pytest.fixture(params=["plain", "encrypted"])
def is_encrypted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "encrypted")


@pytest.fixture
async def voice_chat(open_chat: Open, is_encrypted: bool) -> DiscordDriver:
    return await opened(open_chat, dave=is_encrypted)


@pytest.fixture
async def chat(open_chat: Open) -> DiscordDriver:
    return await opened(open_chat, dave=False)


WORDS = [300 + 70 * number for number in range(12)]
"""Each word is a tone of its own, hertz."""


def word(hertz: int, pieces: int = 15) -> list[bytes]:
    """A tone of 0.3 s, in pieces."""
    samples = [round(9_000 * math.sin(2 * math.pi * hertz * place / RATE)) for place in range(960 * pieces)]
    return [struct.pack("<960h", *samples[begin : begin + 960]) for begin in range(0, len(samples), 960)]


GAP = 5
"""Packets of silence that may be within a word: 100 ms, where the machine is so busy that the sound came late."""


def words_in(packets: Sequence[Packet]) -> list[tuple[int, int]]:
    """The words that were heard: the frequency of each, and of how many packets it was."""
    found: list[list[Packet]] = []
    silent = GAP + 1
    for packet in packets:
        if not loud([packet]):
            silent += 1
            continue
        if silent > GAP:
            found.append([])
        found[-1].append(packet)
        silent = 0
    return [(pitch(word), len(word)) for word in found if len(word) > 5]


def pitch(packets: Sequence[Packet]) -> int:
    """The frequency that is heard in the middle of a word, hertz."""
    pcm = b"".join(one.pcm or b"" for one in packets[2:-2])
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    rises = sum(before < 0 <= after for before, after in itertools.pairwise(samples))
    return round(rises / (len(samples) / RATE))


@pytest.mark.parametrize("comes", ["evenly, as from a room", "in segments, as from HLS"])
async def test_words_are_heard_in_order_whole_and_with_silence_between(voice_chat: DiscordDriver, comes: str) -> None:
    chat = voice_chat
    await bring(chat)
    await until_loud(chat)
    await until_silent(chat, 1.5)
    (running,) = chat.bot.bot.sessions
    (listener,) = chat.chat._voice._by_session.values()
    # From here on the sound is the test's.
    running.stream.sound.end()
    await until_silent(chat, 1.5)
    since = len(chat.twin.voice.heard(chat.guild))
    # Half of a pause may be left out to catch up, which is still more than a gap.
    pieces = [piece for hertz in WORDS for piece in [*word(hertz), *[bytes(1920)] * 20]]
    size, lead = (1, 0.1) if "evenly" in comes else (48, 0.3)
    begun = time.monotonic()
    for place in range(0, len(pieces), size):
        await asyncio.sleep(max(0.0, begun + place * 0.02 - time.monotonic()))
        for piece in pieces[place : place + size]:
            listener.hear(Sound(piece, begun, lead))
    await until_silent(chat, 1.5)
    heard = words_in(chat.twin.voice.heard(chat.guild)[since:])
    assert [min(WORDS, key=lambda hertz: abs(hertz - found)) for found, _ in heard] == WORDS
    # Of 15 packets each; Opus leads in and out. A gap above 100 ms would have made two of one.
    assert all(13 <= length <= 18 for _, length in heard)


async def test_it_leaves_where_nobody_is(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=False, DISCORD_VOICE_ALONE="5")
    await bring(chat)
    await chat.twin.voice.leave(chat.people[ANA], chat.guild)
    await chat.until_read("Nobody was in Lounge")
    await out(chat)
    assert len(chat.bot.bot.sessions) == 1


async def test_a_kick_is_told_and_not_undone(chat: DiscordDriver) -> None:
    await bring(chat)
    await chat.twin.voice.kick(chat.guild)
    await chat.until_read("I was disconnected from Lounge")
    await out(chat)
    assert chat.twin.voice.joins == 1
    assert len(chat.bot.bot.sessions) == 1


async def test_a_deleted_channel_is_told(chat: DiscordDriver) -> None:
    await bring(chat)
    await chat.twin.delete_channel(lounge(chat))
    await chat.twin.voice.kick(chat.guild)
    await chat.until_read("The voice channel Lounge is gone")
    assert len(chat.bot.bot.sessions) == 1


async def test_it_goes_along_where_a_moderator_moves_it(voice_chat: DiscordDriver) -> None:
    chat = voice_chat
    await bring(chat)
    den = chat.twin.add_channel(chat.guild, "Den", kind="voice")
    await chat.twin.voice.leave(chat.people[ANA], chat.guild)
    await chat.twin.voice.enter(chat.people[ANA], den)
    await chat.twin.voice.move(chat.guild, den)
    await chat.until_read("I was moved to Den")
    since = len(chat.twin.voice.heard(chat.guild))
    await heard_there(chat)
    await chat.write("Here I am again.")
    await until_loud(chat, since=since)


@pytest.mark.parametrize("code", [4006, 4015, 4009])
async def test_a_connection_that_breaks_comes_back(voice_chat: DiscordDriver, code: int) -> None:
    chat = voice_chat
    await bring(chat)
    await chat.twin.voice.drop(chat.guild, code)
    await chat.twin.until(lambda: chat.guild.id in chat.twin.voice.links, timeout=20.0)
    since = len(chat.twin.voice.heard(chat.guild))
    await heard_there(chat)
    await chat.write("I am back.")
    await until_loud(chat, since=since)


async def test_another_region_is_only_a_gap(voice_chat: DiscordDriver) -> None:
    chat = voice_chat
    await bring(chat)
    first = chat.twin.voice.links[chat.guild.id]
    await chat.twin.voice.change_region(chat.guild)
    await chat.twin.until(lambda: chat.twin.voice.links.get(chat.guild.id) not in (None, first), timeout=20.0)
    since = len(chat.twin.voice.heard(chat.guild))
    await chat.write("The same as before.")
    await until_loud(chat, since=since)


@pytest.mark.parametrize(
    ("code", "told"), [(4017, "does not know yet"), (4016, "does not know yet"), (4021, "less often")]
)
async def test_what_no_new_connection_helps_is_told_at_once(chat: DiscordDriver, code: int, told: str) -> None:
    chat.twin.voice.closes = [code]
    await start_in_vain(chat)
    await chat.until_read(told)
    await out(chat)
    assert chat.twin.voice.joins == 1


async def test_after_a_few_tries_it_gives_up(chat: DiscordDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.1, 0.2))
    chat.twin.voice.closes = [4006] * 10
    await start_in_vain(chat)
    await chat.until_read("broke again and again")
    await out(chat)
    assert chat.twin.voice.joins == 3


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("deaf_udp", "UDP to Discord's voice servers"),
        ("no_description", "UDP to Discord's voice servers"),
        ("mute_gateway", "did not let me into Lounge"),
        ("no_endpoint", "did not let me into Lounge"),
    ],
)
async def test_no_answer_is_told_for_what_it_is(
    chat: DiscordDriver, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    monkeypatch.setattr(connection, "CONNECT_LIMIT", 1.0)
    setattr(chat.twin.voice, fault, True)
    await start_in_vain(chat)
    await chat.until_read(told)
    await out(chat)
    assert len(chat.bot.bot.sessions) == 1


async def test_a_group_that_never_comes_about_is_not_waited_for_for_ever(
    open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.1,))
    monkeypatch.setattr(connection, "GROUP_LIMIT", 0.5)
    chat = await opened(open_chat, dave=True)
    chat.twin.voice.no_group = True
    await start_in_vain(chat)
    await chat.until_read("encryption did not come about")
    await out(chat)
    assert not loud(chat.twin.voice.heard(chat.guild))


async def test_muted_it_says_what_a_moderator_has_to_do(chat: DiscordDriver) -> None:
    await bring(chat)
    await chat.twin.voice.mute_bot(chat.guild, mute=True)
    await chat.until_read("I am muted in Lounge")
    await chat.twin.voice.mute_bot(chat.guild, mute=False)
    await heard_there(chat)


async def test_after_a_kill_the_next_run_goes_there_again(chat: DiscordDriver) -> None:
    await bring(chat)
    await chat.restart()
    await heard_there(chat)
    since = len(chat.twin.voice.heard(chat.guild))
    await chat.write("I was away for a moment.")
    await until_loud(chat, since=since)


async def test_joining_while_the_stream_is_being_opened(chat: DiscordDriver) -> None:
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.slash("/avatar start")
    await chat.bot.until(lambda: len(chat.bot.bot.sessions) == 1)
    await chat.command("/avatar voice join")
    await chat.write("Here I am.")
    await until_loud(chat)


async def test_another_stream_in_the_middle_of_a_sentence(chat: DiscordDriver) -> None:
    await bring(chat)
    await chat.write(LONG_WORDS)
    await until_loud(chat)
    for view in chat.bot.simulator.streams():
        if view.ended is None:
            chat.bot.simulator.drop_stream(view.id)
    since = len(chat.twin.voice.heard(chat.guild))
    await until_silent(chat)
    await chat.write("And this is the next one.")
    await until_loud(chat, since=since)


async def test_two_servers_at_once_hear_their_own(chat: DiscordDriver) -> None:
    await bring(chat)
    other = chat.twin.add_guild("Other")
    text = chat.twin.add_channel(other, "general")
    room = chat.twin.add_channel(other, "Den", kind="voice")
    chat.twin.join(other, chat.people[BEN])
    await chat.twin.voice.enter(chat.people[BEN], room)
    await answer_of(await chat.slash("/avatar start", by=BEN, channel=text))
    await chat.bot.until(lambda: all(running.is_live for running in chat.bot.bot.sessions))
    await answer_of(await chat.slash("/avatar voice join", by=BEN, channel=text))
    await chat.bot.until(lambda: all(running.audience.is_there for running in chat.bot.bot.sessions))
    # Both say their greeting.
    for running in chat.bot.bot.sessions:
        await running.idle.wait()
    await until_silent(chat, 1.5)
    here, there = len(chat.twin.voice.heard(chat.guild)), len(chat.twin.voice.heard(other))
    await chat.twin.write(text, chat.people[BEN], "Only for this server.", mentions=[chat.twin.bot])
    await chat.twin.until(lambda: loud(chat.twin.voice.heard(other)[there:]), timeout=30.0)
    assert not loud(chat.twin.voice.heard(chat.guild)[here:])


async def test_a_hundred_joins_and_leaves_leave_nothing_behind(chat: DiscordDriver) -> None:
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar start")
    await chat.until_read("live")
    tasks = len(asyncio.all_tasks())
    # discord.py sends 110 things a minute to the gateway, and each of these is two. Nobody is so fast.
    chat.client.shards[0]._parent.ws._rate_limiter.remaining = 1000
    for _ in range(100):
        await chat.command("/avatar voice join")
        await chat.twin.until(lambda: chat.twin.voice.channel_of(chat.guild) is not None)
        await chat.command("/avatar voice leave")
        await out(chat)
    assert len(asyncio.all_tasks()) <= tasks + 3
