"""What happens on one v3 stream, as events: reads its words, reconnects, and notices that it ended.

Between the connection, which knows HTTP, and `alignment`, which knows text: this module waits. It sends nothing.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from pydantic import BaseModel, Field, OnErrorOmit

from adapters.avatars.heygen_realtime.alignment import HeardWord, SpeechAligner
from adapters.wire import sse
from adapters.wire.lenient import NO_BOOL, LenientModel, Text, parse_json
from bot.core.errors import RateLimited, StreamGone, Transient
from bot.core.ports import Clock, SpeechEnded, SpeechStarted, StreamEnded, StreamEvent, StreamStatus, WordsHeard

IDLE_TIMEOUT = 60.0
"""Seconds without a word and without text, after which the provider is asked whether the stream still exists. It closes
one after 30 s without text and says so; only a connection that died without a sign stays silent longer."""

MAX_BACKOFF = 15.0
"""Seconds between attempts to read the words of a stream that the provider says is open."""

LAST_WORDS = 1.0
"""Seconds by which speech may still be running, by our reckoning, when the provider says that the stream is over: the
beginning of the audio is known to a second, the interval of polling."""

MAX_AUDIO_SECONDS = 86_400.0

Listen = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]
Ask = Callable[[], Awaitable[StreamStatus]]


class _Word(BaseModel):
    word: Annotated[Text, Field(max_length=100)]
    start: Annotated[float, Field(ge=0, allow_inf_nan=False), NO_BOOL]
    end: Annotated[float, Field(le=MAX_AUDIO_SECONDS, allow_inf_nan=False), NO_BOOL]


class _Words(LenientModel):
    words: tuple[OnErrorOmit[_Word], ...] = ()


class _End(LenientModel):
    reason: Text = "completed"


class RealtimeStream:
    """One stream: what it was given to say, matched to what is heard, and the events that come of it."""

    def __init__(self, clock: Clock, listen: Listen, ask: Ask, *, adopted: bool) -> None:
        """`listen` opens the event stream of its words; `ask` gets its status; `adopted` says that another process
        opened it."""
        self._clock = clock
        self._listen = listen
        self._ask = ask
        self._aligner = SpeechAligner(adopted=adopted)
        self._changed = asyncio.Event()
        self._ended: str | None = None
        self._open_text: str | None = None  # the utterance whose last fragment did not end in a blank
        self._quiet_since = clock.monotonic()

    def streaming(self) -> None:
        """The stream was seen to stream."""
        self._aligner.streaming_since(self._clock.monotonic(), self._clock.now().timestamp())
        self._touch()

    def expect(self, utterance_id: str, text: str, *, final: bool) -> str:
        """`text` goes to the provider now: expect to hear it. Returns what is to be sent, with the blanks that keep
        utterances apart, because the provider joins what it is sent. May be empty."""
        delta = " " + text if text and self._open_text not in (None, utterance_id) else text
        if final:
            delta = closed(delta)
        if delta:
            self._open_text = None if delta[-1].isspace() else utterance_id
        self._aligner.expect(utterance_id, text, self._clock.monotonic(), final=final)
        self._touch()
        return delta

    def withdraw(self, utterance_id: str) -> None:
        """The text did not get there."""
        self._aligner.withdraw(utterance_id)
        self._touch()

    def end(self, reason: str) -> None:
        """The stream is over; whoever follows the events reads why. Only the first reason counts."""
        if self._ended is None:
            self._ended = reason
        self._touch()

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """The events, in order, until `StreamEnded`. For one follower at a time; the next goes on from there."""
        reader = self._start_reading()
        try:
            while self._ended is None:
                for event in self._happened(self._clock.monotonic()):
                    yield event
                if reader.done():
                    # It returns only when the stream ended, and raises what cannot pass by itself.
                    reader.result()
                    continue
                await self._wait()
                if self._clock.monotonic() >= self._quiet_since + IDLE_TIMEOUT:
                    await self._stop_reading(reader)
                    await self._doubt()
                    reader = self._start_reading()
            for event in self._happened(self._clock.monotonic() + LAST_WORDS):
                yield event
            yield StreamEnded(self._ended)
        finally:
            await self._stop_reading(reader)

    def _happened(self, now: float) -> list[SpeechStarted | SpeechEnded | WordsHeard]:
        words = self._aligner.captions()
        heard: list[SpeechStarted | SpeechEnded | WordsHeard] = [WordsHeard(words)] if words else []
        return heard + self._aligner.due(now)

    async def _wait(self) -> None:
        """Until something changed, is due, or has been silent for too long."""
        due = self._aligner.next_due()
        until = self._quiet_since + IDLE_TIMEOUT if due is None else min(due, self._quiet_since + IDLE_TIMEOUT)
        timer = self._clock.call_later(max(0.0, until - self._clock.monotonic()), self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()
        self._changed.clear()

    def _touch(self) -> None:
        self._quiet_since = self._clock.monotonic()
        self._changed.set()

    def _start_reading(self) -> asyncio.Task[None]:
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(lambda _: self._changed.set())
        return reader

    async def _stop_reading(self, reader: asyncio.Task[None]) -> None:
        reader.cancel()
        await asyncio.wait([reader])
        if not reader.cancelled():
            # `events` has raised its error, if any; asking for it here keeps the loop from reporting it a second time.
            reader.exception()

    async def _read(self) -> None:
        """Read the words to the end of the stream, through as many connections as that takes."""
        pause = 0.25
        while self._ended is None:
            try:
                if await self._read_connection():
                    pause = 0.25
            except (Transient, RateLimited, StreamGone) as trouble:
                # Whatever is wrong with the words, the status decides whether there is still a stream.
                pause = max(pause, min(trouble.retry_after, MAX_BACKOFF)) if isinstance(trouble, RateLimited) else pause
            await self._doubt()
            if self._ended is None:
                # Spread out who lost the connection together. No secret depends on it.
                await self._clock.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
                pause = min(MAX_BACKOFF, pause * 2)

    async def _read_connection(self) -> bool:
        """Whether the connection brought anything. Ends the stream where the provider says so."""
        brought = False
        async with self._listen() as chunks:
            try:
                async for message in sse.messages(chunks):
                    brought = True
                    self._touch()
                    if message.kind == "end":
                        await self._end_as_told(message.data)
                        return True
                    words = _words(message.data)
                    self._aligner.hear(words, self._clock.monotonic(), self._clock.now().timestamp())
            except sse.SseError:
                pass  # The next connection may make sense; the pause before it grows.
        return brought

    async def _end_as_told(self, data: str) -> None:
        """The words are over. The status knows the reason better; the fields of the end event are not documented."""
        told = _End.model_validate(parse_json(data)).reason
        try:
            status = await self._ask()
        except (Transient, RateLimited):
            self.end(told)
        else:
            self.end(told if status.is_open else status.detail or told)

    async def _doubt(self) -> None:
        """Ask whether the stream still exists, and end it here where it does not."""
        self._quiet_since = self._clock.monotonic()
        try:
            status = await self._ask()
        except (Transient, RateLimited):
            return
        if not status.is_open:
            self.end(status.detail or "ended")


def closed(text: str) -> str:
    """`text` with a blank at its end, so that what comes next does not run into it: the provider joins what it gets."""
    return text if not text or text[-1].isspace() else text + " "


def _words(data: str) -> list[HeardWord]:
    words = _Words.model_validate(parse_json(data)).words
    return [HeardWord(word.word, word.start, word.end) for word in words if word.start <= word.end]
