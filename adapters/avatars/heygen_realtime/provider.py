"""HeyGen Avatar Realtime (v3): text in, an HLS stream and word timestamps out. Provider `heygen-realtime`.

There is no list of streams, no interrupt, no keep-alive and no chat, so the capabilities say so and the core does
without. A stream is created with its first words, closes 30 s after the last text, and costs by the second while it is
open.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from adapters.avatars.heygen.account import HeyGenAccount
from adapters.avatars.heygen_realtime.catalogue import RealtimeCatalogue
from adapters.avatars.heygen_realtime.stream import RealtimeStream, closed
from adapters.avatars.http import RetryPolicy
from adapters.wire.lenient import DataModel, HttpUrl, LongText, Text
from bot.core.errors import Invalid, ProviderError, StreamGone, Transient, Trouble
from bot.core.models import Mode, Playback
from bot.core.ports import (
    Capabilities,
    CatalogueEntry,
    Clock,
    InterruptMethod,
    OpenStream,
    SpeakResult,
    StreamEvent,
    StreamRequest,
    StreamStatus,
)

POLL = 1.0
"""Seconds between looks at a stream that is starting; working clients use 1 to 2."""

START_LIMIT = 60.0
"""Seconds a stream may take to start. 13.6 s were measured once; 2 to 15 s are usual."""

CAPABILITIES = Capabilities(
    chat=False,
    appends=True,
    requires_initial_text=True,
    cut=InterruptMethod.CLOSE_STREAM,
    reports_speech=True,
    sends_ahead=True,
    lists_open=False,
    keeps_alive=False,
    many_viewers=True,
    # No limit is documented for an append; 5,000 is the vendor's for a whole script.
    max_text=2000,
    idle_limit=(30.0, 30.0),
    max_duration=3600.0,
    # $0.05 a second, by the duration of the stream (self-serve price).
    price_per_minute=Decimal(3),
    billing_step=1.0,
    # Every second is charged: the pause within a conversation, for less than half of the bill (`make bench-cost`).
    linger=5.0,
)


class _NewStream(DataModel):
    stream_id: Text


class _Stream(DataModel):
    status: Text
    end_reason: Text | None = None
    error_message: LongText | None = None
    hls_url: HttpUrl | None = None  # as the schema calls it
    url: HttpUrl | None = None  # as the guide calls it


class HeyGenRealtime(HeyGenAccount):
    """`bot.core.ports.AvatarProvider` over v3."""

    name = "heygen-realtime"
    capabilities = CAPABILITIES

    def __init__(
        self, api_key: SecretStr, api_url: str, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """See `HeyGenAccount`."""
        super().__init__(api_key, api_url, clock, transport=transport)
        self._streams: dict[str, RealtimeStream] = {}
        self._catalogue = RealtimeCatalogue(self._connection, self._errors, clock)

    async def create(self, request: StreamRequest) -> str:
        """Open a text stream; it speaks the first words as soon as it runs."""
        first = request.initial_text
        if first is None or not first.text.strip():
            raise Invalid("a v3 stream cannot be opened without words to say", parameter="text")
        _check_length(first.text)
        try:
            avatar, voice = await self._catalogue.choice(request.avatar, request.voice)
        except Transient as trouble:
            raise trouble.without_effect() from None
        text = first.text if first.more else closed(first.text)
        body = {"type": "text_stream", "avatar_id": avatar, "voice_id": voice, "text": text}
        answer = await self._connection.request(
            "POST", "/v3/avatar-realtime", self._errors.creating, RetryPolicy.IF_NOT_SENT, body=body
        )
        opened = answer.read(_NewStream, "HeyGen opened a stream without saying which", may_have_taken_effect=True)
        upstream_id = opened.stream_id
        self._stream(upstream_id, adopted=False).expect(first.utterance_id, text, final=not first.more)
        return upstream_id

    async def start(self, upstream_id: str) -> Playback:
        """Look once a second until the stream can be watched.

        Raises `StreamGone` if it ended instead, and `Transient` where it still is not there after `START_LIMIT`.
        """
        deadline = self._clock.monotonic() + START_LIMIT
        while True:
            status = await self.status(upstream_id)
            if not status.is_open:
                raise StreamGone(f"the stream ended before it could be watched: {status.detail or 'no reason given'}")
            if status.playback is not None:
                return status.playback
            if self._clock.monotonic() >= deadline:
                raise Transient(
                    f"the stream did not start within {START_LIMIT:.0f} s",
                    may_have_taken_effect=True,
                    trouble=Trouble.TIMEOUT,
                )
            await self._clock.sleep(POLL)

    async def speak(
        self, upstream_id: str, utterance_id: str, text: str, mode: Mode = Mode.REPEAT, *, more: bool = False
    ) -> SpeakResult:
        """Append text. An empty last fragment is fine, an empty utterance says nothing."""
        if mode is Mode.CHAT:
            raise Invalid("v3 answers nothing by itself", parameter="mode")
        _check_length(text)
        stream = self._stream(upstream_id, adopted=True)
        # Before the call: the first words may be heard before its answer is in.
        delta = stream.expect(utterance_id, text, final=not more)
        if not delta:
            return SpeakResult()
        try:
            await self._connection.request(
                "POST",
                f"{_path(upstream_id)}/text",
                self._errors.of_stream,
                RetryPolicy.IF_NOT_SENT_SHORT_WAIT,
                body={"delta": delta},
            )
        except ProviderError as failure:
            if not (isinstance(failure, Transient) and failure.may_have_taken_effect):
                stream.withdraw(utterance_id)
            if isinstance(failure, StreamGone):
                # Whoever follows its events still does; nobody else will ask for it.
                self._streams.pop(upstream_id, None)
            raise
        return SpeakResult()

    async def interrupt(self, upstream_id: str) -> None:
        """Not possible: see `cut` above. Raises `Invalid`."""
        raise Invalid(f"v3 cannot interrupt; close the stream {upstream_id} instead")

    async def keep_alive(self, upstream_id: str) -> None:
        """Not possible: only text keeps a stream open. Raises `Invalid`."""
        raise Invalid(f"v3 cannot keep a stream open without text: {upstream_id}")

    async def close(self, upstream_id: str) -> None:
        """Cancel the stream. One that ended before answers that nothing was cancelled, which is as good."""
        with contextlib.suppress(StreamGone):
            await self._connection.request(
                "POST", f"{_path(upstream_id)}/cancel", self._errors.of_stream, RetryPolicy.IDEMPOTENT
            )
        stream = self._streams.pop(upstream_id, None)
        if stream is not None:
            stream.end("cancelled")

    async def status(self, upstream_id: str) -> StreamStatus:
        """What v3 says. While it streams it has an address."""
        try:
            answer = await self._connection.request(
                "GET", _path(upstream_id), self._errors.of_stream, RetryPolicy.IDEMPOTENT
            )
        except StreamGone as gone:
            return StreamStatus(False, None, str(gone))
        told = answer.read(_Stream, "HeyGen told no status of the stream", may_have_taken_effect=False)
        if told.status in ("completed", "error"):
            reason = told.end_reason or told.error_message or told.status
            return StreamStatus(False, None, self._errors.quote(reason))
        address = told.hls_url or told.url
        if address is None:
            return StreamStatus(True, None, told.status)
        stream = self._streams.get(upstream_id)
        if stream is not None:
            stream.streaming()
        return StreamStatus(True, Playback(hls_url=address), told.status)

    async def list_open(self) -> Sequence[OpenStream]:
        """Not possible. Raises `Invalid`."""
        raise Invalid("v3 does not list streams")

    async def events(self, upstream_id: str) -> AsyncIterator[StreamEvent]:
        """Speech and words, until the stream ended. One opened elsewhere tells about what is sent from now on."""
        stream = self._stream(upstream_id, adopted=True)
        async with contextlib.aclosing(stream.events()) as events:
            async for event in events:
                yield event
        if self._streams.get(upstream_id) is stream:
            del self._streams[upstream_id]

    async def avatar_for(self, wished: str) -> str:
        """`wished`, or the look that is taken where nobody chose."""
        return wished or (await self._catalogue.choice("", ""))[0]

    async def avatars(self) -> Sequence[CatalogueEntry]:
        """The looks that are ready to use."""
        return await self._catalogue.avatars()

    async def voices(self) -> Sequence[CatalogueEntry]:
        """The voices, the account's own and the public ones."""
        return await self._catalogue.voices()

    async def balance(self) -> str | None:
        """What is left on the account, in dollars or credits."""
        return await self._catalogue.balance()

    def _stream(self, upstream_id: str, *, adopted: bool) -> RealtimeStream:
        """The stream as it is known here; `adopted` where it is met for the first time and was opened elsewhere."""
        known = self._streams.get(upstream_id)
        if known is None:
            known = self._streams[upstream_id] = RealtimeStream(
                self._clock,
                lambda: self._connection.stream_events(f"{_path(upstream_id)}/words", self._errors.of_stream),
                lambda: self.status(upstream_id),
                adopted=adopted,
            )
        return known


def _path(upstream_id: str) -> str:
    return f"/v3/avatar-realtime/{quote(upstream_id, safe='')}"


def _check_length(text: str) -> None:
    if len(text) > CAPABILITIES.max_text:
        raise Invalid(f"a piece of text has at most {CAPABILITIES.max_text} characters here", parameter="text")
