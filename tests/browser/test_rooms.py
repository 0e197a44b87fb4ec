"""The picture, the sound and the seat of a LiveKit room, in real browsers with a real LiveKit server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from bot.core.errors import AvatarAway
from bot.core.models import RoomAccess
from bot.core.ports import AvatarSeen
from bot.core.views import Phase
from bot.streams.page_bridge import BridgedRoom, RoomMessage
from tests.browser.avatar_room import AvatarRoom
from tests.browser.conftest import Visitor
from tests.browser.looks import SCREENS, look_at
from tests.browser.visit import Visit
from tests.harness.livekit import LiveKitServer, livekit_program, livekit_server
from tests.unit.web.fixtures import Watching

__all__ = ["livekit_program", "livekit_server"]

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OpenRoom = Callable[[], Awaitable[AvatarRoom]]

LOUDNESS = """(async () => {
  const ears = window.ears ??= new AudioContext();
  await ears.resume();
  const analyser = ears.createAnalyser();
  ears.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks())).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let loudest = 0;
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((done) => setTimeout(done, 50));
    analyser.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, ...samples.map(Math.abs));
  }
  return loudest;
})()"""


@pytest_asyncio.fixture(loop_scope="session")
async def open_room(livekit_server: LiveKitServer) -> AsyncIterator[OpenRoom]:
    """Opens rooms with an avatar in each; all are closed at the end."""
    rooms: list[AvatarRoom] = []

    async def join() -> AvatarRoom:
        room = AvatarRoom(livekit_server)
        rooms.append(room)
        await room.join()
        return room

    yield join
    for room in rooms:
        await room.leave()


@pytest_asyncio.fixture(loop_scope="session")
async def avatar(open_room: OpenRoom, watching: Watching) -> AvatarRoom:
    """The room of the session that `watching` serves."""
    room = await open_room()
    watching.open_room(room.door())
    return room


async def eventually(true: Callable[[], bool], patience: float = 20) -> None:
    async with asyncio.timeout(patience):
        while not true():  # noqa: ASYNC110  there is nothing to wait for but the network
            await asyncio.sleep(0.02)


async def two_visits(watching: Watching, visit: Visitor) -> tuple[Visit, Visit]:
    """One page that plays, and one that waits."""
    first = await visit(watching.page)
    await first.until_playing()
    second = await visit(watching.page)
    await second.until_state("seat_taken")
    return first, second


def button(page: Visit, name: str) -> Awaitable[None]:
    return page.page.get_by_role("button", name=name, exact=True).click()


async def test_the_picture_moves_and_the_sound_arrives(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    page = await visit(watching.page)
    await page.until_playing()
    frames = await page.ask("video.getVideoPlaybackQuality().totalVideoFrames")
    await page.until(f"video.getVideoPlaybackQuality().totalVideoFrames > {frames} + 10")
    assert await page.ask("[video.muted, video.videoWidth > 0]") == [True, True]
    await button(page, "Unmute")
    assert await page.ask("[video.muted, video.paused]") == [False, False]
    assert await page.ask(LOUDNESS) > 0.01
    await eventually(lambda: avatar.viewers == ["client"])


async def test_the_page_is_asked_for_no_device_and_publishes_nothing(
    watching: Watching, visit: Visitor, avatar: AvatarRoom
) -> None:
    watched = "RTCPeerConnection.prototype.addTrack = () => { window.deviceRequests.push('addTrack'); };"
    page = await visit(watching.page, script=watched)
    await page.until_playing()
    await page.ask("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    await page.until("video.getVideoPlaybackQuality().totalVideoFrames > 20")
    assert await page.ask("window.deviceRequests") == []


async def test_the_token_is_in_no_source_no_address_and_no_log(
    watching: Watching, visit: Visitor, avatar: AvatarRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = watching.lookup.doors and next(watching.lookup.doors).token
    assert token
    page = await visit(watching.page)
    addresses: list[str] = []
    said: list[str] = []
    page.page.on("request", lambda request: addresses.append(request.url))
    page.page.on("console", lambda message: said.append(message.text))
    await page.page.reload()
    await page.until_playing()
    source = await page.page.request.get(watching.page)
    stored = await page.ask("JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie])")
    here = await page.ask("[location.href, document.documentElement.outerHTML, document.referrer].join(' ')")
    for place in (await source.text(), here, stored, *addresses, *said, caplog.text):
        assert token not in place
    assert addresses


async def test_the_player_is_loaded_only_for_a_room(watching: Watching, visit: Visitor, open_room: OpenRoom) -> None:
    page = await visit(watching.page)
    await page.until_state("live")
    loaded = "performance.getEntriesByType('resource').some((entry) => entry.name.includes('/vendor/livekit'))"
    assert not await page.ask(loaded)
    watching.open_room((await open_room()).door())  # the page learns where the room is only now, and plays all the same
    await page.until_playing()
    assert await page.ask(loaded)


async def test_captions_match_what_was_said(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    first, second = await two_visits(watching, visit)
    watching.speak("Bread , soup and apples for all ! Come early .", pace=0.05)
    for page in (first, second):
        await page.until("document.getElementById('captions').textContent.includes('early.')")
        assert await page.captions() == "Bread, soup and apples for all!\nCome early."


async def test_who_comes_second_waits_and_reads_how_many_there_are(
    watching: Watching, visit: Visitor, avatar: AvatarRoom
) -> None:
    first, second = await two_visits(watching, visit)
    text = await second.text()
    assert "Somebody else is watching" in text
    assert "2 people are here" in text
    assert "You are next" in text
    third = await visit(watching.page)
    await third.until_state("seat_taken")
    assert "3 people are here" in await third.text()
    assert "One person is ahead of you" in await third.text()
    watching.change(queue_length=9)
    await second.until("document.getElementById('queue').textContent === '9 messages'")
    moment = await first.ask("video.currentTime")
    await first.until(f"video.currentTime > {moment} + 0.5")
    await eventually(lambda: avatar.viewers == ["client"])


async def test_the_seat_is_given_to_who_asks(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    first, second = await two_visits(watching, visit)
    await button(second, "Take the seat")
    await second.until_state("asking")
    await first.until("!document.getElementById('seat-request').hidden")
    assert "Somebody else would like to watch." in await first.text()
    assert "Somebody asks for your seat" in await first.page.title()
    await button(first, "Give up my seat")
    await second.until_playing()
    await first.until_state("seat_lost")
    assert "Somebody else is watching now" in await first.text()
    assert await first.ask("video.srcObject === null")
    moment = await second.ask("video.currentTime")
    await second.until(f"video.currentTime > {moment} + 1")


async def test_the_seat_is_kept_with_a_click(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    first, second = await two_visits(watching, visit)
    await button(second, "Take the seat")
    await button(first, "Keep my seat")
    await second.until_state("seat_kept")
    assert "They want to keep watching" in await second.text()
    assert not await second.page.get_by_role("button", name="Take the seat").is_visible()
    assert await first.ask(
        "document.getElementById('seat-request').hidden && document.getElementById('overlay').hidden"
    )


async def test_who_does_not_answer_gives_the_seat_away(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    first, second = await two_visits(watching, visit)
    await button(second, "Take the seat")
    await second.until_state("asking")
    assert "unless the person watching keeps it" in await second.text()
    await second.until("document.body.dataset.state === 'live'", patience=25)
    await second.until_playing()
    await first.until_state("seat_lost")


async def test_a_free_seat_comes_by_itself(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    first, second = await two_visits(watching, visit)
    await first.page.goto("about:blank")
    await second.until("document.body.dataset.state === 'live'", patience=25)
    await second.until_playing()


async def test_a_reload_keeps_the_seat(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    first, second = await two_visits(watching, visit)
    await first.page.reload()
    await first.until_playing()
    assert await second.ask("document.body.dataset.state") == "seat_taken"
    moment = await first.ask("video.currentTime")
    await first.until(f"video.currentTime > {moment} + 1")


async def test_a_lost_line_to_the_server_does_not_stop_the_picture(
    watching: Watching, visit: Visitor, avatar: AvatarRoom
) -> None:
    page = await visit(watching.page)
    page.expect("ERR_CONNECTION_REFUSED")
    await page.until_playing()
    port = int(watching.base.rsplit(":", 1)[1])
    await watching.stop()
    await page.until_state("lost")
    watching.server = watching.make_server(port)
    await watching.start()
    frames = await page.ask("video.getVideoPlaybackQuality().totalVideoFrames")
    await page.until_state("live")
    await page.until(f"video.getVideoPlaybackQuality().totalVideoFrames > {frames} + 10")
    assert await page.ask("video.currentTime") > 1  # it was never loaded anew


async def test_the_page_carries_what_is_said_in_the_room(
    watching: Watching, visit: Visitor, open_room: OpenRoom
) -> None:
    avatar = await open_room()
    room: BridgedRoom = watching.seats.open(avatar.name)
    watching.open_room(avatar.door(), phase=Phase.WAITING_FOR_VIEWER)
    page = await visit(watching.page)
    await page.until_playing()
    await eventually(lambda: room.has_viewer)
    message = RoomMessage("agent-control", {"event_type": "avatar.speak_text", "text": "Grüß Gott \U0001f44b"})
    async with asyncio.timeout(10):
        await room.publish(message)
    await eventually(lambda: avatar.heard == [(message.topic, dict(message.data))])
    events = [{"event_type": "avatar.transcription.chunk", "text": str(number)} for number in range(20)]
    for event in events:
        await avatar.say("agent-response", event)
    messages = room.messages()
    async with asyncio.timeout(10):
        assert [await anext(messages) for _ in events] == [RoomMessage("agent-response", event) for event in events]
    await page.page.goto("about:blank")
    await eventually(lambda: not room.has_viewer)


async def test_the_page_tells_of_an_avatar_that_is_not_in_its_room(
    watching: Watching, visit: Visitor, livekit_server: LiveKitServer
) -> None:
    avatar = AvatarRoom(livekit_server)
    room: BridgedRoom = watching.seats.open(avatar.name)
    watching.open_room(avatar.door(), phase=Phase.WAITING_FOR_VIEWER)
    page = await visit(watching.page)
    news = room.messages()
    try:
        async with asyncio.timeout(20):
            assert await anext(news) == AvatarSeen(is_here=False)
        with pytest.raises(AvatarAway):
            await room.publish(RoomMessage("agent-control", {}))

        await avatar.join()
        await page.until_playing()
        await eventually(lambda: room.has_viewer)
        async with asyncio.timeout(20):
            assert await anext(news) == AvatarSeen(is_here=True)

        await avatar._room.disconnect()
        async with asyncio.timeout(20):
            assert await anext(news) == AvatarSeen(is_here=False)
        assert not room.has_viewer

        await page.page.goto("about:blank")
        async with asyncio.timeout(20):
            assert await anext(news) == AvatarSeen(is_here=None)
    finally:
        await avatar.leave()


async def test_the_page_follows_the_session_to_its_next_room(
    watching: Watching, visit: Visitor, avatar: AvatarRoom, open_room: OpenRoom
) -> None:
    page = await visit(watching.page)
    await page.until_playing()
    await avatar.leave()
    watching.close_room()
    await page.until_state("waiting_for_text")
    assert await page.ask("video.srcObject === null")
    another = await open_room()
    watching.open_room(another.door())
    await page.until_playing()
    await eventually(lambda: another.viewers == ["client"])


async def test_a_room_that_breaks_is_entered_again(watching: Watching, visit: Visitor, avatar: AvatarRoom) -> None:
    page = await visit(watching.page)
    page.expect("WebSocket|Failed to load|404|ERR")
    await page.until_playing()
    await avatar.leave()
    await page.until("!document.getElementById('overlay').hidden")
    again = AvatarRoom(avatar._server)
    again.name = avatar.name
    await again.join()
    try:
        await page.until_playing()
    finally:
        await again.leave()


async def test_a_room_that_cannot_be_reached_is_told(watching: Watching, visit: Visitor, pictures: Path) -> None:
    watching.open_room(
        RoomAccess("upstream", "ws://127.0.0.1:9", "token")
    )  # the port of "discard", where nobody listens
    page = await visit(watching.page, **SCREENS["phone"])
    page.expect("ERR_")
    await look_at(page, "unreachable", pictures, "unreachable-phone")
    assert "We keep trying." in await page.text()


async def test_another_program_with_the_same_token_is_not_fought_over(
    watching: Watching, visit: Visitor, avatar: AvatarRoom, pictures: Path
) -> None:
    page = await visit(watching.page, **SCREENS["phone"])
    await page.until_playing()
    intruder = Watching(watching.clock, media_sources=watching.media_sources)
    intruder.open_room(avatar.door())
    await intruder.start()
    try:
        elsewhere = await visit(intruder.page)
        elsewhere.expect("ERR_CONNECTION_REFUSED")  # its server ends first
        await elsewhere.until_playing()
        await look_at(page, "replaced", pictures, "replaced-phone")
        assert "The picture is playing elsewhere" in await page.text()
        moment = await elsewhere.ask("video.currentTime")
        await elsewhere.until(f"video.currentTime > {moment} + 2")
        assert await page.ask("document.body.dataset.state") == "replaced"
        await button(page, "Watch here")
        await page.until_playing()
        await elsewhere.until_state("replaced")
    finally:
        await intruder.stop()


async def test_with_doors_of_their_own_everybody_watches_at_once(
    watching: Watching, visit: Visitor, open_room: OpenRoom
) -> None:
    avatar = await open_room()
    doors = [avatar.door(f"viewer-{number}") for number in range(12)]
    watching.open_room(*doors)
    pages = [await visit(watching.page) for _ in range(3)]
    for page in pages:
        await page.until_playing()
    await eventually(lambda: len(avatar.viewers) == 3)
    assert all(name.startswith("viewer-") for name in avatar.viewers)


async def test_a_stream_for_everybody_goes_first(watching: Watching, visit: Visitor, hls_url: str) -> None:
    watching.change(has_room=True, hls_url=hls_url)
    page = await visit(watching.page)
    await page.until_playing()
    assert await page.ask("video.srcObject === null")


async def test_a_browser_that_wants_a_click_says_that_the_avatar_waits(
    watching: Watching, visit: Visitor, avatar: AvatarRoom, pictures: Path
) -> None:
    script = """
      let clicked = false;
      addEventListener("click", () => { clicked = true; }, true);
      const play = HTMLMediaElement.prototype.play;
      HTMLMediaElement.prototype.play = function () {
        if (clicked) return play.call(this);
        this.autoplay = false;
        return Promise.reject(new DOMException("a click first", "NotAllowedError"));
      };
    """
    watching.change(phase=Phase.WAITING_FOR_VIEWER)
    page = await visit(watching.page, script=script, **SCREENS["phone"])
    await look_at(page, "blocked", pictures, "blocked-phone")
    assert "The avatar is waiting for a viewer" in await page.text()
    assert "Press play, and it begins." in await page.text()
    await button(page, "Play")
    await page.until_playing()


async def test_the_end_and_a_revoked_link_leave_the_room(
    watching: Watching, visit: Visitor, avatar: AvatarRoom
) -> None:
    page = await visit(watching.page)
    await page.until_playing()
    watching.revoke()
    await page.until_state("revoked")
    assert await page.ask("video.srcObject === null")
    watching.change(ends_at=watching.clock.now() + timedelta(minutes=5))
    again = await visit(watching.page)
    await again.until_playing()
    watching.change(phase=Phase.ENDED, ended="It was stopped in the channel.")
    await again.until_state("ended")
    await eventually(lambda: avatar.viewers == [])


@pytest.mark.parametrize("device", SCREENS)
async def test_every_state_of_the_seat_can_be_read_in_light_and_dark(
    watching: Watching, visit: Visitor, avatar: AvatarRoom, pictures: Path, device: str
) -> None:
    first, second = [await visit(watching.page, **SCREENS[device]) for _ in range(2)]
    await first.until_playing()
    watching.speak("Good morning , everybody . The harvest festival starts at three .", pace=0.05)
    await first.until("document.getElementById('captions').textContent.includes('three.')")
    await look_at(first, "live", pictures, f"room-live-{device}")
    await look_at(second, "seat_taken", pictures, f"seat_taken-{device}")
    await button(second, "Take the seat")
    await look_at(second, "asking", pictures, f"asking-{device}")
    await first.until("!document.getElementById('seat-request').hidden")
    await look_at(first, "live", pictures, f"asked-{device}")
    await button(first, "Give up my seat")
    await look_at(first, "seat_lost", pictures, f"seat_lost-{device}")
    await second.until_playing()
    await button(first, "Take the seat")
    await button(second, "Keep my seat")
    await look_at(first, "seat_kept", pictures, f"seat_kept-{device}")
    third = await visit(watching.page, **SCREENS[device])
    await look_at(third, "seat_taken", pictures, f"seat_taken-by-many-{device}")
