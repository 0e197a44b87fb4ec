"""What happens to a chat message on its way in."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import sentences
from bot.access.permissions import AccessLists, Permissions
from bot.core.errors import Refused, StoreUnavailable
from bot.core.models import Actor, Mode, Role, UtteranceState
from bot.sessions.registry import StartOptions
from bot.settings import RelayMode
from bot.store import tables
from tests.builders import an_actor
from tests.harness.bot import ADA, ANA, CHANNEL, BotHarness, with_policy

BOT = Actor("test", "bot", "Other bot", is_bot=True)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BotHarness]:
    async with BotHarness(tmp_path) as world:
        await world.start()
        yield world


async def refusal(world: BotHarness, text: str, actor: Actor = ANA) -> str:
    with pytest.raises(Refused) as refused:
        await world.write(text, actor)
    return str(refused.value)


async def test_bots_are_ignored_in_silence(world: BotHarness) -> None:
    assert (await world.write("I am a bot", BOT)).ignored == "written by a bot"
    assert await world.rows(tables.utterances) == []


async def test_a_message_delivered_again_is_spoken_once(world: BotHarness) -> None:
    assert (await world.write("once", key="event-1")).utterance is not None
    assert (await world.write("once", key="event-1")).ignored == "delivered before"
    await world.until(lambda: world.ended_as("once", UtteranceState.SPOKEN))
    assert world.heard == ["once"]


async def test_simultaneous_deliveries_are_spoken_once(world: BotHarness) -> None:
    receipts = await asyncio.gather(*(world.write("once", key="event-1") for _ in range(20)))
    assert sum(receipt.utterance is not None for receipt in receipts) == 1
    await world.until(lambda: world.ended_as("once", UtteranceState.SPOKEN))
    assert world.heard == ["once"]


@pytest.mark.parametrize("lost", [{0}, {0, 1}, {0, 2}, {1}, {1, 2, 3}], ids=str)
async def test_a_message_that_was_written_down_unnoticed_is_spoken_when_it_comes_again(
    world: BotHarness, lost: set[int]
) -> None:
    """These writes had no answer. Where the first had one, it was not made."""
    world.unwritable, world.unanswered = {0} - lost, lost
    for _ in range(len(lost) + (0 not in lost)):
        with pytest.raises(StoreUnavailable):
            await world.write("once", key="event-1")
    receipts = await asyncio.gather(*(world.write("once", key="event-1") for _ in range(5)))
    assert sum(receipt.utterance is not None for receipt in receipts) == 1
    await world.until(lambda: world.ended_as("once", UtteranceState.SPOKEN))
    assert world.heard == ["once"]
    assert len(await world.rows(tables.utterances)) == 1


async def test_a_message_that_was_written_down_unnoticed_and_never_comes_again_ends_with_its_session(
    world: BotHarness,
) -> None:
    world.unanswered = {0}
    with pytest.raises(StoreUnavailable):
        await world.write("never again", key="event-1")
    await world.type("/avatar stop")
    await world.pass_time(10)
    await world.sessions.flush_unsaved()
    assert [UtteranceState(row.state).is_final for row in await world.rows(tables.utterances)] == [True]
    assert world.heard == []


async def test_a_delivery_is_remembered_over_a_restart(world: BotHarness) -> None:
    await world.write("once", key="event-1")
    await world.until(lambda: world.ended_as("once", UtteranceState.SPOKEN))
    await world.crash()
    await world.boot()
    assert (await world.write("once", key="event-1")).ignored == "delivered before"


@pytest.mark.parametrize(
    ("rule", "addressed", "taken"),
    [
        (RelayMode.OFF, True, False),
        (RelayMode.OFF, False, False),
        (RelayMode.MENTIONS, True, True),
        (RelayMode.MENTIONS, False, False),
        (RelayMode.ALL, False, True),
    ],
)
async def test_the_relay_rule_decides_which_messages_are_taken(
    rule: RelayMode, addressed: bool, taken: bool, tmp_path: Path
) -> None:
    async with BotHarness(tmp_path, rule=rule) as world:
        await world.start()
        receipt = await world.write("hello", addressed=addressed)
        assert (receipt.utterance is not None) is taken


async def test_a_command_speaks_whatever_the_relay_rule(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, rule=RelayMode.OFF) as world:
        await world.start()
        await world.type("/avatar say hello")
        await world.until(lambda: world.ended_as("hello", UtteranceState.SPOKEN))


async def test_who_may_not_speak_is_told(world: BotHarness) -> None:
    assert await refusal(world, "hi", replace(ANA, role=Role.VIEWER)) == (
        "You may not write to the avatar here. Ask a host of this channel."
    )
    assert await refusal(world, "hi", replace(ANA, role=Role.BLOCKED)) == "You are blocked from using the avatar here."


async def test_who_writes_too_much_is_slowed_down_and_others_and_admins_are_not(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, user_rate=3) as world:
        await world.start()
        for _ in range(3):
            await world.write("quick")
        assert (await refusal(world, "quick")).startswith(
            "That is too fast: each person may send at most 3 messages a minute"
        )
        assert (await world.write("from somebody else", an_actor("Bo"))).utterance is not None
        for _ in range(5):
            assert (await world.write("admin", ADA)).utterance is not None
        await world.pass_time(61)
        assert (await world.write("later")).utterance is not None


@pytest.mark.parametrize("text", ["", "   ", "\u200b\u2060", "**", "\x00\x01", "😀🎉", "1️⃣", "🇩🇪", "|| ||"])
async def test_nothing_speakable_is_refused_kindly(world: BotHarness, text: str) -> None:
    assert await refusal(world, text) == "There is nothing in that message that can be spoken. Write some words."


async def test_a_message_that_is_too_long_names_the_limit(world: BotHarness) -> None:
    assert await refusal(world, "x" * 4001) == (
        "That message has 4,001 characters; the avatar takes at most 4,000 at once. Please shorten it."
    )


REFUSALS: dict[str, tuple[dict[str, Any], str, Actor, bool]] = {
    "no words": ({}, "\u200b", ANA, False),
    "too long": ({}, "x" * 4001, ANA, True),
    "too fast": ({"user_rate": 1}, "again", ANA, True),
    "too much": ({"user_characters": 8}, "a lot of words", ANA, True),
    "queue full": ({"policy": with_policy(queue_limit=0)}, "no room", ANA, True),
    "not a speaker": ({}, "may I", replace(ANA, role=Role.VIEWER), False),
    "blocked": ({}, "let me in", replace(ANA, role=Role.BLOCKED), False),
    "channel denied": ({"access": AccessLists(channels_denied=frozenset({"test:general"}))}, "hello", ANA, False),
    "no mind": ({"chat_model": False, "policy": with_policy(mode=Mode.CHAT)}, "hello", ANA, True),
}
"""What makes a relay refuse, and whether who wrote among people may see by a mark that it did."""


@pytest.mark.parametrize("case", REFUSALS)
async def test_who_did_not_address_the_avatar_gets_no_sentence(tmp_path: Path, case: str) -> None:
    options, text, actor, is_missed = REFUSALS[case]
    access = options.get("access")
    others = {name: value for name, value in options.items() if name != "access"}
    async with BotHarness(tmp_path, rule=RelayMode.ALL, **others) as world:
        await world.sessions.start(CHANNEL, ANA, StartOptions())
        running = world.sessions.in_channel(CHANNEL)
        assert running is not None
        await world.until(lambda: running.is_live)
        if access is not None:
            world.relay._permissions = Permissions(access)
        if case == "too fast":
            await world.write("once", actor)
        receipt = await world.write(text, actor, addressed=False)
        assert (receipt.utterance, receipt.is_missed) == (None, is_missed)
        sentence = await refusal(world, text, actor)
        assert receipt.ignored == sentence


async def test_message_among_people_while_the_avatar_leaves_is_missed(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, rule=RelayMode.ALL) as world:
        running = await world.start()
        await world.type("/avatar stop")
        receipt = await world.write("wait for me", addressed=False)
        assert running.stop.is_set
        assert receipt.is_missed
        assert receipt.ignored == sentences.CLOSING


async def test_control_characters_and_markup_are_not_spoken(world: BotHarness) -> None:
    await world.write("**Hello**\x07 ~~world~~, see https://example.com/x?y=z")
    await world.until(lambda: world.heard)
    assert world.heard == ["Hello world, see a link"]


async def test_a_full_queue_refuses_kindly_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, policy=with_policy(queue_limit=3)) as world:
        await world.start()
        taken = [f"message number {place} of many" for place in range(4)]
        for text in taken:
            await world.write(text)
            await world.rest()
        assert (await refusal(world, "one too many")).startswith("The avatar already has 3 messages waiting.")
        await world.until(lambda: world.ended_as(taken[0], UtteranceState.SPOKEN))
        await world.write("now there is room")
        await world.until(lambda: world.ended_as("now there is room", UtteranceState.SPOKEN))
        assert world.heard == [*taken, "now there is room"]


async def test_fifty_people_at_once_are_spoken_in_the_order_of_acceptance(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, policy=with_policy(queue_limit=100)) as world:
        await world.start()
        people = [Actor("test", f"p{place}", f"P{place}") for place in range(50)]
        texts = [f"greeting {place}" for place in range(50)]
        await asyncio.gather(*(world.write(text, actor) for text, actor in zip(texts, people, strict=True)))
        await world.until(lambda: world.ended_as(texts[-1], UtteranceState.SPOKEN), step=2.0)
        assert world.heard == texts


async def test_a_message_at_the_moment_of_the_end_is_never_left_behind(world: BotHarness) -> None:
    running = world.running
    assert running is not None
    writing = [asyncio.create_task(world.write(f"late {place}")) for place in range(5)]
    await asyncio.sleep(0)
    await world.type("/avatar stop")
    await asyncio.gather(*writing, return_exceptions=True)
    await world.until(running.closed.is_set)
    states = {row.state for row in await world.rows(tables.utterances)}
    assert states <= {UtteranceState.DROPPED, UtteranceState.INTERRUPTED}


async def test_writing_while_the_avatar_leaves_says_so(world: BotHarness) -> None:
    await world.type("/avatar stop")
    assert (await refusal(world, "wait!")).startswith("The avatar is just leaving this channel.")


@pytest.mark.parametrize("turns", [*range(12), 16, 24])
async def test_a_message_at_any_turn_of_the_end_is_refused_or_dropped(world: BotHarness, turns: int) -> None:
    running = world.running
    assert running is not None
    writing = asyncio.create_task(world.write("just now"))
    for _ in range(turns):
        await asyncio.sleep(0)
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    (result,) = await asyncio.gather(writing, return_exceptions=True)
    rows = await world.rows(tables.utterances)
    assert all(UtteranceState(row.state).is_final for row in rows)
    if isinstance(result, Refused):
        assert str(result) == sentences.CLOSING
    else:
        assert world.states("just now")[-1].is_final


async def test_a_message_that_comes_after_a_clear_survives_it(world: BotHarness) -> None:
    await world.write("this one is being said while the queue behind it is cleared by somebody")
    await world.write("dropped")
    await world.rest()
    await asyncio.gather(world.type("/avatar clear"), world.write("kept"))
    await world.until(lambda: world.ended_as("kept", UtteranceState.SPOKEN))
    states = {row.text: row.state for row in await world.rows(tables.utterances)}
    assert states["kept"] == UtteranceState.SPOKEN


async def test_the_queue_never_grows_over_its_limit_however_many_write_at_once(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, policy=with_policy(queue_limit=5)) as world:
        await world.type("/avatar start")
        tries = [world.write(f"message {number}") for number in range(30)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, Refused) for result in results) == 25
        assert len(await world.rows(tables.utterances)) == 5
