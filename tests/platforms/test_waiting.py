"""What waits for a viewer for a long time is marked, drawn and told once: requests are counted at the local servers."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.core.events import UtteranceChanged
from bot.core.models import UtteranceState
from tests.platforms.discord import DiscordDriver
from tests.platforms.slack import SlackDriver
from tests.platforms.test_unsaid import begin

WAIT = 40.0
"""Seconds of the bot's clock, in which it looks 20 times whether somebody watches by now."""
ENVIRONMENT = {"AVATAR_PROVIDER": "liveavatar", "AVATAR_CARRIER": "page"}


@pytest.fixture(autouse=True)
def pages_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator's fake rooms are carried by pages, as real ones are."""
    monkeypatch.setattr("adapters.avatars.rooms.factory.is_stand_in", lambda _: False)


@pytest.fixture
async def discord(tmp_path: Path) -> AsyncIterator[DiscordDriver]:
    async with DiscordDriver(tmp_path, environment=ENVIRONMENT) as driver:
        yield driver


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    async with SlackDriver(tmp_path, environment=ENVIRONMENT) as driver:
        yield driver


async def wait_for_a_viewer(chat: DiscordDriver | SlackDriver) -> None:
    """A message and a command wait, and nobody comes."""
    await begin(chat)
    await chat.write("is anybody there?")
    await chat.command("/avatar say anybody at all?")
    await chat.until_read("waiting for a viewer")
    await chat.bot.clock.sleep(WAIT)


def again(requests: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    """What was asked for more than once."""
    return {request: number for request, number in Counter(requests).items() if number > 1}


async def test_discord_is_asked_for_nothing_twice(discord: DiscordDriver) -> None:
    await wait_for_a_viewer(discord)

    changes = [request for request in discord.twin.requests if request.method in ("PUT", "PATCH", "POST", "DELETE")]
    marks = [(request.method, request.path) for request in changes if "/reactions/" in request.path]
    edits = [(request.path, str(request.body)) for request in changes if request.method == "PATCH"]
    assert len(marks) == 1
    assert again(edits) == {}


async def test_slack_is_asked_for_nothing_twice(slack: SlackDriver) -> None:
    await wait_for_a_viewer(slack)

    calls = [(request.method, str(request.args)) for request in slack.twin.requests]
    changes = [call for call in calls if call[0].startswith(("reactions.", "chat."))]
    assert len([call for call in changes if call[0].startswith("reactions.")]) == 1
    assert again(changes) == {}


async def tell_the_end_twice(chat: DiscordDriver | SlackDriver, is_marked: Callable[[], bool]) -> None:
    """An answer of the avatar's own may be known after its end, which is then told again. `is_marked`: the message has
    its first mark, so that this end comes after it."""
    await begin(chat)
    await chat.write("hello")
    await chat.bot.until(lambda: any(running.speaker.queued() for running in chat.bot.bot.sessions))
    await chat.bot.until(is_marked)
    (running,) = chat.bot.bot.sessions
    spoken = running.speaker.queued()[0]._replace(state=UtteranceState.SPOKEN)
    for answer in (None, "hello to you"):
        chat.bot.bot.sessions.services.event_bus.publish(UtteranceChanged(running.session.channel, spoken, answer))
        await chat.bot.clock.sleep(5)


async def test_an_end_that_is_told_twice_is_marked_once_in_discord(discord: DiscordDriver) -> None:
    await tell_the_end_twice(discord, lambda: any("/reactions/" in one.path for one in discord.twin.requests))

    marks = Counter((one.method, one.path) for one in discord.twin.requests if "/reactions/" in one.path)
    assert set(marks.values()) == {1}


async def test_an_end_that_is_told_twice_is_marked_once_in_slack(slack: SlackDriver) -> None:
    await tell_the_end_twice(slack, lambda: any("reactions" in one.method for one in slack.twin.requests))

    marks = Counter((one.method, one.args["name"]) for one in slack.twin.requests if "reactions" in one.method)
    assert marks["reactions.add", "white_check_mark"] == 1
    assert set(marks.values()) == {1}
