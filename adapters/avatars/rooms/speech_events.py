"""What the avatar of a room is saying, as events of the port: joins what it reports to what it was told to say.

LiveAvatar's events carry the id of the command that caused them (`source_event_id`). Where one is missing, order
decides: what was sent first is said first. Pure: it waits for nothing and sends nothing. What it is given comes from
the network or from a page, so it is believed in no part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from adapters.wire.lenient import Fragment, LenientModel, Text
from bot.core.models import Mode, Word
from bot.core.ports import AnswerHeard, Clock, SpeechEnded, SpeechStarted, StreamEnded, StreamEvent, WordsHeard
from bot.streams.page_bridge import RoomMessage
from bot.text import estimate_duration

MAX_TEXT_LENGTH = 8000
"""Characters of one report; an answer of several minutes is shorter."""

MAX_BEHIND = 2.0
"""Seconds that the estimated times of words may lie behind the reports that tell them."""

MAX_WORD_LENGTH = 100

MAX_REMEMBERED_ENDS = 8
"""Utterances that were said and whose whole text may still come."""


class _Report(LenientModel):
    """What the avatar says of itself. The end of a session has its reason in `end_reason` by the documentation, in
    `stop_reason` by the SDK's types."""

    event_type: Text | None = None
    source_event_id: Text | None = None
    text: Annotated[Fragment, Field(max_length=MAX_TEXT_LENGTH)] = ""
    end_reason: Text | None = None
    stop_reason: Text | None = None


@dataclass(eq=False, slots=True)
class _Said:
    """One command to speak, and how far the avatar has come with it."""

    event_id: str
    utterance_id: str
    mode: Mode
    is_started: bool = False
    heard: str = ""
    is_told: bool = False


class SpeechEventParser:
    """The commands of one room, in the order they were sent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[_Said] = []
        self._ended: list[_Said] = []
        self._words_until = 0.0

    def expect(self, event_id: str, utterance_id: str, mode: Mode) -> None:
        """A command goes out now: expect to hear it."""
        self._waiting.append(_Said(event_id, utterance_id, mode))

    def withdraw(self, event_id: str) -> None:
        """The command did not get there."""
        self._waiting = [said for said in self._waiting if said.event_id != event_id]

    def cut(self) -> None:
        """An interrupt drops what is said and everything behind it."""
        self._waiting.clear()

    def parse(self, message: RoomMessage) -> Iterator[StreamEvent]:
        """What a report of the avatar means; nothing for kinds nobody knows."""
        report = _Report.model_validate(message.data)
        source, text = report.source_event_id, report.text if report.text.strip() else ""
        match report.event_type:
            case "avatar.speak_started":
                yield from self._started(source)
            case "avatar.speak_ended":
                yield from self._over(source)
            case "avatar.transcription.chunk":
                yield from self._chunk(source, text)
            case "avatar.transcription":
                yield from self._whole(source, text)
            case "session.stopped":
                yield StreamEnded(report.end_reason or report.stop_reason or "stopped")

    def _find(self, source: str | None) -> _Said | None:
        """The command a report is about: the one it names, or else the first. One that names another's is not ours."""
        if source is not None:
            return next((said for said in (*self._waiting, *self._ended) if said.event_id == source), None)
        return self._waiting[0] if self._waiting else None

    def _started(self, source: str | None) -> Iterator[StreamEvent]:
        said = self._find(source)
        if said is None or said.is_started or said not in self._waiting:
            return
        # Speech is never simultaneous: the end of everything before it was lost.
        while self._waiting[0] is not said:
            before = self._waiting[0]
            if before.is_started:
                yield from self._finish(before)
            else:
                self._waiting.remove(before)
        said.is_started = True
        yield SpeechStarted(said.utterance_id)

    def _over(self, source: str | None) -> Iterator[StreamEvent]:
        said = self._find(source)
        if said is not None and said.is_started and said in self._waiting:
            yield from self._finish(said)

    def _finish(self, said: _Said) -> Iterator[StreamEvent]:
        self._waiting.remove(said)
        self._ended = [*self._ended, said][-MAX_REMEMBERED_ENDS:]
        if said.mode is Mode.CHAT and said.heard and not said.is_told:
            said.is_told = True
            yield AnswerHeard(said.utterance_id, said.heard)
        yield SpeechEnded(said.utterance_id)

    def _chunk(self, source: str | None, text: str) -> Iterator[StreamEvent]:
        said = self._find(source)
        if said is None or not text:
            return
        if source is not None:
            # The report of its beginning may have been lost.
            yield from self._started(source)
        # Whether a chunk repeats what came before is not documented.
        fresh = text[len(said.heard) :] if said.heard and text.startswith(said.heard) else text
        said.heard = (said.heard + fresh)[-MAX_TEXT_LENGTH:]
        yield from self._words(fresh)

    def _whole(self, source: str | None, text: str) -> Iterator[StreamEvent]:
        said = self._find(source)
        if said is None or not text:
            # A text without an id may come after its speech has ended.
            said = self._ended[-1] if source is None and self._ended and text else None
            if said is None:
                return
        if source is not None:
            yield from self._started(source)
        if not said.heard:
            yield from self._words(text)
        said.heard = text
        if said.mode is Mode.CHAT and not said.is_told:
            said.is_told = True
            yield AnswerHeard(said.utterance_id, text)

    def _words(self, text: str) -> Iterator[StreamEvent]:
        """The words as they are said from now on, behind those told before; the time of each is by estimate."""
        now = self._clock.now().timestamp()
        begin = max(now, min(self._words_until, now + MAX_BEHIND))
        words = []
        for text_of_word in text.split():
            until = begin + estimate_duration(text_of_word)
            words.append(Word(text_of_word[:MAX_WORD_LENGTH], begin, until))
            begin = until
        if words:
            self._words_until = begin
            yield WordsHeard(tuple(words))
