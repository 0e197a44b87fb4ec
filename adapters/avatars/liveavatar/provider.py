"""LiveAvatar, FULL mode: sessions over HTTP, speech over the data channel of a LiveKit room. Provider `liveavatar`.

Minting a token names the session and costs nothing; starting it costs money and tells the room, once. So the id is
known, and stored, before anything is paid. The room's token is kept in memory alone: a session that another process
started can be watched by nobody here, so it is closed where it is met, and the next message opens another one behind
the same link.

Authentication: the start takes the session's own token, every other call the API key, which also reaches sessions that
another process opened.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx
from pydantic import SecretStr

from adapters.avatars.http import ProviderHttpClient
from adapters.avatars.liveavatar.catalogue import LiveAvatarCatalogue
from adapters.avatars.liveavatar.client import LiveAvatarSessions
from adapters.avatars.liveavatar.errors import LiveAvatarErrors
from adapters.avatars.liveavatar.stream import LiveAvatarStream
from adapters.avatars.rooms.factory import ChosenTransport, transport_for
from adapters.avatars.rooms.page_transport import PageTransport
from adapters.avatars.rooms.transport import RoomTransport
from bot.core.errors import Invalid, SettingsError, StreamGone
from bot.core.models import Mode, Playback, RoomAccess
from bot.core.ports import (
    Capabilities,
    CatalogueEntry,
    Clock,
    InterruptMethod,
    OpenStream,
    SpeakResult,
    StreamEnded,
    StreamEvent,
    StreamRequest,
    StreamStatus,
)
from bot.settings import LiveAvatarOptions, Settings
from bot.streams.entered_rooms import EnteredRooms
from bot.streams.page_bridge import PageBridge

if TYPE_CHECKING:
    from livekit import rtc

CAPABILITIES = Capabilities(
    # With a context alone: without one a question meets silence, and no error (LiveAvatar's guide).
    chat=False,
    chat_setting="LIVEAVATAR_CONTEXT_ID",
    appends=False,
    requires_initial_text=False,
    cut=InterruptMethod.NATIVE,
    reports_speech=True,
    # A command is a message in a room, which nobody answers.
    confirms_text=False,
    # An interrupt drops the speech and the whole queue.
    sends_ahead=True,
    lists_open=True,
    keeps_alive=True,
    many_viewers=False,
    # No limit is documented; v1, whose engine it inherited, fails at about 1,000.
    max_text=1000,
    idle_limit=(300.0, 300.0),
    # What paid accounts were seen to get; free ones get 120, the sandbox about 60.
    max_duration=1200.0,
    # 2 credits a minute, at the dearest listed price of a credit, $0.12. Larger plans pay $0.19.
    price_per_minute=Decimal("0.24"),
    # The first minute is held back at the start; each further one is charged as it begins.
    billing_step=60.0,
    # A minute is paid for in any case, and used to its end; much longer, and another one is (`make bench-cost`).
    linger=30.0,
    qualities=("low", "medium", "high", "very_high"),
    speeds=(0.8, 1.2),
    takes_language=True,
)

SANDBOX_DURATION = 60.0

OPENING_LIMIT = 20.0
"""Seconds a close waits for a start under way, so that a stop does not overtake it and find nothing to stop."""

LOST_ROOM = "its room is known only to the process that started it"


class LiveAvatar:
    """`bot.core.ports.AvatarProvider` over LiveAvatar. Its rooms are carried by the pages in `seats`, or by the bot."""

    name = "liveavatar"

    def __init__(
        self,
        api_key: SecretStr,
        api_url: str,
        clock: Clock,
        *,
        context_id: str = "",
        sandbox: bool = False,
        options: LiveAvatarOptions | None = None,
        make_transport: Callable[[PageBridge], RoomTransport] = lambda seats: ChosenTransport(PageTransport(seats)),
        entered: "EnteredRooms[rtc.Room] | None" = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`api_url` has no path; `options` are what the operator has chosen of voice and context; `make_transport` is
        asked for the way into rooms, and `entered` learns of those that the bot is in; `transport` replaces the network
        in tests of single answers."""
        self.seats = PageBridge()
        self.entered = entered if entered is not None else EnteredRooms()
        speed = options.voice_speed if options is not None else None
        self.capabilities = replace(CAPABILITIES, chat=bool(context_id), speed=speed or CAPABILITIES.speed)
        if sandbox:
            self.capabilities = replace(self.capabilities, max_duration=SANDBOX_DURATION, price_per_minute=Decimal(0))
        self._clock = clock
        self._transport = make_transport(self.seats)
        self._connection = ProviderHttpClient("LiveAvatar", api_url, api_key, transport)
        errors = LiveAvatarErrors(api_key.get_secret_value())
        self._catalogue = LiveAvatarCatalogue(self._connection, errors.of_account, sandbox=sandbox)
        self._sessions = LiveAvatarSessions(
            self._connection, errors, self._catalogue, context_id, sandbox, self.capabilities.max_duration, options
        )
        self._streams: dict[str, LiveAvatarStream] = {}

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """The provider of this program. Raises `SettingsError` if there is no key, or no way into rooms."""
        account = settings.liveavatar
        if account.api_key is None:
            raise SettingsError("LIVEAVATAR_API_KEY is not set; liveavatar needs the API key of a LiveAvatar account")
        entered: EnteredRooms[rtc.Room] = EnteredRooms()
        return cls(
            account.api_key,
            account.api_url,
            clock,
            context_id=account.context_id,
            sandbox=account.sandbox,
            options=settings.liveavatar_options,
            make_transport=transport_for(settings, clock, entered),
            entered=entered,
        )

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for upstream_id in tuple(self._streams):
            await self._forget(upstream_id, "the provider was left")
        await self._connection.__aexit__(kind, error, trace)

    async def create(self, request: StreamRequest) -> str:
        """Mint the session's token. Nothing is paid before `start`."""
        minted = await self._sessions.mint(request)
        upstream_id = minted.session_id
        self._streams[upstream_id] = LiveAvatarStream(
            upstream_id, minted.session_token, self._transport, self._clock, lambda: self.status(upstream_id)
        )
        return upstream_id

    async def start(self, upstream_id: str) -> Playback:
        """Start the session and enter its room.

        Raises `StreamGone` if the session is over, also where the reply was lost: nobody tells its room again, so it
        is closed first.
        """
        stream = await self._known(upstream_id)
        if stream.opening is None or stream.opening.done():
            stream.opening = asyncio.create_task(self._open(upstream_id, stream), name=f"start {upstream_id}")
            stream.opening.add_done_callback(_read_failure)
        # Whoever asked may give up; the reply is waited for all the same, and `close` waits for it.
        try:
            await asyncio.shield(stream.opening)
        except asyncio.CancelledError:
            asker = asyncio.current_task()
            if not stream.opening.cancelled() or (asker is not None and asker.cancelling()):
                raise
        if stream.room is None:
            raise StreamGone("the session was closed while it was being started")
        return stream.room.playback

    async def speak(
        self, upstream_id: str, utterance_id: str, text: str, mode: Mode = Mode.REPEAT, *, more: bool = False
    ) -> SpeakResult:
        """Say `text` in the room, or have it answered there. Raises `NotReady` until somebody is there to say so."""
        del more  # Each command is an utterance of its own.
        if not text.strip() or len(text) > CAPABILITIES.max_text:
            raise Invalid(f"LiveAvatar speaks 1 to {CAPABILITIES.max_text} characters at a time", parameter="text")
        if mode is Mode.CHAT and not self.capabilities.chat:
            raise Invalid("without LIVEAVATAR_CONTEXT_ID the avatar answers nothing by itself", parameter="mode")
        stream = await self._known(upstream_id)
        await stream.speak(utterance_id, text, mode)
        return SpeakResult()

    async def interrupt(self, upstream_id: str) -> None:
        """Drop what is being said and what was sent ahead; LiveAvatar does not mind if nothing is."""
        stream = await self._known(upstream_id)
        await stream.interrupt()

    async def keep_alive(self, upstream_id: str) -> None:
        """Reset the idle timer; doing it twice is doing it once."""
        await self._sessions.keep_alive(upstream_id)

    async def close(self, upstream_id: str) -> None:
        """Stop the session, once a start under way has been answered."""
        stream = self._streams.get(upstream_id)
        if stream is not None and stream.opening is not None:
            await asyncio.wait([stream.opening], timeout=OPENING_LIMIT)
        await self._sessions.stop(upstream_id)
        await self._forget(upstream_id, "closed")

    async def status(self, upstream_id: str) -> StreamStatus:
        """What LiveAvatar says. A session that was minted and not started is not known there yet."""
        stream = self._streams.get(upstream_id)
        if stream is not None and stream.address is None:
            return StreamStatus(True, None, "new")
        try:
            end = await self._sessions.end_of(upstream_id)
        except StreamGone as gone:
            await self._forget(upstream_id, "unknown to LiveAvatar")
            return StreamStatus(False, None, str(gone))
        if end is not None:
            await self._forget(upstream_id, end)
            return StreamStatus(False, None, end)
        return StreamStatus(True, stream.room.playback if stream is not None and stream.room is not None else None)

    async def list_open(self) -> Sequence[OpenStream]:
        """Every active session of the account, and those of ours that the list need not have yet."""
        fresh = [upstream_id for upstream_id, stream in self._streams.items() if not stream.is_settled]
        settled = [upstream_id for upstream_id, stream in self._streams.items() if stream.is_settled]
        found = {stream.upstream_id: stream async for stream in self._sessions.active()}
        for upstream_id in settled:
            if upstream_id not in found:
                await self._forget(upstream_id, "not in LiveAvatar's list")
        return [*found.values(), *(OpenStream(upstream_id) for upstream_id in fresh if upstream_id not in found)]

    async def events(self, upstream_id: str) -> AsyncIterator[StreamEvent]:
        """Speech, words and answers, until the session ended. One that was started elsewhere is closed and over."""
        stream = self._streams.get(upstream_id)
        if stream is None:
            await self.close(upstream_id)
            yield StreamEnded(LOST_ROOM)
            return
        async with aclosing(stream.events()) as events:
            async for event in events:
                if isinstance(event, StreamEnded) and self._streams.get(upstream_id) is stream:
                    # Said in the room alone, which a page may have made up: nothing may go on unseen.
                    await self._sessions.stop(upstream_id)
                    await self._forget(upstream_id, event.reason)
                yield event

    async def door(self, upstream_id: str) -> RoomAccess | None:
        """See `bot.streams.page_bridge.SupportsBroadcast`."""
        stream = self._streams.get(upstream_id)
        return await stream.door() if stream is not None else None

    async def avatar_for(self, wished: str) -> str:
        """`wished`, or the avatar that is taken where nobody chose; in the sandbox always the same."""
        return await self._catalogue.choice(wished)

    async def avatars(self) -> Sequence[CatalogueEntry]:
        """The avatars, the account's own and the public ones."""
        return await self._catalogue.avatars()

    async def voices(self) -> Sequence[CatalogueEntry]:
        """The voices, the account's own and the public ones."""
        return await self._catalogue.voices()

    async def balance(self) -> str | None:
        """The credits left."""
        return await self._catalogue.balance()

    async def _open(self, upstream_id: str, stream: LiveAvatarStream) -> None:
        if stream.address is None:
            stream.started(await self._sessions.start(upstream_id, stream.token))
        await stream.enter()

    async def _known(self, upstream_id: str) -> LiveAvatarStream:
        """The stream as it was minted here. Any other is closed, and raises `StreamGone`."""
        stream = self._streams.get(upstream_id)
        if stream is None:
            await self.close(upstream_id)
            raise StreamGone(f"the session was closed: {LOST_ROOM}")
        return stream

    async def _forget(self, upstream_id: str, reason: str) -> None:
        """It is over: whoever follows its events is told."""
        stream = self._streams.pop(upstream_id, None)
        if stream is not None:
            await stream.end(reason)


def _read_failure(opening: asyncio.Task[None]) -> None:
    # Where whoever asked has given up, nobody else reads what it failed with, and asyncio calls that an error; what it
    # opened is closed all the same.
    if not opening.cancelled():
        opening.exception()
