"""What the provider is asked for on behalf of one session: to say a piece of an item, and to be silent.

Opens a stream where there is none. Decides nothing about what is said when, and nothing about what becomes of a piece
that was not taken. Knows the provider as a port.
"""

from collections.abc import Awaitable, Callable, Sequence

from bot.core.errors import (
    ConcurrencyReached,
    NotOurs,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    StreamGone,
    Transient,
    Trouble,
)
from bot.core.models import Mode, Utterance
from bot.core.ports import AvatarProvider, InitialText, InterruptMethod
from bot.speaking.item import SpeechItem
from bot.streams.streams import SessionStream
from bot.telemetry import metrics
from bot.text import estimate_duration

UNKNOWN_ANSWER = 10.0
"""Seconds given to an answer whose length no provider event and no duration tells."""

STILL_UNSAID = 14.0
"""Seconds the voice may be behind text that an earlier process has appended: that goes out up to 8 s ahead of it, in
pieces of up to 12 s, and the restart took a while."""

_WOULD_BE_SENT_AGAIN = (ConcurrencyReached, NotOurs, NotReady, QuotaExhausted, RateLimited, StreamGone, Transient)
"""Errors after which a text goes out again (`bot.speaking.retry`)."""


class SpeechSender:
    """Brings what is to be said to the stream of a session."""

    def __init__(
        self,
        provider: AvatarProvider,
        stream: SessionStream,
        open_stream: Callable[[InitialText | None], Awaitable[None]],
        speed: float | None = None,
    ) -> None:
        """`open_stream` opens the next stream of the session, which `stream` then has. `speed`: as the session asked
        for; None is as the operator has set it."""
        self._provider = provider
        self._capabilities = provider.capabilities
        self._stream = stream
        self._open_stream = open_stream
        self._speed = speed or self._capabilities.speed

    async def open_stream(self) -> None:
        """See to it that there is a stream, unless it takes words to open one. It takes some seconds, in which a text
        is only waiting. Raises `ProviderError` and `StoreError`."""
        if self._stream.upstream_id is None and not self._capabilities.requires_initial_text:
            await self._open_stream(None)

    async def say(self, item: SpeechItem) -> float:
        """Hand the next piece of an item to the provider, after `open_stream`; where it takes words to open a stream,
        it is opened with them. Returns how long the piece is expected to be spoken, seconds.

        Raises `ProviderError` if the provider did not take it, and `StoreError` from opening a stream. An item whose
        call was left without an answer, because its caller was cancelled, stays `in_flight`.
        """
        text = item.chunks[0]
        try:
            if self._stream.upstream_id is None and self._capabilities.requires_initial_text:
                await self._open_with(item, text)
                return self._estimate(text)
            if (upstream_id := self._stream.upstream_id) is None:
                raise StreamGone("the stream ended while it was being opened")
            native_answer = item.utterance.mode is Mode.CHAT and self._capabilities.chat
            item.in_flight = True
            with metrics.provider_seconds.time():
                speech = await self._provider.speak(
                    upstream_id,
                    item.utterance.id,
                    text,
                    Mode.CHAT if native_answer else Mode.REPEAT,
                    more=self._capabilities.appends and not item.is_last_chunk,
                )
        except ProviderError:
            item.in_flight = False
            raise
        item.in_flight = False
        if speech.duration is not None:
            return speech.duration
        return UNKNOWN_ANSWER if native_answer else self._estimate(text)

    def estimate_remaining(self, in_flight: Sequence[Utterance]) -> float:
        """How long the voice may still be at what an earlier process handed over last, by estimate; seconds."""
        seconds = sum(
            self._estimate(utterance.text) if utterance.mode is Mode.REPEAT else UNKNOWN_ANSWER
            for utterance in in_flight
        )
        return min(seconds, STILL_UNSAID) if self._capabilities.appends else seconds

    async def interrupt(self) -> None:
        """Cut what the provider says: everything that was handed over. Raises `ProviderError` if it does not."""
        upstream_id = self._stream.upstream_id
        if upstream_id is None:
            return
        if self._capabilities.cut is InterruptMethod.CLOSE_STREAM:
            await self._stream.close("interrupted")
            return
        try:
            await self._provider.interrupt(upstream_id)
        except StreamGone as error:
            await self._stream.mark_ended(str(error))

    async def _open_with(self, item: SpeechItem, text: str) -> None:
        """Open the next stream, which is created with the text, so that this is said already."""
        item.in_flight = True
        try:
            await self._open_stream(InitialText(item.utterance.id, text, more=not item.is_last_chunk))
        except _WOULD_BE_SENT_AGAIN as error:
            if not self._stream.was_created:
                raise
            # It began to speak before anybody could see it.
            trouble = error.trouble if isinstance(error, Transient) else Trouble.UNREACHABLE
            raise Transient(str(error), may_have_taken_effect=True, trouble=trouble) from error
        item.in_flight = False

    def _estimate(self, text: str) -> float:
        return estimate_duration(text) / self._speed
