"""The events of one v3 stream, on a clock that stands still until it is moved. The other side is a script."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.avatars.heygen_realtime.stream import IDLE_TIMEOUT, RealtimeStream
from bot.core.errors import AuthenticationFailed, ProviderError, StreamGone, Transient
from bot.core.ports import SpeechEnded, SpeechStarted, StreamEnded, StreamEvent, StreamStatus, WordsHeard
from tests.harness.clock import ManualClock, settle


def frame(*words: tuple[str, float, float]) -> bytes:
    return f"data: {json.dumps({'words': [{'word': w, 'start': s, 'end': e} for w, s, e in words]})}\n\n".encode()


END = b'event: end\ndata: {"reason":"completed"}\n\n'


class Upstream:
    """What the provider says: chunks for the open connection, and a status."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[bytes | ProviderError | None] = asyncio.Queue()
        self.refusal: ProviderError | None = None
        self.is_open = True
        self.detail: str | None = None
        self.asked = 0
        self.connections = 0

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[bytes]]:
        self.connections += 1
        if self.refusal is not None:
            raise self.refusal
        yield self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        while (chunk := await self.chunks.get()) is not None:
            if isinstance(chunk, ProviderError):
                raise chunk
            yield chunk

    async def ask(self) -> StreamStatus:
        self.asked += 1
        return StreamStatus(self.is_open, None, self.detail)


class Scene:
    def __init__(self, *, adopted: bool = False) -> None:
        self.clock = ManualClock()
        self.upstream = Upstream()
        self.stream = RealtimeStream(self.clock, self.upstream.listen, self.upstream.ask, adopted=adopted)
        self.events: list[StreamEvent] = []
        self.follower = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for event in self.stream.events():
            self.events.append(event)

    async def hear(self, *chunks: bytes | ProviderError | None) -> None:
        for chunk in chunks:
            self.upstream.chunks.put_nowait(chunk)
        await settle()

    def speech(self) -> list[StreamEvent]:
        return [event for event in self.events if not isinstance(event, WordsHeard)]

    async def close(self) -> None:
        self.follower.cancel()
        await asyncio.wait([self.follower])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    scene.stream.streaming()
    yield scene
    await scene.close()


async def test_speech_ends_when_it_was_said_and_not_when_that_was_told(scene: Scene) -> None:
    scene.stream.expect("u", "Hello there", final=True)
    await scene.hear(frame(("Hello", 1.0, 1.5), ("there", 1.5, 2.0)))
    assert scene.speech() == []

    await scene.clock.advance(1.0)
    assert scene.speech() == [SpeechStarted("u")]

    await scene.clock.advance(0.9)
    assert scene.speech() == [SpeechStarted("u")]

    await scene.clock.advance(0.1)
    assert scene.speech() == [SpeechStarted("u"), SpeechEnded("u")]


async def test_the_end_event_ends_the_stream_with_the_reason_of_the_status(scene: Scene) -> None:
    scene.upstream.is_open, scene.upstream.detail = False, "idle_timeout"

    await scene.hear(END)

    assert scene.events == [StreamEnded("idle_timeout")]
    assert scene.follower.done()


async def test_the_end_event_counts_even_where_the_status_lags_behind(scene: Scene) -> None:
    await scene.hear(END)

    assert scene.events == [StreamEnded("completed")]


async def test_last_words_are_not_lost_to_an_audio_clock_known_to_a_second(scene: Scene) -> None:
    scene.stream.expect("u", "Bye", final=True)
    await scene.hear(frame(("Bye", 0.3, 0.8)), END)

    assert scene.speech() == [SpeechStarted("u"), SpeechEnded("u"), StreamEnded("completed")]


async def test_speech_that_was_cut_off_has_not_ended(scene: Scene) -> None:
    scene.stream.expect("u", "A very long story", final=True)
    await scene.hear(frame(("A", 0.0, 0.1)), END)

    assert scene.speech() == [SpeechStarted("u"), StreamEnded("completed")]


async def test_a_lost_connection_is_opened_again(scene: Scene) -> None:
    await scene.hear(Transient("lost", may_have_taken_effect=True))
    await scene.clock.advance(1.0)
    await scene.hear(None)
    await scene.clock.advance(1.0)

    assert scene.upstream.connections == 3
    assert scene.events == []


