"""What hostile visitors do to a web server, and what they may be told at worst.

Shared by the tests of a server in this process and of the whole program (`tests/scenario/test_hostile_input.py`). Knows
addresses and, for Slack, the signing secret; nothing of how the server is run.
"""

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from tests.fuzz.corpus import KINDS, TEXTS

PATIENCE = 10.0
"""Seconds of real time that an answer may take; only a failing test waits so long."""

OUR_FAULT = 1011
"""The WebSocket close code for a mistake of the server."""

VISIT = '{"type": "visit", "visitor": "visitor-0123456789", "plays": false}'
RIDDLES = [
    "\x00", "[" * 1000, '{"type":' * 100, "{}", "null", "1e999", "NaN", '"\\ud800"', '{"type": "hello", "type": "ask"}',
    '{"type": ["hello"]}', '{"type": {}}', '{"type": "visit", "visitor": null}', '{"type": "published", "id": "x"}',
    '{"type": "heard", "topic": "agent-response", "data": {"event_type": 1}}', "9" * 900, "-" * 900,
    *(json.dumps({"type": kind}) for kind in KINDS),
]  # fmt: skip
PATHS = [
    "/w/", "/w//live", "/w/%00", "/w/%ff%fe/live", "/w/..%2f..%2fetc/passwd", "/static/x/../../server.py",
    "/static/%2e%2e/%2e%2e/server.py", "/static//etc/passwd", "//example.com/", "/metrics/..", "/?x=" + "a" * 4000,
    "/w/" + "a" * 4000, "/w/" + "a." * 100 + "/live", "/static/x/\xff",
]  # fmt: skip
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
TYPES = (JSON, FORM, "text/plain", "multipart/form-data; boundary=x", "application/json; charset=nonsense", "")


def is_text(text: str) -> bool:
    """Whether it can go over a WebSocket as text at all."""
    return text.encode(errors="replace").decode() == text


# --- requests --------------------------------------------------------------------------------------------------------


def raw_requests() -> Iterator[bytes]:
    """What is hardly HTTP."""
    chance = random.Random(4711)
    yield b"\x00" * 2000
    yield b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n"
    yield b"GET /w/x HTTP/1.1\r\nHost: \xff\r\nOrigin: http://[\r\n\r\n"
    yield b"GET /w/x/live HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    yield b"POST /w/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n"
    yield b"GET http://[::1 HTTP/1.1\r\n\r\n"
    for _ in range(20):
        yield chance.randbytes(200)
        yield b"GET /w/" + chance.randbytes(50) + b" HTTP/1.1\r\nHost: x\r\n\r\n"


async def send_every_request(base: str) -> None:
    """Send the server at `base` what is hardly HTTP; it must not call any of it its own mistake."""
    for request in raw_requests():
        answer = await _exchange(base, request)
        assert b" 50" not in answer[:14], (request[:80], answer[:80])
        assert b"Traceback" not in answer


async def ask_for_every_address(base: str, client: aiohttp.ClientSession, page: str = "/w/x") -> None:
    """Ask for addresses that nobody has linked to, and for forgeries of the watch link whose path is `page`."""
    texts = [f"/w/{quote(text, safe='', errors='replace')}" for text in TEXTS]
    forged = [f"{page}x", page[:-1], page.upper(), page.replace(".", "%2e%00"), f"{page}/../x", f"{page}//live"]
    for path in (*PATHS, *texts, *(f"{text}/live" for text in texts), *forged):
        url = URL(base + quote(path, safe="/%?=."), encoded=True)
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            async with client.request(method, url) as answer:
                words = await answer.text()
            assert answer.status < 500, (method, path)
            assert "Traceback" not in words
            assert "etc/passwd" not in words


async def _exchange(base: str, request: bytes, frame: bytes = b"") -> bytes:
    """Everything the server says to a request, and to a frame once it has taken that; nothing more comes after them."""
    url = URL(base)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    answer = b""
    # A server may hang up before it has heard everything.
    with suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            writer.write(request)
            if frame:
                answer = await reader.readuntil(b"\r\n\r\n")
                writer.write(frame)
            writer.write_eof()
            answer += await reader.read()
    writer.close()
    return answer


# --- the page's WebSocket --------------------------------------------------------------------------------------------


async def say(page: str, client: aiohttp.ClientSession, frames: list[str | bytes]) -> int | None:
    """Say all of it on one connection of the watch page. Returns the close code, None if the server still listens:
    a pong comes when it has read everything before the ping."""
    async with client.ws_connect(f"{page}/live", autoping=False) as socket:
        with suppress(ConnectionError):
            for frame in frames:
                if socket.closed:
                    break
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
            await socket.ping()
        while True:
            message = await socket.receive(PATIENCE)
            if message.type is aiohttp.WSMsgType.PONG:
                return None
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                return socket.close_code


