"""A relayed picture: one request for each file however many watch, names that tell nothing, and bounds on all of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from aiohttp import web

from adapters.media.relay import files
from adapters.media.relay.factory import RelayFactory
from adapters.media.relay.files import CACHE_SIZE, FAILURE_PAUSE, FileCache
from adapters.media.relay.source import LISTED_FOR, MAX_FILES, PLAYLIST_BOUNDS, HlsRelay
from adapters.media.relay.syntax import Kind, Reference
from adapters.media.relay.upstream import Bounds, Upstream
from bot.core.errors import PictureUnavailable
from bot.core.models import Playback
from bot.core.pictures import PLAYLIST, MediaFile
from tests.harness.clock import ManualClock
from tests.unit.media.provider import Provider, announce_two_gigabytes, go_on_forever, stall


@pytest_asyncio.fixture
async def relay(upstream: Upstream, provider: Provider, clock: ManualClock) -> AsyncIterator[HlsRelay]:
    relay = HlsRelay(f"{provider.url}/stream.m3u8?token=secret", upstream, clock)
    yield relay
    await relay.aclose()


async def fetch(relay: HlsRelay, name: str = PLAYLIST) -> MediaFile:
    file = await relay.fetch(name)
    assert file is not None
    return file


async def names(relay: HlsRelay, playlist: str = PLAYLIST) -> list[str]:
    """What a playlist leads to, in its order."""
    text = (await fetch(relay, playlist)).body.decode()
    return [quoted or plain for quoted, plain in re.findall(r'URI="([^"]+)"|^([^#\n]+)$', text, re.MULTILINE)]


async def test_everybody_gets_the_same_files_by_one_request_each(relay: HlsRelay, provider: Provider) -> None:
    provider.show(0, 5)
    for _ in range(3):
        for name in await names(relay):
            await asyncio.gather(*(fetch(relay, name) for _ in range(30)))
    assert provider.requests == {"/stream.m3u8": 1, "/init.mp4": 1, **{f"/{n}.m4s": 1 for n in range(5)}}


async def test_files_are_what_they_were_and_names_tell_nothing(relay: HlsRelay, provider: Provider) -> None:
    provider.show(7, 2)
    playlist = await fetch(relay)
    assert (playlist.content_type, playlist.is_immutable) == ("application/vnd.apple.mpegurl", False)
    found = await names(relay)
    assert [(await fetch(relay, name)).body for name in found] == [b"init", b"segment 7", b"segment 8"]
    for name in found:
        file = await fetch(relay, name)
        # The provider says text/html.
        assert (file.content_type, file.is_immutable) == ("video/mp4", True)
        assert re.fullmatch(r"([0-9]+-)?[0-9a-f]{16}\.(m4s|mp4)", name)
    for told in ("127.0.0.1", "secret", "init.mp4", "http"):
        assert told not in playlist.body.decode()


async def test_names_stay_as_the_window_moves_although_addresses_are_signed_anew(
    relay: HlsRelay, provider: Provider, clock: ManualClock
) -> None:
    provider.show(0, 5)
    before = await names(relay)
    await clock.advance(1)
    provider.show(1, 5)
    provider.files["/stream.m3u8"] = provider.files["/stream.m3u8"].replace(b"secret", b"another")
    after = await names(relay)
    assert before[2:] == after[1:-1]
    assert before[0] == after[0]


async def test_two_relays_of_one_stream_have_no_name_in_common(
    relay: HlsRelay, upstream: Upstream, provider: Provider, clock: ManualClock
) -> None:
    provider.show(0, 3)
    other = HlsRelay(f"{provider.url}/stream.m3u8", upstream, clock)
    assert not set(await names(relay)) & set(await names(other))
    await other.aclose()


@pytest.mark.parametrize(
    "name", ["", "0.m4s", "../stream.m3u8", "stream.m3u8", "http://127.0.0.1/", "index.m3u8/", "init.mp4", "%2e%2e"]
)
async def test_only_what_was_listed_leads_anywhere(relay: HlsRelay, provider: Provider, name: str) -> None:
    provider.show(0, 3)
    await fetch(relay)
    assert await relay.fetch(name) is None
    assert provider.requests == {"/stream.m3u8": 1}


async def test_a_segment_is_there_for_a_while_after_the_window_and_then_forgotten(
    relay: HlsRelay, provider: Provider, clock: ManualClock
) -> None:
    provider.show(0, 3)
    first = (await names(relay))[1]
    body = (await fetch(relay, first)).body
    provider.show(3, 3)
    await clock.advance(LISTED_FOR - 1)
    await fetch(relay)
    assert (await fetch(relay, first)).body == body
    assert provider.requests["/0.m4s"] == 1
    await clock.advance(2)
    await fetch(relay)
    assert await relay.fetch(first) is None


@pytest.mark.slow
async def test_memory_is_bounded_over_an_hour(relay: HlsRelay, provider: Provider, clock: ManualClock) -> None:
    for second in range(0, 3600, 5):
        provider.files.clear()
        provider.show(second, 8)
        for name in await names(relay):
            await fetch(relay, name)
        await clock.advance(5)
    assert len(relay._listed) <= 45
    assert len(relay._files._kept) <= 45
    assert not relay._files._attempts


async def test_a_provider_that_lists_ever_new_files_fills_nothing(
    relay: HlsRelay, provider: Provider, clock: ManualClock
) -> None:
    for second in range(100):
        provider.show(second * 1000, 50)
        await fetch(relay)
        await clock.advance(1)
    assert len(relay._listed) <= MAX_FILES


async def test_the_bytes_that_are_kept_are_bounded(upstream: Upstream, provider: Provider, clock: ManualClock) -> None:
    cache = FileCache(upstream, clock)
    provider.files["/a"] = bytes(4 << 20)
    for number in range(12):
        await cache.read(str(number), Reference(Kind.SEGMENT, f"{provider.url}/a"))
    assert cache._kept.currsize <= CACHE_SIZE
    assert len(cache._kept) == CACHE_SIZE // (4 << 20)
    await cache.aclose()


async def test_so_many_files_at_a_time_and_no_more(relay: HlsRelay, provider: Provider) -> None:
    under_way, most = 0, 0
    go_on = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        return web.Response(body=b"segment")

    provider.show(0, 20)
    provider.answers = {f"/{number}.m4s": answer for number in range(20)}
    readers = [asyncio.create_task(fetch(relay, name)) for name in (await names(relay))[1:]]
    async with asyncio.timeout(5):
        while most < files.MAX_REQUESTS:  # noqa: ASYNC110  there is nothing to wait for but the network
            await asyncio.sleep(0.005)
    go_on.set()
    await asyncio.gather(*readers)
    assert most == files.MAX_REQUESTS


async def test_a_missing_segment_is_asked_for_again_but_not_by_everybody(
    relay: HlsRelay, provider: Provider, clock: ManualClock
) -> None:
    provider.show(0, 3)
    name = (await names(relay))[3]
    body = provider.files.pop("/2.m4s")
    for _ in range(50):
        assert await relay.fetch(name) is None
    assert provider.requests["/2.m4s"] == 1
    provider.files["/2.m4s"] = body
    await clock.advance(FAILURE_PAUSE)
    assert (await fetch(relay, name)).body == body


async def test_a_stalled_segment_is_given_up_and_comes_with_the_next_try(
    relay: HlsRelay, provider: Provider, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SEGMENT_BOUNDS", Bounds(1000, 0.05))
    provider.show(0, 3)
    name = (await names(relay))[1]
    provider.answers["/0.m4s"] = stall
    with pytest.raises(PictureUnavailable, match="in time"):
        await relay.fetch(name)
    provider.answers.clear()
    await clock.advance(FAILURE_PAUSE)
    assert (await fetch(relay, name)).body == b"segment 0"


async def test_a_segment_of_two_gigabytes_is_cut_off(relay: HlsRelay, provider: Provider) -> None:
    provider.show(0, 3)
    provider.answers["/0.m4s"] = announce_two_gigabytes
    with pytest.raises(PictureUnavailable, match="larger"):
        await relay.fetch((await names(relay))[1])


@pytest.mark.parametrize("size", [PLAYLIST_BOUNDS.size * 2, None])
async def test_a_playlist_without_an_end_is_cut_off(relay: HlsRelay, provider: Provider, size: int | None) -> None:
    provider.show(0, 3)
    if size is None:
        provider.answers["/stream.m3u8"] = go_on_forever
    else:
        provider.files["/stream.m3u8"] += b"#" * size
    with pytest.raises(PictureUnavailable, match="larger"):
        await relay.fetch(PLAYLIST)


async def test_a_long_playlist_is_handed_on_to_the_newest_part(relay: HlsRelay, provider: Provider) -> None:
    provider.show(0, 10_000)
    assert len(await names(relay)) == 33


@pytest.mark.parametrize("address", ["file:///etc/passwd", "http://169.254.169.254/latest/", "http://10.0.0.1/a.m4s"])
async def test_what_must_not_be_fetched_is_not(relay: HlsRelay, provider: Provider, address: str) -> None:
    provider.show(0, 1)
    provider.files["/stream.m3u8"] = provider.files["/stream.m3u8"].replace(b"0.m4s", address.encode())
    with pytest.raises(PictureUnavailable, match="address"):
        await relay.fetch((await names(relay))[1])


async def test_the_provider_may_change_its_host(relay: HlsRelay, provider: Provider, clock: ManualClock) -> None:
    provider.show(0, 3)
    await names(relay)
    await clock.advance(1)
    async with Provider() as other:
        other.show(0, 5)
        text = provider.files["/stream.m3u8"].decode()
        provider.files["/stream.m3u8"] = re.sub(r"^(\d+\.m4s)", rf"{other.url}/\1", text, flags=re.MULTILINE).encode()
        for name in (await names(relay))[1:]:
            await fetch(relay, name)
        assert sum(other.requests.values()) == 3


async def test_a_choice_of_playlists_leads_to_theirs_and_no_further(
    relay: HlsRelay, provider: Provider, clock: ManualClock
) -> None:
    provider.show(0, 3)
    provider.files["/360.m3u8"] = provider.files["/stream.m3u8"]
    provider.files["/loop.m3u8"] = provider.files["/stream.m3u8"] = (
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n360.m3u8?token=secret\n#EXT-X-STREAM-INF:BANDWIDTH=2\nloop.m3u8\n"
    )
    low, loop = await names(relay)
    found = await names(relay, low)
    assert [(await fetch(relay, name)).body for name in found][1] == b"segment 0"
    with pytest.raises(PictureUnavailable, match="lists playlists"):
        await relay.fetch(loop)
    await clock.advance(60)
    assert (await names(relay))[0] == low


async def test_ever_new_choices_are_refused(relay: HlsRelay, provider: Provider, clock: ManualClock) -> None:
    for number in range(100):
        provider.files["/stream.m3u8"] = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n%d.m3u8\n" % number
        with suppress(PictureUnavailable):
            await relay.fetch(PLAYLIST)
        await clock.advance(10)
    assert len(relay._choices) <= 64
    with pytest.raises(PictureUnavailable, match="too much"):
        await relay.fetch(PLAYLIST)


async def test_a_key_is_handed_on_and_kept_by_nobody(relay: HlsRelay, provider: Provider) -> None:
    provider.files["/stream.m3u8"] = (
        b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:1,\n0.ts\n'
    )
    provider.files["/k"] = b"0123456789abcdef"
    key, segment = await names(relay)
    file = await fetch(relay, key)
    assert (file.body, file.content_type, file.is_immutable) == (
        b"0123456789abcdef",
        "application/octet-stream",
        False,
    )
    provider.files["/0.ts"] = b"ts"
    assert (await fetch(relay, segment)).content_type == "video/mp2t"


async def test_closing_ends_everything_that_is_under_way(relay: HlsRelay, provider: Provider) -> None:
    provider.show(0, 3)
    name = (await names(relay))[1]
    provider.answers["/0.m4s"] = stall
    reader = asyncio.create_task(relay.fetch(name))
    async with asyncio.timeout(5):
        while not provider.requests["/0.m4s"]:  # noqa: ASYNC110  there is nothing to wait for but the network
            await asyncio.sleep(0.005)
        await relay.aclose()
        assert await reader is None


async def test_the_factory_makes_relays_of_what_has_an_address(provider: Provider, clock: ManualClock) -> None:
    provider.show(0, 1)
    async with RelayFactory(provider.url, clock) as factory:
        assert factory.can_show(Playback(hls_url="https://cdn.example/a.m3u8"))
        assert not factory.can_show(Playback(livekit_url="wss://rooms.example", livekit_token="token"))
        source = await factory.open("upstream", Playback(hls_url=f"{provider.url}/stream.m3u8"))
        assert await source.fetch(PLAYLIST) is not None
        await source.aclose()
