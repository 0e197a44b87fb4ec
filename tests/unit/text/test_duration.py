import pytest

from bot.text import estimate_duration

PER_MINUTE = [
    ("english", "The quick brown fox jumps over the lazy dog and runs away from here. " * 12, 130, 190),
    ("russian", "Съешь же ещё этих мягких французских булок да выпей чаю сегодня. " * 12, 110, 190),
]


@pytest.mark.parametrize(("language", "text", "slowest", "fastest"), PER_MINUTE, ids=[row[0] for row in PER_MINUTE])
def test_words_per_minute_are_those_of_a_person(language: str, text: str, slowest: int, fastest: int) -> None:
    per_minute = len(text.split()) / estimate_duration(text) * 60
    assert slowest < per_minute < fastest


def test_mandarin_takes_a_syllable_for_each_character() -> None:
    assert 4.5 < 100 / (estimate_duration("天" * 100) - 0.3) < 5.5


@pytest.mark.parametrize("character", ["天", "か", "한", "7", "😂"])
def test_character_that_stands_for_a_syllable_takes_longer_than_a_letter(character: str) -> None:
    assert estimate_duration(character * 20) > 1.5 * estimate_duration("a" * 20)


def test_marks_of_sentences_and_clauses_add_pauses() -> None:
    plain = estimate_duration("one two. three")
    assert estimate_duration("one. two. three.") > plain
    assert estimate_duration("one, two. three") > plain
    assert estimate_duration("很好。很好。") - estimate_duration("很好很好") > 0.5


def test_dot_inside_a_number_is_no_pause() -> None:
    assert estimate_duration("3.14") == pytest.approx(estimate_duration("3a14"))


def test_text_twice_as_long_takes_about_twice_as_long() -> None:
    once, twice = (estimate_duration("some words, and more. " * count) for count in (10, 20))
    assert 1.8 < twice / once < 2.1


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_nothing_takes_no_time(text: str) -> None:
    assert estimate_duration(text) == 0
