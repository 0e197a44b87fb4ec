"""What becomes of a chat message on its way in: who is heard, what is taken once, in which order, and what is refused."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot import sentences
from bot.errors import Refused
from bot.model import Mode, Role, SessionState, UtteranceState
from bot.relay import LONGEST_MESSAGE
from bot.settings import Relay as RelayRule
from bot.store import tables
from tests.world import ANA, CHANNEL, World, with_policy


async def test_bots_are_not_heard(world: World) -> None:
    await world.start()
    receipt = await world.write("beep", replace(ANA, is_bot=True))
    assert receipt.ignored == "written by a bot"
    assert await world.rows(tables.utterances) == []


async def test_a_message_delivered_again_is_ignored(world: World) -> None:
    await world.start()
    assert (await world.write("once", key="m1")).utterance is not None
    assert (await world.write("once", key="m1")).ignored == "delivered before"
    await world.until(lambda: world.ended_as("once", UtteranceState.SPOKEN))
    assert world.heard == ["once"]


async def test_a_message_delivered_twice_at_the_same_time_is_taken_once(world: World) -> None:
    await world.start()
    receipts = await asyncio.gather(*(world.write("once", key="m1") for _ in range(8)))
    assert sum(receipt.utterance is not None for receipt in receipts) == 1
    await world.until(lambda: world.ended_as("once", UtteranceState.SPOKEN))
    assert world.heard == ["once"]


async def test_a_message_delivered_again_after_a_restart_is_ignored(world: World) -> None:
    await world.start()
    await world.write("once", key="m1")
    await world.until(lambda: world.ended_as("once", UtteranceState.SPOKEN))
    await world.crash()
    await world.boot()
    assert (await world.write("once", key="m1")).ignored == "delivered before"


@pytest.mark.parametrize(
    ("rule", "addressed", "is_taken"),
    [
        (RelayRule.OFF, True, False),
        (RelayRule.OFF, False, False),
        (RelayRule.MENTIONS, True, True),
        (RelayRule.MENTIONS, False, False),
        (RelayRule.ALL, True, True),
        (RelayRule.ALL, False, True),
    ],
)
async def test_the_relay_rule_says_which_messages_are_taken(
    rule: RelayRule, addressed: bool, is_taken: bool, tmp_path: Path
) -> None:
    async with World(tmp_path, rule=rule) as world:
        await world.start()
        receipt = await world.write("for the avatar?", addressed=addressed)
        assert (receipt.utterance is not None) is is_taken
        assert (receipt.ignored is not None) is not is_taken
        await world.type("/avatar say a command always is")
        await world.until(lambda: world.ended_as("a command always is", UtteranceState.SPOKEN))


async def test_only_who_speaks_to_the_avatar_hears_that_there_is_none(tmp_path: Path) -> None:
    async with World(tmp_path, rule=RelayRule.ALL) as world:
        assert (await world.write("talk among people", addressed=False)).ignored == "no session in the channel"
        with pytest.raises(Refused, match="No avatar is in this channel"):
            await world.write("hello avatar")


@pytest.mark.parametrize("role", [Role.BLOCKED, Role.VIEWER])
async def test_somebody_who_may_not_speak_is_refused_with_a_sentence(world: World, role: Role) -> None:
    await world.start()
    with pytest.raises(Refused) as refused:
        await world.write("let me in", replace(ANA, role=role))
    assert str(refused.value) == sentences.not_allowed(Role.SPEAKER)
    assert await world.rows(tables.utterances) == []


async def test_each_person_may_write_so_many_messages_a_minute(tmp_path: Path) -> None:
    async with World(tmp_path, user_rate=2) as world:
        await world.start()
        bob = replace(ANA, id="bob", name="Bob")
        for text in ("one", "two"):
            await world.write(text)
        with pytest.raises(Refused) as refused:
            await world.write("three")
        assert str(refused.value) == sentences.too_fast(2)
        await world.write("somebody else's first", bob)
        await world.pass_time(61)
        await world.write("a minute later")


@pytest.mark.parametrize("text", ["", "   ", "\u200b\u200d", "***", "\x00\x07"])
async def test_a_message_without_anything_to_say_is_refused(world: World, text: str) -> None:
    await world.start()
    with pytest.raises(Refused) as refused:
        await world.write(text)
    assert str(refused.value) == sentences.EMPTY_TEXT


async def test_a_message_that_is_too_long_is_refused_and_the_longest_is_taken(world: World) -> None:
    await world.start()
    with pytest.raises(Refused) as refused:
        await world.write("a" * (LONGEST_MESSAGE + 1))
    assert str(refused.value) == sentences.too_long(LONGEST_MESSAGE + 1, LONGEST_MESSAGE)
    assert (await world.write("ab " * (LONGEST_MESSAGE // 3))).utterance is not None


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    async with World(tmp_path, policy=with_policy(queue_limit=3)) as world:
        await world.start()
        for number in range(4):
            await world.write(f"message number {number}")
            await world.rest()
        with pytest.raises(Refused) as refused:
            await world.write("one too many")
        assert str(refused.value) == sentences.queue_full(3)
        await world.until(lambda: world.ended_as("message number 1", UtteranceState.SPOKEN))
        await world.write("now there is room")
        await world.until(lambda: world.ended_as("now there is room", UtteranceState.SPOKEN))
        assert world.heard == [*(f"message number {number}" for number in range(4)), "now there is room"]


async def test_a_queue_is_never_longer_than_its_limit_however_many_write_at_once(tmp_path: Path) -> None:
    async with World(tmp_path, policy=with_policy(queue_limit=5)) as world:
        await world.type("/avatar start")
        tries = [world.write(f"message {number}") for number in range(30)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, Refused) for result in results) == 25
        assert len(await world.rows(tables.utterances)) == 5


async def test_fifty_people_who_write_at_once_are_heard_in_their_order(tmp_path: Path) -> None:
    async with World(tmp_path, policy=with_policy(queue_limit=60)) as world:
        await world.start()
        texts = [f"this is message {number}" for number in range(50)]
        people = [replace(ANA, id=f"person-{number}") for number in range(50)]
        await asyncio.gather(*map(world.write, texts, people))
        await world.until(lambda: world.ended_as(texts[-1], UtteranceState.SPOKEN), step=1)
        assert world.heard == texts


@pytest.mark.parametrize("turns", [*range(12), 16, 24])
async def test_a_message_in_the_instant_of_the_end_is_refused_or_dropped_but_never_left_queued(
    world: World, turns: int
) -> None:
    running = await world.start()
    writing = asyncio.create_task(world.write("just now"))
    for _ in range(turns):
        await asyncio.sleep(0)
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    (result,) = await asyncio.gather(writing, return_exceptions=True)
    rows = await world.rows(tables.utterances)
    assert [UtteranceState(row.state).is_final for row in rows] == [True] * len(rows)
    if isinstance(result, Refused):
        assert str(result) == sentences.CLOSING
    else:
        assert world.states("just now")[-1].is_final


async def test_a_message_written_while_a_clear_is_under_way_survives_it(world: World) -> None:
    """The clear drops what was waiting when it was given, and nothing that came after."""
    await world.start()
    await world.write("this one is being said while the queue behind it is cleared by somebody")
    await world.write("dropped")
    await world.rest()
    clearing, writing = (asyncio.create_task(work) for work in (world.type("/avatar clear"), world.write("kept")))
    await asyncio.gather(clearing, writing)
    await world.until(lambda: world.ended_as("kept", UtteranceState.SPOKEN))
    states = {row.text: row.state for row in await world.rows(tables.utterances)}
    assert states["kept"] == UtteranceState.SPOKEN


async def test_a_message_to_a_session_that_is_closing_is_refused(world: World) -> None:
    running = await world.start()
    await world.type("/avatar stop")
    with pytest.raises(Refused) as refused:
        await world.write("too late")
    assert str(refused.value) == sentences.CLOSING
    await world.until(running.closed.is_set)
    session = await world.store.session(running.session.id)
    assert session is not None
    assert session.state is SessionState.CLOSED


async def test_chat_without_a_mind_to_answer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with World(tmp_path, chat_model=False) as world:
        await world.start()
        assert (await world.type("/avatar ask who are you?")).text == sentences.CHAT_NOT_CONFIGURED
        assert (await world.type("/avatar mode chat")).text == sentences.CHAT_NOT_CONFIGURED
        assert (await world.type("/avatar start mode=chat", channel=replace(CHANNEL, id="other"))).text == (
            sentences.CHAT_NOT_CONFIGURED
        )
        assert world.running is not None
        assert world.running.session.mode is Mode.REPEAT
