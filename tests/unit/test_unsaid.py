"""Who is told what of the words that the end of a session left unsaid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.models import UtteranceState
from bot.core.views import Visibility
from bot.sentences import MAX_QUOTE_LENGTH, QUOTED, left_unsaid, left_unsaid_of
from bot.unsaid import UnsaidPromises
from tests.builders import an_utterance

DROPPED = an_utterance(text="hello", author="discord:1", state=UtteranceState.DROPPED, message_id=None)
POSTED = DROPPED._replace(id="another", message_id="17")


def test_a_command_is_told_and_a_message_of_the_channel_has_its_mark() -> None:
    promises = UnsaidPromises()
    promises.settle(DROPPED, is_left=True)
    promises.settle(POSTED, is_left=True)
    (words,) = promises.take_broken()
    assert words.person == "discord:1"
    assert "your message “hello”" in words.reply.text
    assert words.reply.visibility is Visibility.PRIVATE
    assert promises.take_broken() == ()


def test_a_command_that_points_at_a_message_is_told_as_well() -> None:
    promises = UnsaidPromises()
    promises.make(POSTED.id)
    promises.settle(POSTED, is_left=True)
    assert len(promises.take_broken()) == 1


@pytest.mark.parametrize("state", list(UtteranceState))
@pytest.mark.parametrize("is_left", [False, True])
def test_only_what_the_end_left_unsaid_is_told(state: UtteranceState, *, is_left: bool) -> None:
    promises = UnsaidPromises()
    promises.settle(DROPPED._replace(state=state), is_left=is_left)
    is_told = is_left and state in (UtteranceState.DROPPED, UtteranceState.UNKNOWN)
    assert bool(promises.take_broken()) is is_told


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_everybody_is_told_once(waited: list[tuple[str, bool]]) -> None:
    promises = UnsaidPromises()
    for number, (author, is_sure) in enumerate(waited):
        state = UtteranceState.DROPPED if is_sure else UtteranceState.UNKNOWN
        promises.settle(DROPPED._replace(id=str(number), author=author, state=state), is_left=True)
    people = [words.person for words in promises.take_broken()]
    assert sorted(people) == sorted({author for author, _ in waited})


@given(st.lists(st.text(min_size=1), max_size=30), st.lists(st.text(min_size=1), max_size=30))
def test_the_sentence_is_bounded_and_a_line(unsaid: list[str], in_doubt: list[str]) -> None:
    sentence = left_unsaid(unsaid, in_doubt)
    assert len(sentence) < 2 * (QUOTED * (MAX_QUOTE_LENGTH + 4) + 200)
    assert "\n" not in sentence
    assert sentence.count("`") in (0, 2)


@pytest.mark.parametrize(
    ("names", "who"),
    [
        (["Ana"], "Ana"),
        (["Ana", "Ben"], "Ana and Ben"),
        (["Ana", "Ben", "Cal"], "Ana, Ben and Cal"),
        (["Ana", "Ben", "Cal", "Dee"], "Ana, Ben, Cal and 1 other"),
        (["Ana", "Ben", "Cal", "Dee", "Eve"], "Ana, Ben, Cal and 2 others"),
    ],
)
def test_the_channel_reads_whose_words_are_missing(names: list[str], who: str) -> None:
    assert left_unsaid_of(names) == f"Not everything was said: some words that {who} gave the avatar are missing."
