"""What people see when an avatar goes from one bot to another: its panel, what they wrote meanwhile, and what became of
their commands. Two bots on one PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from adapters.chat.redraw import Drawn, NotDrawn
from bot import sentences
from tests.fakes.slack import Message
from tests.harness.slack_cluster import ClusterBot, SlackCluster
from tests.platforms.platform_driver import ANA
from tests.platforms.slack import text_of

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

LONG = "This is a rather long sentence that takes the avatar several seconds to say, from its beginning to the end."


@pytest.fixture
async def cluster(new_postgres_url: Callable[[], str]) -> AsyncIterator[SlackCluster]:
    url = await asyncio.to_thread(new_postgres_url)
    environment = {"SESSION_RELAY": "all", "SHUTDOWN": "keep"}
    async with SlackCluster(url, environment=environment) as cluster:
        yield cluster


async def started(cluster: SlackCluster) -> tuple[ClusterBot, ClusterBot]:
    """A live avatar: its bot, and the other one."""
    await cluster.command("/avatar start")
    await cluster.until(lambda: cluster.reads(": live"))
    owner = cluster.owner_of()
    return owner, cluster.other(owner)


async def write(cluster: SlackCluster, text: str) -> Message:
    """Write a message, which Slack knows to be taken when this returns."""
    message = await cluster.mention(text)
    await cluster.until(lambda: all(delivery.done for delivery in message.deliveries))
    return message


async def ask_database(cluster: SlackCluster, statement: str) -> object:
    connection = await asyncpg.connect(cluster.url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def kept(cluster: SlackCluster) -> int:
    """How many messages are kept for the next owner of their session."""
    number = await ask_database(cluster, "SELECT count(*) FROM parcels")
    assert isinstance(number, int)
    return number


def hold_claims(bot: ClusterBot) -> Callable[[], None]:
    """Have a bot claim nothing until what is returned is called."""
    claims, gate = bot.application._claims, asyncio.Event()
    claim = claims.claim

    async def held() -> object:
        await gate.wait()
        return await claim()

    claims.claim = held  # type: ignore[method-assign,assignment]
    return gate.set


# --- the panel -------------------------------------------------------------------------------------------------------


async def test_panel_of_a_bot_that_died_is_drawn_by_the_next_one_where_it_stands(cluster: SlackCluster) -> None:
    former, next_one = await started(cluster)
    await write(cluster, LONG)
    for number in range(2):
        await write(cluster, f"waits {number}")
    await cluster.until(lambda: "2 messages" in text_of(cluster.panels()[0]))
    panel = cluster.panels()[0]
    await cluster.kill(former)
    assert "2 messages" in text_of(panel)
    await cluster.until(lambda: cluster.channel.id in next_one.channels)
    await cluster.until(lambda: "no messages" in text_of(panel))
    assert cluster.panels() == [panel]
    await cluster.command("/avatar stop")
    await cluster.until(lambda: "ended" in text_of(panel))
    assert cluster.panels() == [panel]


async def test_panel_of_an_avatar_that_the_next_bot_only_closes_says_that_it_is_over(cluster: SlackCluster) -> None:
    """As of one that was starting, or that somebody has stopped in the shell meanwhile."""
    former, next_one = await started(cluster)
    panel = cluster.panels()[0]
    claim = hold_claims(next_one)
    await cluster.kill(former)
    await ask_database(cluster, "UPDATE sessions SET stop_requested_by = 'shell'")
    claim()
    await cluster.until(lambda: cluster.open_streams == 0)
    await cluster.until(lambda: "An admin has sent the avatar away" in text_of(panel))
    assert cluster.panels() == [panel]


async def test_panel_whose_bot_died_before_its_last_drawing_is_drawn_for_the_last_time_by_the_other(
    cluster: SlackCluster,
) -> None:
    former, _ = await started(cluster)
    panel = cluster.panels()[0]

    async def refuse(*_: object) -> None:
        raise NotDrawn(Drawn.AGAIN, "the test wants it")

    former.adapter._panels._edit = refuse
    await cluster.command("/avatar stop")
    await cluster.until(lambda: cluster.open_streams == 0 and not former.channels)
    await cluster.kill(former)
    assert "live" in text_of(panel)
    await cluster.until(lambda: "ended" in text_of(panel))
    assert cluster.panels() == [panel]


# --- messages --------------------------------------------------------------------------------------------------------


async def test_what_is_written_while_an_avatar_is_handed_over_is_said_once_and_in_order(cluster: SlackCluster) -> None:
    """While its bot says the last words, and while nobody has it."""
    former, next_one = await started(cluster)
    await write(cluster, LONG)
    await cluster.until(lambda: cluster.spoken[LONG] == 1)
    claim = hold_claims(next_one)
    cluster.bots.remove(former)
    stopping = asyncio.create_task(former.stop())
    texts = [f"written {number}" for number in range(6)]
    for text in texts[:3]:
        await write(cluster, text)
    await stopping
    for text in texts[3:]:
        await write(cluster, text)
    # The first ones are rows of the session's queue, the last ones are kept beside it.
    assert next_one.channels == set()
    assert await kept(cluster) >= 3
    claim()
    await cluster.until(lambda: set(texts) <= set(cluster.spoken))
    assert [text for text in cluster.spoken if text in texts] == texts
    assert max(cluster.spoken.values()) == 1
    assert cluster.open_streams == 1
    assert len(cluster.panels()) == 1
    assert not cluster.reads(sentences.NO_SESSION.partition("`")[0])
    await cluster.until(lambda: next_one.channels)
    assert await kept(cluster) == 0


async def test_what_is_written_in_the_moment_in_which_nobody_has_the_avatar_is_kept(cluster: SlackCluster) -> None:
    """Its bot has given it up, and the database does not say so yet."""
    former, _ = await started(cluster)
    rows = former.application.bot.sessions.services.store.sessions
    release, has_begun, gate = rows.release, asyncio.Event(), asyncio.Event()

    async def slowly(session_ids: Sequence[str]) -> None:
        has_begun.set()
        await gate.wait()
        await release(session_ids)

    rows.release = slowly  # type: ignore[method-assign]
    cluster.bots.remove(former)
    stopping = asyncio.create_task(former.stop())
    await has_begun.wait()
    await write(cluster, "in between")
    assert await kept(cluster) >= 1
    gate.set()
    await stopping
    await cluster.until(lambda: cluster.spoken["in between"] == 1)
    assert not cluster.reads(sentences.NO_SESSION.partition("`")[0])


async def test_what_was_written_too_long_before_the_next_bot_took_over_is_not_said_and_told(
    cluster: SlackCluster,
) -> None:
    former, next_one = await started(cluster)
    claim = hold_claims(next_one)
    await cluster.kill(former)
    spoken_to = await write(cluster, "stop, and do not say this")
    overheard = await cluster.twin.write(cluster.channel, cluster.people[ANA], "nor this")
    await cluster.until(lambda: all(delivery.done for delivery in overheard.deliveries))
    assert await kept(cluster) >= 2
    await ask_database(cluster, "UPDATE parcels SET at = at - interval '3 hours'")
    await write(cluster, "but say this")
    claim()
    await cluster.until(lambda: cluster.spoken["but say this"] == 1)
    await cluster.until(lambda: "x" in spoken_to.reactions and "x" in overheard.reactions)
    await cluster.until(lambda: cluster.reads("could not be passed to the avatar for 3 h"))
    assert [text for text in cluster.spoken if "this" in text] == ["but say this"]
    assert next_one.channels == {cluster.channel.id}


# --- commands --------------------------------------------------------------------------------------------------------


async def test_a_command_whose_bot_is_slow_is_done_once_and_answered_by_it(cluster: SlackCluster) -> None:
    owner, other = await started(cluster)
    routing, gate = owner.adapter._routing, asyncio.Event()
    answer, asked = routing._answer_as_owner, []

    async def slowly(packed: str) -> str:
        asked.append(packed)
        await gate.wait()
        answered: str = await answer(packed)
        return answered

    routing._answer_as_owner = slowly
    # Until it comes in at the other one.
    while not asked:
        command = await cluster.type("/avatar say slowly")
        await command.acknowledged()
        if not command.replies:
            await asyncio.sleep(1.0)
    gate.set()
    assert await cluster.answer(command) not in (sentences.TAKING_OVER, sentences.MAY_BE_DONE)
    await cluster.until(lambda: len(other.adapter._routing._tasks) == 0)
    assert len(asked) == 1
    assert len(command.replies) == 1


async def test_a_command_whose_bot_died_with_it_may_be_done_or_not(cluster: SlackCluster) -> None:
    owner, _ = await started(cluster)
    await cluster.kill(owner)
    assert await cluster.answer(await cluster.type("/avatar skip")) == sentences.MAY_BE_DONE
