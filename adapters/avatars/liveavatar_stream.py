"""One LiveAvatar session as this process knows it: its token, its room, and what is said in it.

Between the provider, which knows the REST API, and `rooms`, which knows how messages travel: this module keeps the two
together and follows the room to the end of the session.
"""

import asyncio
import math
import random
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from pydantic import SecretStr

from adapters.avatars.rooms.carrier import Carrier, Room
from adapters.avatars.rooms.speech import RoomSpeech
from bot.errors import NotReady, ProviderError, RateLimited, StreamGone, Transient
from bot.model import Mode, Playback
from bot.ports import Clock, StreamEnded, StreamEvent, StreamStatus
from bot.rooms import RoomMessage
from bot.tasks import end

COMMANDS = "agent-control"
REPORTS = "agent-response"

LONGEST_PAUSE = 15.0
"""Seconds between attempts to get back into the room of a session that LiveAvatar says is active."""

SETTLING = 15.0
"""Seconds until a session that was started counts as listed; how soon the list knows it is not documented."""

Ask = Callable[[], Awaitable[StreamStatus]]


class LiveAvatarStream:
    """A session that was minted here. Its room is entered once it is started."""

    def __init__(self, upstream_id: str, token: SecretStr, carrier: Carrier, clock: Clock, ask: Ask) -> None:
        """`token` starts the session; `ask` gets its status."""
        self.token = token
        self.opening: asyncio.Task[None] | None = None
        self.address: Playback | None = None
        self.room: Room | None = None
        self._settled_at = math.inf
        self._upstream_id = upstream_id
        self._carrier = carrier
        self._clock = clock
        self._ask = ask
        self._speech = RoomSpeech(clock)
        self._ended: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether LiveAvatar's list must have it by now, if it is open."""
        return self._clock.monotonic() >= self._settled_at

    def started(self, address: Playback) -> None:
        """LiveAvatar has started it, and told its room."""
        self.address = address
        self._settled_at = self._clock.monotonic() + SETTLING

    async def enter(self) -> None:
        """Enter the room. Raises `ProviderError`."""
        if self.address is None:
            raise StreamGone("the session has no room yet")
        if self.room is None:
            self.room = await self._carrier.enter(self._upstream_id, self.address)

    async def speak(self, utterance_id: str, text: str, mode: Mode) -> None:
        """Have `text` said or answered. Raises `NotReady` while nobody is there to say so in the room."""
        event_id = str(uuid.uuid4())
        kind = "avatar.speak_response" if mode is Mode.CHAT else "avatar.speak_text"
        # Before the command: its first words may be heard before its carrier says that it is out.
        self._speech.expect(event_id, utterance_id, mode)
        try:
            await self._command(kind, event_id, text=text)
        except ProviderError as failure:
            if not (isinstance(failure, Transient) and failure.may_have_taken_effect):
                self._speech.withdraw(event_id)
            raise

    async def interrupt(self) -> None:
        """Drop what is said and everything behind it; with nobody there nothing is said."""
        with suppress(NotReady):
            await self._command("avatar.interrupt", str(uuid.uuid4()))
        self._speech.cut()

    async def end(self, reason: str) -> None:
        """The session is over; whoever follows the events reads why. Only the first reason counts."""
        self._ended = self._ended or reason
        await end(self.opening)
        if self.room is not None:
            await self.room.leave()

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """The events, in order, until `StreamEnded`. For one follower at a time; the next goes on from there."""
        pause = 0.0
        while not self._is_over() and self.room is not None:
            since = self._clock.monotonic()
            async for message in self.room.messages():
                if message.topic != REPORTS:
                    continue
                for event in self._speech.happened(message):
                    if isinstance(event, StreamEnded):
                        await self.end(event.reason)
                    else:
                        yield event
                if self._is_over():
                    break
            if not self._is_over():
                pause = 0.0 if self._clock.monotonic() - since > LONGEST_PAUSE else pause
                await self._come_back(pause)
                pause = min(LONGEST_PAUSE, max(1.0, pause * 2))
        yield StreamEnded(self._ended or "never started")

    def _is_over(self) -> bool:
        return self._ended is not None

    async def _come_back(self, pause: float) -> None:
        """The connection to the room is lost: enter it again after `pause` seconds, unless the session is over."""
        # Spread out who lost the connection together. No secret depends on it.
        await self._clock.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
        with suppress(Transient, RateLimited):
            status = await self._ask()
            if not status.is_open:
                await self.end(status.detail or "ended")
                return
            if self.room is not None and self.address is not None:
                await self.room.leave()
                self.room = await self._carrier.enter(self._upstream_id, self.address)

    async def _command(self, event_type: str, event_id: str, **fields: str) -> None:
        if self.room is None:
            raise StreamGone("the session has no room yet")
        await self.room.send(RoomMessage(COMMANDS, {"event_id": event_id, "event_type": event_type, **fields}))
