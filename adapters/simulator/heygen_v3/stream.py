"""A stream of HeyGen v3 Avatar Realtime: `pending -> streaming -> completed | error`.

The state machine with its timers and its words; HTTP is the business of `v3`.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

from adapters.simulator.options import V3, SimulatorOptions
from adapters.simulator.speech.words import SpokenWord, WordTrack
from adapters.simulator.streams import LiveStream
from bot.core.ports import Clock

_SAID = 1e-6
"""Seconds of tolerance when asking whether a word is out; sums of floats are not exact."""


class Kind(StrEnum):
    """What a stream speaks from."""

    TTS = "tts"
    TEXT_STREAM = "text_stream"
    AUDIO = "audio"


class Status(StrEnum):
    """The states of the API."""

    PENDING = "pending"
    STREAMING = "streaming"
    COMPLETED = "completed"
    ERROR = "error"


class EndReason(StrEnum):
    """Why a text stream completed."""

    FINAL_MARKER = "final_marker"
    IDLE_TIMEOUT = "idle_timeout"


class V3Stream(LiveStream):
    """One stream. Text that arrives while it is pending is spoken from the first second of audio on."""

    def __init__(
        self, id: str, clock: Clock, options: SimulatorOptions, kind: Kind, avatar: str, voice: str  # noqa: A002 - the field's word
    ) -> None:  # fmt: skip
        super().__init__(id, V3, options.v3_price, clock, avatar, voice)
        self._options = options
        self.kind = kind
        self.status = Status.PENDING
        self.end_reason: EndReason | None = None
        self.error_message: str | None = None
        self.buffered_bytes = 0
        self.is_final = kind is not Kind.TEXT_STREAM
        self._track = WordTrack()
        self._text_at = self.opened_at
        self._ready_at = self.opened_at + options.v3_pending
        self._fragments = 0
        self.arm()

    @property
    def state(self) -> str:
        """The status in the words of the API."""
        return self.status.value

    def deadline(self) -> float:
        """The next of: streaming, everything said, idle, too long."""
        due = self.opened_at + self._options.v3_max
        if self.status is Status.PENDING:
            due = min(due, self._ready_at)
        elif self.is_final:
            due = min(due, self._silent_at())
        return due if self.is_final else min(due, self._idle_at())

    def reach_deadline(self) -> None:
        """Do what is due, the earliest first."""
        due = self.deadline()
        if self.status is Status.PENDING and due == self._ready_at:
            self.status = Status.STREAMING
            self.start_audio()
            self.tell()
        elif not self.is_final and due == self._idle_at():
            self._complete(EndReason.IDLE_TIMEOUT)
        elif self.is_final and self.status is Status.STREAMING and due == self._silent_at():
            self._complete(EndReason.FINAL_MARKER if self.kind is Kind.TEXT_STREAM else None)
        else:
            self._complete(None, "maximum duration")

    def _silent_at(self) -> float:
        return self.audio_from + self.timeline.end if self.audio_from is not None else math.inf

    def _idle_at(self) -> float:
        since = self._text_at
        if self._options.v3_idle_waits_for_speech and self.audio_from is not None:
            since = max(since, self._silent_at())
        return since + self._options.v3_idle

    def _complete(self, reason: EndReason | None, why: str = "everything said") -> None:
        self.status, self.end_reason = Status.COMPLETED, reason
        self.end(reason.value if reason is not None else why)

    def append(self, text: str) -> None:
        """Speak `text` behind everything that is being spoken; it counts as activity whatever it is."""
        self._text_at = self.clock.monotonic()
        self.buffered_bytes += len(text.encode())
        model = self._options.speech
        now = self.position
        goes_on = bool(self.timeline.speeches) and now < self.timeline.end
        lead = 0.0 if goes_on else model.lead
        self._fragments += 1
        speech = self.timeline.say(
            f"{self._fragments}", self.kind.value, text, now, lead + model.per_character * len(text)
        )
        self._track.add(text, speech.start + lead, model.per_character, goes_on=goes_on)
        self.tell()

    def play(self, seconds: float) -> None:
        """Speak a recording of this length."""
        self.timeline.say("1", self.kind.value, "(audio)", 0.0, seconds)

    def finish(self) -> None:
        """No more text will come; the stream completes when everything is said."""
        self.is_final = True
        self.arm()

    def watched(self) -> None:
        """Nothing: a stream runs whether somebody watches or not."""

    def cancel(self) -> bool:
        """End it now; False when it is over already."""
        if not self.is_open:
            return False
        self.status = Status(self._options.v3_cancelled_status)
        self.error_message = "Session was cancelled." if self.status is Status.ERROR else None
        self.end("cancelled")
        return True

    def fail(self, message: str) -> None:
        """The service ends it with an error."""
        self.status, self.error_message = Status.ERROR, message
        self.end(message)

    def frame(self, first: int) -> tuple[Sequence[SpokenWord], float]:
        """The words that can be told from word number `first` on, else the seconds until there is something to tell.

        Words are told once they are said; a stream that is over tells what it had said.
        """
        words = self._track.frame(first)
        if not words:
            return (), math.inf
        position = self.position
        if words[-1].end <= position + _SAID:
            return words, 0.0
        if not self.is_open:
            return [word for word in words if word.end <= position + _SAID], 0.0
        return (), (words[-1].end - position if self.audio_from is not None else math.inf)
