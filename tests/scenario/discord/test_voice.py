"""The avatar in Discord's voice channels: the real discord.py against a local voice server, with and without end-to-end
encryption, and the simulator's own sound. In real time, since a player has a clock of its own.
"""

import asyncio
import itertools
import math
import struct
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from adapters.chat.discord.voice import connection
from bot.core.sound import RATE, Sound, is_quiet
from tests.fakes.discord import Channel, FakeDiscord
from tests.fakes.discord.voice import Packet
from tests.platforms.discord import TOKEN, DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ANA, BEN

Open = Callable[..., Awaitable[DiscordDriver]]

LONG_WORDS = (
    "This is a rather long sentence that takes the avatar several seconds to say, from its beginning to its end."
)
FAST = {"SESSION_NEEDS_VIEWER": "never", "STREAM_LINGER": "3600"}


@pytest.fixture(params=["plain", "encrypted"])
def is_encrypted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "encrypted")


@pytest.fixture
async def voice_chat(open_chat: Open, is_encrypted: bool) -> DiscordDriver:
    return await opened(open_chat, dave=is_encrypted)


@pytest.fixture
async def chat(open_chat: Open) -> DiscordDriver:
    return await opened(open_chat, dave=False)


async def opened(open_chat: Open, *, dave: bool, **environment: str) -> DiscordDriver:
    twin = FakeDiscord(token=TOKEN, voice=True, dave=dave)
    driver = await open_chat(twin=twin, speed=1.0, environment={**FAST, "DISCORD_VOICE": "ask", **environment})
    driver.lounge = driver.twin.add_channel(driver.guild, "Lounge", kind="voice")  # type: ignore[attr-defined]
    return driver


def lounge(chat: DiscordDriver) -> Channel:
    found: Channel = chat.lounge  # type: ignore[attr-defined]
    return found


async def bring(chat: DiscordDriver, *, by: str = ANA) -> None:
    """An avatar in the channel, its person in the voice channel, and the avatar with them."""
    await chat.twin.voice.enter(chat.people[by], lounge(chat))
    await chat.command("/avatar start", by=by)
    await chat.until_read("live")
    assert "Lounge" in await chat.command("/avatar voice join", by=by)
    await heard_there(chat)


async def heard_there(chat: DiscordDriver) -> None:
    """Until whoever is there could hear it."""
    await chat.bot.until(lambda: any(running.audience.is_there for running in chat.bot.bot.sessions))


def loud(packets: Sequence[Packet]) -> list[Packet]:
    return [one for one in packets if one.pcm is not None and not one.is_silence and not is_quiet(one.pcm)]


async def until_loud(chat: DiscordDriver, *, since: int = 0) -> None:
    await chat.twin.until(lambda: loud(chat.twin.voice.heard(chat.guild)[since:]), timeout=30.0)


async def until_silent(chat: DiscordDriver, seconds: float = 0.6) -> None:
    """Until nothing was heard for so long."""
    frames = round(seconds / 0.02)
    packets = chat.twin.voice.heard(chat.guild)
    await chat.twin.until(lambda: len(packets) >= frames and not loud(packets[-frames:]), timeout=60.0)


async def out(chat: DiscordDriver) -> None:
    """Until the bot is in no voice channel."""
    await chat.twin.until(lambda: chat.twin.voice.channel_of(chat.guild) is None)
    await chat.bot.until(lambda: not chat.chat._voice._by_session)


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


WORDS = [300 + 70 * number for number in range(12)]
"""Each word is a tone of its own, hertz."""


def word(hertz: int, pieces: int = 15) -> list[bytes]:
    """A tone of 0.3 s, in pieces."""
    samples = [round(9_000 * math.sin(2 * math.pi * hertz * place / RATE)) for place in range(960 * pieces)]
    return [struct.pack("<960h", *samples[begin : begin + 960]) for begin in range(0, len(samples), 960)]


def words_in(packets: Sequence[Packet]) -> list[tuple[int, int]]:
    """The words that were heard: the frequency of each, and of how many packets without a gap it was."""
    found: list[tuple[int, int]] = []
    for is_loud, group in itertools.groupby(packets, key=lambda one: bool(loud([one]))):
        together = list(group)
        if is_loud and len(together) > 5:
            pcm = b"".join(one.pcm or b"" for one in together[2:-2])
            samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
            rises = sum(before < 0 <= after for before, after in itertools.pairwise(samples))
            found.append((round(rises / (len(samples) / RATE)), len(together)))
    return found


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
    pieces = [piece for hertz in WORDS for piece in [*word(hertz), *[bytes(1920)] * 10]]
    size, lead = (1, 0.06) if "evenly" in comes else (48, 0.3)
    begun = time.monotonic()
    for place in range(0, len(pieces), size):
        await asyncio.sleep(max(0.0, begun + place * 0.02 - time.monotonic()))
        for piece in pieces[place : place + size]:
            listener.hear(Sound(piece, begun, lead))
    await until_silent(chat, 1.5)
    heard = words_in(chat.twin.voice.heard(chat.guild)[since:])
    assert [min(WORDS, key=lambda hertz: abs(hertz - found)) for found, _ in heard] == WORDS
    # Of 15 packets each; Opus leads in and out, and no gap is in one (it would be two words).
    assert all(13 <= length <= 18 for _, length in heard)


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
    assert await chat.bot.bot.sessions.services.store.outlets.entered("discord") == {}


async def test_it_leaves_where_nobody_is(open_chat: Open) -> None:
    chat = await opened(open_chat, dave=False, DISCORD_VOICE_ALONE="5")
    await bring(chat)
    await chat.twin.voice.leave(chat.people[ANA], chat.guild)
    await chat.until_read("Nobody was in Lounge")
    await out(chat)
    assert len(chat.bot.bot.sessions) == 1


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
    await chat.bot.until(lambda: not getattr(_seen(chat).permissions_for(_seen(chat).guild.me), denied))
    assert named in await chat.command("/avatar voice join Lounge")
    assert chat.twin.voice.joins == 0


def _seen(chat: DiscordDriver):  # type: ignore[no-untyped-def]
    channel = chat.client.get_channel(lounge(chat).id)
    assert channel is not None
    return channel


async def test_somebody_who_may_not_go_there_does_not_send_the_avatar(chat: DiscordDriver) -> None:
    await chat.command("/avatar start")
    await chat.until_read("live")
    chat.twin.deny(lounge(chat), "connect", user=chat.people[BEN])
    await chat.bot.until(lambda: len(_seen(chat).overwrites) == 1)
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


async def start_in_vain(chat: DiscordDriver) -> None:
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar start")
    await chat.until_read("live")
    await chat.command("/avatar voice join")


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
    await until_silent(chat, 1.5)
    here, there = len(chat.twin.voice.heard(chat.guild)), len(chat.twin.voice.heard(other))
    await chat.twin.write(text, chat.people[BEN], "Only for this server.", mentions=[chat.twin.bot])
    await chat.twin.until(lambda: loud(chat.twin.voice.heard(other)[there:]))
    assert not loud(chat.twin.voice.heard(chat.guild)[here:])


async def test_many_joins_and_leaves_leave_nothing_behind(chat: DiscordDriver) -> None:
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar start")
    await chat.until_read("live")
    tasks = len(asyncio.all_tasks())
    # discord.py sends 110 things a minute to the gateway, and each of these is two.
    for _ in range(40):
        await chat.command("/avatar voice join")
        await chat.twin.until(lambda: chat.twin.voice.channel_of(chat.guild) is not None)
        await chat.command("/avatar voice leave")
        await out(chat)
    assert len(asyncio.all_tasks()) <= tasks + 3
