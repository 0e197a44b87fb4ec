"""The avatar in a voice channel, where several processes share Discord's servers: whoever goes on with its session goes
into the channel, and is heard there.
"""

import asyncio
import signal

import pytest

from adapters.chat.discord import strings
from tests.fakes.discord import Guild
from tests.platforms.discord import read
from tests.scenario.discord.shared_world import SharedWorld, share, world
from tests.scenario.discord.voice_scenario import loud
from tests.scenario.served_program import ServedProgram

__all__ = ["world"]

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]

STORY = "Once upon a time there was a robin who could talk, and who told everybody what it had seen from above. " * 3


async def until_heard(world: SharedWorld, programs: list[ServedProgram]) -> None:
    """Have something said, and wait until it is heard in the second server's voice channel."""
    before = len(packets := world.discord.voice.heard(guild_of(world)))
    await world.write(world.channels[1], f"This is said behind {before} packets, to whoever is here.")
    await world.until(lambda: loud(packets[before:]), programs)


def guild_of(world: SharedWorld) -> Guild:
    guild = world.channels[1].guild
    assert guild is not None
    return guild


async def bring_into_voice(world: SharedWorld, programs: list[ServedProgram]) -> None:
    """An avatar that somebody hears in the second server's voice channel."""
    await world.discord.voice.enter(world.person, world.lounges[1])
    await world.bring_avatar(world.channels[1])
    assert "Lounge" in await world.command(world.channels[1], "avatar voice join")
    await world.until(lambda: world.discord.voice.links, programs)
    await until_heard(world, programs)


async def test_avatar_whose_process_was_killed_is_heard_in_its_voice_channel_again(world: SharedWorld) -> None:
    programs = await share(world)
    first, second = programs
    await bring_into_voice(world, programs)
    second._process.send_signal(signal.SIGKILL)
    await world.until(lambda: not world.discord.voice.links, [first])
    await world.until(lambda: world.discord.voice.joins == 2 and world.discord.voice.links, [first])
    await until_heard(world, [first])
    await world.until(lambda: "Heard in" in read(world.panels(world.channels[1])[-1]), [first])
    # Nobody has to be told anything: it is there again, in the same panel and over the same stream.
    assert len(world.posted(world.channels[1])) == 1
    assert len(world.avatars.streams()) == 1
    assert sorted(world.asked) == sorted(set(world.asked))
    assert "leaves" in await world.command(world.channels[1], "avatar voice leave")
    await world.until(lambda: world.discord.voice.channel_of(guild_of(world)) is None, [first])
    assert await first.stop() == 0


async def test_avatar_that_is_handed_over_is_in_its_voice_channel_while_the_former_process_still_speaks_elsewhere(
    world: SharedWorld,
) -> None:
    """The former process is there until what another avatar says is said; it keeps nothing of what it gave away."""
    programs = await share(world, SHUTDOWN="keep")
    first, second = programs
    await bring_into_voice(world, programs)
    another = world.discord.add_channel(guild_of(world), "another")
    await world.bring_avatar(another)
    await world.write(another, STORY)
    await world.until(lambda: any("robin" in text for text in world.asked), programs)
    stopping = asyncio.create_task(second.stop())
    await world.until(lambda: world.discord.voice.joins == 2 and world.discord.voice.links, programs)
    await until_heard(world, programs)
    assert await stopping == 0
    await until_heard(world, [first])
    told = [read(message) for message in world.posted(world.channels[1])]
    assert not any(strings.voice_kicked("Lounge") in text for text in told)
    assert len(world.panels(world.channels[1])) == 1
    assert "Heard in" in read(world.panels(world.channels[1])[-1])
    assert await first.stop() == 0
