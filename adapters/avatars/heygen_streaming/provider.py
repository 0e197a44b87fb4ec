"""HeyGen Streaming API v1: a LiveKit room per stream, tasks over HTTP. Provider `heygen-streaming`.

HeyGen switched this API off in 2026 (HTTP 410, `Sunset`); the client is for the simulator and compatible gateways. It
knows v1 and nothing of sessions or channels.

Authentication: `streaming.new` takes a token that `streaming.create_token` mints for it and that opens exactly one
stream; every other call takes the API key, which also reaches streams that another process opened.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import httpx
from pydantic import Field, SecretStr

from adapters.avatars.heygen.account import HeyGenAccount
from adapters.avatars.heygen_streaming.body import new_body
from adapters.avatars.heygen_streaming.catalogue import Avatars, Session, Sessions, Voices
from adapters.avatars.heygen_streaming.room import StreamingRoom
from adapters.avatars.http import Answer, Model, RetryPolicy
from adapters.avatars.rooms.bot_transport import BotTransport
from adapters.avatars.rooms.factory import bot_transport_for
from adapters.avatars.rooms.page_transport import PageTransport
from adapters.avatars.rooms.reconnecting import ReconnectingRoom
from adapters.wire.lenient import NO_BOOL, DataModel, HttpUrl, LongText, Number, RoomUrl, Text, Token
from bot.core.errors import Invalid, NotReady, StreamGone, Sunset, Transient
from bot.core.models import Mode, Playback, RoomAccess
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
from bot.settings import HeyGenStreamingOptions, Settings
from bot.streams.entered_rooms import EnteredRooms
from bot.streams.page_bridge import PageBridge

if TYPE_CHECKING:
    from livekit import rtc

CAPABILITIES = Capabilities(
    chat=True,
    appends=False,
    requires_initial_text=False,
    cut=InterruptMethod.NATIVE,
    # Speech events come over the LiveKit data channel, where only who is in the room hears them: the core follows
    # `duration_ms`, and what a page or the bot hears comes on top.
    reports_speech=False,
    # What an interrupt does to tasks still queued is not documented well enough to send the next one ahead.
    sends_ahead=False,
    lists_open=True,
    keeps_alive=True,
    many_viewers=False,
    # Tasks fail at about 1,000 characters (two users' reports; no document says it).
    max_text=900,
    idle_limit=(30.0, 3600.0),
    # `session_duration_limit`, seen for free and for paid accounts; no request raises it.
    max_duration=600.0,
    # 0.2 credits a minute; what a credit costs in dollars depends on the plan, so nobody knows.
    price_per_minute=None,
    billing_step=1.0,
    billing_minimum=30.0,
    # The first 30 s are paid for in any case; what is longer than that costs (`make bench-cost`).
    linger=20.0,
    qualities=("low", "medium", "high"),
    speeds=(0.5, 1.5),
    takes_language=True,
)


class _Token(DataModel):
    token: Token


class _NewStream(DataModel):
    session_id: Text
    hls_url: HttpUrl | None = None
    url: RoomUrl | None = None
    access_token: LongText | None = Field(default=None, repr=False)


class _Task(DataModel):
    task_id: Text | None = None
    # A task is at most 900 characters, so more than an hour is a mistake of the other side.
    duration_ms: Annotated[float, Field(gt=0, le=3_600_000, allow_inf_nan=False), NO_BOOL] | None = None


class _Quota(DataModel):
    remaining_quota: Number | None = None


class HeyGenStreaming(HeyGenAccount):
    """`bot.core.ports.AvatarProvider` over v1."""

    name = "heygen-streaming"

    def __init__(
        self,
        api_key: SecretStr,
        api_url: str,
        clock: Clock,
        *,
        bot: BotTransport | None = None,
        entered: "EnteredRooms[rtc.Room] | None" = None,
        options: HeyGenStreamingOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """See `HeyGenAccount`. `bot` enters the rooms, of which `entered` learns; without it pages watch them.
        `options` are what the operator has chosen of v1's own."""
        super().__init__(api_key, api_url, clock, transport=transport)
        self._options = options
        rate = options.voice_rate if options is not None else None
        self.capabilities = replace(CAPABILITIES, speed=rate or CAPABILITIES.speed)
        # How to watch each open stream: only `streaming.new` tells it, and only once.
        self._playbacks: dict[str, Playback] = {}
        self.seats = PageBridge()
        self.entered = entered if entered is not None else EnteredRooms()
        self.bot = bot
        self._rooms: dict[str, StreamingRoom] = {}

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """See `HeyGenAccount`. Raises `SettingsError` also where there is no way into rooms."""
        entered: EnteredRooms[rtc.Room] = EnteredRooms()
        return cls(
            cls.key_of(settings),
            settings.heygen.api_url,
            clock,
            bot=bot_transport_for(settings, clock, entered),
            entered=entered,
            options=settings.heygen_streaming,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for upstream_id in tuple(self._rooms):
            await self._forget(upstream_id)
        await super().__aexit__(kind, error, trace)

    async def create(self, request: StreamRequest) -> str:
        """Mint a token and open a stream with it. A retry mints another: the first may be used up."""
        body = new_body(request, self._options, CAPABILITIES.idle_limit)

        async def once() -> Answer:
            token = await self._token()
            return await self._connection.request_once(
                "POST", "/v1/streaming.new", self._errors.streaming, body=body, token=token
            )

        answer = await self._connection.retry(RetryPolicy.IF_NOT_SENT, once)
        opened = answer.read(_NewStream, "HeyGen opened a stream without saying which", may_have_taken_effect=True)
        upstream_id = opened.session_id
        self._playbacks[upstream_id] = Playback(opened.hls_url, opened.url, opened.access_token)
        await self._add_room(upstream_id, self._playbacks[upstream_id])
        return upstream_id

    async def start(self, upstream_id: str) -> Playback:
        """Start the stream. A second start is not an error: v1 answers that it is connecting or connected already.

        The room was told to the process that created the stream; for any other the Playback is empty.
        """
        try:
            await self._post("streaming.start", RetryPolicy.IF_NOT_SENT, session_id=upstream_id)
        except (NotReady, Invalid) as refusal:
            # 10003 has a second meaning: an avatar that is too old, which names its parameter.
            is_running = refusal.code == "10002" or (refusal.code == "10003" and not _names_a_parameter(refusal))
            if not is_running:
                raise
        if (room := self._rooms.get(upstream_id)) is not None:
            await room.enter()
        return self._playback(upstream_id) or Playback()

    async def speak(
        self, upstream_id: str, utterance_id: str, text: str, mode: Mode = Mode.REPEAT, *, more: bool = False
    ) -> SpeakResult:
        """Send a task. Raises `NotReady` until somebody watches, which the bot in the room does."""
        del more  # v1 takes each text as a whole.
        if not text.strip() or len(text) > CAPABILITIES.max_text:
            raise Invalid(f"v1 speaks 1 to {CAPABILITIES.max_text} characters at a time", parameter="text")
        task_type = "chat" if mode is Mode.CHAT else "repeat"
        # `sync` would hold the answer back until everything before it has been said.
        answer = await self._post(
            "streaming.task",
            RetryPolicy.IF_NOT_SENT_SHORT_WAIT,
            session_id=upstream_id,
            text=text,
            task_type=task_type,
            task_mode="async",
        )
        task = _Task.model_validate(answer.json)
        if (room := self._rooms.get(upstream_id)) is not None:
            room.expect(task.task_id, utterance_id, mode)
        return SpeakResult(None if task.duration_ms is None else task.duration_ms / 1000)

    async def interrupt(self, upstream_id: str) -> None:
        """Cut what is being said; v1 does not mind if nothing is. Before somebody watches nothing can be."""
        with contextlib.suppress(NotReady):
            await self._post("streaming.interrupt", RetryPolicy.IF_NOT_SENT_SHORT_WAIT, session_id=upstream_id)
        if (room := self._rooms.get(upstream_id)) is not None:
            room.cut()

    async def keep_alive(self, upstream_id: str) -> None:
        """Reset the idle timer; doing it twice is doing it once."""
        await self._post("streaming.keep_alive", RetryPolicy.IDEMPOTENT, session_id=upstream_id)

    async def close(self, upstream_id: str) -> None:
        """Stop the stream. Where v1 is switched off altogether its streams are closed too."""
        with contextlib.suppress(StreamGone, Sunset):
            await self._post("streaming.stop", RetryPolicy.IDEMPOTENT, session_id=upstream_id)
        await self._forget(upstream_id)

    async def status(self, upstream_id: str) -> StreamStatus:
        """Look the stream up in the list of open ones; v1 has no other way."""
        for session in await self._sessions():
            if session.session_id == upstream_id:
                return StreamStatus(True, self._playback(upstream_id), session.status)
        await self._forget(upstream_id)
        return StreamStatus(False)

    async def list_open(self) -> Sequence[OpenStream]:
        """Every stream of the account that is not closing or closed. Those of ours that are not among them are over."""
        ours = set(self._playbacks)
        found = [OpenStream(session.session_id, session.opened_at) for session in await self._sessions()]
        for upstream_id in ours - {stream.upstream_id for stream in found}:
            await self._forget(upstream_id)
        return found

    async def events(self, upstream_id: str) -> AsyncIterator[StreamEvent]:
        """What a page or the bot hears in the room; nothing of a stream that was opened elsewhere, or has no room."""
        room = self._rooms.get(upstream_id)
        if room is not None:
            async with contextlib.aclosing(room.events()) as events:
                async for event in events:
                    yield event

    async def door(self, upstream_id: str) -> RoomAccess | None:
        """See `bot.streams.page_bridge.SupportsBroadcast`."""
        room = self._rooms.get(upstream_id)
        return await room.door() if room is not None else None

    async def avatar_for(self, wished: str) -> str:
        """`wished`, or the name v1 has for its own default (docs.heygen.com/reference/new-session)."""
        return wished or "default"

    async def avatars(self) -> Sequence[CatalogueEntry]:
        """The interactive avatars that are active."""
        return (await self._get("/v1/streaming/avatar.list", Avatars, "avatars")).entries()

    async def voices(self) -> Sequence[CatalogueEntry]:
        """The voices that work in a live stream: others are listed by HeyGen too, and fail there."""
        return (await self._get("/v2/voices", Voices, "voices")).entries()

    async def balance(self) -> str | None:
        """The credits left. HeyGen counts the API's quota in sixtieths of a credit."""
        quota = (await self._get("/v2/user/remaining_quota", _Quota, "quota")).remaining_quota
        return None if quota is None else f"{round(quota / 60, 1):g} credits"

    async def _forget(self, upstream_id: str) -> None:
        self._playbacks.pop(upstream_id, None)
        if (room := self._rooms.pop(upstream_id, None)) is not None:
            await room.close()

    async def _add_room(self, upstream_id: str, address: Playback) -> None:
        """Follow the room of a stream: through pages at once, by the bot as soon as the avatar is in it (`start`). What
        everybody can watch over HLS needs no bot."""
        if address.livekit_url is None:
            return
        bot = self.bot if address.hls_url is None else None
        reconnecting = ReconnectingRoom(
            upstream_id, bot or PageTransport(self.seats), self._clock, lambda: self.status(upstream_id)
        )
        room = self._rooms[upstream_id] = StreamingRoom(reconnecting, address, self._clock)
        if bot is None:
            await room.enter()

    def _playback(self, upstream_id: str) -> Playback | None:
        room = self._rooms.get(upstream_id)
        return room.playback if room is not None else self._playbacks.get(upstream_id)

    async def _token(self) -> SecretStr:
        try:
            answer = await self._connection.request_once(
                "POST", "/v1/streaming.create_token", self._errors.streaming, body={}
            )
        except Transient as trouble:
            # A token alone opens nothing.
            raise trouble.without_effect() from None
        return answer.read(_Token, "HeyGen gave no token to open a stream with", may_have_taken_effect=False).token

    async def _post(self, call: str, repeat: RetryPolicy, **body: str) -> Answer:
        return await self._connection.request("POST", f"/v1/{call}", self._errors.streaming, repeat, body=body)

    async def _get(self, path: str, model: type[Model], listed: str) -> Model:
        answer = await self._connection.request("GET", path, self._errors.streaming, RetryPolicy.IDEMPOTENT)
        return answer.read(model, f"HeyGen listed its {listed} in a form nobody knows", may_have_taken_effect=False)

    async def _sessions(self) -> list[Session]:
        sessions = (await self._get("/v1/streaming.list", Sessions, "sessions")).sessions or []
        return [session for session in sessions if session.status not in ("closing", "closed")]


def _names_a_parameter(refusal: NotReady | Invalid) -> bool:
    return isinstance(refusal, Invalid) and refusal.parameter is not None
