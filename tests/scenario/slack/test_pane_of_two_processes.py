"""Slack's side pane while two bots share a database: the page comes to one of them and its session is the other's."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from adapters.chat.slack.side_pane import OPENED_WITHIN
from adapters.chat.slack.strings import PANE_FAILED
from tests.fakes.slack import Message
from tests.harness.slack_cluster import ClusterBot, SlackCluster
from tests.platforms.platform_driver import ANA, BEN
from tests.platforms.slack import text_of
from tests.scenario.slack.test_side_pane import feed_of, load

pytestmark = pytest.mark.postgres


@pytest.fixture
async def cluster(new_postgres_url: Callable[[], str]) -> AsyncIterator[SlackCluster]:
    url = await asyncio.to_thread(new_postgres_url)
    async with SlackCluster(url, environment={"SLACK_EMBED": "auto"}) as cluster:
        yield cluster


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_page_is_good_once_at_whichever_process_and_shows_the_session(
    cluster: SlackCluster, web: aiohttp.ClientSession
) -> None:
    twin = cluster.twin
    await cluster.command("/avatar start")
    owner = cluster.owner_of()
    other = cluster.other(owner)
    await cluster.until(lambda: cluster.panels() and cluster.panels()[0].metadata)
    details = await twin.open_card(cluster.panels()[0], cluster.people[ANA])
    await twin.until(lambda: details.is_presented)
    assert details.preview_url is not None
    status, html = await load(web, page_at(other, details.preview_url))
    assert status == 200
    feed = feed_of(page_at(other, details.preview_url), html)
    async with web.ws_connect(feed, origin="null") as page:
        snapshot = await hear(page, "session")
        assert (snapshot["has_room"], snapshot["link"]) == (False, None)
        await cluster.mention("Good morning, everybody.")
        words = ""
        while "everybody" not in words:
            words += " ".join(word["text"] for word in (await hear(page, "words"))["words"])
        # It is one page's, and both know that.
        for bot in (owner, other):
            assert (await load(web, page_at(bot, details.preview_url)))[0] == 410
        await cluster.command("/avatar stop")
        while (told := await hear(page, "session"))["phase"] != "ended":
            pass
        assert told["ended"]


@pytest.mark.slow
async def test_panel_names_who_watches_a_page_at_the_other_process(
    cluster: SlackCluster, web: aiohttp.ClientSession
) -> None:
    """That one has not heard of them before, since what they did came in at the first."""
    await cluster.command("/avatar start")
    owner = cluster.owner_of()
    other = cluster.other(owner)
    await cluster.until(lambda: cluster.panels() and cluster.panels()[0].metadata)
    panel = cluster.panels()[0]
    feeds = []
    for name, bot in ((ANA, other), (BEN, owner)):
        details = await cluster.twin.open_card(panel, cluster.people[name])
        await cluster.twin.until(lambda details=details: details.is_presented)
        assert details.preview_url is not None
        page = page_at(bot, details.preview_url)
        _, html = await load(web, page)
        feeds.append(feed_of(page, html))
    async with web.ws_connect(feeds[0], origin="null"):
        await cluster.until(lambda: watchers_on(panel) == "ana")
        async with web.ws_connect(feeds[1], origin="null"):
            await cluster.until(lambda: watchers_on(panel) == "ana and ben")
        await cluster.until(lambda: watchers_on(panel) == "ana")
        await cluster.kill(owner)
        await cluster.until(lambda: cluster.channel.id in other.channels)
        await cluster.until(lambda: watchers_on(panel) is None)
    # Whoever has taken over learns it from the page, which connects again by itself.
    async with web.ws_connect(feeds[0], origin="null"):
        await cluster.until(lambda: watchers_on(panel) == "ana")
    await cluster.until(lambda: watchers_on(panel) is None)
    assert cluster.panels() == [panel]


def watchers_on(panel: Message) -> str | None:
    """Who watches, as the panel says."""
    found = re.search(r"\*Watching here\*\n(.+)", text_of(panel))
    return found[1] if found else None


async def test_whoever_made_the_ticket_hears_that_the_page_has_called_the_other_process(
    cluster: SlackCluster, web: aiohttp.ClientSession
) -> None:
    await cluster.command("/avatar start")
    other = cluster.other(cluster.owner_of())
    await cluster.until(lambda: cluster.panels() and cluster.panels()[0].metadata)
    details = await cluster.twin.open_card(cluster.panels()[0], cluster.people[ANA])
    await cluster.twin.until(lambda: details.is_presented)
    assert details.preview_url is not None
    _, html = await load(web, page_at(other, details.preview_url))
    async with web.ws_connect(feed_of(page_at(other, details.preview_url), html), origin="null") as page:
        await hear(page, "session")
        await cluster.clock.sleep(OPENED_WITHIN + 4)
    told = [text_of(seen) for seen in cluster.twin.ephemerals(cluster.channel, cluster.people[ANA])]
    assert [text for text in told if PANE_FAILED in text] == []


def page_at(bot: ClusterBot, preview_url: str) -> str:
    """The page in the pane at one of the bots, behind the operator's balancer."""
    parts = urlsplit(preview_url)
    return f"{bot.address}{parts.path}?{parts.query}"


async def hear(page: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            message = await page.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, message
            heard: dict[str, object] = json.loads(message.data)
            if heard["type"] == kind:
                return heard
