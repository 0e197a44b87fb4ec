"""Watching in Slack's side pane: the card under the panel, the click, the page that one person gets, and every way in
which that does not work."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from structlog.testing import capture_logs

from adapters.chat.slack.side_pane import OPENED_WITHIN
from adapters.chat.slack.strings import OTHER_CHANNEL, PANE_FAILED, PANE_IS_OFF
from tests.fakes.slack import Details, Message, Refused
from tests.platforms.platform_driver import ADA, ANA, BEN
from tests.platforms.slack import SlackDriver, local_address


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    """A bot whose operator has set the side pane up."""
    async with SlackDriver(tmp_path, environment={"SLACK_EMBED": "auto"}) as driver:
        yield driver


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def started(slack: SlackDriver) -> Message:
    await slack.command("/avatar start")
    await slack.until_read("live")
    return slack.newest_panel()


async def clicked(slack: SlackDriver, by: str = ANA) -> Details:
    """Somebody opens the newest panel's card, and sees what the pane says."""
    details = await slack.twin.open_card(slack.newest_panel(), slack.people[by])
    await slack.twin.until(lambda: details.is_presented)
    return details


def page_of(slack: SlackDriver, details: Details) -> str:
    """Where the page in the pane is served, behind the operator's proxy."""
    assert details.preview_url is not None
    parts = urlsplit(details.preview_url)
    assert f"{parts.scheme}://{parts.netloc}" == "https://watch.example.com"
    return f"{local_address(slack.bot)}{parts.path}?{parts.query}"


async def load(web: aiohttp.ClientSession, page: str) -> tuple[int, str]:
    async with web.get(page) as response:
        return response.status, await response.text()


def feed_of(page: str, html: str) -> str:
    """The address of the page's socket."""
    feed = html.split('data-feed="')[1].split('"')[0].replace("../", "")
    parts = urlsplit(page)
    return f"ws://{parts.netloc}/{feed}"


def links_for(slack: SlackDriver, by: str = ANA) -> list[str]:
    return [text for text in slack.told_alone(by) if PANE_FAILED in text]


async def until_given_up(slack: SlackDriver) -> None:
    """Wait for longer than the bot waits for a page."""
    await slack.bot.clock.sleep(OPENED_WITHIN + 4)


# --- the card --------------------------------------------------------------------------------------------------------


async def test_panel_carries_a_card_that_is_the_same_to_its_end_and_holds_no_way_in(slack: SlackDriver) -> None:
    panel = await started(slack)
    seen = [
        request.args.get("metadata") for request in slack.twin.calls("chat.postMessage") if "metadata" in request.args
    ]
    assert len(seen) == 1
    assert panel.metadata
    reference = panel.metadata["entities"][0]["external_ref"]
    await slack.command("/avatar mode chat")
    await slack.command("/avatar stop")
    await slack.bot.until(lambda: "left" in panel.text or "ended" in json.dumps(panel.metadata))
    cards = [request.args["metadata"] for request in slack.twin.requests if "metadata" in request.args]
    assert {json.dumps(card["entities"][0]["external_ref"]) for card in cards} == {json.dumps(reference)}
    for card in cards:
        text = json.dumps(card)
        assert "/w/" not in text
        assert "ticket" not in text
        assert "preview_url" not in text


async def test_click_gives_a_page_made_for_that_person(slack: SlackDriver, web: aiohttp.ClientSession) -> None:
    await started(slack)
    of_ana, of_ben = await clicked(slack), await clicked(slack, BEN)
    assert of_ana.preview_url != of_ben.preview_url
    assert "Started by: ana" in of_ana.shown
    async with web.get(page_of(slack, of_ana)) as response:
        assert response.status == 200
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors https://*.slack.com https://*.slack-gov.com https://*.slack-mcps.com;" in policy
        assert "X-Frame-Options" not in response.headers
        assert "Set-Cookie" not in response.headers
        html = await response.text()
    # Nobody's name or id is in the page, and no link that outlives the session.
    assert slack.people[ANA].id not in html
    assert "/w/" not in html
    assert (await load(web, page_of(slack, of_ben)))[0] == 200
    async with web.ws_connect(feed_of(page_of(slack, of_ana), html), headers={"Origin": "null"}):
        await until_given_up(slack)
    assert links_for(slack) == []
    # What was fetched, and then not let into the frame, as where a proxy forbids that, is no page.
    assert len(links_for(slack, BEN)) == 1


