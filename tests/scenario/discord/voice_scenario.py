"""A server on the local Discord with a voice channel and people in it, and what is heard there. In real time, since a
player has a clock of its own.
"""

from collections.abc import Awaitable, Callable, Sequence

from adapters.simulator import SimulatorOptions
from bot.core.sound import is_quiet
from tests.fakes.discord import Channel, FakeDiscord
from tests.fakes.discord.voice import Packet
from tests.platforms.discord import TOKEN, DiscordDriver
from tests.platforms.platform_driver import ANA

Open = Callable[..., Awaitable[DiscordDriver]]

LONG_WORDS = (
    "This is a rather long sentence that takes the avatar several seconds to say, from its beginning to the end."
)
FAST = {"SESSION_NEEDS_VIEWER": "never", "STREAM_LINGER": "3600"}


async def opened(
    open_chat: Open, *, dave: bool, simulator: SimulatorOptions | None = None, **environment: str
) -> DiscordDriver:
    twin = FakeDiscord(token=TOKEN, voice=True, dave=dave)
    driver = await open_chat(
        twin=twin, speed=1.0, simulator=simulator, environment={**FAST, "DISCORD_VOICE": "ask", **environment}
    )
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


def seen(chat: DiscordDriver):  # type: ignore[no-untyped-def]
    channel = chat.client.get_channel(lounge(chat).id)
    assert channel is not None
    return channel


async def start_in_vain(chat: DiscordDriver) -> None:
    await chat.twin.voice.enter(chat.people[ANA], lounge(chat))
    await chat.command("/avatar start")
    await chat.until_read("live")
    await chat.command("/avatar voice join")
