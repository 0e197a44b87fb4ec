"""What happens in the LiveKit room of a v1 stream, as the page with the seat reports it: speech, words and answers.

Commands of v1 go over HTTP, so nothing is published here. The messages of its data channel have no topic and names of
their own (avatar-apis 2.6); they are read as the reports of LiveAvatar that mean the same.
"""

from collections.abc import AsyncIterator

from adapters import shapes
from adapters.avatars.rooms.speech import RoomSpeech
from bot.model import Mode
from bot.ports import Clock, StreamEnded, StreamEvent
from bot.rooms import RoomMessage, SeatedRoom

_SAME = {
    "avatar_start_talking": "avatar.speak_started",
    "avatar_stop_talking": "avatar.speak_ended",
    "avatar_talking_message": "avatar.transcription.chunk",
}


class StreamingRoom:
    """One room."""

    def __init__(self, room: SeatedRoom, clock: Clock) -> None:
        self._room = room
        self._speech = RoomSpeech(clock)

    def expect(self, task_id: str | None, utterance_id: str, mode: Mode) -> None:
        """A task was taken; what is said of it carries `task_id`."""
        if task_id is not None:
            self._speech.expect(task_id, utterance_id, mode)

    def cut(self) -> None:
        """What is being said was interrupted."""
        self._speech.cut()

    def close(self) -> None:
        """The stream is over."""
        self._room.close()

    async def events(self) -> AsyncIterator[StreamEvent]:
        """What was reported, until the stream is closed here."""
        async for message in self._room.messages():
            for event in self._speech.happened(_as_liveavatar_says(message)):
                # v1 tells no end; what says so comes from a page that is mistaken.
                if not isinstance(event, StreamEnded):
                    yield event
        yield StreamEnded("closed")


def _as_liveavatar_says(message: RoomMessage) -> RoomMessage:
    kind = shapes.text(shapes.field(message.data, "type"))
    return RoomMessage(
        message.topic,
        {
            "event_type": _SAME.get(kind or ""),
            "source_event_id": shapes.field(message.data, "task_id"),
            "text": shapes.field(message.data, "message"),
        },
    )
