"""Two bots on one PostgreSQL database, and a Slack that sends to either of them: what people see is one bot."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest
from structlog.testing import capture_logs

from adapters.chat.slack.installation_store import Installation
from bot import sentences
from tests import options
from tests.fakes.slack import Channel
from tests.harness.slack_cluster import SlackCluster
from tests.platforms.platform_driver import ANA, BEN
from tests.platforms.slack import buttons_of

pytestmark = pytest.mark.postgres

ROUNDS = 20 if options.is_every_point() else 4


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["sockets", "http"])
async def cluster(request: pytest.FixtureRequest, new_postgres_url: Callable[[], str]) -> AsyncIterator[SlackCluster]:
    url = await asyncio.to_thread(new_postgres_url)
    async with SlackCluster(url, http=request.param, environment={"SESSION_RELAY": "all"}) as cluster:
        yield cluster


async def started(cluster: SlackCluster, channel: Channel | None = None) -> None:
    await cluster.command("/avatar start", channel=channel)
    await cluster.until(lambda: cluster.reads(": live", channel=channel))


async def test_two_starts_at_once_make_one_session(cluster: SlackCluster) -> None:
    channels = [cluster.add_channel(f"channel-{number}") for number in range(ROUNDS)]
    for channel in channels:
        answers = await asyncio.gather(
            *(cluster.command("/avatar start", channel=channel, by=person) for person in (ANA, BEN))
        )
        assert sum("Starting" in answer for answer in answers) == 1
        assert sum("already" in answer for answer in answers) == 1
        await cluster.until(lambda channel=channel: cluster.reads(": live", channel=channel))
        cluster.owner_of(channel)
        await cluster.until(lambda channel=channel: cluster.panels(channel))
    assert cluster.open_streams == ROUNDS
    # Both work.
    assert all(bot.channels for bot in cluster.bots)
    for channel in channels:
        assert len(cluster.panels(channel)) == 1


@pytest.mark.slow
async def test_two_starts_in_a_channel_that_two_companies_share_make_one_avatar(
    new_postgres_url: Callable[[], str],
) -> None:
    """Each company's own installation of the app hears its people, at a process of its own."""
    url = await asyncio.to_thread(new_postgres_url)
    environment = {"SLACK_CLIENT_ID": "1111.2222", "SLACK_CLIENT_SECRET": "client-secret-of-the-twin"}
    async with SlackCluster(url, environment=environment) as cluster:
        twin = cluster.twin
        team = twin.add_team("Partner", installed=True)
        zoe = twin.add_user("zoe", team=team)
        installation = Installation(team.id, team.bot_token, team.bot.id, team.bot_id)
        for bot in cluster.bots:
            await bot.adapter._workspaces.add(installation)
        connections = itertools.cycle(twin.connections)
        assert len(twin.connections) == len(cluster.bots)
        twin.socket.choose = lambda _: next(connections)
        for number in range(ROUNDS):
            channel = cluster.add_channel(f"shared-{number}")
            twin.share(channel, team, with_bot=True)
            channel.members.append(zoe.id)
            starts = [await twin.slash(channel, person, "/avatar", "start") for person in (cluster.people[ANA], zoe)]
            answers = await asyncio.gather(*map(cluster.answer, starts))
            assert sum("Starting" in answer for answer in answers) == 1, answers
            assert sum("already in this channel, started by" in answer for answer in answers) == 1, answers
            await cluster.until(lambda channel=channel: cluster.reads(": live", channel=channel))
            cluster.owner_of(channel)
            assert len(cluster.panels(channel)) == 1
        assert cluster.open_streams == ROUNDS


async def test_messages_are_said_once_and_in_order_wherever_they_come_in(cluster: SlackCluster) -> None:
    await started(cluster)
    texts = [f"line number {number}" for number in range(8)]
    for number, text in enumerate(texts):
        if number % 2:
            await cluster.mention(text)
        else:
            await cluster.twin.write(cluster.channel, cluster.people[BEN], text)
        await cluster.until(lambda: not delivery_waits(cluster))
    await cluster.until(lambda: set(texts) <= set(cluster.spoken))
    spoken = [text.asked.strip() for view in cluster.simulator.streams() for text in view.spoken]
    assert [text for text in spoken if text in texts] == texts
    assert all(cluster.spoken[text] == 1 for text in texts)
    assert len(cluster.panels()) == 1


def delivery_waits(cluster: SlackCluster) -> bool:
    """Whether Slack still waits for an acknowledgement of a message."""
    messages = cluster.twin.messages(cluster.channel)
    return any(not delivery.done for message in messages for delivery in message.deliveries)


