"""One LiveAvatar session as this process knows it: its token, its room, and what is said in it.

Between the provider, which knows the REST API, and `rooms`, which knows how messages travel: this module keeps the two
together and follows the room to the end of the session.
"""

import asyncio
import math
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from pydantic import SecretStr

from adapters.avatars.rooms.reconnecting import Ask, ReconnectingRoom
from adapters.avatars.rooms.speech_events import SpeechEventParser
from adapters.avatars.rooms.transport import Room, RoomTransport
from bot.core.errors import NotReady, ProviderError, StreamGone, Transient
from bot.core.models import Mode, Playback, RoomAccess
from bot.core.ports import AvatarSeen, Clock, StreamEnded, StreamEvent
from bot.core.tasks import cancel_and_wait
from bot.streams.page_bridge import RoomMessage

COMMANDS = "agent-control"
REPORTS = "agent-response"

SETTLING = 15.0
"""Seconds until a session that was started counts as listed; how soon the list knows it is not documented."""


class LiveAvatarStream:
    """A session that was minted here. Its room is entered once it is started."""

    def __init__(self, upstream_id: str, token: SecretStr, transport: RoomTransport, clock: Clock, ask: Ask) -> None:
        """`token` starts the session; `ask` gets its status."""
        self.token = token
        self.opening: asyncio.Task[None] | None = None
        self.address: Playback | None = None
        self._settled_at = math.inf
        self._room = ReconnectingRoom(upstream_id, transport, clock, ask)
        self._clock = clock
        self._speech = SpeechEventParser(clock)

    @property
    def room(self) -> Room | None:
        """The room, once it was entered."""
        return self._room.room

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
        await self._room.join(self.address)

    async def door(self) -> RoomAccess | None:
        """A door of its own for one more page, where the room is shown so. Raises `ProviderError`."""
        return await self._room.door()

    async def speak(self, utterance_id: str, text: str, mode: Mode) -> None:
        """Have `text` said or answered. Raises `NotReady` while nobody is there to say so in the room."""
        event_id = str(uuid.uuid4())
        kind = "avatar.speak_response" if mode is Mode.CHAT else "avatar.speak_text"
        # Before the command: its first words may be heard before its transport says that it is out.
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
        # Before anything is awaited: what is being opened must not go on.
        self._room.ended = self._room.ended or reason
        await cancel_and_wait(self.opening)
        await self._room.end(reason)

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """The events, in order, until `StreamEnded`. For one follower at a time; the next goes on from there."""
        async with aclosing(self._room.messages()) as messages:
            async for message in messages:
                if isinstance(message, AvatarSeen):
                    yield message
                    continue
                if message.topic != REPORTS:
                    continue
                for event in self._speech.parse(message):
                    if isinstance(event, StreamEnded):
                        await self.end(event.reason)
                    else:
                        yield event
        yield StreamEnded(self._room.ended or "never started")

    async def _command(self, event_type: str, event_id: str, **fields: str) -> None:
        await self._room.send(RoomMessage(COMMANDS, {"event_id": event_id, "event_type": event_type, **fields}))
