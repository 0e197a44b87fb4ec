"""The avatar inside Discord, in a real browser under the real names: from the button to moving picture and captions,
the second viewer, the next stream, the end, and what the frame makes of a channel without an avatar."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import Browser, async_playwright

from tests.browser.conftest import ARGUMENTS
from tests.browser.discord_world import DiscordWorld, FramedVisit, discord_world
from tests.fakes.discord import FakeDiscord, Interaction
from tests.platforms.discord import TOKEN, DiscordDriver
from tests.platforms.platform_driver import ANA, BEN
from tests.scenario.discord.frames import address_of, signed

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = {"width": 320, "height": 640}
DESKTOP = {"width": 1280, "height": 720}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DiscordWorld]:
    async with discord_world(tmp_path_factory.mktemp("discord")) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def discord_browser(chromium: str, world: DiscordWorld) -> AsyncIterator[Browser]:
    """A browser for which every name there is leads to `world`."""
    rules = f"--host-resolver-rules=MAP * 127.0.0.1:{world.port}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, rules])
        yield browser
        await browser.close()


@pytest.fixture
def twin() -> FakeDiscord:
    return FakeDiscord(token=TOKEN)


@pytest.fixture
def key(twin: FakeDiscord) -> Ed25519PrivateKey:
    """What Discord's proxy signs with."""
    return twin.enable_activities()


@pytest.fixture
def environment() -> dict[str, str]:
    """More settings of the bot."""
    return {}


@pytest_asyncio.fixture(loop_scope="session")
async def chat(
    tmp_path: Path, world: DiscordWorld, twin: FakeDiscord, key: Ed25519PrivateKey, environment: dict[str, str]
) -> AsyncIterator[DiscordDriver]:
    """The bot on the local Discord, behind the proxy."""
    # The clock of the browser is not ours to speed up.
    async with DiscordDriver(tmp_path, twin=twin, environment=environment, speed=1.0) as chat:
        world.target, world.application_id = address_of(chat), twin.application_id
        world.headers, world.is_cut, world.strips_prefix = {}, False, True
        world.astray.clear()
        yield chat
        assert world.astray == []


Visitor = Callable[..., Awaitable[FramedVisit]]


@pytest_asyncio.fixture(loop_scope="session")
async def launch(discord_browser: Browser, world: DiscordWorld, chat: DiscordDriver) -> AsyncIterator[Visitor]:
    """Opens Discord with the Activity; afterwards no page may have complained about anything unexpected."""
    visits: list[FramedVisit] = []

    async def open_client(instance_id: str, **given: Any) -> FramedVisit:
        given.setdefault("viewport", DESKTOP)
        visits.append(await FramedVisit.launch(discord_browser, world, instance_id, **given))
        return visits[-1]

    yield open_client
    for opened in visits:
        await opened.close()
        assert opened.unexpected() == []
        assert opened.device_requests == []


async def bring_avatar(chat: DiscordDriver) -> None:
    await chat.command("/avatar start")
    await chat.until_read("live")


async def press(chat: DiscordDriver, by: str = ANA) -> str:
    """Press the button of the panel; the id of the instance that it has launched."""
    panel = await chat.newest_panel()
    await chat.twin.until(lambda: any(button["label"] == "Watch here" for button in panel.buttons))
    pressed = await chat.twin.click(chat.people[by], panel, label="Watch here")
    return await launched(pressed)


async def launched(interaction: Interaction) -> str:
    assert (await interaction.acknowledged()).kind == "launch"
    assert interaction.launched is not None
    return interaction.launched.id


async def until_captioned(visit: FramedVisit, text: str) -> None:
    await visit.until(f"document.getElementById('captions').textContent.includes({text!r})", 30)


