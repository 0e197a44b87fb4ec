"""What people do with the page while they watch: captions, transcript, small window, settings, from any device."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Error, Page

from bot.core.events import UtteranceChanged
from bot.core.models import Mode, UtteranceState
from bot.core.views import Phase
from tests.browser.conftest import Visitor
from tests.browser.looks import CONTRASTS, SCHEMES, SCREENS
from tests.browser.visit import PATIENCE, Visit
from tests.builders import an_utterance
from tests.unit.web.fixtures import CHANNEL, Watching

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BLOCKED = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("not allowed", "SecurityError"); } });
}
"""

WITHOUT_SMALL_WINDOWS = """
delete window.documentPictureInPicture;
"""

WITHOUT_ANY_SMALL_WINDOW = """
delete window.documentPictureInPicture;
Object.defineProperty(document, "pictureInPictureEnabled", { value: false });
"""

HIDING = """
Object.defineProperty(document, "visibilityState", { get: () => window.isHidden ? "hidden" : "visible" });
"""

SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    for (const { node, previousRect, currentRect } of entry.sources) {
      const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
      if (!element || element.closest(".overlay, .state, #captions, #transcript")) continue;
      window.shifts.push(`${element.id || element.className || element.nodeName}: ${previousRect.y} ${currentRect.y}`);
    }
  }
}).observe({ type: "layout-shift", buffered: true });
"""
"""What moved, but for what is inside the parts whose text changes."""

LIGHTS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "window": {"viewport": {"width": 900, "height": 700}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    "phone on its side": {"viewport": {"width": 844, "height": 390}, "has_touch": True},
}

ENTRIES = r"[...document.querySelectorAll('#transcript-list li')].map((li) => li.innerText.replaceAll(/\n+/g, '\n'))"


def say(
    watching: Watching,
    text: str,
    *,
    who: str = "Ana",
    answer: str | None = None,
    end: UtteranceState | None = UtteranceState.SPOKEN,
) -> None:
    """The avatar says `text`, or `answer` to it, to its end."""
    mode = Mode.REPEAT if answer is None else Mode.CHAT
    fields: dict[str, Any] = {"session_id": watching.view.session_id, "mode": mode, "author_name": who, "text": text}
    utterance = an_utterance(**fields, state=UtteranceState.SPEAKING)
    watching.event_bus.publish(UtteranceChanged(CHANNEL, utterance))
    if end is not None:
        watching.event_bus.publish(UtteranceChanged(CHANNEL, utterance._replace(state=end), answer))


def press(page: Visit, name: str) -> Awaitable[None]:
    return page.page.get_by_role("button", name=name, exact=True).click()


async def open_settings(page: Visit) -> None:
    await page.page.locator("#settings summary").click()


# --- the stage and the layout


@pytest.mark.parametrize("device", LIGHTS)
async def test_nothing_moves_by_itself_from_the_first_paint_to_the_last_word(
    watching: Watching, visit: Visitor, hls_url: str, device: str
) -> None:
    page = await visit(watching.page, script=SHIFTS, **LIGHTS[device])
    await page.until_state("live")
    watching.change(hls_url=hls_url)
    await page.until_playing()
    watching.speak("A sentence that is long enough to be broken into several lines on a phone. " * 3, pace=0.02)
    for number in range(12):
        say(watching, f"number {number}")
    await page.until("document.querySelectorAll('#captions p').length === 3")
    await page.until("document.querySelectorAll('#transcript-list li').length === 12")
    await page.until("document.getElementById('delay').textContent.includes('behind')")
    moved = await page.ask("window.shifts")
    assert moved == [], moved
    assert await page.ask("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("device", "share"), [("desktop", 0.6), ("window", 0.65), ("phone on its side", 0.7)])
async def test_the_screen_uses_the_height_there_is_and_its_captions_stay_in_sight(
    watching: Watching, visit: Visitor, device: str, share: float
) -> None:
    page = await visit(watching.page, **LIGHTS[device])
    await page.until_state("live")
    box = "document.querySelector('.screen').getBoundingClientRect()"
    assert await page.ask(f"{box}.height / innerHeight") > share
    assert await page.ask("document.querySelector('.captions').getBoundingClientRect().bottom <= innerHeight")
    assert abs(await page.ask(f"{box}.width / {box}.height") - 16 / 9) < 0.02


@pytest.mark.parametrize("device", LIGHTS)
async def test_everything_can_be_read_in_light_and_dark(
    watching: Watching, visit: Visitor, hls_url: str, pictures: Path, device: str
) -> None:
    watching.change(hls_url=hls_url, mode=Mode.CHAT, queue_length=1)
    page = await visit(watching.page, **LIGHTS[device])
    await page.until_playing()
    say(watching, "What is the capital of Australia?", who="Grace", answer="The capital of Australia is Canberra.")
    say(watching, "Tell us a long story.", who="Ben", answer="Once upon", end=UtteranceState.INTERRUPTED)
    say(watching, "Good morning, everybody.", end=None)
    watching.speak("Good morning, everybody. The build is green.", pace=0.05)
    await page.until("document.getElementById('captions').textContent.includes('green.')")
    await page.until("document.querySelectorAll('#transcript-list li').length === 3")
    await press(page, "Unmute")
    for is_open in (False, True):
        if is_open:
            await open_settings(page)
        for scheme, _ in SCHEMES:
            await page.page.emulate_media(color_scheme=scheme)
            low = await page.ask(CONTRASTS)
            assert low == [], low
            name = "settings" if is_open else "watching"
            await page.picture(pictures, f"{name}-{device.replace(' ', '-')}-{scheme}")


# --- captions


async def test_captions_can_be_switched_off_and_are_off_after_a_reload(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    await press(page, "Unmute")
    switch = page.page.get_by_role("button", name="Captions", exact=True)
    assert await switch.get_attribute("aria-pressed") == "true"
    await switch.click()
    assert await switch.get_attribute("aria-pressed") == "false"
    assert not await page.page.locator("#captions-title").is_visible()
    watching.speak("Nobody reads this .", pace=0.05)
    await page.until("document.getElementById('captions').textContent.includes('this.')")
    await page.page.wait_for_timeout(2000)  # longer than the silence that ends a sentence
    assert await page.ask("document.getElementById('announce-speech').textContent") == ""
    await page.page.reload()
    await page.until_state("live")
    assert not await page.page.locator("#captions-title").is_visible()
    await open_settings(page)
    await page.page.get_by_role("checkbox", name="Captions").check()
    assert await page.page.locator("#captions-title").is_visible()


async def test_captions_have_the_size_that_was_chosen_also_after_a_reload(watching: Watching, visit: Visitor) -> None:
    size = "Number.parseFloat(getComputedStyle(document.getElementById('captions')).fontSize)"
    page = await visit(watching.page)
    await page.until_state("live")
    medium = await page.ask(size)
    await open_settings(page)
    await page.page.get_by_label("Large").check()
    large = await page.ask(size)
    await page.page.get_by_label("Small").check()
    assert await page.ask(size) < medium < large
    await page.page.get_by_label("Large").check()
    await page.page.reload()
    await page.until_state("live")
    assert await page.ask(size) == large
    assert await page.ask("document.querySelector('.captions').getBoundingClientRect().bottom <= innerHeight")


async def test_captions_are_in_the_language_of_the_session_or_in_an_unknown_one(
    watching: Watching, visit: Visitor
) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    languages = "['captions', 'announce-speech'].map((id) => document.getElementById(id).getAttribute('lang'))"
    assert await page.ask(languages) == ["", ""]
    watching.change(language="pt-BR")
    await page.until(f"{languages}.join() === 'pt-BR,pt-BR'")
    assert await page.ask("document.documentElement.lang") == "en"


# --- the transcript


async def test_who_comes_in_the_middle_reads_who_asked_what_and_when(watching: Watching, visit: Visitor) -> None:
    await visit(watching.page)
    say(watching, "Good morning.", who="Ana")
    say(watching, "Why?", who="Ben", answer="Because ||the butler|| was **there**.")
    say(watching, "Wait", who="Eve", end=UtteranceState.INTERRUPTED)
    page = await visit(watching.page)
    await page.until(f"{ENTRIES}.length === 3")
    first, second, third = [str(entry).split("\n") for entry in await page.ask(ENTRIES)]
    assert first[0].startswith("Ana ")
    assert first[1:] == ["Good morning."]
    assert second[1:] == ["Why?", "Answer:", "Because spoiler was there."]
    assert "cut off" in third[0]
    when = await page.ask("document.querySelector('#transcript-list time').dateTime")
    assert when.startswith(f"{watching.clock.now():%Y-%m-%dT%H}")


async def test_texts_and_names_in_the_transcript_stay_text(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    say(watching, "<img src=x onerror=alert(1)>", who="<b>Eve</b>", answer="<script>alert(1)</script> said")
    await page.until(f"{ENTRIES}.length === 1")
    assert "<b>Eve</b>" in (await page.ask(ENTRIES))[0]
    assert await page.ask("document.querySelectorAll('#transcript-list :is(b, img, script)').length") == 0


async def test_who_reads_further_up_stays_there_and_is_shown_the_way_to_the_end(
    watching: Watching, visit: Visitor
) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    for number in range(200):
        say(watching, f"number {number}")
    await page.until(f"{ENTRIES}.length === 200")
    at_end = "(s => s.scrollTop + s.clientHeight >= s.scrollHeight - 2)(document.getElementById('transcript'))"
    assert await page.ask(at_end)

    await page.page.locator("#transcript").focus()
    await page.page.keyboard.press("Home")
    await page.until("document.getElementById('transcript').scrollTop === 0")
    for _ in range(3):
        await page.page.keyboard.press("PageDown")
    await page.until("document.getElementById('transcript').scrollTop > 400")
    await page.page.wait_for_timeout(1000)  # the scrolling is smooth
    top = "document.querySelectorAll('#transcript-list li')[NUMBER].getBoundingClientRect().top"
    before = await page.ask(top.replace("NUMBER", "20"))
    for number in range(200, 205):
        say(watching, f"number {number}")
    await page.until(f"{ENTRIES}.at(-1).includes('number 204')")
    assert await page.ask(f"{ENTRIES}.length") == 200
    assert abs(await page.ask(top.replace("NUMBER", "15")) - before) < 2
    assert await page.ask("document.activeElement.id") == "transcript"

    await press(page, "Latest")
    await page.until(at_end)
    assert not await page.page.locator("#transcript-latest").is_visible()
    assert await page.ask("document.activeElement.id") == "transcript"


async def test_a_lost_connection_doubles_nothing_in_the_transcript(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    say(watching, "Good morning.")
    await page.until(f"{ENTRIES}.length === 1")
    for socket in tuple(watching.server._feed._sockets):
        await socket.close(code=1001)
    await page.until_state("lost")
    say(watching, "And again.")
    await page.until_state("live")
    await page.until(f"{ENTRIES}.length >= 2")
    assert [entry.split("\n")[1] for entry in await page.ask(ENTRIES)] == ["Good morning.", "And again."]


# --- how many watch, and how far behind


async def test_how_many_watch_follows_who_comes_and_goes(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    viewers = "document.getElementById('viewers').textContent"
    await page.until(f"{viewers} === '1 person'")
    other = await visit(watching.page)
    await page.until(f"{viewers} === '2 people'")
    await other.until(f"{viewers} === '2 people'")
    await other.page.goto("about:blank")
    await page.until(f"{viewers} === '1 person'")
    await other.page.go_back()


async def test_the_delay_is_said_while_there_is_a_picture(watching: Watching, visit: Visitor, hls_url: str) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    assert not await page.page.locator("#delay").is_visible()
    watching.change(hls_url=hls_url)
    await page.until_playing()
    await page.until("/^(About [1-9] s|Less than 1 s) behind$/.test(document.getElementById('delay').textContent)")
    watching.change(phase=Phase.WAITING_FOR_TEXT, hls_url=None)
    await page.until("!document.getElementById('delay').checkVisibility({ visibilityProperty: true })")


# --- the small window


async def small_window(page: Visit) -> Page:
    async with asyncio.timeout(PATIENCE):
        while len(page.page.context.pages) < 2:  # noqa: ASYNC110  Playwright has no event for it
            await asyncio.sleep(0.03)
    return page.page.context.pages[1]


async def test_the_picture_goes_into_a_small_window_with_its_captions_and_comes_back(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    await press(page, "Unmute")
    button = page.page.get_by_role("button", name="Picture-in-picture", exact=True)
    await button.click()
    small = await small_window(page)
    watching.speak("Seen while people chat .", pace=0.05)
    seen = "() => document.querySelector('#captions')?.textContent.includes('chat.')"
    await until(lambda: small.evaluate(seen))
    moment = await small.evaluate("() => document.querySelector('video').currentTime")
    await until(lambda: small.evaluate(f"() => document.querySelector('video').currentTime > {moment} + 0.5"))
    assert await small.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
    assert await page.ask("document.querySelector('video')") is None
    assert "The picture is in its own small window." in await page.text()
    assert await button.get_attribute("aria-pressed") == "true"

    # The stream ends, and the small window says so; the next one plays there.
    watching.change(phase=Phase.WAITING_FOR_TEXT, hls_url=None)
    await until(lambda: small.evaluate("() => document.body.innerText.includes('The avatar is asleep')"))
    watching.change(phase=Phase.LIVE, hls_url=hls_url)
    await until(lambda: small.evaluate("() => document.querySelector('video').currentTime > 0.2"))
    await until(lambda: small.evaluate("() => document.querySelector('p').textContent === ''"))

    await press(page, "Bring it back")
    await page.until_playing()
    moment = await page.ask("video.currentTime")
    await page.until(f"video.currentTime > {moment} + 0.5 && !video.muted")
    assert await page.ask("document.querySelector('.screen').firstElementChild === video")
    assert await page.ask("document.querySelector('.captions').contains(document.getElementById('captions'))")
    assert await button.get_attribute("aria-pressed") == "false"


async def test_keys_work_in_the_small_window(watching: Watching, visit: Visitor, hls_url: str) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    await page.page.keyboard.press("p")
    small = await small_window(page)
    await small.keyboard.press("m")
    await until(lambda: small.evaluate("() => !document.querySelector('video').muted"))
    with suppress(Error):  # the window is gone before the key is up
        await small.keyboard.press("p")
    await page.until("video && video.ownerDocument === document")


async def test_a_page_with_its_picture_in_a_small_window_is_watched_although_it_is_hidden(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page, script=HIDING)
    await page.until_playing()
    await page.page.keyboard.press("p")
    await small_window(page)
    audience = watching.audiences.of(watching.view.session_id)
    change = "(window.isHidden = true, document.dispatchEvent(new Event('visibilitychange')))"
    await page.ask(change)
    await page.page.wait_for_timeout(300)
    assert audience.size == 1
    await page.ask("window.documentPictureInPicture.window.close()")
    await until(lambda: is_empty(audience.size))


async def is_empty(size: int) -> bool:
    return size == 0


@pytest.mark.parametrize(("script", "is_there"), [(WITHOUT_SMALL_WINDOWS, True), (WITHOUT_ANY_SMALL_WINDOW, False)])
async def test_the_button_is_there_where_the_browser_has_small_windows(
    watching: Watching, visit: Visitor, hls_url: str, script: str, *, is_there: bool
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page, script=script)
    await page.until_playing()
    await press(page, "Unmute")
    button = page.page.get_by_role("button", name="Picture-in-picture", exact=True)
    assert await button.is_visible() is is_there
    if is_there:
        await button.click()
        await page.until("document.pictureInPictureElement === video")
        await page.until("document.getElementById('small-window').ariaPressed === 'true'")
        await button.click()
        await page.until("document.pictureInPictureElement === null")


# --- settings, keys and storage


async def test_shortcuts_can_be_switched_off_and_stay_off(watching: Watching, visit: Visitor, hls_url: str) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    shortcuts = "[...document.querySelectorAll('[aria-keyshortcuts]')].map((b) => b.getAttribute('aria-keyshortcuts'))"
    assert await page.ask(shortcuts) == ["m", "c", "p", "f"]
    await page.page.keyboard.press("c")
    await page.until("document.documentElement.dataset.captions === 'off'")
    await open_settings(page)
    await page.page.get_by_label("Keyboard shortcuts").uncheck()
    await page.page.keyboard.press("Escape")
    for _ in range(2):
        await page.ask("document.activeElement.blur()")
        for key in ("m", "c", "p", "f", "Space"):
            await page.page.keyboard.press(key)
        assert await page.ask("video.muted && !document.fullscreenElement")
        assert await page.ask("document.documentElement.dataset.captions") == "off"
        assert len(page.page.context.pages) == 1
        assert await page.ask(shortcuts) == []
        await page.page.reload()
        await page.until_playing()


async def test_the_settings_can_be_reached_used_and_left_with_keys_alone(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    keyboard = page.page.keyboard
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await page.until("document.getElementById('settings').open")
    await keyboard.press("Tab")
    await keyboard.press("Space")
    await page.until("document.documentElement.dataset.captions === 'off'")
    await keyboard.press("Space")
    await keyboard.press("Tab")
    await keyboard.press("ArrowRight")
    await page.until("document.documentElement.dataset.captionSize === 'large'")
    await keyboard.press("Escape")
    assert not await page.ask("document.getElementById('settings').open")
    assert await page.ask("document.activeElement.textContent") == "Settings"
    await keyboard.press("Enter")
    for _ in range(4):
        await keyboard.press("Tab")
    assert not await page.ask("document.getElementById('settings').open")
    assert await page.ask("document.activeElement.id") == "transcript"


async def test_a_browser_without_storage_plays_and_remembers_until_it_leaves(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page, script=BLOCKED)
    await page.until_playing()
    await press(page, "Unmute")
    await page.page.get_by_role("slider", name="Volume").fill("0.4")
    await open_settings(page)
    await page.page.get_by_label("Large").check()
    assert await page.ask("document.documentElement.dataset.captionSize") == "large"
    assert await page.ask("video.volume") == 0.4


@pytest.mark.parametrize(
    "saved", ["nonsense", "null", "[]", '{"captions": "<b>", "captionSize": 7, "shortcuts": null}']
)
async def test_what_nobody_saved_like_this_is_ignored(watching: Watching, visit: Visitor, saved: str) -> None:
    page = await visit(watching.page, script=f"localStorage.setItem('preferences', {saved!r});")
    await page.until_state("live")
    preferred = "JSON.stringify(document.documentElement.dataset)"
    assert await page.ask(preferred) == '{"captions":"on","captionSize":"medium"}'


async def test_a_server_from_before_tells_less_and_the_page_shows_less(watching: Watching, visit: Visitor) -> None:
    old = """
    const Real = window.WebSocket;
    window.WebSocket = class extends Real {
      set onmessage(act) {
        super.onmessage = (event) => {
          const message = JSON.parse(event.data);
          delete message.language;
          if (!["viewers", "transcript"].includes(message.type)) act({ data: JSON.stringify(message) });
        };
      }
    };
    """
    page = await visit(watching.page, script=old)
    await page.until_state("live")
    say(watching, "Good morning.")
    watching.speak("Good morning .", pace=0.05)
    await page.until("document.getElementById('captions').textContent === 'Good morning.'")
    assert not await page.page.locator("#viewers").is_visible()
    assert "can be read again here" in await page.text()


async def test_the_page_can_be_used_before_what_plays_the_picture_is_there(watching: Watching, visit: Visitor) -> None:
    """Which takes half a megabyte. Until then it is the page, its style and its modules, all named in the page, so that
    they come at once."""
    note_what_is_there = """
    window.early = [];
    addEventListener("DOMContentLoaded", () => {
      window.early = performance.getEntriesByType("resource").map(({ name, decodedBodySize }) =>
        ({ name, size: decodedBodySize }));
    });
    """
    page = await visit(watching.page, script=note_what_is_there, **SCREENS["desktop"])
    await page.until_state("live")
    early = await page.ask("early")
    assert early
    assert not [resource["name"] for resource in early if "vendor" in resource["name"]]
    assert sum(resource["size"] for resource in early) < 120_000
    named = await page.ask(
        "[...document.querySelectorAll('link[href], script[src]')].map((one) => one.href ?? one.src)"
    )
    assert {resource["name"] for resource in early} <= set(named), "something waits for another file to name it"


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Wait until something is so in another window."""
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110  the page has no event for this
            await asyncio.sleep(0.03)
