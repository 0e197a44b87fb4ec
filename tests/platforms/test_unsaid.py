"""Whoever was told that their words were taken is told that they were not said, however the session ends, on every
platform: alone where the platform still allows it, and once however much of theirs waited."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.models import EndReason
from tests.platforms.discord import DiscordDriver, read
from tests.platforms.platform_driver import ANA, BEN, LONG, UNSAID, Driver
from tests.platforms.slack import SlackDriver, text_of

WHILE_IT_RUNS = [reason for reason in EndReason if reason is not EndReason.SHUTDOWN]


async def keep_waiting(chat: Driver, *texts: str, by: str = ANA) -> None:
    """Have the avatar say something long, and texts wait behind it."""
    await chat.write(LONG)
    await chat.bot.until(lambda: any(running.speaker.current for running in chat.bot.bot.sessions))
    for text in texts:
        assert "ahead of it" in await chat.command(f"/avatar say {text}", by=by)


async def begin(chat: Driver) -> None:
    await chat.command("/avatar start")
    await chat.bot.until(lambda: all(running.is_live and running.idle.is_set() for running in chat.bot.bot.sessions))


async def end(chat: Driver, reason: EndReason) -> None:
    for running in chat.bot.bot.sessions:
        running.stop.request(reason)
    await chat.bot.until(lambda: len(chat.bot.bot.sessions) == 0)


async def test_every_end_of_a_session_tells_what_it_left_unsaid(chat: Driver) -> None:
    for reason in WHILE_IT_RUNS:
        await begin(chat)
        text = f"unsaid because {reason.replace('_', ' ')}"
        await keep_waiting(chat, text)
        await end(chat, reason)
        await chat.until_told_unsaid(text)


async def test_a_shutdown_tells_it_before_the_bot_leaves(chat: Driver) -> None:
    await begin(chat)
    await keep_waiting(chat, "unsaid because of the shutdown")
    await chat.bot.stop()
    await chat.until_told_unsaid("unsaid because of the shutdown")


# --- Discord ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def discord(tmp_path: Path) -> AsyncIterator[DiscordDriver]:
    async with DiscordDriver(tmp_path) as driver:
        yield driver


def in_channel(discord: DiscordDriver) -> list[str]:
    """What everybody can read of words that were not said."""
    texts = [read(message) for message in discord.twin.messages(discord.channel) if not message.ephemeral]
    return [text for text in texts if "Not everything was said" in text]


async def test_each_person_is_told_once_and_nobody_else_reads_it(discord: DiscordDriver) -> None:
    await begin(discord)
    await keep_waiting(discord, "one", "two", "three", "four", "five")
    assert "ahead of it" in await discord.command("/avatar ask six", by=BEN)
    await end(discord, EndReason.STOPPED)

    await discord.until_told_unsaid("six", by=BEN)
    await discord.until_told_unsaid("one")
    (told,) = [read(message) for message in discord.told_alone() if UNSAID in read(message)]
    assert "5 of your messages (“one”, “two”, “three” and 2 more)" in told
    assert in_channel(discord) == []


async def test_the_context_menu_is_an_entry_like_the_others(discord: DiscordDriver) -> None:
    await begin(discord)
    message = await discord.twin.write(discord.channel, discord.people[BEN], "pointed at")
    await keep_waiting(discord)
    await discord.twin.context_menu(discord.channel, discord.people[ANA], "Let the avatar say this", message)
    await discord.bot.until(lambda: any(running.speaker.queued() for running in discord.bot.bot.sessions))
    await end(discord, EndReason.IDLE)

    await discord.until_told_unsaid("pointed at")


async def test_after_fifteen_minutes_the_channel_is_told_for_whom(discord: DiscordDriver) -> None:
    await begin(discord)
    await keep_waiting(discord, "one", "two")
    await keep_waiting(discord, "three", by=BEN)
    discord.twin.age_interactions(15 * 60 + 1)
    await end(discord, EndReason.IDLE)

    await discord.twin.until(lambda: in_channel(discord))
    assert in_channel(discord) == ["Not everything was said: some words that Ana and Ben gave the avatar are missing."]


async def test_after_a_crash_nobody_is_forgotten(discord: DiscordDriver) -> None:
    await begin(discord)
    await keep_waiting(discord, "unsaid")
    (running,) = discord.bot.bot.sessions
    store = running._services.store
    await store.sessions.request_stop(running.session.id, "shell:operator")
    await discord.restart()

    await discord.twin.until(lambda: in_channel(discord))
    await discord.until_read("An admin has sent the avatar away")
    # What was being said when the bot died shows its end, too.
    long = next(message for message in discord.twin.messages(discord.channel) if LONG in message.content)
    await discord.twin.until(lambda: "🔇" in long.reactions)


# --- Slack -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    async with SlackDriver(tmp_path) as driver:
        yield driver


async def test_the_shortcut_and_a_command_by_mention_are_entries_like_the_others(slack: SlackDriver) -> None:
    await begin(slack)
    message = await slack.twin.write(slack.channel, slack.people[BEN], "pointed at")
    await keep_waiting(slack)
    await slack.twin.shortcut(message, "say_this", slack.people[ANA])
    await slack.write("say by mention", by=BEN)
    await slack.bot.until(lambda: sum(len(running.speaker.queued()) for running in slack.bot.bot.sessions) == 2)
    await end(slack, EndReason.IDLE)

    await slack.until_told_unsaid("pointed at")
    await slack.until_told_unsaid("by mention", by=BEN)


async def test_after_a_crash_people_are_told_alone_in_slack(slack: SlackDriver) -> None:
    await begin(slack)
    await keep_waiting(slack, "one", "two")
    (running,) = slack.bot.bot.sessions
    await running._services.store.sessions.request_stop(running.session.id, "shell:operator")
    await slack.restart()

    await slack.until_told_unsaid("2 of your messages (“one”, “two”)")
    assert not any(UNSAID in text_of(message) for message in slack.twin.messages(slack.channel))
