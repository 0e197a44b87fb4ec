"""Hostile requests to Slack's endpoint: unsigned ones get no further than the signature, and what is signed but is not
what Slack sends breaks nothing.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fuzz.attacks import post_every_body
from tests.fuzz.corpus import TEXTS, repeated
from tests.platforms.slack import SlackDriver, local_address

pytestmark = pytest.mark.slow


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    async with SlackDriver(tmp_path, http=True) as driver:
        yield driver


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
async def test_no_body_breaks_the_endpoint(slack: SlackDriver, signed: bool) -> None:
    calls = len(slack.twin.requests)
    await post_every_body(f"{local_address(slack.bot)}/slack/events", slack.twin.signing_secret if signed else None)
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