def raw_frames() -> Iterator[bytes]:
    """What is hardly a WebSocket frame (RFC 6455, 5.2)."""
    chance = random.Random(4711)
    masked = b"\x00" * 4
    yield b"\x81\x05hello"  # without a mask
    yield b"\x83\x80" + masked  # an opcode that has no meaning
    yield b"\xf1\x80" + masked  # reserved bits
    yield b"\x81\x84" + masked + b"\xff\xfe\xed\xa0"  # no UTF-8
    yield b"\x89\xfe\xff\xff" + masked + b"a" * 1000  # a ping that is too long
    yield b"\x81\xff" + b"\xff" * 8 + masked  # more bytes than there are
    yield b"\x80\x81" + masked + b"a"  # goes on with what never began
    yield b"\x01\x81" + masked + b"a\x01\x81" + masked + b"a"  # begins twice
    yield b"\x88\x81" + masked + b"a"  # half a close code
    yield b"\x88\x82" + masked + b"\x00\x00"  # a close code that nobody may send
    yield b"\x01\x80" + masked + (b"\x00\x80" + masked) * 2000  # never comes to an end
    for _ in range(20):
        yield chance.randbytes(200)


async def send_every_frame(base: str, page: str) -> None:
    """Send the feed of the watch page whose path is `page` what is hardly a frame."""
    handshake = (
        f"GET {page}/live HTTP/1.1\r\nHost: {URL(base).authority}\r\nOrigin: {base}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    for frame in raw_frames():
        answer = await _exchange(base, handshake, frame)
        assert answer.startswith(b"HTTP/1.1 101 "), answer[:80]
        assert b"\x88\x02" + OUR_FAULT.to_bytes(2, "big") not in answer, frame[:80]
        assert b"Traceback" not in answer


# --- Slack's endpoint ------------------------------------------------------------------------------------------------


def bodies() -> list[bytes]:
    """What Slack never sends."""
    chance = random.Random(4711)
    objects: list[object] = [
        {}, [], None, 1, "text", {"type": None}, {"type": "event_callback"}, {"type": "event_callback", "event": None},
        {"type": "event_callback", "event": {"type": "message"}}, {"type": "event_callback", "event": []},
        {"type": "block_actions", "actions": []}, {"type": "block_actions", "actions": None},
        {"type": "view_submission", "view": None}, {"type": "url_verification"},
        {"type": "url_verification", "challenge": {}},
        {"team_id": {}, "event": {"type": "app_mention", "text": None, "channel": 1, "user": [], "ts": {}}},
        {"type": "event_callback", "event": {"type": "message", "channel": "C1", "user": "U1", "ts": "nan"}},
    ]  # fmt: skip
    texts = [text.encode("utf-8", "surrogatepass") for text in TEXTS]
    made = [json.dumps(each).encode() for each in objects]
    forms = [urlencode({"payload": json.dumps(each)}).encode() for each in objects] + [
        urlencode({"command": text, "text": text}, errors="replace").encode() for text in TEXTS
    ]
    deep = [b"[" * 50_000, b'{"a":' * 20_000, b"payload=" + b"%5B" * 20_000, b"a=b&" * 20_000]
    return [*texts, *made, *forms, *deep, *(chance.randbytes(100) for _ in range(10))]


def signature(secret: str, body: bytes, timestamp: int) -> str:
    """As Slack signs (docs: Verifying requests from Slack)."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


async def post_every_body(url: str, signing_secret: str | None) -> None:
    """Post what Slack never sends to its endpoint; without the secret nothing may get further than the signature."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2 * PATIENCE)) as client:
        for number, body in enumerate(bodies()):
            kind = TYPES[number % len(TYPES)] if number % 3 else (FORM if b"payload=" in body[:8] else JSON)
            now = int(time.time())
            headers = {"Content-Type": kind, "X-Slack-Request-Timestamp": f"{now}", "X-Slack-Signature": "v0=0"}
            if signing_secret is not None:
                headers["X-Slack-Signature"] = signature(signing_secret, body, now)
            async with client.post(url, data=body, headers=headers) as answer:
                words = await answer.text()
            assert answer.status < 500, (body[:80], kind)
            assert signing_secret is not None or answer.status == 401, body[:80]
            assert "Traceback" not in words
