"""Every state of the page in a real browser: what it says, how it gets there and back, how it looks."""

import re
from pathlib import Path

import pytest

from bot.core.models import Mode
from bot.core.views import Phase
from tests.browser.conftest import Visitor
from tests.browser.looks import CONTRASTS, SCREENS, look_at
from tests.harness.clock import ManualClock
from tests.unit.web.fixtures import Watching

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize(
    ("phase", "label", "sentence"),
    [
        (Phase.STARTING, "Starting", "The avatar is starting"),
        (Phase.LIVE, "Live", "Joining the stream"),
        (Phase.WAITING_FOR_TEXT, "Asleep", "The next message wakes it."),
        (Phase.WAITING_FOR_VIEWER, "Waiting for a viewer", "The avatar is waiting for a viewer"),
    ],
)
async def test_each_phase_says_what_it_is(
    still: Watching, visit: Visitor, phase: Phase, label: str, sentence: str
) -> None:
    still.change(phase=phase)
    page = await visit(still.page)
    await page.until_state(phase.value)
    text = await page.text()
    assert label in text
    assert sentence in text
    assert await page.page.title() == f"{label} · Town crier"


@pytest.mark.parametrize(
    ("view", "label", "title", "text"),
    [
        (
            {"phase": Phase.WAITING_FOR_TEXT, "wakes_in": 4},
            "Asleep",
            "The avatar is asleep",
            "The next message wakes it (about 4 s).",
        ),
        (
            {"phase": Phase.STARTING, "is_waking": True, "wakes_in": 4},
            "Waking up",
            "The avatar is waking up",
            "This takes about 4 s.",
        ),
        (
            {"phase": Phase.STARTING, "is_waking": True},
            "Waking up",
            "The avatar is waking up",
            "This takes a few seconds.",
        ),
    ],
)
async def test_who_sleeps_or_wakes_up_says_how_long_that_usually_takes(
    still: Watching, visit: Visitor, view: dict[str, object], label: str, title: str, text: str
) -> None:
    still.change(**view)
    page = await visit(still.page)
    await page.until(f"document.getElementById('overlay-title').textContent === '{title}'")
    assert await page.ask("document.getElementById('overlay-text').textContent") == text
    assert await page.ask("document.getElementById('state-label').textContent") == label


async def test_the_facts_of_the_session_are_there(watching: Watching, visit: Visitor) -> None:
    watching.change(mode=Mode.CHAT, queue_length=1, held=True)
    page = await visit(watching.page)
    await page.until("document.getElementById('mode').textContent === 'Answers what you write'")
    assert await page.ask("document.getElementById('started-by').textContent") == "The host"
    assert await page.ask("document.getElementById('queue').textContent") == "1 message, held"
    left = await page.ask("document.getElementById('time-left').textContent")
    assert re.fullmatch(r"12:00|11:[0-5][0-9]", left)
    await page.until(f"document.getElementById('time-left').textContent !== '{left}'")
    watching.change(mode=Mode.REPEAT, queue_length=0)
    await page.until("document.getElementById('mode').textContent === 'Repeats what you write'")
    assert "Messages written in the channel are spoken aloud and shown here." in await page.text()


async def test_the_end_says_why_and_is_final(still: Watching, visit: Visitor, clock: ManualClock) -> None:
    page = await visit(still.page)
    await page.until_state("live")
    still.change(phase=Phase.ENDED, ended="It was stopped in the channel after 12 minutes.")
    await page.until_state("ended")
    text = await page.text()
    assert "The session has ended" in text
    assert "It was stopped in the channel after 12 minutes." in text
    announced = await page.ask("document.querySelector('[aria-live=assertive]').textContent")
    assert announced == "The session has ended. It was stopped in the channel after 12 minutes."
    assert await page.page.title() == "Ended · Town crier"
    await page.page.wait_for_timeout(1200)  # longer than the first wait before another try
    assert page.sockets == 1


async def test_a_session_that_has_ended_says_so_to_who_comes_late(still: Watching, visit: Visitor) -> None:
    still.change(phase=Phase.ENDED, ended="Nobody wrote for five minutes.")
    page = await visit(still.page)
    await page.until_state("ended")
    assert "Nobody wrote for five minutes." in await page.text()