async def test_from_the_button_to_moving_picture_and_captions(
    chat: DiscordDriver, launch: Visitor, world: DiscordWorld, pictures: Path
) -> None:
    await bring_avatar(chat)
    visit = await launch(await press(chat))
    await visit.until_playing()
    await chat.write("Good morning to everybody in this channel")
    await until_captioned(visit, "Good morning")
    await visit.picture(pictures, "discord-frame-live")

    # Muted until the one large button is pressed; the picture goes on.
    assert await visit.ask("video.muted")
    button = visit.frame.get_by_role("button", name="Sound on")
    box = await button.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    await button.click()
    assert not await visit.ask("video.muted")
    at = await visit.ask("video.currentTime")
    await visit.until(f"video.currentTime > {at} + 0.3")

    # As in Discord: no storage, no cookie, everything from the frame's own host.
    storage = "() => { try { return typeof sessionStorage; } catch (error) { return error.name; } }"
    assert await visit.frame.evaluate(storage) == "SecurityError"
    assert await visit.ask("document.cookie") == ""
    resources = await visit.ask("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert {re.sub(r"^(https://[^/]+).*", r"\1", name) for name in resources} == {world.origin}
    assert any("/media/" in name for name in resources)

    # The handshake, and what it is good for.
    heard = await visit.heard()
    assert heard[0] == {
        "origin": world.origin,
        "opcode": 0,
        "payload": {"v": 1, "encoding": "json", "client_id": str(chat.twin.application_id), "frame_id": "f-1"},
    }
    assert {message["payload"].get("cmd") for message in heard[1:]} == {
        "SUBSCRIBE",
        "GET_ACTIVITY_INSTANCE_CONNECTED_PARTICIPANTS",
    }
    await visit.until("document.getElementById('people').textContent === 'Ana'")
    people = [{"id": "1", "username": "ana", "global_name": "Ana"}, {"id": "2", "username": "ben", "nickname": "Benny"}]
    await visit.page.evaluate(
        "(participants) => window.tell('ACTIVITY_INSTANCE_PARTICIPANTS_UPDATE', { participants })", people
    )
    await visit.until("document.getElementById('people').textContent === 'Ana, Benny'")
    await visit.frame.get_by_role("button", name="Open on its own page").click()
    await visit.page.wait_for_function("() => window.opened.length === 1")
    (opened,) = await visit.page.evaluate("() => window.opened")
    assert opened.startswith("https://watch.example.com/w/")


async def test_second_viewer_sees_the_same_and_each_is_counted(chat: DiscordDriver, launch: Visitor) -> None:
    await bring_avatar(chat)
    first = await launch(await press(chat))
    second = await launch(await press(chat, by=BEN))
    await first.until_playing()
    await second.until_playing()
    for visit in (first, second):
        await visit.until("document.getElementById('viewers').textContent === '2 people'")
    await chat.write("Both of you hear this")
    await until_captioned(first, "Both of you")
    await until_captioned(second, "Both of you")


async def test_end_and_the_next_session(chat: DiscordDriver, launch: Visitor, pictures: Path) -> None:
    await bring_avatar(chat)
    visit = await launch(await press(chat))
    await visit.until_playing()
    await chat.write("The first session")
    await until_captioned(visit, "The first session")
    await chat.command("/avatar stop")
    await visit.until_state("ended")
    await visit.until("document.getElementById('overlay-text').textContent.includes('appears here by itself')")
    await visit.picture(pictures, "discord-frame-ended")
    await chat.command("/avatar start")
    await visit.until_playing()
    assert await visit.captions() == ""
    assert "The first session" not in await visit.text()
    await chat.write("The second session")
    await until_captioned(visit, "The second session")


async def test_channel_without_an_avatar_says_how_to_bring_one(
    chat: DiscordDriver, launch: Visitor, pictures: Path
) -> None:
    instance_id = await launched(await chat.twin.launch(chat.channel, chat.people[ANA]))
    visit = await launch(instance_id)
    await visit.until_state("nobody")
    assert "Type /avatar start in the channel" in await visit.text()
    assert await visit.ask("document.getElementById('action').hidden")
    await visit.picture(pictures, "discord-frame-nobody")
    await chat.command("/avatar start")
    await visit.until_playing()


async def test_who_is_known_and_may_brings_one_from_the_frame(
    chat: DiscordDriver, launch: Visitor, world: DiscordWorld, key: Ed25519PrivateKey, pictures: Path
) -> None:
    world.headers = signed(chat, key, chat.people[ANA])
    visit = await launch(await launched(await chat.twin.launch(chat.channel, chat.people[ANA])))
    await visit.until_state("nobody")
    await visit.picture(pictures, "discord-frame-start")
    await visit.frame.get_by_role("button", name="Bring an avatar here").click()
    await visit.until_playing()
    assert len(chat.bot.bot.sessions) == 1


async def test_connection_that_breaks_comes_back(chat: DiscordDriver, launch: Visitor, world: DiscordWorld) -> None:
    await bring_avatar(chat)
    visit = await launch(await press(chat))
    await visit.until_playing()
    visit.expect("ERR_EMPTY_RESPONSE|ERR_CONNECTION|ERR_SOCKET|WebSocket connection to|Failed to load resource")
    await world.cut()
    await visit.until_state("lost")
    world.is_cut = False
    await visit.until_state("live")
    await visit.until_playing()
    await chat.write("We are back")
    await until_captioned(visit, "We are back")


@pytest.mark.parametrize("strips", [True, False], ids=["taken off by the proxy", "passed on"])
async def test_old_prefix_of_the_proxy_works_too(
    chat: DiscordDriver, launch: Visitor, world: DiscordWorld, strips: bool
) -> None:
    world.strips_prefix = strips
    await bring_avatar(chat)
    visit = await launch(await press(chat), prefix="/.proxy/")
    await visit.until_playing()
    resources = await visit.ask("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert all(name.startswith(f"{world.origin}/.proxy/") for name in resources), resources


async def test_instance_that_is_over_says_so(chat: DiscordDriver, launch: Visitor, pictures: Path) -> None:
    await bring_avatar(chat)
    visit = await launch(await press(chat))
    await visit.until_playing()
    chat.twin.activities.leave(chat.twin.activities.running[0], chat.people[ANA])
    await visit.until("document.body.dataset.state === 'expired'", 30)
    assert "open it again from the channel" in await visit.text()
    await visit.picture(pictures, "discord-frame-over")


async def test_other_pages_may_not_frame_it(chat: DiscordDriver, discord_browser: Browser, world: DiscordWorld) -> None:
    instance_id = chat.twin.activities.launch(chat.channel, chat.people[ANA]).id
    context = await discord_browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await page.route(
        "https://evil.example/**",
        lambda route: route.fulfill(
            body=f'<link rel="icon" href="data:,"><iframe src="{world.origin}/?instance_id={instance_id}"></iframe>',
            content_type="text/html",
        ),
    )
    await page.goto("https://evil.example/")
    async with asyncio.timeout(10):
        while [frame.url for frame in page.frames][1:] != ["chrome-error://chromewebdata/"]:
            await page.wait_for_timeout(50)
    await context.close()


@pytest.mark.parametrize("size", ["phone", "desktop"])
async def test_it_fits_on_a_phone_and_keeps_clear_of_its_edges(
    chat: DiscordDriver, launch: Visitor, pictures: Path, size: str
) -> None:
    await bring_avatar(chat)
    visit = await launch(await press(chat), viewport=PHONE if size == "phone" else DESKTOP)
    await visit.until_playing()
    await visit.ask(
        "['top', 'bottom'].forEach((edge) =>"
        " document.documentElement.style.setProperty(`--discord-safe-area-inset-${edge}`, '47px'))"
    )
    assert await visit.ask("document.documentElement.scrollWidth <= innerWidth")
    assert await visit.ask("document.querySelector('header').getBoundingClientRect().top >= 47")
    await chat.write("It fits on a narrow phone, too")
    await until_captioned(visit, "It fits")
    await visit.picture(pictures, f"discord-frame-{size}")


async def test_picture_alone_where_discord_makes_the_frame_small(chat: DiscordDriver, launch: Visitor) -> None:
    await bring_avatar(chat)
    visit = await launch(await press(chat), viewport={"width": 360, "height": 240})
    await visit.until_playing()
    await visit.page.evaluate("() => window.tell('ACTIVITY_LAYOUT_MODE_UPDATE', { layout_mode: 1 })")
    await visit.until("getComputedStyle(document.querySelector('header')).display === 'none'")
    assert await visit.ask("document.querySelector('.screen').getBoundingClientRect().top") < 1
    await visit.page.evaluate("() => window.tell('ACTIVITY_LAYOUT_MODE_UPDATE', { layout_mode: 0 })")
    await visit.until("getComputedStyle(document.querySelector('header')).display !== 'none'")


@pytest.mark.parametrize("environment", [{"AVATAR_WATCH": "direct"}])
async def test_bot_that_has_no_picture_of_its_own_says_where_it_is(
    chat: DiscordDriver, launch: Visitor, pictures: Path
) -> None:
    await bring_avatar(chat)
    # Its panel has no button; Discord itself offers the Activity all the same.
    assert "Watch here" not in await chat.panel()
    visit = await launch(chat.twin.activities.launch(chat.channel, chat.people[ANA]).id)
    await visit.until_state("elsewhere")
    assert "This bot cannot show it in here" in await visit.text()
    await visit.picture(pictures, "discord-frame-elsewhere")
    await visit.frame.get_by_role("button", name="Open its page").click()
    await visit.page.wait_for_function("() => window.opened.length === 1")
    assert (await visit.page.evaluate("() => window.opened"))[0].startswith("https://watch.example.com/w/")
