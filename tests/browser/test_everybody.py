"""A whole bot with nothing but the extra `livekit`: it is in the avatar's room, and everybody watches HLS from it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from livekit import api
from pydantic import SecretStr

from adapters.avatars.rooms.transport import VIEWER
from adapters.media.room import encoder_process
from adapters.simulator import SimulatorOptions
from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.models import EndReason
from bot.relay import Message
from bot.sessions.registry import StartOptions
from bot.sessions.session import AvatarSession
from bot.settings import AvatarSettings, Settings, StreamSettings, WebSettings
from bot.streams.pictures import UNWATCHED_TIMEOUT
from tests.browser.conftest import Visitor
from tests.browser.test_relay import CHANNEL, HOST, LOUDNESS_OF_STREAM, REVOKED_WITHIN, STORY, note, revoke
from tests.browser.visit import PATIENCE
from tests.harness.livekit import KEY, SECRET, LiveKitServer, livekit_program, livekit_server

__all__ = ["livekit_program", "livekit_server"]

# Three browsers and two encoders on perhaps two busy cores.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]


@pytest_asyncio.fixture(loop_scope="session", params=["liveavatar", "heygen-streaming"])
async def bot(
    request: pytest.FixtureRequest, livekit_server: LiveKitServer, tmp_path: Path
) -> AsyncIterator[Application]:
    """The program without a chat; the avatars' rooms are real ones, and the bot has no server of its own."""
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'bot.sqlite3'}",
        avatar=AvatarSettings(provider=request.param),
        stream=StreamSettings(linger=3600.0),  # a busy machine's browsers are slower than the avatar
        web=WebSettings(port=0),
    )
    key, secret = livekit_server.api_key, SecretStr(livekit_server.api_secret)
    simulator = SimulatorOptions().with_livekit(livekit_server.url, key, secret)
    bot = Application(settings, SystemClock(), lambda _: None, simulator=simulator)
    try:
        await bot.start([])
        serving = asyncio.create_task(bot.serve())
        yield bot
        bot.ask_to_stop()
        await serving
    finally:
        await bot.stop()


async def begun(bot: Application) -> tuple[AvatarSession, str]:
    """A session that waits for viewers and words, and its watch link."""
    await bot.bot.sessions.start(CHANNEL, HOST, StartOptions())
    running = bot.bot.sessions.in_channel(CHANNEL)
    assert running is not None
    link = running.view().watch_url
    assert link is not None
    return running, link


async def test_three_browsers_watch_one_session_from_the_bot_alone(bot: Application, visit: Visitor) -> None:
    running, link = await begun(bot)
    pages = [await visit("about:blank") for _ in range(3)]
    hosts: set[str] = set()
    for page in pages:
        page.page.on("request", lambda request: note(request, hosts))
        await page.page.goto(link)
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))
    for page in pages:
        await page.until_playing()
        await page.page.get_by_role("button", name="Unmute", exact=True).click()
    for page in pages:
        frames = await page.ask("video.getVideoPlaybackQuality().totalVideoFrames")
        await page.until(f"video.getVideoPlaybackQuality().totalVideoFrames > {frames} + 25", 2 * PATIENCE)
    loudest = [0.0, 0.0, 0.0]
    async with asyncio.timeout(2 * PATIENCE):
        while min(loudest) < 0.01:
            loudest = [
                max(before, await page.ask(LOUDNESS_OF_STREAM)) for before, page in zip(loudest, pages, strict=True)
            ]
    assert hosts == {urlsplit(link).netloc}
    assert bot.simulator is not None
    assert [stream.ended for stream in bot.simulator.streams()] == [None]
    for page in pages:
        page.expect("503")  # of those who wait for the next part
    await bot.bot.sessions.stop(running, EndReason.STOPPED, HOST)
    for page in pages:
        await page.until_state("ended")


LISTEN = """(() => {
  const ears = new AudioContext();
  void ears.resume();
  const analyser = ears.createAnalyser();
  analyser.fftSize = 512;
  ears.createMediaStreamSource(new MediaStream(video.captureStream().getAudioTracks())).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const captions = document.getElementById("captions");
  window.noted = { sounds: [], loud: -Infinity, words: {} };
  setInterval(() => {
    const now = performance.now();
    analyser.getFloatTimeDomainData(samples);
    if (samples.some((sample) => Math.abs(sample) > 0.01)) {
      if (now - noted.loud > 1000) noted.sounds.push(now);
      noted.loud = now;
    }
    for (const word of ["Robin", "Lighthouse"]) if (captions.textContent.includes(word)) noted.words[word] ??= now;
  }, 10);
})()"""
"""Notes when sound begins after a second of silence, and when words stand on the page, in milliseconds."""