async def test_every_command_and_button_finds_the_session_from_either_process(cluster: SlackCluster) -> None:
    await started(cluster)
    # Each twice: Slack sends in turn, so each arrives at either.
    for _ in range(2):
        assert "Waiting" in await cluster.command("/avatar status")
        assert "watch" in await cluster.command("/avatar watch")
        assert "already" in await cluster.command("/avatar start")
        for verb in ("queue", "skip", "interrupt", "clear", "keep", "wake", "idle", "mode repeat", "help"):
            # Whatever it is, it is about an avatar that is there.
            assert sentences.NO_SESSION not in await cluster.command(f"/avatar {verb}")
    for number in range(2):
        assert await cluster.command(f"/avatar say said {number}")
        await cluster.until(lambda number=number: cluster.spoken[f"said {number}"] == 1)
    panel = cluster.panels()[0]
    for _ in range(2):
        (button,) = [button for button in buttons_of(panel) if button["text"]["text"] == "Skip"]
        interaction = await cluster.twin.click(panel, button["action_id"], cluster.people[ANA])
        assert await cluster.answer(interaction)
    # Left from where it does not live, whichever that is.
    assert "Stopping" in await cluster.command("/avatar stop")
    await cluster.until(lambda: cluster.reads("The avatar has left"))
    await cluster.until(lambda: cluster.open_streams == 0)
    for _ in range(2):
        assert await cluster.command("/avatar status") == sentences.NO_SESSION
    assert len(cluster.panels()) == 1


async def test_an_edit_and_a_deletion_reach_what_waits_at_the_other_process(cluster: SlackCluster) -> None:
    await started(cluster)
    await cluster.mention(
        " ".join(f"This is sentence {number} of a message that takes its time." for number in range(60))
    )
    # One after the other: what is sent together may arrive in any order.
    await cluster.until(lambda: not delivery_waits(cluster))
    waiting = []
    for number in range(4):
        waiting.append(await cluster.mention(f"waits {number}"))
        await cluster.until(lambda: not delivery_waits(cluster))
    for number, message in enumerate(waiting):
        if number % 2:
            await cluster.twin.edit_message(message, f"@{cluster.twin.bot.name} changed {number}")
        else:
            await cluster.twin.delete_message(message)
    await cluster.until(lambda: all(delivery.done for message in waiting for delivery in message.deliveries))
    # What is cut is the long one, and not the greeting, during which it is sent ahead.
    while "Now: This is sentence 0" not in await cluster.command("/avatar queue"):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    assert await cluster.command("/avatar skip")
    await cluster.until(lambda: cluster.spoken["changed 1"] and cluster.spoken["changed 3"])
    assert [text for text in cluster.spoken if text.startswith(("waits", "changed"))] == ["changed 1", "changed 3"]
    assert max(cluster.spoken.values()) == 1


async def test_a_form_and_a_shortcut_work_from_either_process(cluster: SlackCluster) -> None:
    await started(cluster)
    message = await cluster.twin.write(cluster.channel, cluster.people[BEN], "nobody has asked for this")
    await cluster.until(lambda: cluster.spoken["nobody has asked for this"] == 1)
    for number in range(1, 3):
        await cluster.twin.shortcut(message, "say_this", cluster.people[ANA])
        await cluster.until(lambda number=number: cluster.spoken["nobody has asked for this"] == 1 + number)


async def test_a_window_brings_one_avatar_whichever_process_opened_it(cluster: SlackCluster) -> None:
    for number in range(3):
        channel = cluster.add_channel(f"window-{number}")
        await cluster.type("/avatar start choose", channel=channel)
        view = await cluster.twin.until(lambda: next((view for view in cluster.twin.views if view.open), None))
        if number:
            # Somebody was quicker, at either process.
            await started(cluster, channel)
        await (await cluster.twin.submit_view(view, {"mode": "repeat"})).acknowledged()
        answer = "already" if number else "Starting the avatar"
        await cluster.until(lambda answer=answer, channel=channel: cluster.reads(answer, channel=channel))
        cluster.owner_of(channel)
    await cluster.until(lambda: cluster.open_streams == 3)


async def test_messages_are_said_while_the_bus_is_cut_off_again_and_again(
    cluster: SlackCluster,
) -> None:
    await started(cluster)
    texts = [f"line number {number}" for number in range(6)]
    connection = await asyncpg.connect(cluster.url)
    for text in texts:
        await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'avatar-relay bus %'"
        )
        await cluster.mention(text)
    await connection.close()
    await cluster.until(lambda: set(texts) <= set(cluster.spoken))
    assert all(cluster.spoken[text] == 1 for text in texts)


# --- takeovers -------------------------------------------------------------------------------------------------------


