"""Lines for a terminal: broken where a person breaks them, and unable to steer it."""

import pytest

from bot.terminal import broken, printable


def test_lines_stay_lines_and_each_is_broken_by_itself() -> None:
    text = "a first line that is too long for the terminal it is shown in\n  an indented one\nand a last one"
    assert broken(text, 50).split("\n") == [
        "a first line that is too long for the terminal it",
        "is shown in",
        "  an indented one",
        "and a last one",
    ]


def test_a_terminal_too_narrow_for_sentences_breaks_lines_itself() -> None:
    assert broken("word " * 20, 30) == "word " * 20


@pytest.mark.parametrize("steering", ["\x1b", "\x07", "\x9b", "\r", "\u202e", "\u2066"])
def test_what_steers_a_terminal_or_turns_the_text_around_is_left_out(steering: str) -> None:
    assert printable(f"gno{steering}cisum") == "gnocisum"


def test_text_of_every_direction_stays_as_it_is() -> None:
    assert printable("שלום مرحبا 你好") == "שלום مرحبا 你好"
