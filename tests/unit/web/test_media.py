"""The files of a picture over real HTTP: who gets them, how long they may be kept, and what is said where there are
none."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest

from adapters.web.media import PORTION
from bot.core.errors import PictureUnavailable, StoreUnavailable
from bot.core.pictures import PLAYLIST, MediaFile, PlaylistPosition
from tests.harness.clock import ManualClock
from tests.unit.web.fixtures import NONCE, Watching

PICTURE = "0123456789ab"


def address(watching: Watching, name: str = PLAYLIST, picture: str = PICTURE) -> str:
    return f"{watching.page}/media/{picture}/{name}"


async def test_a_playlist_is_never_kept(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "application/vnd.apple.mpegurl", False)
    async with client.get(address(watching)) as answer:
        assert (answer.status, await answer.read()) == (200, b"#EXTM3U")
        assert answer.content_type == "application/vnd.apple.mpegurl"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("size", [0, 1, PORTION, PORTION + 1, 3_000_000])
async def test_a_segment_arrives_whole_and_is_kept_by_the_browser_alone(
    watching: Watching, client: aiohttp.ClientSession, size: int
) -> None:
    body = bytes(index % 251 for index in range(size))
    watching.pictures.files[NONCE, PICTURE, "7.m4s"] = MediaFile(body, "video/mp4", True)
    async with client.get(address(watching, "7.m4s")) as answer:
        assert await answer.read() == body
        assert answer.content_length == size
        assert answer.content_type == "video/mp4"
        assert answer.headers["Cache-Control"] == "private, max-age=3600, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_is_not_there_is_not_there_and_what_cannot_be_had_comes_back(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.pictures.files[NONCE, PICTURE, "late.m4s"] = PictureUnavailable("media.example does not answer in time")
    async with client.get(address(watching, "none.m4s")) as answer:
        assert (answer.status, await answer.read()) == (404, b"")
    async with client.get(address(watching, "late.m4s")) as answer:
        assert (answer.status, await answer.read()) == (503, b"")
        assert answer.headers["Retry-After"] == "1"
        assert "media.example" not in str(answer.headers)


async def test_a_forged_and_an_expired_link_open_nothing(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "text/plain", False)
    url = address(watching)
    async with client.get(url.replace(watching.signed, watching.signed[:-1] + "~")) as answer:
        assert answer.status == 404
    async with client.get(url) as answer:
        assert answer.status == 200
    await clock.advance(timedelta(hours=2).total_seconds())
    async with client.get(url) as answer:
        assert answer.status == 410
    assert len(watching.pictures.asked) == 1


async def test_a_store_in_trouble_is_said(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = StoreUnavailable("the disk is full")
    async with client.get(address(watching)) as answer:
        assert answer.status == 503


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("?_HLS_msn=12", PlaylistPosition(12)),
        ("?_HLS_msn=12&_HLS_part=3", PlaylistPosition(12, 3)),
        ("?_HLS_part=3", None),
        ("?_HLS_skip=YES", None),
    ],
)
async def test_what_a_player_waits_for_is_handed_on(
    watching: Watching, client: aiohttp.ClientSession, query: str, expected: PlaylistPosition | None
) -> None:
    async with client.get(address(watching) + query) as answer:
        assert answer.status == 404
    assert watching.pictures.asked == [(PLAYLIST, expected)]


@pytest.mark.parametrize("query", ["_HLS_msn=-1", "_HLS_msn=1234567890123", "_HLS_msn=", "_HLS_msn=1&_HLS_part=x"])
async def test_what_is_no_position_is_refused(watching: Watching, client: aiohttp.ClientSession, query: str) -> None:
    async with client.get(f"{address(watching)}?{query}") as answer:
        assert answer.status == 400
    assert watching.pictures.asked == []


async def test_a_viewer_who_leaves_in_the_middle_leaves_nothing_behind(watching: Watching) -> None:
    watching.pictures.files[NONCE, PICTURE, "7.m4s"] = MediaFile(bytes(32 << 20), "video/mp4", True)
    before = len(asyncio.all_tasks())
    async with aiohttp.ClientSession() as client:
        answer = await client.get(address(watching, "7.m4s"))
        await answer.content.readexactly(1000)
        answer.close()
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110  there is nothing to wait for but the network
            await asyncio.sleep(0.005)
