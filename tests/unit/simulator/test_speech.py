"""The timeline and the words of a stream, as pure computation."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.simulator.speech.timeline import Fate, Timeline
from adapters.simulator.speech.words import FRAME_SECONDS, FRAME_WORDS, WordTrack, words_of


def test_texts_are_said_one_after_another() -> None:
    timeline = Timeline()
    first = timeline.say("1", "repeat", "one", now=2.0, duration=1.0)
    second = timeline.say("2", "repeat", "two", now=2.5, duration=1.5)
    third = timeline.say("3", "repeat", "three", now=9.0, duration=1.0)
    assert [(speech.start, speech.end) for speech in (first, second, third)] == [(2.0, 3.0), (3.0, 4.5), (9.0, 10.0)]
    assert timeline.talk_within(0.0, 20.0) == 3.5
    assert timeline.talk_within(2.5, 3.5) == 1.0
    assert timeline.talk_within(4.5, 9.0) == 0.0


def test_cut_ends_what_is_said_and_drops_what_waits() -> None:
    timeline = Timeline()
    said = timeline.say("0", "repeat", "zero", now=0.0, duration=1.0)
    current = timeline.say("1", "repeat", "one", now=2.0, duration=1.0)
    waiting = timeline.say("2", "repeat", "two", now=2.0, duration=1.0)
    assert timeline.cut(2.25) == 2
    assert [speech.fate for speech in (said, current, waiting)] == [Fate.SAID, Fate.INTERRUPTED, Fate.DROPPED]
    assert (current.end, waiting.start, waiting.end, timeline.end) == (2.25, 2.25, 2.25, 2.25)
    assert timeline.say("3", "repeat", "next", now=2.25, duration=1.0).start == 2.25
    assert timeline.cut(99.0) == 0


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.floats(0.01, 5), st.booleans()),
        max_size=30,
    )
)
def test_the_past_never_changes(steps: list[tuple[float, float, bool]]) -> None:
    timeline, now = Timeline(), 0.0
    for wait, duration, cuts in steps:
        now += wait
        before = timeline.talk_within(0.0, now)
        if cuts:
            timeline.cut(now)
        else:
            timeline.say("x", "repeat", "x", now, duration)
        assert timeline.talk_within(0.0, now) == before
    ends = [speech.end for speech in timeline.speeches]
    assert ends == sorted(ends)


def test_punctuation_is_an_item_of_its_own_and_inner_marks_are_not() -> None:
    said = [word for word, _ in words_of('He said: "don\'t pay $3.14, ok?!"')]
    assert said == ["He", "said", ":", '"', "don't", "pay", "$", "3.14", ",", "ok", "?", "!", '"']


def test_scripts_without_spaces_are_told_by_character() -> None:
    assert [word for word, _ in words_of("你好，世界")] == ["你", "好", "，", "世", "界"]
    assert [word for word, _ in words_of("नमस्ते दुनिया")] == ["नमस्ते", "दुनिया"]


@given(st.text(max_size=200))
def test_no_character_of_a_text_is_lost(text: str) -> None:
    words = list(words_of(text))
    assert "".join(word for word, _ in words) == "".join(text.split())
    assert all(text[position : position + len(word)] == word for word, position in words)


def test_a_word_in_two_fragments_becomes_one() -> None:
    track = WordTrack()
    track.add("Say hel", 0.0, 0.1, goes_on=False)
    track.add("lo, you", 0.7, 0.1, goes_on=True)
    assert [word.text for word in track.words] == ["Say", "hello", ",", "you"]
    track.add("ng", 5.0, 0.1, goes_on=False)
    assert track.words[-1].text == "ng"


@given(st.lists(st.sampled_from(["hi", "there,", "a", "friend.", "extraordinarily", "…", "I"]), max_size=80))
def test_frames_cover_every_word_once_within_their_limits(words: list[str]) -> None:
    track = WordTrack()
    track.add(" ".join(words), 0.0, 0.06, goes_on=False)
    at, heard = 0, []
    while frame := track.frame(at):
        assert len(frame) <= FRAME_WORDS
        assert len(frame) == 1 or frame[-1].end - frame[0].start <= FRAME_SECONDS
        heard += [word.text for word in frame]
        at += len(frame)
    assert heard == [word.text for word in track.words]
