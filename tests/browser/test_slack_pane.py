"""The side pane of Slack in a real browser: from the click to the moving picture, in a sandboxed frame that has neither
an origin nor storage nor cookies."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.browser.conftest import ARGUMENTS
from tests.browser.looks import CONTRASTS, SCHEMES
from tests.browser.slack_client import EVIL, FrameVisit, SlackClient
from tests.fakes.slack import Details
from tests.platforms.platform_driver import ANA, BEN
from tests.platforms.slack import SlackDriver, local_address

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SANDBOXES = ["allow-scripts", "allow-scripts allow-same-origin"]
"""Slack's own, and with the switch in the app's settings."""

REAL_TIME = 1.0


@pytest_asyncio.fixture(loop_scope="session")
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    """A bot that speaks only while somebody watches, as a fresh installation does."""
    environment = {"SLACK_EMBED": "auto", "SESSION_NEEDS_VIEWER": "auto", "AVATAR_GREETING": ""}
    async with SlackDriver(tmp_path, environment=environment, speed=REAL_TIME) as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="session")
async def client(chromium: str, slack: SlackDriver, tmp_path: Path) -> AsyncIterator[SlackClient]:
    async with (
        async_playwright() as playwright,
        SlackClient(playwright, chromium, ARGUMENTS, tmp_path, local_address(slack.bot)) as client,
    ):
        yield client


async def clicked(slack: SlackDriver, by: str = ANA) -> Details:
    details = await slack.twin.open_card(slack.newest_panel(), slack.people[by])
    await slack.twin.until(lambda: details.is_presented)
    return details


async def started(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.panel()


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_from_the_click_to_moving_picture_and_captions(
    slack: SlackDriver, client: SlackClient, sandbox: str, pictures: Path
) -> None:
    await started(slack)
    pane = await client.open(await clicked(slack), sandbox=sandbox, viewport={"width": 1000, "height": 720})
    is_opaque = await pane.ask("origin === 'null'")
    assert is_opaque is ("allow-same-origin" not in sandbox)
    await pane.until_state("waiting_for_text")
    await slack.write("Good morning, everybody. It is a fine day to talk about robins.")
    await pane.until_playing()
    await pane.until("document.getElementById('captions').textContent.includes('fine day')")
    assert await pane.ask("document.documentElement.scrollWidth <= innerWidth")
    await _sound_on(pane)
    # Slack's frame lets it open no window, nor fill the screen.
    for name in ("own-page", "small-window", "fullscreen"):
        assert await pane.ask(f"document.getElementById('{name}').hidden")
    assert await pane.ask("document.getElementById('viewers').textContent") == "1 person"
    if is_opaque:
        await pane.photograph(slack.newest_panel(), pictures / "slack-pane-live.png")
    for scheme, _ in SCHEMES:
        await pane.page.emulate_media(color_scheme=scheme)
        assert await pane.ask(CONTRASTS) == []
    assert pane.complaints == []
    await slack.command("/avatar stop")
    await pane.until_state("ended")
    await slack.until_read("The avatar has left")
    if is_opaque:
        await pane.photograph(slack.newest_panel(), pictures / "slack-pane-ended.png")
    await pane.close()


async def _sound_on(pane: FrameVisit) -> None:
    await pane.frame.locator("#unmute").click()
    await pane.until("!video.muted && !video.paused")


@pytest.mark.parametrize("width", [320, 440, 900])
async def test_page_can_be_used_in_a_pane_of_any_width(slack: SlackDriver, client: SlackClient, width: int) -> None:
    await started(slack)
    pane = await client.open(await clicked(slack), pane=width, viewport={"width": width + 200, "height": 640})
    await pane.until_state("waiting_for_text")
    assert await pane.ask("innerWidth") == width
    assert await pane.ask("document.documentElement.scrollWidth <= innerWidth")
    await slack.write("Good morning.")
    await pane.until_playing()
    await _sound_on(pane)
    assert await pane.ask("document.documentElement.scrollWidth <= innerWidth")
    await pane.close()


async def test_two_people_each_have_a_page_of_their_own(slack: SlackDriver, client: SlackClient) -> None:
    await started(slack)
    panes = [await client.open(await clicked(slack, person)) for person in (ANA, BEN)]
    for pane in panes:
        await pane.until("document.getElementById('viewers').textContent === '2 people'")
    await panes[0].close()
    await panes[1].until("document.getElementById('viewers').textContent === '1 person'")
    await panes[1].close()


async def test_pane_that_is_opened_again_with_the_same_address_says_what_to_do(
    slack: SlackDriver, client: SlackClient, pictures: Path
) -> None:
    await started(slack)
    details = await clicked(slack)
    first = await client.open(details)
    await first.until_state("waiting_for_text")
    again = await client.open(details, viewport={"width": 1000, "height": 720})
    assert "was opened already" in await again.text()
    await again.photograph(slack.newest_panel(), pictures / "slack-pane-used.png")
    await first.close()
    await again.close()


async def test_other_site_cannot_frame_the_page(slack: SlackDriver, client: SlackClient) -> None:
    await started(slack)
    details = await clicked(slack)
    pane = await client.open(details, host=EVIL)
    assert pane.frame.url == "chrome-error://chromewebdata/"
    assert any("frame-ancestors" in complaint for complaint in pane.complaints)
    await pane.close()
    # Nor can it use the ticket up.
    own = await client.open(details)
    await own.until_state("waiting_for_text")
    await own.close()


async def test_connection_that_is_lost_comes_back(slack: SlackDriver, client: SlackClient) -> None:
    await started(slack)
    pane = await client.open(await clicked(slack))
    await pane.until_state("waiting_for_text")
    await pane.page.context.set_offline(True)
    client.cut()
    await pane.until_state("lost")
    await pane.page.context.set_offline(False)
    await pane.until_state("waiting_for_text")
    await pane.close()
