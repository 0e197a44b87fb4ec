"""What is to be said is brought to the provider, on a stream that is opened for it where there is none."""

import asyncio
from collections.abc import AsyncIterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect
from bot.announcer import Announcer
from bot.core.errors import NotReady, ProviderError, StreamGone
from bot.core.models import Mode, Session
from bot.core.ports import InitialText
from bot.core.tasks import cancel_and_wait
from bot.speaking.item import SpeechItem
from bot.speaking.sender import SpeechSender
from bot.streams.streams import SessionStream
from bot.text import estimate_duration
from tests.builders import a_session, an_utterance
from tests.harness.bot import BotHarness

TASK: dict[str, Any] = {"method": "POST", "path": "/v1/streaming.task"}
INTERRUPT: dict[str, Any] = {"method": "POST", "path": "/v1/streaming.interrupt"}


class Speaker:
    """A session that only delivers."""

    def __init__(self, world: BotHarness, session: Session) -> None:
        self.world = world
        self._session = session
        self._services = services = world.sessions.services
        self.opened_with: list[InitialText | None] = []
        announcer = Announcer(session.id, session.channel, services.event_bus)
        self.stream = SessionStream(
            session.id,
            services.provider,
            services.store,
            services.closer,
            services.clock,
            announcer,
            services.opening_times,
            services.pictures,
        )
        self.sender = SpeechSender(services.provider, self.stream, self._open_stream)

    async def _open_stream(self, initial_text: InitialText | None) -> None:
        self.opened_with.append(initial_text)
        request = self._services.policy.stream_request(
            self._services.provider.capabilities,
            avatar="",
            voice="",
            quality="medium",
            remaining=600.0,
            initial_text=initial_text,
        )
        await self.stream.open(request)

    def line(self, *pieces: str) -> SpeechItem:
        line = SpeechItem(an_utterance(self._session, text=" ".join(pieces)))
        line.chunks.extend(pieces)
        return line

    async def hand_over(self, line: SpeechItem) -> float:
        await self.sender.open_stream()
        return await self.sender.say(line)

    async def say(self, line: SpeechItem) -> float:
        """Have the next piece said, as soon as somebody watches."""
        while True:
            saying = asyncio.create_task(self.hand_over(line))
            await self.world.until(saying.done)
            try:
                return await saying
            except NotReady:
                await self.world.pass_time(1)


@pytest.fixture(params=["heygen-streaming"])
async def speaker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Speaker]:
    async with BotHarness(tmp_path, request.param) as world:
        yield Speaker(world, await world.store.sessions.open(a_session(provider=request.param)))


on_v3 = pytest.mark.parametrize("speaker", ["heygen-realtime"], indirect=True)


async def test_the_first_piece_opens_a_stream_and_the_next_goes_into_it(speaker: Speaker) -> None:
    line = speaker.line("Good morning.", "How are you?")
    for _ in range(2):
        assert await speaker.say(line) > 0
        line.chunks.popleft()
    assert speaker.opened_with == [None]
    assert not line.in_flight
    await speaker.world.until(lambda: speaker.world.spoken == ["Good morning.", "How are you?"])


@on_v3
async def test_a_stream_that_needs_first_words_is_opened_with_the_piece(speaker: Speaker) -> None:
    line = speaker.line("Good morning. ", "How are you?")
    assert await speaker.say(line) > 0
    assert speaker.opened_with == [InitialText(line.utterance.id, "Good morning. ", more=True)]
    assert not line.in_flight


async def test_a_piece_that_was_refused_is_no_longer_in_flight(speaker: Speaker) -> None:
    speaker.world.simulator.faults.add(effect=Effect.STATUS, status=500, **TASK)
    line = speaker.line("Good morning.")
    with pytest.raises(ProviderError):
        await speaker.say(line)
    assert not line.in_flight
    assert list(line.chunks) == ["Good morning."]


async def test_a_piece_whose_answer_nobody_waited_for_stays_in_flight(speaker: Speaker) -> None:
    speaker.world.simulator.faults.add(effect=Effect.HANG, **TASK)
    line = speaker.line("Good morning.")
    saying = asyncio.create_task(speaker.hand_over(line))
    await speaker.world.until(lambda: line.in_flight)
    await cancel_and_wait(saying)
    assert line.in_flight


async def test_a_stream_that_ends_while_it_is_opened_is_gone(speaker: Speaker) -> None:
    async def open_nothing(_: InitialText | None) -> None:
        pass

    sender = SpeechSender(speaker.world.sessions.services.provider, speaker.stream, open_nothing)
    line = speaker.line("Good morning.")
    with pytest.raises(StreamGone):
        await sender.say(line)
    assert not line.in_flight


async def test_a_voice_that_is_slower_is_given_more_time(speaker: Speaker) -> None:
    text = "A long speech that takes its time."
    said = an_utterance(speaker._session, text=text, mode=Mode.REPEAT)

    def unsaid(speed: float | None, operators: float = 1.0) -> float:
        provider: Any = copy(speaker.world.sessions.services.provider)
        provider.capabilities = replace(provider.capabilities, speed=operators)
        return SpeechSender(provider, speaker.stream, speaker._open_stream, speed).estimate_remaining([said])

    assert unsaid(None) == estimate_duration(text)
    assert unsaid(0.5) == unsaid(None, 0.5) == unsaid(0.5, 1.5) == 2 * estimate_duration(text)


async def test_silence_cuts_what_was_handed_over_and_keeps_the_stream(speaker: Speaker) -> None:
    await speaker.say(speaker.line("A long speech that is never said to its cancel_and_wait."))
    await speaker.sender.interrupt()
    assert speaker.stream.current is not None
    await speaker.world.pass_time(30)
    assert speaker.world.spoken == []


@on_v3
async def test_silence_closes_a_stream_that_cannot_be_cut(speaker: Speaker) -> None:
    await speaker.say(speaker.line("A long speech that is never said to its cancel_and_wait."))
    await speaker.sender.interrupt()
    assert speaker.stream.current is None
    assert speaker.world.open_streams == []


async def test_silence_where_no_stream_is_open_asks_nobody(speaker: Speaker) -> None:
    speaker.world.simulator.faults.add(effect=Effect.STATUS, status=500, times=None)
    await speaker.sender.interrupt()
    assert speaker.stream.current is None


async def test_a_stream_that_has_ended_is_silent_and_lost(speaker: Speaker) -> None:
    await speaker.say(speaker.line("Good morning."))
    await speaker.world.pass_time(400)
    await speaker.sender.interrupt()
    assert speaker.stream.current is None


async def test_speech_that_could_not_be_cut_is_no_silence(speaker: Speaker) -> None:
    await speaker.say(speaker.line("Good morning."))
    speaker.world.simulator.faults.add(effect=Effect.STATUS, status=500, times=None, **INTERRUPT)
    with pytest.raises(ProviderError):
        await speaker.sender.interrupt()
    assert speaker.stream.current is not None
