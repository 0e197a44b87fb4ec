"""Hostile visitors of the watch page, through the real server: whatever they ask for and say, there is an answer in
words, nothing fails on our side, and the next visitor is served.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from yarl import URL

from bot.core.models import RoomAccess
from tests import options
from tests.fuzz.attacks import (
    OUR_FAULT,
    PATIENCE,
    RIDDLES,
    VISIT,
    ask_for_every_address,
    is_text,
    say,
    send_every_frame,
    send_every_request,
)
from tests.fuzz.corpus import TEXTS
from tests.fuzz.test_text import HOSTILE, SAYINGS
from tests.harness.clock import ManualClock
from tests.unit.web.fixtures import Watching

pytestmark = pytest.mark.slow

BOUNDS = settings(max_examples=300 if options.is_thorough() else 15, deadline=None)
BROKEN = ("request_failed", "watch_page_feed_failed", "task failed", "readiness_check_failed")


async def fuzz(attack: Callable[[Watching, aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Run an attack against a server with one session and a room, and see that it still serves."""
    watching = Watching(ManualClock())
    await watching.start()
    watching.open_room(RoomAccess("room", "ws://127.0.0.1:9", "the-token"))
    with capture_logs() as log:
        try:
            headers = {"Origin": watching.base}
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
                await attack(watching, client)
                async with client.get(watching.page) as answer:
                    assert answer.status == 200
                async with client.ws_connect(f"{watching.page}/live") as socket:
                    assert "session" in (await socket.receive(PATIENCE)).data
        finally:
            await watching.stop()
    assert [entry for entry in log if entry["event"] in BROKEN] == []


# --- the WebSocket ---------------------------------------------------------------------------------------------------


async def test_no_riddle_breaks_the_feed() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        for riddle in (*RIDDLES, *(text for text in TEXTS if is_text(text))):
            assert await say(watching.page, client, [riddle]) != OUR_FAULT, riddle
            assert await say(watching.page, client, [VISIT, riddle, riddle]) != OUR_FAULT, riddle
            # What a visitor may say in a second is counted, and its second has to pass.
            await watching.clock.advance(1.0)  # type: ignore[attr-defined]  # the clock of the tests

    await fuzz(attack)


@BOUNDS
@given(st.lists(st.one_of(SAYINGS, HOSTILE.filter(is_text), st.binary(max_size=40)), max_size=6))
def test_no_conversation_breaks_the_feed(frames: list[str | bytes]) -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        assert await say(watching.page, client, [VISIT, *frames]) != OUR_FAULT

    asyncio.run(fuzz(attack))


async def test_a_flood_is_cut_off_after_a_handful_of_messages() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        before = watching.lookup.asked
        assert await say(watching.page, client, ['{"type": "hello"}'] * 2_000) is not None
        assert watching.lookup.asked - before < 12

    await fuzz(attack)


async def test_a_long_message_is_cut_off_without_being_read() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        for length in (1_025, 20_000, 5_000_000):
            assert await say(watching.page, client, ["[" * length]) in (1006, 1008, 1009)

    await fuzz(attack)


async def test_many_connections_that_say_nothing_keep_nobody_out() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        sockets = [await client.ws_connect(f"{watching.page}/live") for _ in range(50)]
        assert await say(watching.page, client, [VISIT]) is None
        for socket in sockets:
            await socket.close()

    await fuzz(attack)


async def test_no_raw_frame_breaks_the_feed() -> None:
    async def attack(watching: Watching, _client: aiohttp.ClientSession) -> None:
        await send_every_frame(watching.base, f"/w/{watching.signed}")

    await fuzz(attack)


# --- requests --------------------------------------------------------------------------------------------------------


async def test_no_address_breaks_the_server() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        await ask_for_every_address(watching.base, client, f"/w/{watching.signed}")

    await fuzz(attack)


async def test_no_bytes_break_the_server() -> None:
    async def attack(watching: Watching, _client: aiohttp.ClientSession) -> None:
        await send_every_request(watching.base)

    await fuzz(attack)


@pytest.mark.parametrize("part", ["a", ".", "%41", "/"])
async def test_looking_at_an_address_asks_nobody_for_a_forged_link(part: str) -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        for size in (10, 1_000, 4_000):
            async with client.get(URL(f"{watching.base}/w/{part * (size // len(part))}", encoded=True)) as answer:
                assert answer.status == 404
        assert watching.lookup.asked == 0

    await fuzz(attack)
