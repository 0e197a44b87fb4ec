"""Where the words of a Discord message stand, and which of them people read: relayed, and from the context menu."""

from typing import Any

import pytest

from adapters.chat.discord import strings
from bot import sentences
from tests.platforms.discord import DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ANA, BEN, LONG
from tests.scenario.discord.conftest import Open, bring_avatar

STAMP = "2026-01-01T00:00:00.000000+00:00"
IMAGE = {"id": "1", "filename": "cat.png", "size": 9, "url": "https://cdn.example.com/1", "proxy_url": "https://x.test"}
VOICE = IMAGE | {"filename": "voice-message.ogg", "duration_secs": 3.0, "waveform": "AA==", "content_type": "audio/ogg"}


def snapshot(content: str = "", **more: Any) -> dict[str, Any]:
    """The fields of a message that forwards one."""
    empty: dict[str, Any] = {"embeds": [], "attachments": [], "mentions": [], "mention_roles": [], "components": []}
    inner = {"type": 0, "content": content, "timestamp": STAMP, "edited_timestamp": None, "flags": 0}
    reference = {"type": 1, "message_id": "1", "channel_id": "2"}
    return {"message_reference": reference, "message_snapshots": [{"message": empty | inner | more}]}


def poll(question: str, *answers: str) -> dict[str, Any]:
    """The fields of a poll."""
    made = [{"answer_id": n, "poll_media": {"text": answer}} for n, answer in enumerate(answers, 1)]
    poll = {"question": {"text": question}, "answers": made, "expiry": STAMP, "allow_multiselect": False}
    return {"poll": poll | {"layout_type": 1}}


def text(content: str) -> dict[str, Any]:
    """A text display."""
    return {"type": 10, "id": 1, "content": content}


CARD = {"type": "rich", "title": "Build", "description": "is green", "fields": [{"name": "Took", "value": "a minute"}]}
PREVIEW = {"type": "article", "url": "https://example.com", "title": "A page", "description": "about something"}
BUTTON = {"type": 2, "id": 3, "style": 1, "label": "no", "custom_id": "x"}
CONTAINER = {
    "type": 17,
    "id": 2,
    "spoiler": False,
    "components": [
        text("first"),
        {"type": 9, "id": 4, "components": [text("second")], "accessory": BUTTON},
        {"type": 1, "id": 5, "components": [BUTTON]},
        text("third"),
    ],
}
STICKER = {"id": "7", "name": "Wave", "format_type": 1}

ROWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "content": ("plain words", {}, "plain words"),
    "forward": ("", snapshot("forwarded words"), "forwarded words"),
    "forwarded card": ("", snapshot(embeds=[CARD]), "Build is green Took a minute"),
    "forwarded link": ("", snapshot("see there", embeds=[PREVIEW | {"type": "rich"}]), "see there"),
    "forwarded text display": ("", snapshot(components=[CONTAINER]), "first second third"),
    "forwarded picture": ("", snapshot(attachments=[IMAGE | {"description": "a cat"}]), ""),
    "poll": ("", poll("Tea or coffee?", "Tea", "Coffee"), "Tea or coffee? Tea Coffee"),
    "text displays": ("", {"components": [CONTAINER], "flags": 1 << 15}, "first second third"),
    "card of an app": ("", {"embeds": [CARD]}, "Build is green Took a minute"),
    "link with a preview": ("look here", {"embeds": [PREVIEW]}, "look here"),
    "preview alone": ("", {"embeds": [PREVIEW]}, ""),
    "sticker": ("", {"sticker_items": [STICKER]}, ""),
    "sticker with words": ("good bye", {"sticker_items": [STICKER]}, "good bye"),
    "voice message": ("", {"attachments": [VOICE], "flags": 1 << 13}, ""),
    "picture with a description": ("", {"attachments": [IMAGE | {"description": "a cat"}]}, ""),
}
"""Content, further fields, and the words that people read."""


def queued(chat: DiscordDriver) -> list[str]:
    """The words that wait, a space for every break."""
    return [" ".join(one.text.split()) for running in chat.bot.bot.sessions for one in running.speaker.queued()]


@pytest.fixture
async def busy(open_chat: Open) -> DiscordDriver:
    """The bot with an avatar that is talking for long, so that everything else waits; it hears every message."""
    chat = await open_chat(environment={"SESSION_RELAY": "all", "QUEUE_LIMIT": "100", "USER_RATE": "0"}, speed=5.0)
    await bring_avatar(chat)
    await chat.write(LONG)
    (running,) = chat.bot.bot.sessions
    await chat.bot.until(lambda: (line := running.speaker.current) and line.utterance.text.startswith(LONG[:20]))
    return chat


WANTED = [" ".join(said.split()) for _, _, said in ROWS.values() if said]


async def test_relayed_are_the_words_that_people_read(busy: DiscordDriver) -> None:
    for content, more, _ in ROWS.values():
        await busy.twin.write(busy.channel, busy.people[BEN], content, more=more)
    await busy.bot.until(lambda: len(queued(busy)) >= len(WANTED))
    assert queued(busy) == [*WANTED]


async def test_context_menu_says_the_words_that_people_read(busy: DiscordDriver) -> None:
    robot = busy.twin.add_user("robot", guild=busy.guild, bot=True)
    for name, (content, more, said) in ROWS.items():
        before = queued(busy)
        message = await busy.twin.write(busy.channel, robot, content, more=more)
        used = await busy.twin.context_menu(busy.channel, busy.people[ANA], strings.SAY_THIS, message)
        answer = read(await answer_of(used))
        assert (answer == sentences.EMPTY_TEXT) == (not said), name
        assert queued(busy) == [*before, *([" ".join(said.split())] if said else [])], name


async def test_forwarded_words_are_said_by_who_forwards_them(busy: DiscordDriver) -> None:
    elsewhere = busy.twin.add_channel(busy.guild, "elsewhere")
    first = await busy.twin.write(elsewhere, busy.people[BEN], "good morning")
    await busy.twin.forward(busy.channel, busy.people[ANA], first)
    await busy.bot.until(lambda: queued(busy) == ["good morning"])
    (waits,) = [one for running in busy.bot.bot.sessions for one in running.speaker.queued()]
    assert waits.author_name == "Ana"


async def test_forwarded_mention_of_the_bot_addresses_nobody(live: DiscordDriver) -> None:
    elsewhere = live.twin.add_channel(live.guild, "elsewhere")
    first = await live.twin.write(elsewhere, live.people[BEN], "good morning", mentions=[live.twin.bot])
    await live.twin.forward(live.channel, live.people[ANA], first)
    await live.write("really for it")
    await live.bot.until(lambda: live.bot.spoken == ["really for it"])


async def test_forwarded_words_are_no_longer_than_written_ones(busy: DiscordDriver) -> None:
    await busy.twin.write(busy.channel, busy.people[BEN], "", more=snapshot("word " * 1000))
    await busy.twin.write(busy.channel, busy.people[BEN], "", more=snapshot("short"))
    await busy.bot.until(lambda: queued(busy) == ["short"])
