"""Finding utterances in the words that are heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.avatars.heygen_realtime.alignment import GRACE, START_PATIENCE, HeardWord, SpeechAligner, letters_of
from bot.core.ports import SpeechEnded, SpeechStarted

EPOCH = 1_800_000_000.0
WORD = 0.5


class Stage:
    """A narration whose audio runs since second 0, and an avatar that says one word every half second."""

    def __init__(self, *, adopted: bool = False) -> None:
        self.narration = SpeechAligner(adopted=adopted)
        self.now = 0.0
        if not adopted:
            self.narration.streaming_since(0.0, EPOCH)

    def send(self, utterance_id: str, text: str, *, final: bool = True) -> None:
        self.narration.expect(utterance_id, text, self.now, final=final)

    def say(self, *words: str) -> None:
        """Each word is reported when it has been said."""
        for word in words:
            self.narration.hear([HeardWord(word, self.now, self.now + WORD)], self.now + WORD, EPOCH + self.now + WORD)
            self.now += WORD

    def told(self) -> list[str]:
        return [
            f"{'+' if isinstance(event, SpeechStarted) else '-'}{event.utterance_id}"
            for event in self.narration.due(self.now)
        ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello there.", ["Hello", "there"]),
        ("I don't know", ["I", "don", "'", "t", "know"]),
        ("I don't know", ["I", "don't", "know"]),
        ("Well, \u201cI can’t\u201d!", ["Well", ",", "I", "can't"]),
        ("I have 5 apples", ["I", "have", "five", "apples"]),
        ("Room 1024 is free", ["Room", "one", "thousand", "twenty", "four", "is", "free"]),
        ("see https example com now", ["see", "now"]),
        ("no no no no", ["no", "no", "no", "no"]),
        ("Straße und Café", ["STRASSE", "und", "Cafe"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("مرحبا بالعالم", ["مَرْحَبًا", "بالعالم"]),
        ("你好世界", ["你", "好", "世", "界"]),
        ("你好世界", ["你好", "世界"]),
        ("我喜欢5个苹果", ["我", "喜", "欢", "五", "个", "苹", "果"]),
        ("สวัสดีชาวโลก", ["สวัสดี", "ชาว", "โลก"]),
        ("こんにちは、世界", ["こんにちは", "世界"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("so 🎉 good", ["so", "good"]),
    ],
)
def test_an_utterance_ends_with_its_last_word(text: str, words: list[str]) -> None:
    stage = Stage()
    stage.send("u", text)

    stage.say(*words[:-1])
    assert stage.told() == ["+u"]

    stage.say(words[-1])
    assert stage.told() == ["-u"]


def test_a_word_that_was_reported_early_has_not_been_said_yet() -> None:
    stage = Stage()
    stage.send("u", "Hello there")
    stage.narration.hear([HeardWord("Hello", 3.0, 3.5), HeardWord("there", 3.5, 4.0)], 0.0, EPOCH)

    assert stage.told() == []
    assert stage.narration.next_due() == 3.0
    stage.now = 3.0
    assert stage.told() == ["+u"]
    assert stage.narration.next_due() == 4.0
    stage.now = 4.0
    assert stage.told() == ["-u"]
    assert stage.narration.next_due() is None


def test_utterances_end_one_after_the_other() -> None:
    stage = Stage()
    stage.send("u", "the cat")
    stage.send("v", "the dog")

    stage.say("the", "cat", "the")
    assert stage.told() == ["+u", "-u", "+v"]

    stage.say("dog")
    assert stage.told() == ["-v"]


def test_the_next_utterance_ends_one_whose_last_words_never_matched() -> None:
    stage = Stage()
    stage.send("u", "I am 25")
    stage.send("v", "Really")

    stage.say("I", "am", "twenty", "five")
    assert stage.told() == ["+u"]

    stage.say("Really")
    assert stage.told() == ["-u", "+v", "-v"]


def test_an_estimate_ends_what_never_matched_and_has_nothing_behind_it() -> None:
    stage = Stage()
    stage.send("u", "I am 25")
    stage.say("I", "am", "twenty", "five")
    assert stage.told() == ["+u"]

    due = stage.narration.next_due()

    assert due is not None
    assert stage.now + GRACE <= due <= stage.now + GRACE + 1
    stage.now = due
    assert stage.told() == ["-u"]


@pytest.mark.parametrize("text", ["🎉🎉🎉", "...!?", "—"])
def test_text_without_words_ends_after_a_moment(text: str) -> None:
    stage = Stage()
    stage.send("u", text)

    assert stage.narration.next_due() == GRACE
    stage.now = GRACE
    assert stage.told() == ["+u", "-u"]


def test_words_that_never_come_do_not_hold_up_the_stream() -> None:
    stage = Stage()
    stage.send("u", "Hello there")
    due = stage.narration.next_due()

    assert due is not None
    assert due > START_PATIENCE
    stage.now = due
    assert stage.told() == ["+u", "-u"]


def test_nothing_ends_before_the_audio_runs() -> None:
    narration = SpeechAligner(adopted=False)
    narration.expect("u", "Hello", 0.0, final=True)

    assert narration.due(1000.0) == []
    assert narration.next_due() is None


def test_fragments_end_with_the_last_one() -> None:
    stage = Stage()
    stage.send("u", "It is twen", final=False)
    stage.say("It", "is")
    stage.send("u", "ty past", final=False)
    stage.say("twenty", "past")
    assert stage.told() == ["+u"]
    assert stage.narration.next_due() is None

    stage.send("u", "")

    assert stage.told() == ["-u"]


def test_an_utterance_left_unfinished_is_finished_by_the_next() -> None:
    stage = Stage()
    stage.send("u", "It is ", final=False)
    stage.say("It", "is")
    stage.send("v", "Sorry")

    assert stage.told() == ["+u", "-u"]
    stage.say("Sorry")
    assert stage.told() == ["+v", "-v"]


def test_a_text_that_was_not_taken_is_not_waited_for() -> None:
    stage = Stage()
    stage.send("u", "Hello")
    stage.send("v", "Goodbye")
    stage.narration.withdraw("v")
    stage.say("Hello")

    assert stage.told() == ["+u", "-u"]
    assert stage.narration.next_due() is None


def test_a_fragment_that_was_not_taken_ends_the_utterance_with_what_was() -> None:
    stage = Stage()
    stage.send("u", "Hello ", final=False)
    stage.say("Hello")
    stage.send("u", "there", final=False)
    stage.narration.withdraw("u")

    assert stage.told() == ["+u"]
    due = stage.narration.next_due()
    assert due is not None
    stage.now = due
    assert stage.told() == ["-u"]


def test_a_replayed_history_is_not_reported_again() -> None:
    stage = Stage()
    stage.send("u", "one two one")
    stage.say("one", "two")
    assert [word.text for word in stage.narration.captions()] == ["one", "two"]

    stage.narration.hear(
        [HeardWord("one", 0.0, 0.5), HeardWord("two", 0.5, 1.0), HeardWord("one", 1.0, 1.5)], 1.5, EPOCH + 1.5
    )

    assert [word.text for word in stage.narration.captions()] == ["one"]
    stage.now = 1.5
    assert stage.told() == ["+u", "-u"]


def test_captions_carry_the_time_of_day() -> None:
    stage = Stage()
    stage.send("u", "Hello")
    stage.now = 7.0
    stage.say("Hello")

    (word,) = stage.narration.captions()

    assert (word.at, word.until) == (EPOCH + 7.0, EPOCH + 7.5)


def test_a_stream_taken_over_tells_only_of_what_is_sent_from_now_on() -> None:
    stage = Stage(adopted=True)
    stage.now = 100.0
    history = [HeardWord(word, index * WORD, index * WORD + WORD) for index, word in enumerate(["old", "words", "new"])]
    stage.narration.hear(history, 100.0, EPOCH)
    stage.send("u", "new words")

    # Their clock began at our second 99.
    stage.narration.hear([HeardWord("new", 3.0, 3.5), HeardWord("words", 3.5, 4.0)], 102.0, EPOCH + 2.0)
    stage.now = 102.0
    assert stage.told() == ["+u"]
    stage.now = 103.0
    assert stage.told() == ["-u"]
    assert [word.text for word in stage.narration.captions()] == ["new", "words"]


@given(
    st.lists(
        st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8), min_size=1, max_size=12)
        .map(lambda words: [word for word in words if letters_of(word)])
        .filter(bool),
        min_size=1,
        max_size=5,
    )
)
def test_everything_said_as_it_was_written_ends_in_order(utterances: list[list[str]]) -> None:
    stage = Stage()
    for index, words in enumerate(utterances):
        stage.send(f"{index}", " ".join(words) + ". ")

    for words in utterances:
        stage.say(*words, ".")

    assert stage.told() == [sign for index in range(len(utterances)) for sign in (f"+{index}", f"-{index}")]


@given(
    st.lists(st.tuples(st.text(max_size=20), st.floats(0, 1e5), st.floats(0, 100)), max_size=30), st.text(max_size=60)
)
def test_any_words_end_every_utterance_once_in_the_end(heard: list[tuple[str, float, float]], text: str) -> None:
    stage = Stage()
    stage.send("u", text)
    stage.send("v", text)
    stage.narration.hear([HeardWord(word, start, start + length) for word, start, length in heard], 0.0, EPOCH)

    events = stage.narration.due(1e9)

    assert events == [SpeechStarted("u"), SpeechEnded("u"), SpeechStarted("v"), SpeechEnded("v")]
    assert stage.narration.next_due() is None
