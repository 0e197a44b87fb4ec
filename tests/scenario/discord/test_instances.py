"""What is known of the Activity's instances, on a clock that the test moves: how long an answer counts, and what
becomes of questions that nobody should ask."""

import asyncio
from collections.abc import AsyncIterator

import discord
import pytest

from adapters.chat.discord import instances
from adapters.chat.discord.instances import GRACE, MAX_WAITING, NEVER_AGAIN, YOUNG, Instance, Instances
from adapters.chat.discord.rest import DiscordRest
from bot.core.errors import EmbedUnavailable, LinkInvalid
from tests.fakes.discord import ActivityInstance, FakeDiscord, Fault
from tests.harness.clock import ManualClock
from tests.platforms.discord import TOKEN

INSTANCE = "/applications/{application_id}/activity-instances/{instance_id}"


@pytest.fixture
async def twin() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord(token=TOKEN, strict=False) as twin:
        twin.enable_activities()
        yield twin


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def connection(twin: FakeDiscord, clock: ManualClock) -> AsyncIterator[DiscordRest]:
    connection = DiscordRest(clock)
    with twin.pointed():
        async with discord.Client(intents=discord.Intents.none()) as client:
            await client.login(TOKEN)
            connection.open(client)
            yield connection


@pytest.fixture
async def looked_up(connection: DiscordRest, clock: ManualClock) -> AsyncIterator[Instances]:
    known = Instances(connection, clock)
    yield known
    await known.close()


@pytest.fixture
def running(twin: FakeDiscord) -> ActivityInstance:
    guild = twin.add_guild("Home")
    return twin.activities.launch(twin.add_channel(guild), twin.add_user("ana", guild=guild))


async def ask(looked_up: Instances, clock: ManualClock, instance_id: str, *, max_age: float = 8.0) -> Instance:
    """Ask, while time passes for whoever waits for a young instance."""
    asking = asyncio.create_task(looked_up.look_up(instance_id, max_age=max_age))
    while not asking.done():
        await asyncio.sleep(0.005)
        if clock.due:
            await clock.advance(0.1)
    return asking.result()


async def test_answer_counts_for_as_long_as_the_asker_takes_it(
    twin: FakeDiscord, clock: ManualClock, looked_up: Instances, running: ActivityInstance
) -> None:
    first = await ask(looked_up, clock, running.id)
    assert (first.channel.id, first.people) == (str(running.channel.id), {str(running.users[0].id)})
    await clock.advance(8)
    assert await ask(looked_up, clock, running.id) == first
    assert twin.count("GET", INSTANCE) == 1
    await clock.advance(0.1)
    running.users.append(twin.add_user("ben"))
    assert len((await ask(looked_up, clock, running.id, max_age=30)).people) == 1
    assert len((await ask(looked_up, clock, running.id)).people) == 2
    assert twin.count("GET", INSTANCE) == 2


async def test_unknown_instance_is_asked_for_a_few_times_and_then_not_for_a_while(
    twin: FakeDiscord, clock: ManualClock, looked_up: Instances
) -> None:
    for _ in range(3):
        with pytest.raises(LinkInvalid):
            await ask(looked_up, clock, "i-guessed")
    assert twin.count("GET", INSTANCE) == 1 + len(YOUNG)
    await clock.advance(NEVER_AGAIN + 0.1)
    with pytest.raises(LinkInvalid):
        await ask(looked_up, clock, "i-guessed")
    assert twin.count("GET", INSTANCE) == 2 * (1 + len(YOUNG))


async def test_instance_that_was_known_and_is_gone_is_over_at_once(
    twin: FakeDiscord, clock: ManualClock, looked_up: Instances, running: ActivityInstance
) -> None:
    await ask(looked_up, clock, running.id)
    twin.activities.leave(running, running.users[0])
    await clock.advance(9)
    with pytest.raises(LinkInvalid):
        await looked_up.look_up(running.id, max_age=8)
    assert twin.count("GET", INSTANCE) == 2


async def test_known_instance_outlives_an_outage_but_not_for_ever(
    twin: FakeDiscord, clock: ManualClock, looked_up: Instances, running: ActivityInstance
) -> None:
    await ask(looked_up, clock, running.id)
    twin.fail_next("GET", INSTANCE, Fault.refuse(20012, status=403), times=1000)
    for _ in range(10):
        await clock.advance(GRACE / 10 - 0.1)
        await looked_up.look_up(running.id, max_age=8)
    await clock.advance(9)
    with pytest.raises(EmbedUnavailable):
        await looked_up.look_up(running.id, max_age=8)


async def test_outage_opens_nothing_that_was_not_known(
    twin: FakeDiscord, looked_up: Instances, running: ActivityInstance
) -> None:
    twin.fail_next("GET", INSTANCE, Fault.refuse(20012, status=403), times=1000)
    with pytest.raises(EmbedUnavailable):
        await looked_up.look_up(running.id, max_age=8)


async def test_without_a_connection_nothing_can_be_known(
    connection: DiscordRest, looked_up: Instances, running: ActivityInstance
) -> None:
    assert connection.client is not None
    connection.close(connection.client)
    with pytest.raises(EmbedUnavailable):
        await looked_up.look_up(running.id, max_age=8)


async def test_guesses_at_once_are_refused_before_they_reach_discord(
    twin: FakeDiscord, looked_up: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "MAX_WAITING", 20)
    assert MAX_WAITING > 20
    gate = asyncio.Event()
    twin.fail_next("GET", INSTANCE, Fault.hold(gate), times=1000)
    guesses = [asyncio.create_task(looked_up.look_up(f"i-{number}", max_age=8)) for number in range(50)]
    await twin.until(lambda: twin.count("GET", INSTANCE) >= 1)
    refused = [guess for guess in guesses if guess.done()]
    assert len(refused) == 30
    assert all(isinstance(guess.exception(), EmbedUnavailable) for guess in refused)
    assert twin.count("GET", INSTANCE) <= 4
    await looked_up.close()
    gate.set()
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(outcome, EmbedUnavailable) for outcome in outcomes)


async def test_who_leaves_takes_nobody_elses_answer_away(
    twin: FakeDiscord, looked_up: Instances, running: ActivityInstance
) -> None:
    gate = asyncio.Event()
    twin.fail_next("GET", INSTANCE, Fault.hold(gate))
    leaves, stays = (asyncio.create_task(looked_up.look_up(running.id, max_age=8)) for _ in range(2))
    await twin.until(lambda: twin.count("GET", INSTANCE) == 1)
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    gate.set()
    assert (await stays).channel.id == str(running.channel.id)
