"""Hostile visitors of the watch page, through the real server: whatever they ask for and say, there is an answer in
words, nothing fails on our side, and the next visitor is served.
"""

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from yarl import URL

from bot.model import RoomDoor
from tests.clock import ManualClock
from tests.fuzz.corpus import TEXTS
from tests.fuzz.test_text import HOSTILE, KINDS, SAYINGS
from tests.unit.web.watching import Watching

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
BOUNDS = settings(max_examples=300 if THOROUGH else 15, deadline=None)
PATIENCE = 10.0
"""Seconds of real time that an answer may take; only a failing test waits so long."""

BROKEN = ("request_failed", "watch_page_feed_failed", "task failed", "readiness_check_failed")
OUR_FAULT = 1011
"""The WebSocket close code for a mistake of the server."""

VISIT = '{"type": "visit", "visitor": "visitor-0123456789", "plays": false}'
RIDDLES = [
    "\x00", "[" * 1000, '{"type":' * 100, "{}", "null", "1e999", "NaN", '"\\ud800"', '{"type": "hello", "type": "ask"}',
    '{"type": ["hello"]}', '{"type": {}}', '{"type": "visit", "visitor": null}', '{"type": "published", "id": "x"}',
    '{"type": "heard", "topic": "agent-response", "data": {"event_type": 1}}', "9" * 900, "-" * 900,
    *(json.dumps({"type": kind}) for kind in KINDS),
]  # fmt: skip


def is_text(text: str) -> bool:
    """Whether it can go over a WebSocket as text at all."""
    return text.encode(errors="replace").decode() == text


async def fuzz(attack: Callable[[Watching, aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Run an attack against a server with one session and a room, and see that it still serves."""
    watching = Watching(ManualClock())
    await watching.start()
    watching.open_room(RoomDoor("room", "ws://127.0.0.1:9", "the-token"))
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


async def say(watching: Watching, client: aiohttp.ClientSession, frames: list[str | bytes]) -> int | None:
    """Say all of it on one connection. Returns the close code, None where the server still listens."""
    async with client.ws_connect(f"{watching.page}/live") as socket:
        for frame in frames:
            if socket.closed:
                break
            try:
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
            except ConnectionError:
                break
        while True:
            try:
                message = await socket.receive(0.05)
            except TimeoutError:
                return None
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                return socket.close_code


# --- the WebSocket ---------------------------------------------------------------------------------------------------


async def test_no_riddle_breaks_the_feed() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        for riddle in (*RIDDLES, *(text for text in TEXTS if is_text(text))):
            assert await say(watching, client, [riddle]) != OUR_FAULT, riddle
            assert await say(watching, client, [VISIT, riddle, riddle]) != OUR_FAULT, riddle
            # What a visitor may say in a second is counted, and its second has to pass.
            await watching.clock.advance(1.0)  # type: ignore[attr-defined]  # the clock of the tests

    await fuzz(attack)


@BOUNDS
@given(st.lists(st.one_of(SAYINGS, HOSTILE.filter(is_text), st.binary(max_size=40)), max_size=6))
def test_no_conversation_breaks_the_feed(frames: list[str | bytes]) -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        assert await say(watching, client, [VISIT, *frames]) != OUR_FAULT

    asyncio.run(fuzz(attack))


async def test_a_flood_is_cut_off_after_a_handful_of_messages() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        before = watching.desk.asked
        assert await say(watching, client, ['{"type": "hello"}'] * 2_000) is not None
        assert watching.desk.asked - before < 12

    await fuzz(attack)


async def test_a_long_message_is_cut_off_without_being_read() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        for length in (1_025, 20_000, 5_000_000):
            assert await say(watching, client, ["[" * length]) in (1006, 1008, 1009)

    await fuzz(attack)


async def test_many_connections_that_say_nothing_keep_nobody_out() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        sockets = [await client.ws_connect(f"{watching.page}/live") for _ in range(50)]
        assert await say(watching, client, [VISIT]) is None
        for socket in sockets:
            await socket.close()

    await fuzz(attack)


# --- requests --------------------------------------------------------------------------------------------------------

PATHS = [
    "/w/", "/w//live", "/w/%00", "/w/%ff%fe/live", "/w/..%2f..%2fetc/passwd", "/static/x/../../server.py",
    "/static/%2e%2e/%2e%2e/server.py", "/static//etc/passwd", "//example.com/", "/metrics/..", "/?x=" + "a" * 4000,
    "/w/" + "a" * 4000, "/w/" + "a." * 100 + "/live", "/static/x/\xff",
]  # fmt: skip


async def test_no_address_breaks_the_server() -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        texts = [f"/w/{quote(text, safe='', errors='replace')}" for text in TEXTS]
        for path in (*PATHS, *texts, *(f"{text}/live" for text in texts)):
            url = URL(watching.base + quote(path, safe="/%?=."), encoded=True)
            for method in ("GET", "POST", "OPTIONS", "DELETE"):
                async with client.request(method, url) as answer:
                    words = await answer.text()
                assert answer.status < 500, (method, path)
                assert "Traceback" not in words
                assert "etc/passwd" not in words

    await fuzz(attack)


async def test_no_bytes_break_the_server() -> None:
    chance = random.Random(4711)
    requests: list[bytes] = [
        b"\x00" * 2000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
        b"GET /w/x HTTP/1.1\r\nHost: \xff\r\nOrigin: http://[\r\n\r\n",
        b"GET /w/x/live HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"POST /w/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        *(chance.randbytes(200) for _ in range(20)),
        *(b"GET /w/" + chance.randbytes(50) + b" HTTP/1.1\r\nHost: x\r\n\r\n" for _ in range(20)),
    ]

    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        port = URL(watching.base).port
        for request in requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            answer = b""
            with suppress(ConnectionResetError):
                answer = await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
            assert b" 50" not in answer[:14], (request[:80], answer[:80])
            assert b"Traceback" not in answer

    await fuzz(attack)


@pytest.mark.parametrize("part", ["a", ".", "%41", "/"])
async def test_looking_at_an_address_asks_nobody_for_a_forged_link(part: str) -> None:
    async def attack(watching: Watching, client: aiohttp.ClientSession) -> None:
        for size in (10, 1_000, 4_000):
            async with client.get(URL(f"{watching.base}/w/{part * (size // len(part))}", encoded=True)) as answer:
                assert answer.status == 404
        assert watching.desk.asked == 0

    await fuzz(attack)
