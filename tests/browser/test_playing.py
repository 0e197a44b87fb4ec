"""The picture, the sound and the captions in a real browser with a real stream."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from bot.core.events import UtteranceChanged
from bot.core.models import Utterance, UtteranceState
from bot.core.views import Phase
from tests.browser.conftest import Streams, Visitor
from tests.unit.web.fixtures import CHANNEL, Watching, eventually

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_video_plays_by_itself_without_sound(watching: Watching, visit: Visitor, hls_url: str) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    before = await page.ask("video.currentTime")
    await page.until(f"video.currentTime > {before} + 0.5")
    assert await page.ask("video.muted")
    assert await page.ask("video.videoWidth") > 0
    assert page.referrers == {""}


async def test_captions_come_word_by_word_and_not_before_the_picture(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    watching.speak("Bread , soup and apples for all ! Come early .", pace=0.15)
    await asyncio.sleep(0.3)
    assert await page.captions() == ""  # the picture is a second or more behind the source
    seen: list[str] = []
    async with asyncio.timeout(15):
        while not seen or "Come early." not in seen[-1]:
            text = await page.captions()
            if not seen or seen[-1] != text:
                seen.append(text)
            await asyncio.sleep(0.02)
    assert len(seen) > 6
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(seen))
    assert seen[-1].split("\n") == ["Bread, soup and apples for all!", "Come early."]


async def test_words_stay_in_order_where_their_times_are_guesses(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    watching.speak("Bread , soup and apples", pace=0.4)
    watching.speak("for all !", at=watching.clock.now() + timedelta(seconds=0.6), pace=0.1)
    await page.until("document.getElementById('captions').textContent.includes('!')")
    assert await page.captions() == "Bread, soup and apples for all!"


async def test_screen_readers_get_whole_sentences(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    watching.speak("One two three . Four", pace=0.1)
    await page.until("document.getElementById('announce-speech').textContent === 'One two three.'")
    await page.until("document.getElementById('announce-speech').textContent === 'Four'")
    assert await page.ask("document.getElementById('announce-speech').ariaLive") == "polite"
    assert await page.ask("document.querySelector('#captions').closest('[aria-live]')") is None


async def test_words_that_were_cut_off_do_not_appear(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    watching.speak("Never", at=watching.clock.now() + timedelta(seconds=0.6))
    utterance = Utterance(
        "u", "session-815", watching.view.mode, "x", "a", "b", UtteranceState.INTERRUPTED, watching.clock.now()
    )
    watching.event_bus.publish(UtteranceChanged(CHANNEL, utterance))
    watching.speak("Always", at=watching.clock.now() + timedelta(seconds=0.9))
    await page.until("document.getElementById('captions').innerText !== ''")
    assert await page.captions() == "Always"


async def test_an_avatar_without_word_times_shows_what_it_was_given(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    watching.change(speaking="The whole sentence at once.")
    await page.until("document.getElementById('captions').innerText === 'The whole sentence at once.'")


async def test_sound_comes_with_the_button_and_goes_with_the_keys(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    await page.page.get_by_role("button", name="Unmute").click()
    assert not await page.ask("video.muted")
    assert await page.ask("document.getElementById('unmute').hidden")
    await page.page.keyboard.press("m")
    assert await page.ask("video.muted")
    await page.page.keyboard.press("Space")  # on the small button that has the focus now
    assert not await page.ask("video.muted")
    await page.ask("document.activeElement.blur()")
    await page.page.keyboard.press("Space")
    assert await page.ask("video.muted")
    await page.page.get_by_label("Volume").fill("0.4")
    assert await page.ask("[video.muted, video.volume]") == [False, 0.4]
    await page.page.reload()
    await page.until_playing()
    assert await page.ask("video.volume") == 0.4


async def test_a_page_that_sounds_while_the_avatar_is_heard_elsewhere_says_so_and_offers_to_be_silent(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url, heard_in="Lounge <b>")
    page = await visit(watching.page)
    await page.until_playing()
    assert await page.ask("document.getElementById('heard-in').hidden")
    assert await page.ask("document.getElementById('place').textContent") == "Lounge <b>"
    await page.page.get_by_role("button", name="Unmute").click()
    assert "The avatar speaks in Lounge <b> as well." in await page.ask("document.getElementById('heard-in').innerText")
    await page.page.get_by_role("button", name="Mute this page").click()
    assert await page.ask("[video.muted, document.getElementById('heard-in').hidden]") == [True, True]
    watching.change(hls_url=hls_url, heard_in=None)
    await page.until("document.getElementById('place').parentElement.hidden")


async def test_a_keyboard_is_enough(watching: Watching, visit: Visitor, hls_url: str) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    await page.page.keyboard.press("Tab")
    assert await page.ask("document.activeElement.textContent") == "Settings"
    await page.page.keyboard.press("Tab")
    assert await page.ask("document.activeElement.id") == "unmute"
    assert await page.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await page.page.keyboard.press("Enter")
    assert not await page.ask("video.muted")
    assert await page.ask("document.activeElement.id") == "mute"


async def test_the_page_follows_the_session_to_its_next_stream(
    watching: Watching, visit: Visitor, streams: Streams, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    await page.ask("window.sameDocument = true")
    watching.change(hls_url=None, phase=Phase.WAITING_FOR_TEXT)
    await page.until_state("waiting_for_text")
    assert "The next message wakes it." in await page.text()
    next_url = await streams.open()
    watching.change(hls_url=next_url, phase=Phase.LIVE)
    await page.until_playing()
    third_url = await streams.open()
    watching.change(hls_url=third_url)
    await page.until("document.getElementById('overlay').hidden === false")
    await page.until_playing()
    assert await page.ask("window.sameDocument")
    assert page.sockets == 1


async def test_a_playlist_that_is_not_there_yet_is_tried_again_quietly(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    page = await visit(watching.page)
    page.expect("404")
    tries = 0

    async def refuse_at_first(route) -> None:  # type: ignore[no-untyped-def]  # Playwright's Route
        nonlocal tries
        tries += 1
        await (
            route.fulfill(status=404, headers={"Access-Control-Allow-Origin": "*"}) if tries < 3 else route.continue_()
        )

    await page.page.route("**/*.m3u8", refuse_at_first)
    watching.change(hls_url=hls_url)
    await page.until_playing()
    assert tries >= 3
    assert await page.ask("document.body.dataset.state") == "live"


async def test_a_browser_that_wants_a_click_shows_a_play_button(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    watching.change(hls_url=hls_url)
    script = """
      let clicked = false;
      addEventListener("click", () => { clicked = true; }, true);
      const play = HTMLMediaElement.prototype.play;
      HTMLMediaElement.prototype.play = function () {
        if (clicked) return play.call(this);
        return Promise.reject(new DOMException("a click first", "NotAllowedError"));
      };
    """
    page = await visit(watching.page, script=script)
    button = page.page.get_by_role("button", name="Play", exact=True)
    await button.wait_for()
    await button.click()
    await page.until_playing()
    assert await page.ask("document.getElementById('play').hidden")


async def test_the_player_is_loaded_only_for_a_stream(watching: Watching, visit: Visitor, hls_url: str) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    loaded = "performance.getEntriesByType('resource').some((entry) => entry.name.includes('/vendor/'))"
    assert not await page.ask(loaded)
    watching.change(hls_url=hls_url)
    await page.until(loaded)


LIT = """(() => {
  const canvas = document.getElementById("last-frame");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, at) => at % 4 !== 3 && value > 60);
})()"""
"""Whether there is anything but darkness in the picture that was kept."""


async def test_the_last_picture_stays_in_sight_while_the_avatar_is_asleep(
    watching: Watching, visit: Visitor, hls_url: str
) -> None:
    page = await visit(watching.page)
    watching.change(phase=Phase.WAITING_FOR_TEXT)
    await page.until_state("waiting_for_text")
    assert await page.ask("document.getElementById('last-frame').hidden")

    watching.change(phase=Phase.LIVE, hls_url=hls_url)
    await page.until_playing()
    assert await page.ask("document.getElementById('last-frame').hidden")
    watching.change(phase=Phase.WAITING_FOR_TEXT, hls_url=None)
    await page.until_state("waiting_for_text")
    assert await page.ask("!document.getElementById('last-frame').hidden")
    assert await page.ask(LIT)
    assert "The next message wakes it." in await page.text()

    watching.change(phase=Phase.STARTING, is_waking=True)
    await page.until_state("starting")
    assert await page.ask("!document.getElementById('last-frame').hidden")
    watching.change(phase=Phase.LIVE, is_waking=False, hls_url=hls_url)
    await page.until_playing()
    assert await page.ask("document.getElementById('last-frame').hidden")

    watching.change(phase=Phase.ENDED, hls_url=None, ended="The avatar has left.")
    await page.until_state("ended")
    assert await page.ask("document.getElementById('last-frame').hidden")


HIDE = """(state) => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_a_page_that_is_hidden_and_silent_counts_as_nobody(watching: Watching, visit: Visitor) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    audience = watching.audiences.of(watching.view.session_id)
    await eventually(lambda: audience.is_there)
    await page.page.evaluate(HIDE, "hidden")
    await eventually(lambda: not audience.is_there)
    await page.page.evaluate("video.muted = false")
    await eventually(lambda: audience.is_there)
    await page.page.evaluate("document.dispatchEvent(new Event('freeze'))")
    await eventually(lambda: not audience.is_there)
    await page.page.evaluate("document.dispatchEvent(new Event('resume'))")
    await eventually(lambda: audience.is_there)
    await page.page.evaluate("video.muted = true")
    await eventually(lambda: not audience.is_there)
    await page.page.evaluate(HIDE, "visible")
    await eventually(lambda: audience.is_there)


LATE_PICTURE = """async () => {
  const script = document.querySelector("script[src*='watch.js']").src;
  const { Captions } = await import(script.replace("watch.js", "captions.js"));
  const after = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const list = document.createElement("div");
  let shown = 10; // before there is a picture, the server's time
  const captions = new Captions(list, document.createElement("p"), () => shown);
  captions.add([{ text: "Good", at: 9.9, until: 10.2 }, { text: "morning", at: 10.3, until: 10.8 }]);
  await after(0.3);
  shown = 7; // the picture has come, and is three seconds behind
  await after(2);
  shown = 10.4;
  await after(0.3);
  return [...list.children].map((line) => line.textContent);
}"""


async def test_a_picture_that_comes_in_the_middle_of_a_sentence_does_not_break_it(
    watching: Watching, visit: Visitor
) -> None:
    page = await visit(watching.page)
    assert await page.page.evaluate(LATE_PICTURE) == ["Good morning"]
