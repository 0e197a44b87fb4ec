"""The application's Activity, where several processes share Discord's servers and its page is open at the one that does
not have the server's shard: it brings an avatar all the same, by the one that has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bot import sentences
from bot.core.clock import SystemClock
from bot.core.ports import Clock
from tests.fakes.discord import FakeDiscord
from tests.scenario.discord.frames import framed, signed
from tests.scenario.discord.shared_world import SharedWorld, share, world
from tests.scenario.served_program import ServedProgram

__all__ = ["world"]

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class ProgramAsBot:
    program: ServedProgram
    clock: Clock = field(default_factory=SystemClock)

    @property
    def told(self) -> Sequence[str]:
        return [self.program.output]


@dataclass
class Seen:
    """One of the programs, as frames know a bot."""

    twin: FakeDiscord
    bot: ProgramAsBot


async def test_frame_at_the_process_without_the_shard_brings_an_avatar(world: SharedWorld) -> None:
    key = world.discord.enable_activities()
    programs = await share(world, LIMIT_WORKSPACE_SESSIONS="1")
    first, _ = programs
    channel = world.channels[1]
    instance = world.discord.activities.launch(channel, world.person)
    seen = Seen(world.discord, ProgramAsBot(first))
    async with framed(seen, instance, headers=signed(seen, key, world.person)) as frame:
        await frame.connect()
        assert (await frame.hear())["may_start"] is True
        await frame.socket.send_json({"type": "start"})
        session = await frame.until(type="session", phase="live")
        assert session["started_by"] == "Ana"
        status, playlist = await frame.fetch(session["hls_url"])
        assert (status, playlist[:7]) == (200, b"#EXTM3U")
    # It is there where its server is heard.
    await world.write(channel, "hello there")
    await world.until(lambda: "hello there" in world.spoken, programs)
    # What keeps an avatar away is told.
    guild = channel.guild
    assert guild is not None
    another = world.discord.add_channel(guild, "another")
    instance = world.discord.activities.launch(another, world.person)
    async with framed(seen, instance, headers=signed(seen, key, world.person)) as frame:
        await frame.connect()
        assert (await frame.hear())["may_start"] is True
        await frame.socket.send_json({"type": "start"})
        told = (await frame.until(type="nobody", may_start=True))["told"]
        assert told == sentences.too_many_sessions(1).replace("`", "")


async def test_who_may_not_bring_an_avatar_does_not_from_the_process_without_the_shard(world: SharedWorld) -> None:
    key = world.discord.enable_activities()
    programs = await share(world)
    first, _ = programs
    channel = world.channels[1]
    world.discord.deny(channel, "use_application_commands", user=world.person)
    instance = world.discord.activities.launch(channel, world.person)
    seen = Seen(world.discord, ProgramAsBot(first))
    async with framed(seen, instance, headers=signed(seen, key, world.person)) as frame:
        await frame.connect()
        assert (await frame.hear())["may_start"] is False
        await frame.socket.send_json({"type": "start"})
        assert await frame.hear() == {"type": "nobody", "may_start": False, "told": None}
    assert world.avatars.streams() == []
