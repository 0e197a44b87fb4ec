"""Hostile requests to Slack's endpoint: unsigned ones get no further than the signature, and what is signed but is not
what Slack sends breaks nothing.
"""

import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.fuzz.corpus import TEXTS, repeated
from tests.platforms.slack import SlackDriver, local_address

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
TYPES = (JSON, FORM, "text/plain", "multipart/form-data; boundary=x", "application/json; charset=nonsense", "")


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    async with SlackDriver(tmp_path, http=True) as driver:
        yield driver


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


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
async def test_no_body_breaks_the_endpoint(slack: SlackDriver, signed: bool) -> None:
    url = f"{local_address(slack.bot)}/slack/events"
    calls = len(slack.twin.requests)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client:
        for number, body in enumerate(bodies()):
            kind = TYPES[number % len(TYPES)] if number % 3 else (FORM if b"payload=" in body[:8] else JSON)
            now = int(time.time())
            headers = {"Content-Type": kind, "X-Slack-Request-Timestamp": f"{now}", "X-Slack-Signature": "v0=0"}
            if signed:
                headers["X-Slack-Signature"] = signature(slack.twin.signing_secret, body, now)
            async with client.post(url, data=body, headers=headers) as answer:
                words = await answer.text()
            assert answer.status < 500, (body[:80], kind)
            assert signed or answer.status == 401, body[:80]
            assert "Traceback" not in words
    if not signed:
        assert len(slack.twin.requests) == calls
    assert "Starting" in await slack.command("/avatar start")


async def test_what_people_type_breaks_nothing(slack: SlackDriver) -> None:
    assert "Starting" in await slack.command("/avatar start")
    await slack.until_read("live")
    sendable = [text for text in TEXTS if text.isprintable() and text.strip()]
    for text in (*sendable, *(make(500).strip() for make in list(repeated.values())[::6])):
        if text.isprintable() and text:
            assert "Traceback" not in await slack.command(f"/avatar {text}")
