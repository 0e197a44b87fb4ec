"""What is told of a speech, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.simulator import SpeechModel
from adapters.simulator.speech.narration import Narration, Step, fragments
from adapters.simulator.speech.timeline import Timeline

MODEL = SpeechModel(per_character=0.1, lead=1.0)


@given(st.text(alphabet=" \n\tab\u6f22.", max_size=200))
def test_fragments_joined_are_the_text(text: str) -> None:
    pieces = list(fragments(text))
    assert "".join(words for _, words in pieces) == text
    assert [text[position : position + len(words)] for position, words in pieces] == [words for _, words in pieces]


@pytest.mark.parametrize("text", ["x" * 50_000 + " y" * 10, " " * 50_000, "\u6f22" * 50_000, "x " * 25_000])
def test_no_text_takes_long(text: str) -> None:
    assert "".join(words for _, words in fragments(text)) == text


def test_a_speech_is_told_from_its_beginning_to_its_end() -> None:
    narration, timeline = Narration(MODEL), Timeline()
    narration.add(
        timeline.say("one", "repeat", "One two three four five.", 2.0, MODEL.duration("One two three four five."))
    )
    told = list(narration.due(100))
    assert [(round(each.at, 3), each.step, each.words) for each in told] == [
        (2.0, Step.BEGINS, ""),
        (3.0, Step.GOES_ON, "One two three four"),
        (4.8, Step.GOES_ON, " five."),
        (5.4, Step.ENDS, ""),
    ]
    assert narration.next_at == float("inf")


def test_a_cut_tells_what_was_being_said_and_forgets_the_rest() -> None:
    narration, timeline = Narration(MODEL), Timeline()
    for name in ("one", "two"):
        narration.add(timeline.say(name, "repeat", "Hello.", 0.0, MODEL.duration("Hello.")))
    assert narration.cut() is None
    narration.add(timeline.say("three", "repeat", "Hello.", 0.0, 1.0))
    assert [each.step for each in narration.due(narration.next_at)] == [Step.BEGINS]
    cut = narration.cut()
    assert cut is not None
    assert (cut.id, list(narration.due(1000))) == ("three", [])
