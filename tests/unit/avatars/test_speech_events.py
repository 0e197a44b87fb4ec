"""What the avatar reports in its room, and the events that come of it: joined by id, by order, and never believed."""

import itertools

import pytest

from adapters.avatars.rooms.speech_events import MAX_TEXT_LENGTH, SpeechEventParser
from bot.core.models import Mode
from bot.core.ports import AnswerHeard, SpeechEnded, SpeechStarted, StreamEnded, StreamEvent, WordsHeard
from bot.streams.page_bridge import RoomMessage
from tests.harness.clock import ManualClock


def report(kind: str, source: str | None = None, **fields: object) -> RoomMessage:
    return RoomMessage("agent-response", {"event_type": kind, "source_event_id": source, **fields})


def speech(*commands: tuple[str, str, Mode]) -> SpeechEventParser:
    made = SpeechEventParser(ManualClock())
    for event_id, utterance_id, mode in commands:
        made.expect(event_id, utterance_id, mode)
    return made


def heard(of: SpeechEventParser, *messages: RoomMessage) -> list[StreamEvent]:
    return [event for message in messages for event in of.parse(message)]


def words(events: list[StreamEvent]) -> list[str]:
    return [word.text for event in events if isinstance(event, WordsHeard) for word in event.words]


REPEAT = ("e1", "u1", Mode.REPEAT)
SECOND = ("e2", "u2", Mode.REPEAT)
QUESTION = ("e1", "u1", Mode.CHAT)


def test_speech_is_joined_by_the_id_of_its_command() -> None:
    of = speech(REPEAT, SECOND)

    events = heard(
        of,
        report("avatar.speak_started", "e1"),
        report("avatar.speak_ended", "e1"),
        report("avatar.speak_started", "e2"),
        report("avatar.speak_ended", "e2"),
    )

    assert events == [SpeechStarted("u1"), SpeechEnded("u1"), SpeechStarted("u2"), SpeechEnded("u2")]


@pytest.mark.parametrize("source", [None, "", 7, {"id": "e1"}])
def test_speech_without_an_id_is_joined_by_order(source: object) -> None:
    of = speech(REPEAT, SECOND)
    reports = [RoomMessage("r", {"event_type": kind, "source_event_id": source})
               for kind in ("avatar.speak_started", "avatar.speak_ended", "avatar.speak_started")]  # fmt: skip

    assert heard(of, *reports) == [SpeechStarted("u1"), SpeechEnded("u1"), SpeechStarted("u2")]


def test_what_the_avatar_says_of_its_own_accord_is_nobodys_utterance() -> None:
    of = speech(REPEAT)

    events = heard(
        of,
        report("avatar.speak_started", "opening-text"),
        report("avatar.transcription", "opening-text", text="Welcome!"),
        report("avatar.speak_ended", "opening-text"),
    )

    assert events == []
    assert heard(of, report("avatar.speak_started", "e1")) == [SpeechStarted("u1")]


def test_an_end_that_was_lost_comes_before_the_next_start() -> None:
    of = speech(REPEAT, SECOND)

    events = heard(of, report("avatar.speak_started", "e1"), report("avatar.speak_started", "e2"))

    assert events == [SpeechStarted("u1"), SpeechEnded("u1"), SpeechStarted("u2")]


def test_nothing_is_told_twice() -> None:
    of = speech(REPEAT)
    reports = [report("avatar.speak_started", "e1")] * 2 + [report("avatar.speak_ended", "e1")] * 2

    assert heard(of, *reports) == [SpeechStarted("u1"), SpeechEnded("u1")]


def test_an_end_without_a_beginning_is_not_told() -> None:
    assert heard(speech(REPEAT), report("avatar.speak_ended", "e1")) == []


def test_a_cut_forgets_what_was_said_and_what_waited() -> None:
    of = speech(REPEAT, SECOND)
    heard(of, report("avatar.speak_started", "e1"))

    of.cut()

    assert heard(of, report("avatar.speak_ended", "e1"), report("avatar.speak_started", "e2")) == []


def test_a_command_that_did_not_get_there_is_not_waited_for() -> None:
    of = speech(REPEAT, SECOND)

    of.withdraw("e1")

    assert heard(of, report("avatar.speak_started")) == [SpeechStarted("u2")]