async def test_panel_names_who_watches_in_the_pane_and_the_page_does_not(
    slack: SlackDriver, web: aiohttp.ClientSession
) -> None:
    panel = await started(slack)
    page = page_of(slack, await clicked(slack, BEN))
    _, html = await load(web, page)
    assert "Watching here" not in json.dumps(panel.blocks)
    async with web.ws_connect(feed_of(page, html), headers={"Origin": "null"}) as socket:
        said = [await asyncio.wait_for(socket.receive_str(), 10)]
        await slack.bot.until(lambda: "*Watching here*\\nben" in json.dumps(panel.blocks))
        # A change that the page is told of as well.
        await slack.command("/avatar mode chat")
        while '"chat"' not in said[-1]:
            said.append(await asyncio.wait_for(socket.receive_str(), 10))
    assert not any("ben" in text for text in (*said, html))
    await slack.bot.until(lambda: "Watching here" not in json.dumps(panel.blocks))


async def test_page_is_fed_from_a_frame_without_an_origin_and_from_no_other_site(
    slack: SlackDriver, web: aiohttp.ClientSession
) -> None:
    await started(slack)
    page = page_of(slack, await clicked(slack))
    _, html = await load(web, page)
    feed = feed_of(page, html)
    async with web.ws_connect(feed, headers={"Origin": "null"}) as socket:
        session = next_session = await asyncio.wait_for(socket.receive_json(), 10)
        while next_session["type"] != "viewers":
            next_session = await asyncio.wait_for(socket.receive_json(), 10)
        assert session["phase"] == "live"
        assert next_session["count"] == 1
        media = feed.replace("ws:", "http:").replace("/live", f"/{session['hls_url']}")
        async with web.get(media, headers={"Origin": "null"}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "#EXTM3U" in await response.text()
    for origin in ("https://evil.example.com", "https://app.slack.com"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await web.ws_connect(feed, headers={"Origin": origin})
    guessed = feed.replace("/live", "x/live")
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await web.ws_connect(guessed, headers={"Origin": "null"})
    # A watch link stays as strict as it was.
    link = next(
        button["url"]
        for block in slack.newest_panel().blocks
        for button in block.get("elements", ())
        if "url" in button
    )
    own = f"{local_address(slack.bot).replace('http', 'ws', 1)}{urlsplit(link).path}/live"
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await web.ws_connect(own, headers={"Origin": "null"})


# --- tickets ---------------------------------------------------------------------------------------------------------


async def test_ticket_is_worth_nothing_once_the_frame_has_loaded(
    slack: SlackDriver, web: aiohttp.ClientSession
) -> None:
    await started(slack)
    page = page_of(slack, await clicked(slack))
    _, html = await load(web, page)
    async with web.ws_connect(feed_of(page, html), headers={"Origin": "null"}) as socket:
        assert (await asyncio.wait_for(socket.receive_json(), 10))["type"] == "session"
        status, again = await load(web, page)
        assert status == 410
        assert "was opened already" in again
        assert "data-feed" not in again
    # The frame has gone, and the address is worth nothing all the same; the page that it was may come back.
    assert (await load(web, page))[0] == 410
    async with web.ws_connect(feed_of(page, html), headers={"Origin": "null"}) as socket:
        assert (await asyncio.wait_for(socket.receive_json(), 10))["type"] == "session"


async def test_of_a_frame_that_is_loaded_twice_the_page_that_calls_goes_on_and_no_other(
    slack: SlackDriver, web: aiohttp.ClientSession
) -> None:
    await started(slack)
    page = page_of(slack, await clicked(slack))
    (_, first), (_, second) = await load(web, page), await load(web, page)
    async with web.ws_connect(feed_of(page, second), headers={"Origin": "null"}) as socket:
        assert (await asyncio.wait_for(socket.receive_json(), 10))["type"] == "session"
        async with web.ws_connect(feed_of(page, first), headers={"Origin": "null"}) as late:
            assert (await asyncio.wait_for(late.receive(), 10)).data == 4404
        picture = feed_of(page, first).replace("ws:", "http:").replace("/live", "/media/any/index.m3u8")
        async with web.get(picture) as response:
            assert response.status == 404


@pytest.mark.parametrize("query", ["", "?ticket=", "?ticket=abc.def", "?ticket=" + "a" * 5000, "?other=1"])
async def test_page_without_a_ticket_of_ours_is_no_page(
    slack: SlackDriver, web: aiohttp.ClientSession, query: str
) -> None:
    await started(slack)
    status, html = await load(web, f"{local_address(slack.bot)}/slack/pane{query}")
    assert status == 410
    assert "data-feed" not in html


async def test_ticket_ends_with_its_session(slack: SlackDriver, web: aiohttp.ClientSession) -> None:
    await started(slack)
    early, late = await clicked(slack), await clicked(slack)
    page = page_of(slack, early)
    _, html = await load(web, page)
    async with web.ws_connect(feed_of(page, html), headers={"Origin": "null"}) as socket:
        await slack.command("/avatar stop")
        while (message := await asyncio.wait_for(socket.receive(), 10)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.data == 1000
    status, html = await load(web, page_of(slack, late))
    assert status == 410
    assert "data-feed" not in html
    await slack.until_read("The avatar has left")
    after = await clicked(slack)
    assert after.preview_url is None
    assert "The avatar has left" in after.shown
    assert "ended" in after.title


# --- people ----------------------------------------------------------------------------------------------------------


async def test_blocked_person_gets_a_sentence_and_no_page(slack: SlackDriver, web: aiohttp.ClientSession) -> None:
    await started(slack)
    before = await clicked(slack, BEN)
    page = page_of(slack, before)
    watching = page_of(slack, await clicked(slack, BEN))
    _, html = await load(web, watching)
    async with web.ws_connect(feed_of(watching, html), headers={"Origin": "null"}) as socket:
        await slack.command("/avatar-admin block @ben", by=ADA)
        # Who watches is let go, and so is who had a ticket.
        while (message := await asyncio.wait_for(socket.receive(), 10)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.data == 4404
    assert (await load(web, page))[0] == 410
    details = await clicked(slack, BEN)
    assert details.error
    assert details.preview_url is None
    assert "blocked" in details.shown
    assert links_for(slack, BEN) == []


async def test_person_of_another_company_in_a_shared_channel_watches_as_everybody_does(
    slack: SlackDriver, web: aiohttp.ClientSession
) -> None:
    theirs = slack.twin.add_team("Another company")
    eva = slack.twin.add_user("eva", team=theirs)
    slack.twin.share(slack.channel, theirs)
    slack.channel.members.append(eva.id)
    panel = await started(slack)
    details = await slack.twin.open_card(panel, eva)
    await slack.twin.until(lambda: details.is_presented)
    assert (await load(web, page_of(slack, details)))[0] == 200


async def test_card_that_was_forwarded_to_another_channel_opens_nothing(slack: SlackDriver) -> None:
    panel = await started(slack)
    other = slack.twin.add_channel("elsewhere", slack.people.values())
    details = await slack.twin.open_card(panel, slack.people[BEN], seen_in=other)
    await slack.twin.until(lambda: details.is_presented)
    assert details.preview_url is None
    assert details.shown == OTHER_CHANNEL
    assert links_for(slack, BEN) == []


async def test_event_that_does_not_say_who_clicked_is_left_out(slack: SlackDriver) -> None:
    panel = await started(slack)
    assert panel.metadata
    [entity] = panel.metadata["entities"]
    event = {"type": "entity_details_requested", "external_ref": entity["external_ref"], "channel": slack.channel.id}
    with capture_logs() as lines:
        for more in ({}, {"user": None, "trigger_id": "1.2"}, {"user": slack.people[ANA].id}):
            [delivery] = slack.twin.emit(event | more, slack.twin.team, channel=slack.channel)
            await delivery.acknowledged()
    assert slack.twin.calls("entity.presentDetails") == []
    assert any("who clicked" in line["event"] for line in lines)
    assert not any("not understood" in line["event"] for line in lines)


async def test_card_of_a_session_that_nobody_knows_says_so(slack: SlackDriver) -> None:
    panel = await started(slack)
    assert panel.metadata
    panel.metadata["entities"][0]["external_ref"]["id"] = "nobody"
    details = await clicked(slack)
    assert "do not know this avatar" in details.shown


# --- what does not work ----------------------------------------------------------------------------------------------


async def test_person_whose_page_never_comes_gets_the_link_once(slack: SlackDriver) -> None:
    await started(slack)
    slack.twin.embed_domains = ["forgotten.example.com"]
    assert (await clicked(slack)).preview_url is None
    await slack.bot.until(lambda: links_for(slack))
    assert "/w/" in links_for(slack)[0]
    await clicked(slack)
    await until_given_up(slack)
    assert len(links_for(slack)) == 1


@pytest.mark.parametrize("error", ["invalid_trigger_id", "internal_error", "invalid_metadata"])
async def test_pane_that_slack_does_not_fill_leads_to_the_link(slack: SlackDriver, error: str) -> None:
    await started(slack)
    slack.twin.fail_next("entity.presentDetails", Refused(error), times=2)
    for _ in range(2):
        await slack.twin.open_card(slack.newest_panel(), slack.people[ANA])
    await slack.bot.until(lambda: links_for(slack))
    await until_given_up(slack)
    assert len(links_for(slack)) == 1
    # One click that failed is no reason to take the card away.
    assert (await clicked(slack)).preview_url is not None


async def test_workspace_without_the_feature_gets_plain_panels_from_then_on(slack: SlackDriver) -> None:
    panel = await started(slack)
    slack.twin.takes_entities = False
    await slack.twin.open_card(panel, slack.people[ANA])
    await slack.bot.until(lambda: links_for(slack))
    await slack.bot.until(lambda: not panel.metadata)
    await slack.command("/avatar stop")
    await slack.until_read("The avatar has left")
    before = len(slack.twin.requests)
    await started(slack)
    assert not any(
        "metadata" in request.args for request in slack.twin.requests[before:] if "postMessage" in request.method
    )


async def test_warning_that_the_card_was_dropped_is_told_once_in_the_log(slack: SlackDriver) -> None:
    slack.twin.takes_entities = False
    with capture_logs() as lines:
        panel = await started(slack)
        await slack.command("/avatar mode chat")
        await slack.bot.until(lambda: "chat" in json.dumps(panel.blocks))
    told = [line for line in lines if "takes no Work Object" in line["event"]]
    assert len(told) == 1
    assert told[0]["error"].startswith("invalid_metadata_schema")
    assert panel.metadata is None or panel.metadata == {}


async def test_ticket_is_in_no_line_of_the_log(slack: SlackDriver, web: aiohttp.ClientSession) -> None:
    with capture_logs() as lines:
        await started(slack)
        page = page_of(slack, await clicked(slack))
        for _ in range(3):
            await load(web, page)
            await load(web, page + "x")
        slack.twin.fail_next("entity.presentDetails", Refused("internal_error"))
        await slack.twin.open_card(slack.newest_panel(), slack.people[ANA])
        await slack.bot.until(lambda: links_for(slack))
    ticket = urlsplit(page).query.partition("=")[2]
    assert not any(ticket in json.dumps(line, default=str) for line in lines)


async def test_switched_off_there_is_no_card_and_an_old_one_says_so(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path) as slack:
        panel = await started(slack)
        assert panel.metadata is None
        assert "metadata" not in json.dumps([request.args for request in slack.twin.requests])
        # A panel of the time before.
        session_id = next(str(block["block_id"]) for block in panel.blocks).partition(":")[2]
        panel.metadata = {
            "entities": [
                {
                    "url": "https://watch.example.com/slack/avatars/1",
                    "external_ref": {"id": session_id, "type": "avatar-session"},
                    "entity_type": "slack#/entities/item",
                    "entity_payload": {"attributes": {"title": {"text": "Robin"}}},
                }
            ]
        }
        slack.twin.subscriptions.add("entity_details_requested")
        details = await clicked(slack)
        assert details.shown == PANE_IS_OFF


async def test_side_pane_works_over_http_as_well(tmp_path: Path, web: aiohttp.ClientSession) -> None:
    async with SlackDriver(tmp_path, environment={"SLACK_EMBED": "auto"}, http=True) as slack:
        await started(slack)
        assert (await load(web, page_of(slack, await clicked(slack))))[0] == 200


async def test_click_that_slack_brings_twice_leads_to_one_page_and_to_no_link(
    slack: SlackDriver, web: aiohttp.ClientSession
) -> None:
    await started(slack)
    details = await clicked(slack)
    first = details.preview_url
    await slack.twin.redeliver(details.deliveries[0])
    await slack.twin.until(lambda: details.preview_url != first)
    page = page_of(slack, details)
    _, html = await load(web, page)
    async with web.ws_connect(feed_of(page, html), headers={"Origin": "null"}):
        await until_given_up(slack)
    assert links_for(slack) == []


async def test_address_of_the_card_leads_to_a_page_that_opens_nothing(
    slack: SlackDriver, web: aiohttp.ClientSession
) -> None:
    panel = await started(slack)
    assert panel.metadata
    parts = urlsplit(panel.metadata["entities"][0]["url"])
    async with web.get(f"{local_address(slack.bot)}{parts.path}") as response:
        assert response.status == 200
        html = await response.text()
        assert "from its panel in Slack" in html
        assert "/w/" not in html
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


async def test_page_goes_on_after_the_bot_was_started_again(slack: SlackDriver, web: aiohttp.ClientSession) -> None:
    await started(slack)
    page = page_of(slack, await clicked(slack))
    _, html = await load(web, page)
    await slack.restart()
    await slack.bot.until(lambda: list(slack.bot.bot.sessions))
    feed = feed_of(page_of_now(slack, page), html)
    async with web.ws_connect(feed, headers={"Origin": "null"}) as socket:
        assert (await asyncio.wait_for(socket.receive_json(), 10))["type"] == "session"


def page_of_now(slack: SlackDriver, page: str) -> str:
    """The same page at the port of the bot that runs now."""
    parts = urlsplit(page)
    return f"{local_address(slack.bot)}{parts.path}?{parts.query}"
