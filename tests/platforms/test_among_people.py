"""`SESSION_RELAY=all`, on every platform that tells talk among people from what is said to the bot: who did not address
it is never told off. A mark is the most, and for a message without words there is none."""

import importlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.platforms.conftest import DRIVERS
from tests.platforms.platform_driver import ADA, ANA, BEN, Driver

ENVIRONMENT = {"SESSION_RELAY": "all", "LIMIT_USER_CHARACTERS": "40"}
TOO_MUCH = "more than forty characters, which is more than a minute allows"
NOT_SAID = {"discord": "\N{SPEAKER WITH CANCELLATION STROKE}", "slack": "x"}


@pytest.fixture(params=NOT_SAID)
async def chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """A channel with a live avatar that hears everything."""
    module, name = DRIVERS[request.param]
    driver: Driver = getattr(importlib.import_module(module), name)(tmp_path, environment=ENVIRONMENT)
    async with driver:
        await driver.command("/avatar start")
        await driver.until_read("live")
        yield driver


async def test_four_pictures_without_words_are_met_with_silence(chat: Driver) -> None:
    before = len(chat.seen())
    marks = await chat.remark("", pictures=4)
    await chat.remark("and some words")
    await chat.bot.until(lambda: "and some words" in chat.bot.spoken)
    assert len(chat.seen()) == before
    assert not marks()


async def test_refusal_among_people_is_a_mark_and_to_the_bot_a_sentence(chat: Driver) -> None:
    before = len(chat.seen())
    marks = await chat.remark(TOO_MUCH, by=BEN)
    await chat.bot.until(lambda: NOT_SAID[chat.name] in marks())
    assert len(chat.seen()) == before
    await chat.write(TOO_MUCH, by=BEN)
    await chat.until_read("That is more than 40 characters within a minute.")


async def test_blocked_person_is_told_only_when_they_address_the_bot(chat: Driver) -> None:
    await chat.command("/avatar-admin block ben" if chat.name == "discord" else "/avatar-admin block @ben", by=ADA)
    before = len(chat.seen())
    marks = await chat.remark("not heard", by=BEN)
    await chat.remark("heard", by=ANA)
    await chat.bot.until(lambda: chat.bot.spoken == ["heard"])
    assert (len(chat.seen()), list(marks())) == (before, [])
    await chat.write("hello?", by=BEN)
    await chat.until_read("You are blocked from using the avatar here.")