def test_words_are_captions_in_order_and_in_time() -> None:
    of = speech(REPEAT)

    events = heard(
        of,
        report("avatar.speak_started", "e1"),
        report("avatar.transcription.chunk", "e1", text="Hello there."),
        report("avatar.transcription.chunk", "e1", text=" How are you?"),
        report("avatar.transcription", "e1", text="Hello there. How are you?"),
    )

    assert words(events) == ["Hello", "there.", "How", "are", "you?"]
    captions = [word for event in events if isinstance(event, WordsHeard) for word in event.words]
    assert all(word.at < word.until for word in captions)
    assert captions[0].until == captions[1].at


def test_chunks_that_repeat_what_came_before_are_not_repeated() -> None:
    of = speech(REPEAT)
    chunks = [
        report("avatar.transcription.chunk", "e1", text=text) for text in ("Hello", "Hello there", "Hello there.")
    ]

    assert "".join(words(heard(of, *chunks))) == "Hellothere."


def test_a_text_without_chunks_is_the_caption() -> None:
    assert words(heard(speech(REPEAT), report("avatar.transcription", "e1", text="Hello there."))) == [
        "Hello",
        "there.",
    ]


def test_an_answer_is_what_the_avatar_was_heard_to_say() -> None:
    of = speech(QUESTION)

    events = heard(
        of,
        report("avatar.speak_started", "e1"),
        report("avatar.transcription.chunk", "e1", text="Forty"),
        report("avatar.transcription", "e1", text="Forty-two."),
        report("avatar.speak_ended", "e1"),
    )

    answers = [event for event in events if isinstance(event, AnswerHeard)]
    assert answers == [AnswerHeard("u1", "Forty-two.")]


def test_an_answer_that_is_never_told_whole_is_put_together() -> None:
    of = speech(QUESTION)

    events = heard(
        of,
        report("avatar.speak_started", "e1"),
        report("avatar.transcription.chunk", "e1", text="Forty-"),
        report("avatar.transcription.chunk", "e1", text="two."),
        report("avatar.speak_ended", "e1"),
    )

    assert events[-2:] == [AnswerHeard("u1", "Forty-two."), SpeechEnded("u1")]


@pytest.mark.parametrize("source", ["e1", None])
def test_an_answer_may_come_after_its_speech(source: str | None) -> None:
    of = speech(QUESTION)
    heard(of, report("avatar.speak_started", "e1"), report("avatar.speak_ended", "e1"))

    events = heard(of, report("avatar.transcription", source, text="Forty-two."))

    assert AnswerHeard("u1", "Forty-two.") in events


def test_what_is_repeated_is_no_answer() -> None:
    events = heard(speech(REPEAT), report("avatar.transcription", "e1", text="Hello."))

    assert not any(isinstance(event, AnswerHeard) for event in events)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"end_reason": "NO_CREDITS"}, "NO_CREDITS"),
        ({"stop_reason": "MAX_DURATION_REACHED"}, "MAX_DURATION_REACHED"),
        ({}, "stopped"),
        ({"end_reason": 7, "stop_reason": ["x"]}, "stopped"),
    ],
)
def test_both_spellings_of_the_reason_are_read(fields: dict[str, object], reason: str) -> None:
    assert heard(speech(), report("session.stopped", None, **fields)) == [StreamEnded(reason)]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"event_type": None},
        {"event_type": ["avatar.speak_started"]},
        {"event_type": "user.transcription", "text": "secret"},
        {"event_type": "session.state_updated", "state": "connected"},
        {"event_type": "something.new"},
        {"event_type": "avatar.transcription", "text": 7},
        {"event_type": "avatar.transcription", "text": "x" * (MAX_TEXT_LENGTH + 1)},
        {"event_type": "avatar.transcription.chunk", "text": None},
    ],
)
def test_reports_that_make_no_sense_are_ignored(data: dict[str, object]) -> None:
    assert heard(speech(REPEAT), RoomMessage("agent-response", data)) == []


def test_words_of_one_report_lie_behind_those_of_the_one_before() -> None:
    made = speech(("e1", "u1", Mode.REPEAT))
    chunks = [report("avatar.transcription.chunk", "e1", text=text) for text in ("one two three", "four five six")]
    told = [word for event in heard(made, *chunks) if isinstance(event, WordsHeard) for word in event.words]
    assert [word.text for word in told] == ["one", "two", "three", "four", "five", "six"]
    assert all(earlier.until <= later.at for earlier, later in itertools.pairwise(told))
