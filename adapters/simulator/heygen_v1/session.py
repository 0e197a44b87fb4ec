"""A session of HeyGen Streaming API v1: `new -> connecting -> connected -> closing -> closed`.

The state machine with its timers, and in a LiveKit room its messages; HTTP is the business of `v1`.
"""

import uuid
from enum import IntEnum

from adapters.simulator.llm.answers import answer_to
from adapters.simulator.options import V1, SimulatorOptions
from adapters.simulator.rooms.contract import NoRoom, Room
from adapters.simulator.speech.narration import Narration, Step, Told
from adapters.simulator.speech.timeline import Speech
from adapters.simulator.streams import LiveStream
from adapters.simulator.wire import Json, JsonObject
from bot.core.ports import Clock


class SessionState(IntEnum):
    """The values are the last digit of the code `session state wrong: ...` (TSSDK: 10001 to 10005)."""

    NEW = 1
    CONNECTING = 2
    CONNECTED = 3
    CLOSING = 4
    CLOSED = 5

    @property
    def word(self) -> str:
        """The state as the API writes it."""
        return self.name.lower()


class V1Session(LiveStream):
    """One session. `idle_timeout` in seconds; tasks and keep-alives reset it, speech by itself does not. `rate` is how
    fast the voice speaks."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's word
        clock: Clock,
        options: SimulatorOptions,
        avatar: str,
        voice: str,
        idle_timeout: float,
        rate: float = 1.0,
    ) -> None:
        super().__init__(id, V1, options.v1_price, clock, avatar, voice)
        self._options = options
        self._idle_timeout = idle_timeout
        self._state = SessionState.NEW
        self._active_at = self.opened_at
        self._limit_at = self.opened_at + options.v1_session_limit
        self._viewer_at: float | None = None
        self._closed_by: tuple[float, str] | None = None
        self._room: Room = NoRoom()
        self._speech = options.speech.at(rate)
        self._narration = Narration(self._speech)
        self.arm()

    @property
    def state(self) -> str:
        """The state in the words of the API."""
        return self.phase.word

    @property
    def phase(self) -> SessionState:
        """The state."""
        return self._state

    def deadline(self) -> float:
        """The next of: closed, something to tell, a simulated viewer, idle, too long."""
        if self._closed_by is not None:
            return self._closed_by[0]
        due = min(self._active_at + self._idle_timeout, self._limit_at, self._tell_at())
        return due if self._viewer_at is None else min(due, self._viewer_at)

    def reach_deadline(self) -> None:
        """Do what is due."""
        if self._closed_by is not None:
            self._state = SessionState.CLOSED
            self.end(self._closed_by[1])
        elif self.deadline() == self._tell_at():
            for told in self._narration.due(self._narration.next_at):
                self._tell(told)
        elif self._viewer_at is not None and self._viewer_at <= min(
            self._active_at + self._idle_timeout, self._limit_at
        ):
            self._viewer_at = None
            self.watched()
        else:
            self.close("session_duration_limit" if self.deadline() == self._limit_at else "activity_idle_timeout")

    def _tell_at(self) -> float:
        return self._narration.next_at + (self.opened_at if self.audio_from is None else self.audio_from)

    async def enter(self, room: Room) -> None:
        """The avatar goes into this room and is heard in it from now on. Raises `RoomFailed`."""
        self._room = room
        await room.ready()

    def start(self) -> None:
        """The avatar joins the room; it waits for a viewer."""
        self._state = SessionState.CONNECTING
        self.start_audio()
        if self._options.auto_viewer:
            self._viewer_at = self.clock.monotonic() + self._options.viewer_delay
            self.arm()

    def watched(self) -> None:
        """A viewer subscribed both tracks; from now on the avatar takes tasks."""
        if self._state is SessionState.CONNECTING:
            self._state = SessionState.CONNECTED
            self.tell()

    def touch(self) -> None:
        """Reset the idle timer."""
        self._active_at = self.clock.monotonic()

    def say(self, kind: str, asked: str) -> Speech:
        """Speak a text as it is (`repeat`) or the answer to it, behind everything that is being said."""
        text = asked if kind == "repeat" else answer_to(asked)
        self.touch()
        duration = self._speech.duration(text)
        speech = self.timeline.say(str(uuid.uuid4()), kind, text, self.position, duration, asked)
        if not isinstance(self._room, NoRoom):
            self._narration.add(speech)
            self.arm()
        return speech

    def interrupt(self) -> None:
        """Cut the speech and drop what waits; nothing happens when the avatar is silent."""
        cut = self._narration.cut()
        if cut is not None:
            self._send("avatar_stop_talking", cut, duration_ms=round((self.position - cut.start) * 1000, 3))
        if self.timeline.cut(self.position):
            self.tell()

    def close(self, why: str) -> None:
        """Begin to close; the slot is free once the session is closed."""
        self._state = SessionState.CLOSING
        self.interrupt()
        self._closed_by = (self.clock.monotonic() + self._options.v1_closing, why)
        if self._options.v1_closing == 0:
            self.reach_deadline()
        else:
            self.tell()
            self.arm()

    def fail(self, message: str) -> None:
        """The service drops the session at once."""
        self._state = SessionState.CLOSED
        self.end(message)

    def end(self, why: str) -> None:
        """It is over, and so is its room."""
        super().end(why)
        self._room.close()

    # --- the room ----------------------------------------------------------------------------------------------------

    def joined(self, identity: str) -> None:
        """Nothing yet: a viewer counts once it receives something."""

    def left(self, identity: str) -> None:
        """Nothing: the session stays connected, until it is idle."""

    def subscribed(self) -> None:
        """A viewer receives both tracks; this is what the API waits for."""
        self.watched()

    def receive(self, _topic: str, message: Json) -> None:
        """A string is a text to answer. What else may arrive, `push_to_talk:...`, is about a voice we cannot hear."""
        is_text = isinstance(message, str) and message.strip() and not message.startswith("push_to_talk:")
        if is_text and self._state is SessionState.CONNECTED:
            self.say("chat", f"{message}")

    def _tell(self, told: Told) -> None:
        match told.step:
            case Step.BEGINS:
                self._send("avatar_start_talking", told.speech)
            case Step.GOES_ON:
                self._send("avatar_talking_message", told.speech, message=told.words)
            case Step.ENDS:
                self._send("avatar_end_message", told.speech)
                length = told.speech.end - told.speech.start
                self._send("avatar_stop_talking", told.speech, duration_ms=round(length * 1000, 3))

    def _send(self, kind: str, speech: Speech, **fields: Json) -> None:
        message: JsonObject = {"type": kind, "task_id": speech.id}
        self._room.send("", {**message, **fields})