async def test_when_a_bot_dies_the_other_one_goes_on_with_its_sessions_and_with_what_came_in_meanwhile(
    cluster: SlackCluster,
) -> None:
    await started(cluster)
    assert await cluster.command("/avatar say before")
    await cluster.until(lambda: cluster.spoken["before"] == 1)
    former = cluster.owner_of()
    next_one = cluster.other(former)
    await cluster.kill(former)
    # Nobody has noticed yet: what is written is kept, and of a command it is not known whether it was done.
    skipping = await cluster.type("/avatar skip")
    for number in range(4):
        await cluster.mention(f"kept {number}")
        # Requests that are sent together may arrive in any order.
        await asyncio.sleep(0.1)
    await cluster.until(lambda: not delivery_waits(cluster))
    assert next_one.channels == set()
    assert await cluster.answer(skipping) == sentences.MAY_BE_DONE
    await cluster.until(lambda: cluster.channel.id in next_one.channels)
    texts = [f"kept {number}" for number in range(4)]
    await cluster.until(lambda: set(texts) <= set(cluster.spoken))
    assert [text for text in cluster.spoken if text in texts] == texts
    assert max(cluster.spoken.values()) == 1
    await cluster.mention("after")
    await cluster.until(lambda: cluster.spoken["after"] == 1)
    assert cluster.open_streams == 1
    assert len(cluster.panels()) == 1
    assert "Stopping" in await cluster.command("/avatar stop")
    await cluster.until(lambda: cluster.open_streams == 0)
    await cluster.until(lambda: cluster.reads("The avatar has left"))


async def test_a_bot_that_joins_serves_at_once_and_what_it_starts_is_known_to_the_others(
    cluster: SlackCluster,
) -> None:
    third = await cluster.add_bot()
    assert "Cluster: shares the avatars with" in "\n".join(third.told)
    channels: list[Channel] = []
    while not all(bot.channels for bot in cluster.bots):
        channels.append(cluster.add_channel(f"channel-{len(channels)}"))
        await started(cluster, channels[-1])
    order = [(channel, number) for channel in channels for number in range(3)]
    random.Random(7).shuffle(order)
    for channel, number in order:
        await cluster.mention(f"{channel.name} {number}", channel=channel)
    expected = {f"{channel.name} {number}" for channel, number in order}
    await cluster.until(lambda: expected <= set(cluster.spoken))
    assert max(cluster.spoken.values()) == 1


async def test_who_leaves_keeps_its_sessions_open_for_the_others(new_postgres_url: Callable[[], str]) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    async with SlackCluster(url, environment={"SHUTDOWN": "keep"}) as cluster:
        await started(cluster)
        former = cluster.owner_of()
        next_one = cluster.other(former)
        cluster.bots.remove(former)
        await former.stop()
        await cluster.until(lambda: cluster.channel.id in next_one.channels)
        await cluster.mention("after")
        await cluster.until(lambda: cluster.spoken["after"] == 1)
        assert cluster.open_streams == 1
        assert len(cluster.panels()) == 1


# --- what concerns all -----------------------------------------------------------------------------------------------


async def test_an_uninstallation_ends_the_sessions_of_every_process(new_postgres_url: Callable[[], str]) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    environment = {"SLACK_CLIENT_ID": "1111.2222", "SLACK_CLIENT_SECRET": "client-secret-of-the-twin"}
    async with SlackCluster(url, environment=environment) as cluster:
        team = cluster.twin.add_team("Another", installed=True)
        person = cluster.twin.add_user("eve", team=team)
        installation = Installation(team.id, team.bot_token, team.bot.id, team.bot_id)
        await cluster.bots[0].adapter._workspaces.add(installation)
        theirs = 0
        while not all(bot.channels for bot in cluster.bots):
            channel = cluster.twin.add_channel(f"theirs-{theirs}", [person], team=team)
            theirs += 1
            assert "Starting" in await cluster.answer(await cluster.twin.slash(channel, person, "/avatar", "start"))
        await started(cluster)
        await cluster.until(lambda: cluster.open_streams == theirs + 1)
        await cluster.twin.uninstall(team)
        await cluster.until(lambda: cluster.open_streams == 1)
        await cluster.until(lambda: {place for bot in cluster.bots for place in bot.channels} == {cluster.channel.id})


async def test_more_sockets_than_slack_takes_are_told_to_the_operator(new_postgres_url: Callable[[], str]) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    async with SlackCluster(url, bots=1, environment={"SLACK_SOCKETS": "6"}) as cluster:
        await cluster.until(lambda: len(cluster.twin.connections) == 6)
        with capture_logs() as log:
            second = await cluster.add_bot(hears=False)
            await cluster.until(lambda: len(cluster.twin.connections) == 10)
            await cluster.until(lambda: any("takes ten sockets" in str(line["event"]) for line in log))
        assert second.adapter.unhealthy_reason == "not connected to Slack"