async def test_an_expired_link_opens_a_page_that_says_so(still: Watching, visit: Visitor, clock: ManualClock) -> None:
    url = still.page
    await clock.advance(4000)
    page = await visit(url)
    page.expect("410")
    assert "This link has expired" in await page.text()
    assert await page.ask(CONTRASTS) == []


async def test_a_link_that_expires_while_open_turns_into_that_state(
    still: Watching, visit: Visitor, clock: ManualClock
) -> None:
    page = await visit(still.page)
    await page.until_state("live")
    await clock.advance(4000)
    await page.until_state("expired")
    assert "Ask for a new one in the channel" in await page.text()


async def test_a_link_revoked_while_open_stops_the_picture_and_says_so(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    watching.revoke()
    await page.until_state("revoked")
    assert "This link is no longer valid" in await page.text()
    assert await page.ask("!video.src && video.readyState === 0")


async def test_a_lost_connection_says_so_and_comes_back(watching: Watching, visit: Visitor, hls_url: str) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    page.expect("ERR_CONNECTION_REFUSED")
    await page.until_playing()
    port = int(watching.base.rsplit(":", 1)[1])
    await watching.stop()
    await page.until_state("lost")
    assert "Connection lost" in await page.text()
    assert await page.page.get_by_role("button", name="Try now").is_visible()
    moment = await page.ask("video.currentTime")
    await page.until(f"video.currentTime > {moment} + 0.3")  # the picture does not depend on the line
    watching.server = watching.make_server(port)
    await watching.start()
    await page.ask("document.getElementById('retry').click()")  # however soon the page would have tried by itself
    await page.until_state("live")
    assert not await page.page.get_by_role("button", name="Try now").is_visible()
    watching.change(queue_length=9)
    await page.until("document.getElementById('queue').textContent === '9 messages'")


async def test_a_lost_connection_comes_back_without_a_click(still: Watching, visit: Visitor) -> None:
    page = await visit(still.page)
    page.expect("ERR_CONNECTION_REFUSED")
    await page.until_state("live")
    port = int(still.base.rsplit(":", 1)[1])
    await still.stop()
    await page.until_state("lost")
    still.server = still.make_server(port)
    await still.start()
    await page.until_state("live")


async def test_a_lost_connection_without_a_picture_is_said_once_with_a_button(still: Watching, visit: Visitor) -> None:
    page = await visit(still.page)
    page.expect("ERR_CONNECTION_REFUSED")
    await page.until_state("live")
    port = int(still.base.rsplit(":", 1)[1])
    await still.stop()
    await page.until_state("lost")
    assert not await page.ask("document.getElementById('connection-lost').checkVisibility()")
    await page.until(
        "document.getElementById('announce-state').textContent.startsWith('Connection lost. Reconnecting')"
    )
    assert await page.page.get_by_role("button", name="Try now").is_visible()
    still.server = still.make_server(port)
    await still.start()
    await page.ask("document.getElementById('action').click()")  # however soon the page would have tried by itself
    await page.until_state("live")


async def test_screen_readers_hear_each_state_and_what_to_do(still: Watching, visit: Visitor) -> None:
    page = await visit(still.page)
    still.change(phase=Phase.WAITING_FOR_TEXT)
    said = "document.querySelector('#announce-state[role=status]').textContent"
    await page.until(f"{said} === 'The avatar is asleep. The next message wakes it.'")


async def test_a_long_reason_has_room_on_a_phone(still: Watching, visit: Visitor) -> None:
    page = await visit(still.page, viewport={"width": 320, "height": 640})
    still.change(phase=Phase.ENDED, ended="It was stopped in the channel after twelve minutes. " * 5)
    await page.until_state("ended")
    assert await page.ask(
        "document.getElementById('overlay').scrollHeight <= document.querySelector('.screen').clientHeight + 2"
    )


async def test_text_from_outside_stays_text(still: Watching, visit: Visitor) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    still.change(avatar=hostile, started_by_name=hostile, speaking=hostile)
    page = await visit(still.page)
    await page.until_state("live")
    still.speak(hostile)
    await page.until("document.getElementById('captions').innerText !== ''")
    assert await page.ask("document.querySelector('h1').textContent") == hostile
    assert await page.ask("document.querySelectorAll('main script, h1 *, dd *, img[src=x]').length") == 0


async def test_the_page_may_not_have_a_camera_or_a_microphone(still: Watching, visit: Visitor) -> None:
    page = await visit(still.page)
    policy = "document.featurePolicy.allowsFeature"
    assert await page.ask(f"[{policy}('camera'), {policy}('microphone')]") == [False, False]


async def test_a_phone_never_scrolls_sideways(still: Watching, visit: Visitor) -> None:
    page = await visit(still.page, viewport={"width": 320, "height": 640})
    long_name = "Donaudampfschifffahrtsgesellschaftskapitaen" * 3
    for phase in (Phase.STARTING, Phase.WAITING_FOR_VIEWER, Phase.WAITING_FOR_TEXT, Phase.LIVE, Phase.ENDED):
        still.change(phase=phase, avatar=long_name, started_by_name=long_name, ended=long_name)
        still.speak(long_name)
        await page.until_state(phase.value)
        assert await page.ask("document.documentElement.scrollWidth") <= 320
        assert await page.ask(
            "[...document.querySelectorAll('h1, dd, p:not(.visually-hidden)')].every((e) => e.scrollWidth <= 320)"
        )


async def test_landmarks_and_one_heading_are_there(still: Watching, visit: Visitor) -> None:
    page = await visit(still.page)
    await page.until_state("live")
    for tag in ("header", "main", "footer", "h1"):
        assert await page.ask(f"document.querySelectorAll('{tag}').length") == 1
    unnamed = "[...document.querySelectorAll('button, input, summary, video, section, [tabindex]')]"
    unnamed += ".filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length || e.ariaLabelledByElements))"
    assert await page.ask(f"{unnamed}.length") == 0


async def test_motion_stops_for_who_asked_for_less(still: Watching, visit: Visitor) -> None:
    still.change(phase=Phase.STARTING)
    moving = "document.getAnimations().length"
    page = await visit(still.page)
    await page.until_state("starting")
    assert await page.ask(moving) > 0
    calm = await visit(still.page, reduced_motion="reduce")
    await calm.until_state("starting")
    assert await calm.ask(moving) == 0


async def test_every_state_can_be_read_in_light_and_dark_on_every_screen(
    watching: Watching, visit: Visitor, hls_url: str, pictures: Path
) -> None:
    watching.change(phase=Phase.STARTING, queue_length=0)
    visits = {device: await visit(watching.page, **screen) for device, screen in SCREENS.items()}

    async def look(state: str, name: str = "") -> None:
        for device, page in visits.items():
            await look_at(page, state, pictures, f"{name or state}-{device}")

    await look("starting")
    for page in visits.values():
        page.expect("ERR_CONNECTION_REFUSED")
    watching.change(phase=Phase.LIVE, hls_url=hls_url, queue_length=2, speaking="Good morning")
    for page in visits.values():
        await page.until_playing()
    watching.speak("Good morning , everybody . The harvest festival starts at three .", pace=0.05)
    await look("live")
    for page in visits.values():
        await page.page.get_by_role("button", name="Unmute").click()
        await page.page.mouse.move(2, 2)
        await page.until("document.getElementById('captions').textContent.includes('three.')")
    await look("live", "live-captions")
    watching.change(phase=Phase.WAITING_FOR_TEXT, hls_url=None, queue_length=0, speaking=None)
    await look("waiting_for_text")
    watching.change(phase=Phase.WAITING_FOR_VIEWER)
    await look("waiting_for_viewer")
    port = int(watching.base.rsplit(":", 1)[1])
    await watching.stop()
    await look("lost")
    watching.server = watching.make_server(port)
    await watching.start()
    for page in visits.values():
        await page.until_state("waiting_for_viewer")
    watching.change(phase=Phase.ENDED, ended="It was stopped in the channel after 12 minutes.")
    await look("ended")
