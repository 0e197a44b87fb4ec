"""Several processes on one PostgreSQL database share Discord's servers: each has some of the shards, and goes on where
another one died or was stopped.
"""

import asyncio
import signal
from urllib.parse import urlsplit

import pytest

from adapters.chat.discord.shards import GIVE_UP_AFTER
from tests.harness.tcp_proxy import TcpProxy
from tests.scenario.discord.shared_world import SharedWorld, shards_of, share, world
from tests.scenario.setup.shell import PATIENCE

__all__ = ["world"]

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


async def test_two_processes_share_the_servers_and_one_goes_on_alone(world: SharedWorld) -> None:
    first, second = await share(world)
    for channel, text in zip(world.channels, ("one", "two"), strict=True):
        await world.bring_avatar(channel)
        await world.write(channel, text)
    await world.until(lambda: sorted(world.spoken) == ["one", "two"], [first, second])
    second._process.send_signal(signal.SIGKILL)
    await world.discord.until(lambda: world.discord.connected == 1)
    await world.write(world.channels[1], "three")
    await world.write(world.channels[0], "four")
    await world.until(lambda: sorted(world.spoken) == ["four", "one", "three", "two"], [first, second])
    await world.write(world.channels[1], "five")
    await world.until(lambda: "five" in world.spoken, [first, second])
    assert world.discord.early_identifies == 0
    assert sorted(world.asked.count(text) for text in ("one", "two", "three", "four", "five")) == [1] * 5
    assert [len([m for m in world.discord.messages(channel) if m.embeds]) for channel in world.channels] == [1, 1]
    assert await first.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_process_that_is_cut_off_from_discord_leaves_its_servers_to_the_other(world: SharedWorld) -> None:
    with TcpProxy(port=int(world.discord.gateway_url.split(":")[-1].split("/")[0])) as wire:
        through = await world.start(DISCORD_GATEWAY_URL=f"ws://127.0.0.1:{wire.port}/gateway")
        other = await world.start()
        programs = [through, other]
        await world.until(lambda: list(map(len, map(shards_of, programs))) == [1, 1], programs)
        await world.until(lambda: world.discord.connected == 2, programs)
        (shard,) = shards_of(through)
        await world.bring_avatar(world.channels[shard])
        await world.write(world.channels[shard], "one")
        await world.until(lambda: world.spoken == ["one"], programs)
        await asyncio.to_thread(wire.reset)
        await world.until(lambda: shards_of(other) == {0, 1}, programs, patience=GIVE_UP_AFTER + PATIENCE)
        await world.write(world.channels[shard], "two")
        await world.until(lambda: world.spoken == ["one", "two"], programs)
        assert world.asked.count("two") == 1
        assert shards_of(through) == set()
        await asyncio.to_thread(wire.heal)
        await world.until(lambda: sorted(map(len, map(shards_of, programs))) == [1, 1], programs)


async def test_process_that_is_alone_takes_up_what_costs_money_before_it_reaches_discord(world: SharedWorld) -> None:
    former = await world.start()
    await world.until(lambda: world.discord.connected == 2, [former])
    for channel in world.channels:
        await world.bring_avatar(channel)
    former._process.send_signal(signal.SIGKILL)
    await world.discord.until(lambda: world.discord.connected == 0)
    port = urlsplit(world.discord.api_url).port
    assert port is not None
    with TcpProxy(port=port) as wire:
        wire.swallow()
        through = world.discord.api_url.replace(str(port), str(wire.port))
        alone = await world.start(DISCORD_API_URL=through)
        await world.until(lambda: "Recovered: 2 sessions on" in alone.output, [alone])
        other = await world.start()
        await world.until(lambda: shards_of(other) == {0, 1}, [alone, other])
        # Both are at a process that has none of the shards, until it can tell.
        await asyncio.to_thread(wire.heal)
        await world.until(lambda: len(shards_of(alone)) == 1, [alone, other])
        for channel, text in zip(world.channels, ("one", "two"), strict=True):
            await world.write(channel, text)
        await world.until(lambda: sorted(world.spoken) == ["one", "two"], [alone, other])
        assert sorted(world.asked.count(text) for text in ("one", "two")) == [1, 1]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_rolling_deploy_loses_nothing(world: SharedWorld) -> None:
    """Each process is stopped in the middle of a line, with others behind it."""
    settings = {"SHUTDOWN": "keep", "USER_RATE": "0", "QUEUE_LIMIT": "200"}
    programs = await share(world, **settings)
    for channel in world.channels:
        await world.bring_avatar(channel)
    texts: list[str] = []
    is_over = False

    async def say() -> None:
        for number, channel in enumerate(world.channels):
            texts.append(f"line {len(texts)} in {number}, which takes a little longer to say than others do")
            await world.write(channel, texts[-1])

    async def talk() -> None:
        while not is_over:
            await say()
            await asyncio.sleep(3.0)

    # More than can be said while sessions are handed over.
    for _ in range(8):
        await say()
    talking = asyncio.create_task(talk())
    try:
        for _generation in range(2):
            for _each in range(2):
                old = programs.pop(0)
                programs.append(await world.start(**settings))
                await world.until(lambda: "Discord: " in programs[-1].output, programs)
                assert await old.stop() == 0, old.log
                await world.until(lambda: world.discord.connected == 2, [old, *programs])
    finally:
        is_over = True
        await talking
    await world.until(lambda: len(world.spoken) >= len(texts), programs)
    assert sorted(world.spoken) == sorted(texts)
    assert len(world.avatars.streams()) == 2
    for channel in world.channels:
        told = [message for message in world.discord.messages(channel) if message.author is world.discord.bot]
        assert len([message for message in told if message.embeds]) == 1
        assert [message.text for message in told if not message.embeds] == []
        written = [m for m in world.discord.messages(channel) if m.author is world.person]
        assert not any(message.reacted("🔇") for message in written)
    assert world.discord.early_identifies == 0
    assert len(world.discord.identifies) <= 2 + 4 * 2