async def test_words_come_with_the_sound_also_for_who_hears_them_late(bot: Application, visit: Visitor) -> None:
    """The picture is some seconds late, and so the words must be."""
    running, link = await begun(bot)
    page = await visit(link)
    await bot.bot.relay.receive(Message(CHANNEL, HOST, "Well"))
    await page.until_playing()
    await page.page.get_by_role("button", name="Unmute", exact=True).click()
    await running.idle.wait()
    await page.ask(LISTEN)
    for word in ("Robin", "Lighthouse"):
        told = len(await page.ask("noted.sounds"))
        await bot.bot.relay.receive(Message(CHANNEL, HOST, f"{word} Redbreast never sleeps before the morning comes."))
        await page.until(f"noted.words.{word} && noted.sounds.length > {told}", 2 * PATIENCE)
        await running.idle.wait()
        await page.until("performance.now() - noted.loud > 1500", 2 * PATIENCE)
    apart = await page.ask("noted.words.Lighthouse - noted.sounds.at(-1)")
    assert abs(apart) < 500, apart


async def test_the_picture_ends_with_its_link(bot: Application, visit: Visitor) -> None:
    running, link = await begun(bot)
    page = await visit(link)
    page.expect("404")
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))
    await page.until_playing()
    await revoke(bot, running)
    revoked_at = time.monotonic()
    await page.until_state("revoked")
    await page.until("!video.currentSrc || video.readyState === 0")
    assert time.monotonic() - revoked_at < REVOKED_WITHIN


async def test_the_encoder_stops_after_the_last_viewer_and_starts_again_in_the_next_stream(
    bot: Application, visit: Visitor
) -> None:
    """Whoever stays sees the next stream without a reload; when everybody has gone, nothing is encoded."""
    running, link = await begun(bot)
    page = await visit(link)
    page.expect("503|404")
    await bot.bot.relay.receive(Message(CHANNEL, HOST, "The first of them."))
    await page.until_playing()
    await page.ask("window.sameDocument = true")
    first = running.view().picture
    assert len(encoders()) == 1
    assert bot.simulator is not None
    await running.idle.wait()
    bot.simulator.drop_stream(bot.simulator.streams()[0].id)
    await until(lambda: running.view().picture is None)
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))
    await until(lambda: running.view().picture not in (None, first))
    loaded = "performance.getEntriesByType('resource').some((one) => one.name.includes('{}'))"
    await page.until(loaded.format(running.view().picture))
    await page.until_playing()
    assert await page.ask("window.sameDocument")
    assert len(encoders()) == 1
    await page.page.goto("about:blank")
    await until(lambda: not encoders(), UNWATCHED_TIMEOUT + PATIENCE)


def encoders() -> list[Path]:
    """The encoders' processes that this one has started and that run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = status.read_text(encoding="utf-8").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"adapters.media.room.worker" in (status.parent / "cmdline").read_bytes():
                found.append(status.parent)
    return found


async def until(is_true: Callable[[], bool], patience: float = 2 * PATIENCE) -> None:
    async with asyncio.timeout(patience):
        while not is_true():  # noqa: ASYNC110 - others decide when
            await asyncio.sleep(0.02)


async def test_a_page_plays_on_while_the_bot_is_thrown_out_of_the_room_and_comes_back(
    bot: Application, visit: Visitor, livekit_server: LiveKitServer
) -> None:
    """Whoever removes the bot takes its connection, not the picture: it stands still, it is silent, and it goes on."""
    running, link = await begun(bot)
    page = await visit(link)
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))
    await page.until_playing()
    await page.ask("window.source = video.src")
    picture, stream = running.view().picture, running.stream.current
    assert stream is not None
    assert stream.upstream_id is not None
    entered = bot.bot.sessions.services.provider.entered  # type: ignore[attr-defined]
    place = entered.follower._places[stream.upstream_id]
    room = place.room
    async with api.LiveKitAPI(livekit_server.url, KEY, SECRET) as server:
        who = api.RoomParticipantIdentity(room=stream.upstream_id, identity=VIEWER)
        await server.room.remove_participant(who)
    await until(lambda: place.room not in (room, None))
    frames = await page.ask("video.getVideoPlaybackQuality().totalVideoFrames")
    await page.until(f"video.getVideoPlaybackQuality().totalVideoFrames > {frames} + 75", 2 * PATIENCE)
    assert running.view().picture == picture
    assert await page.ask("window.source === video.src")
    assert len(encoders()) == 1


async def test_an_encoder_that_does_not_start_is_told_on_the_page_and_the_picture_comes_when_it_does(
    bot: Application, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, link = await begun(bot)
    worker = encoder_process.WORKER
    monkeypatch.setattr(encoder_process, "WORKER", "adapters.media.room.nothing_of_this_name")
    page = await visit(link)
    page.expect("503")
    await bot.bot.relay.receive(Message(CHANNEL, HOST, STORY))
    await page.until("document.body.dataset.state === 'unreachable'", 4 * PATIENCE)
    assert "The bot cannot show it right now. We keep trying; its log says why." in await page.text()
    monkeypatch.setattr(encoder_process, "WORKER", worker)
    await page.until("video.currentTime > 0.2 && document.getElementById('overlay').hidden", 4 * PATIENCE)
    await page.until_state("live")
