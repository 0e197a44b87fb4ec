"""A session of LiveAvatar in FULL mode, from its start to its end: `active`, then `ended` for a reason.

The state machine with its timers, its commands and its events; HTTP is the business of `liveavatar`, and what the room
is made of that of `rooms`. Facts: docs.liveavatar.com, `@heygen/liveavatar-web-sdk` 0.0.18.
"""

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from adapters.simulator.liveavatar.bodies import EndReason
from adapters.simulator.llm.answers import answer_to
from adapters.simulator.options import FREE, LIVEAVATAR, SimulatorOptions
from adapters.simulator.rooms.contract import CLIENT, NoRoom, Room
from adapters.simulator.speech.narration import Narration, Step, Told
from adapters.simulator.streams import LiveStream
from adapters.simulator.wire import Json, JsonObject
from bot.core.ports import Clock

COMMANDS = "agent-control"
EVENTS = "agent-response"
MINUTE = 60
CREDITS_PER_MINUTE = 2
"""In FULL mode (docs.liveavatar.com, credits)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session was configured with; it cannot be changed later. `has_context` is whether a model answers, `speed`
    how fast the voice speaks."""

    avatar: str
    voice: str
    is_sandbox: bool
    seconds: int
    push_to_talk: bool
    has_context: bool
    context_id: str | None = None
    opening_text: str = ""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the transcript; times in milliseconds, of the day and since the start."""

    role: str
    text: str
    at: int
    since_start: int


class LiveAvatarSession(LiveStream):
    """One session. `can_pay` says whether the account has credits for another minute."""

    def __init__(
        self, id: str, clock: Clock, options: SimulatorOptions, plan: Plan, can_pay: Callable[[], bool]  # noqa: A002 - the field's word
    ) -> None:  # fmt: skip
        price = FREE if plan.is_sandbox else options.liveavatar_price
        super().__init__(id, LIVEAVATAR, price, clock, plan.avatar, plan.voice)
        self._options = options
        self._can_pay = can_pay
        self.plan = plan
        self.reason: EndReason | None = None
        self.room: Room = NoRoom()
        self.transcript: list[Line] = []
        self._minutes = 1
        self._active_at = self.opened_at
        self._absent_since: float | None = self.opened_at
        self._greeted = False
        self._commanded: set[str] = set()
        self._speech = options.speech.at(plan.speed)
        self._narration = Narration(self._speech)
        self.start_audio()
        self.arm()

    @property
    def state(self) -> str:
        """The state in the words of the list."""
        return "active" if self.is_open else "ended"

    @property
    def billed_seconds(self) -> int:
        """The minutes that were taken from the account, each as it began; nothing in the sandbox."""
        return 0 if self.price is FREE else MINUTE * self._minutes

    @property
    def credits(self) -> int:
        """What it took from the account, two a minute; nothing in the sandbox."""
        return 0 if self.price is FREE else CREDITS_PER_MINUTE * self._minutes

    def deadline(self) -> float:
        """The next of: something to tell, too long, idle, nobody there, another minute to pay."""
        return min(self._tell_at(), self._limit_at(), self._idle_at(), self._abandoned_at(), self._unpaid_at())

    def reach_deadline(self) -> None:
        """Do what is due, the earliest first."""
        due = self.deadline()
        if due == self._tell_at():
            for told in self._narration.due(self._narration.next_at):
                self._tell(told)
        elif due == self._limit_at():
            self.close(EndReason.MAX_DURATION_REACHED)
        elif due == self._idle_at():
            self.close(EndReason.IDLE_TIMEOUT)
        elif due == self._abandoned_at():
            self.close(EndReason.ZOMBIE_SESSION_REAP)
        elif self.price is FREE or self._can_pay():
            self._minutes += 1
        else:
            self.close(EndReason.NO_CREDITS)

    def _tell_at(self) -> float:
        return self.opened_at + self._narration.next_at

    def _limit_at(self) -> float:
        return self.opened_at + self.plan.seconds

    def _idle_at(self) -> float:
        return self._active_at + self._options.liveavatar_idle

    def _abandoned_at(self) -> float:
        allowed = self._options.liveavatar_abandoned
        return math.inf if allowed is None or self._absent_since is None else self._absent_since + allowed

    def _unpaid_at(self) -> float:
        return self.opened_at + self._minutes * MINUTE

    def touch(self) -> None:
        """Reset the idle timer."""
        self._active_at = self.clock.monotonic()

    def watched(self) -> None:
        """Somebody plays the stand-in's video, so somebody is there."""
        if self._absent_since is not None:
            self._absent_since = self.clock.monotonic()

    def refund(self) -> None:
        """It could not be started; it costs nothing."""
        self.price = FREE
        self.close(EndReason.SERVER_ERROR)

    def close(self, reason: EndReason) -> None:
        """End it for this reason."""
        self.reason = reason
        self.end(reason.value)

    def fail(self, message: str) -> None:
        """The service ends it with an error."""
        self.reason = EndReason.SERVER_ERROR
        self.end(message)

    def end(self, why: str) -> None:
        """It is over: everybody in the room hears it, and the room is gone."""
        if not self.is_open:
            return
        self.reason = self.reason or EndReason.SERVER_ERROR
        # Nothing is known of a "speak_ended" for what the end of the session cuts off; without one nobody takes it for
        # said.
        self.timeline.cut(self.position)
        self._narration.cut()
        super().end(why)
        self._send("session.stopped", None, **{self._options.liveavatar_stop_key: self.reason.value})
        self.room.close()

    # --- the room ----------------------------------------------------------------------------------------------------

    def joined(self, identity: str) -> None:
        """Somebody is there; the first client is greeted, where the context says how."""
        if identity != CLIENT or not self.is_open:
            return
        self._absent_since = None
        self._send("session.state_updated", None, state="connected")
        if not self._greeted:
            self._greeted = True
            if self.plan.opening_text:
                self._say("opening", self.plan.opening_text, None)

    def left(self, identity: str) -> None:
        """Somebody is gone."""
        if identity == CLIENT and self.is_open:
            self._absent_since = self.clock.monotonic()
            self.arm()

    def subscribed(self) -> None:
        """Nothing waits for it here."""

    def receive(self, topic: str, message: Json) -> None:
        """Obey a command. There is no event for an error: what is not understood has no effect."""
        if topic != COMMANDS or not isinstance(message, dict) or not self.is_open:
            return
        event_id, text = message.get("event_id"), message.get("text")
        source = event_id if isinstance(event_id, str) and event_id else None
        if source is not None:
            self._commanded.add(source)
        self.touch()
        match message.get("event_type"):
            case "avatar.speak_text" if isinstance(text, str) and text.strip():
                self._say("speak_text", text, source)
            case "avatar.speak_response" if isinstance(text, str) and text.strip():
                self._respond(text, source)
            case "avatar.interrupt":
                self._hush()
            case "avatar.start_listening":
                self._send("session.state_updated", source, state="listening")
            case "avatar.stop_listening":
                self._send("session.state_updated", source, state="connected")
            case "user.start_push_to_talk":
                self._send("user.push_to_talk_" + ("started" if self.plan.push_to_talk else "start_failed"), source)
            case "user.stop_push_to_talk":
                self._send("user.push_to_talk_" + ("stopped" if self.plan.push_to_talk else "stop_failed"), source)

    def _respond(self, asked: str, source: str | None) -> None:
        """The model's answer; without a context there is no model, and the avatar stays silent ("restricted mode")."""
        self._note("user", asked)
        if self.plan.has_context:
            self._say("speak_response", answer_to(asked), source, asked)

    def _say(self, kind: str, text: str, source: str | None, asked: str | None = None) -> None:
        duration = self._speech.duration(text)
        speech_id = str(uuid.uuid4()) if source is None else source
        self._narration.add(self.timeline.say(speech_id, kind, text, self.position, duration, asked))
        self.tell()
        self.arm()

    def _hush(self) -> None:
        """Cut the speech and drop what waits."""
        self.timeline.cut(self.position)
        cut = self._narration.cut()
        if cut is not None:
            self._send("avatar.speak_ended", cut.id)
        self.tell()

    def _tell(self, told: Told) -> None:
        speech = told.speech
        match told.step:
            case Step.BEGINS:
                self._send("avatar.speak_started", speech.id)
            case Step.GOES_ON:
                self._send("avatar.transcription.chunk", speech.id, text=told.words)
            case Step.ENDS:
                self._note("avatar", speech.text)
                self._send("avatar.transcription", speech.id, text=speech.text)
                self._send("avatar.speak_ended", speech.id)

    def _send(self, event_type: str, source: str | None, **fields: Json) -> None:
        event: JsonObject = {
            "event_id": str(uuid.uuid4()), "event_type": event_type, "session_id": self.id,
            "source_event_id": source if source in self._commanded else None,
        }  # fmt: skip
        self.room.send(EVENTS, {**event, **fields})

    def _note(self, role: str, text: str) -> None:
        at = int(self.clock.now().timestamp() * 1000)
        self.transcript.append(Line(role, text, at, round(self.seconds * 1000)))