async def test_a_stream_that_is_gone_while_the_connection_is_lost_has_ended(scene: Scene) -> None:
    scene.upstream.is_open, scene.upstream.detail = False, "not found"

    await scene.hear(Transient("lost", may_have_taken_effect=True))

    assert scene.events == [StreamEnded("not found")]


async def test_words_that_are_not_there_yet_do_not_end_an_open_stream() -> None:
    scene = Scene()
    scene.upstream.refusal = StreamGone("no words yet")
    await scene.clock.advance(2.0)
    scene.upstream.refusal = None
    await scene.clock.advance(5.0)
    scene.stream.streaming()
    scene.stream.expect("u", "Hello", final=True)
    await scene.hear(frame(("Hello", 0.0, 0.5)))
    await scene.clock.advance(1.0)

    assert scene.speech() == [SpeechStarted("u"), SpeechEnded("u")]
    await scene.close()


async def test_a_wrong_key_is_raised(scene: Scene) -> None:
    scene.upstream.refusal = AuthenticationFailed("no")

    await scene.hear(Transient("lost", may_have_taken_effect=True))
    await scene.clock.advance(1.0)

    assert isinstance(scene.follower.exception(), AuthenticationFailed)


async def test_a_connection_that_died_without_a_sign_is_noticed(scene: Scene) -> None:
    await scene.hear(frame(("Hello", 0.0, 0.1)))
    await scene.clock.advance(IDLE_TIMEOUT - 1)
    assert scene.upstream.connections == 1

    await scene.clock.advance(2.0)
    assert scene.upstream.connections == 2

    scene.upstream.is_open, scene.upstream.detail = False, "idle_timeout"
    await scene.clock.advance(IDLE_TIMEOUT + 1)
    assert scene.events[-1] == StreamEnded("idle_timeout")


async def test_a_provider_that_cannot_be_asked_is_asked_again_later(scene: Scene) -> None:
    async def fail() -> StreamStatus:
        raise Transient("down", may_have_taken_effect=True)

    scene.upstream.refusal = Transient("down", may_have_taken_effect=False)
    scene.stream._ask = fail
    await scene.hear(None)
    await scene.clock.advance(600.0)

    # 15 s apart, give or take a fifth, once the pauses have grown.
    assert 30 < scene.upstream.connections < 70
    assert not scene.follower.done()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"data: \n\n",
        b"data: nonsense\n\n",
        b"data: []\n\n",
        b'data: {"words": null}\n\n',
        b'data: {"words": [null, 1, "x", {}, {"word": 1, "start": 0, "end": 1}]}\n\n',
        b'data: {"words": [{"word": "x", "start": NaN, "end": 1}, {"word": "x", "start": 0, "end": Infinity}]}\n\n',
        b'data: {"words": [{"word": "x", "start": 5, "end": 1}, {"word": "x", "start": -5, "end": 1}]}\n\n',
        b'data: {"words": [{"word": "' + b"x" * 5000 + b'", "start": 0, "end": 1}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"\xff\xfe\x00: broken\n\n",
        b": keep-alive\n\n",
        b"event: news\ndata: {}\n\n",
    ],
)
async def test_nonsense_among_the_words_is_passed_over(scene: Scene, nonsense: bytes) -> None:
    scene.stream.expect("u", "Hello there", final=True)

    await scene.hear(frame(("Hello", 0.0, 0.5)), nonsense, frame(("there", 0.5, 1.0)))
    await scene.clock.advance(1.0)

    assert scene.speech() == [SpeechStarted("u"), SpeechEnded("u")]
    assert scene.upstream.connections == 1


async def test_ending_it_here_ends_the_events_at_once(scene: Scene) -> None:
    await settle()
    scene.stream.end("cancelled")
    scene.stream.end("something later")
    await settle()

    assert scene.events == [StreamEnded("cancelled")]


async def test_utterances_are_kept_apart_with_blanks() -> None:
    scene = Scene()

    sent = [
        scene.stream.expect("u", "Hello.", final=True),
        scene.stream.expect("v", "It is twen", final=False),
        scene.stream.expect("v", "ty", final=False),
        scene.stream.expect("v", "", final=True),
        scene.stream.expect("w", "Indeed ", final=True),
        scene.stream.expect("x", "so", final=True),
    ]

    assert "".join(sent) == "Hello. It is twenty Indeed so "
    await scene.close()
