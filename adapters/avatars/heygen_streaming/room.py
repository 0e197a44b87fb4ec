"""What happens in the LiveKit room of a v1 stream, as whoever is in it reports it: speech, words and answers.

Commands of v1 go over HTTP, so nothing is published here. The messages of its data channel have no topic and names of
their own (as in its SDK, `@heygen/streaming-avatar` 2.1.0); they are read as the reports of LiveAvatar that mean the
same.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from adapters.avatars.rooms.reconnecting import ReconnectingRoom
from adapters.avatars.rooms.speech_events import SpeechEventParser
from bot.core.models import Mode, Playback, RoomAccess
from bot.core.ports import AvatarSeen, Clock, StreamEnded, StreamEvent
from bot.streams.page_bridge import RoomMessage

_SAME = {
    "avatar_start_talking": "avatar.speak_started",
    "avatar_stop_talking": "avatar.speak_ended",
    "avatar_talking_message": "avatar.transcription.chunk",
}


class StreamingRoom:
    """One room."""

    def __init__(self, room: ReconnectingRoom, address: Playback, clock: Clock) -> None:
        """`address` leads to the room."""
        self._room = room
        self._address = address
        self._speech = SpeechEventParser(clock)

    @property
    def playback(self) -> Playback:
        """How to watch it; empty while it is not entered."""
        return self._room.room.playback if self._room.room is not None else Playback()

    async def enter(self) -> None:
        """Enter the room, unless that was done before. Raises `ProviderError`."""
        await self._room.join(self._address)

    async def door(self) -> RoomAccess | None:
        """A door of its own for one more page, where the room is shown so. Raises `ProviderError`."""
        return await self._room.door()

    def expect(self, task_id: str | None, utterance_id: str, mode: Mode) -> None:
        """A task was taken; what is said of it carries `task_id`."""
        if task_id is not None:
            self._speech.expect(task_id, utterance_id, mode)

    def cut(self) -> None:
        """What is being said was interrupted."""
        self._speech.cut()

    async def close(self) -> None:
        """The stream is over."""
        await self._room.end("closed")

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """What was reported, until the stream is closed here."""
        async with aclosing(self._room.messages()) as messages:
            async for message in messages:
                if isinstance(message, AvatarSeen):
                    yield message
                    continue
                for event in self._speech.parse(_as_liveavatar_says(message)):
                    # v1 tells no end; what says so comes from a page that is mistaken.
                    if not isinstance(event, StreamEnded):
                        yield event
        yield StreamEnded(self._room.ended or "closed")


def _as_liveavatar_says(message: RoomMessage) -> RoomMessage:
    said = message.data
    return RoomMessage(
        message.topic,
        {
            "event_type": _SAME.get(str(said.get("type"))),
            "source_event_id": said.get("task_id"),
            "text": said.get("message"),
        },
    )
