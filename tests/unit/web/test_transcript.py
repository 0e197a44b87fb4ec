"""What was said so far and how many watch, over a real connection: what a viewer reads, and what no viewer reads."""

import asyncio
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from adapters.web.transcript import BATCH, MAX_ENTRIES, MAX_LENGTH, MAX_NAME, MAX_SESSIONS, MAX_TEXT, Transcripts
from bot.core.events import SessionChanged, UtteranceChanged
from bot.core.models import Mode, Utterance, UtteranceState
from bot.core.views import Phase
from tests.builders import an_utterance
from tests.harness.clock import ManualClock, settle
from tests.unit.web.fixtures import CHANNEL, Watching, eventually
from tests.unit.web.test_feed import connect, hear

SESSION = "session-815"


def spoken(watching: Watching, *states: UtteranceState, answer: str | None = None, **fields: Any) -> Utterance:
    """An utterance goes through `states`; its session's followers are told."""
    utterance = an_utterance(session_id=SESSION, author="discord:4711", **fields)
    for state in states:
        utterance = utterance._replace(state=state)
        watching.event_bus.publish(UtteranceChanged(CHANNEL, utterance, answer))
    return utterance


async def entries_of(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    entries = (await hear(socket, "transcript"))["entries"]
    assert isinstance(entries, list)
    return entries


async def test_who_comes_in_the_middle_reads_what_was_said_so_far_and_then_what_is_said(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    began = clock.now().timestamp()
    spoken(watching, UtteranceState.SPEAKING, UtteranceState.SPOKEN, text="Good morning.", author_name="Ana")
    await settle()
    await clock.advance(7)
    async with await connect(client, watching) as socket:
        (first,) = await entries_of(socket)
        assert first == {
            "n": 1,
            "at": began,
            "who": "Ana",
            "mode": "repeat",
            "text": "Good morning.",
            "answer": None,
            "is_over": True,
            "is_cut": False,
        }
        spoken(watching, UtteranceState.SPEAKING, text="And now?", author_name="Ben")
        (second,) = await entries_of(socket)
        assert (second["n"], second["who"], second["at"], second["is_over"]) == (2, "Ben", began + 7, False)


async def test_what_waits_or_was_taken_back_is_not_in_it(watching: Watching, client: aiohttp.ClientSession) -> None:
    spoken(watching, UtteranceState.QUEUED, UtteranceState.SENDING, text="not yet")
    spoken(watching, UtteranceState.QUEUED, UtteranceState.DROPPED, text="taken back")
    spoken(watching, UtteranceState.SENDING, UtteranceState.FAILED, text="refused")
    spoken(watching, UtteranceState.SPEAKING, text="said")
    await settle()
    async with await connect(client, watching) as socket:
        assert [entry["text"] for entry in await entries_of(socket)] == ["said"]


@pytest.mark.parametrize(
    ("end", "is_cut"),
    [
        (UtteranceState.SPOKEN, False),
        (UtteranceState.INTERRUPTED, True),
        (UtteranceState.FAILED, True),
        (UtteranceState.UNKNOWN, True),
    ],
)
async def test_an_entry_says_whether_it_was_said_to_its_end(
    watching: Watching, client: aiohttp.ClientSession, end: UtteranceState, *, is_cut: bool
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket, "viewers")
        spoken(watching, UtteranceState.SPEAKING, end)
        (entry,) = await entries_of(socket)
        assert (entry["is_over"], entry["is_cut"]) == (True, is_cut)


async def test_an_answer_is_there_once_it_was_said_and_hides_what_it_hid(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    question = {"text": "Who did it?", "mode": Mode.CHAT}
    answer = "**It was** ||the butler|| in the [library](https://secret.example). And ||the cook"
    async with await connect(client, watching) as socket:
        await hear(socket, "viewers")
        utterance = spoken(watching, UtteranceState.SPEAKING, answer=answer, **question)
        (entry,) = await entries_of(socket)
        assert (entry["text"], entry["answer"]) == ("Who did it?", None)
        ended = utterance._replace(state=UtteranceState.SPOKEN)
        watching.event_bus.publish(UtteranceChanged(CHANNEL, ended, answer))
        (entry,) = await entries_of(socket)
        assert entry["answer"] == "It was spoiler in the library. And spoiler"
        assert entry["n"] == 1


async def test_nobody_reads_an_id_a_reason_or_another_session(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    private = {"message_id": "m-0815", "detail": "HTTP 402: no credit left for key abc"}
    utterance = spoken(watching, UtteranceState.SPEAKING, UtteranceState.FAILED, text="Hello.", **private)
    other = an_utterance(session_id="another", text="elsewhere", state=UtteranceState.SPEAKING)
    watching.event_bus.publish(UtteranceChanged(CHANNEL, other))
    await settle()
    async with await connect(client, watching) as socket:
        entries = await entries_of(socket)
        assert [entry["text"] for entry in entries] == ["Hello."]
        assert set(entries[0]) == {"n", "at", "who", "mode", "text", "answer", "is_over", "is_cut"}
        for secret in (utterance.id, "discord:4711", "m-0815", "402", SESSION, CHANNEL.id):
            assert secret not in str(entries)


async def test_a_page_gets_the_last_ones_in_portions(watching: Watching, client: aiohttp.ClientSession) -> None:
    for number in range(MAX_ENTRIES + 10):
        spoken(watching, UtteranceState.SPEAKING, text=f"number {number}")
    await settle()
    async with await connect(client, watching) as socket:
        portions = [await entries_of(socket) for _ in range(MAX_ENTRIES // BATCH)]
    assert {len(portion) for portion in portions} == {BATCH}
    texts = [entry["text"] for portion in portions for entry in portion]
    assert texts == [f"number {number}" for number in range(10, MAX_ENTRIES + 10)]


async def test_long_texts_and_names_are_bounded(watching: Watching) -> None:
    transcripts, writing = writing_of(watching)
    await settle()
    for _ in range(60):
        spoken(watching, UtteranceState.SPEAKING, text="t" * 9_000, author_name="n" * 500)
    await settle()
    _, entries = transcripts.of(SESSION).since(0)
    assert {(len(entry.text), len(entry.who)) for entry in entries} == {(MAX_TEXT, MAX_NAME)}
    assert sum(len(entry.text) for entry in entries) <= MAX_LENGTH
    assert entries[-1].n == 60
    await end(writing)


async def test_it_is_forgotten_with_its_session_and_with_too_many_others(watching: Watching) -> None:
    transcripts, writing = writing_of(watching)
    await settle()
    spoken(watching, UtteranceState.SPEAKING)
    await settle()
    assert transcripts.of(SESSION).since(0)[1]
    watching.event_bus.publish(SessionChanged(replace(watching.view, phase=Phase.ENDED)))
    spoken(watching, UtteranceState.INTERRUPTED)
    await settle()
    assert not transcripts.of(SESSION).since(0)[1]

    for number in range(MAX_SESSIONS + 1):
        utterance = an_utterance(session_id=f"session {number}", state=UtteranceState.SPEAKING)
        watching.event_bus.publish(UtteranceChanged(CHANNEL, utterance))
        if number % 1000 == 0:
            await settle()
    await settle()
    assert not transcripts.of("session 0").since(0)[1]
    assert transcripts.of("session 1").since(0)[1]
    await end(writing)


async def test_how_many_watch_is_told_when_it_changes_and_not_with_each_heartbeat(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching) as first:
        assert await hear(first, "viewers") == {"type": "viewers", "count": 1}
        async with await connect(client, watching) as second, await connect(client, watching) as third:
            await hear(second, "viewers")
            await hear(third, "viewers")
            await clock.advance(2)
            # Two came, and that is one message.
            assert await hear(first, "viewers") == {"type": "viewers", "count": 3}
            await third.send_str('{"type": "attention", "is_there": false}')
            await eventually(lambda: watching.audiences.of(SESSION).size == 2)
            await clock.advance(2)
            assert await hear(first, "viewers") == {"type": "viewers", "count": 2}
        await eventually(lambda: watching.audiences.of(SESSION).size == 1)
        await clock.advance(2)
        assert await hear(first, "viewers") == {"type": "viewers", "count": 1}
        await clock.advance(60)
        beats = [await hear(first, "viewers", "time") for _ in range(4)]
        assert {beat["type"] for beat in beats} == {"time"}


async def test_a_reload_is_no_news(watching: Watching, client: aiohttp.ClientSession, clock: ManualClock) -> None:
    async with await connect(client, watching) as first:
        await hear(first, "viewers")
        async with await connect(client, watching) as other:
            await hear(other, "viewers")
        await eventually(lambda: watching.audiences.of(SESSION).size == 1)
        await clock.advance(20)
        assert (await hear(first, "viewers", "time"))["type"] == "time"


def writing_of(watching: Watching) -> tuple[Transcripts, asyncio.Task[None]]:
    """Transcripts of their own, which are written."""
    transcripts = Transcripts(watching.event_bus, watching.clock)
    return transcripts, asyncio.create_task(transcripts.write())


async def end(writing: asyncio.Task[None]) -> None:
    writing.cancel()
    await asyncio.wait([writing])
