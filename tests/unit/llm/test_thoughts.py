"""A model's thoughts are left out of its answer, wherever the network cuts it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.llm.thoughts import MAX_TAG_LENGTH, NAMES, Thoughts


def spoken(*fragments: str) -> str:
    thoughts = Thoughts()
    return "".join([*map(thoughts.leave_out, fragments), thoughts.rest()])


ANSWERS = [
    ("<think>Say hello. Is 1 < 2? </b></think>Hello there, welcome back.", "Hello there, welcome back."),
    ("\n<think>\n\n</think>\n\nHello.", "Hello."),
    ("<Think>a</THINK >Hello.", "Hello."),
    ('<thinking mode="deep">a <think>b</thinking>Hello.', "Hello."),
    ("<thought>a</thought><reasoning>b</reasoning>Hello.", "Hello."),
    ("<seed:think>a</seed:think>Hello.", "Hello."),
    ("[THINK]a[/THINK]Hello.", "Hello."),
    ("◁think▷a◁/think▷Hello.", "Hello."),
    ("Well, <think>what else?</think>hello.", "Well, hello."),
    ("Hello.<think>and now", "Hello."),
    ("<think>and now", ""),
    ("Hello.<thi", "Hello."),
    ("Hello.</think", "Hello."),
    ("1 < 2 and [x] <3", "1 < 2 and [x] <3"),
    ("I <thank> you <", "I <thank> you <"),
    ("It is written between `<think>` and `</think>`.", "It is written between `<think>` and `</think>`."),
]


@pytest.mark.parametrize(("answer", "said"), ANSWERS)
def test_thoughts_are_left_out_wherever_the_answer_is_cut(answer: str, said: str) -> None:
    assert spoken(answer) == said
    assert spoken(*answer) == said
    for cut in range(len(answer)):
        assert spoken(answer[:cut], answer[cut:]) == said


plain = st.text(st.sampled_from("ab <>[]/◁▷\n"), max_size=20).filter(lambda text: not text.endswith(("`", '"', "'")))


@given(
    st.lists(st.tuples(plain, st.sampled_from(NAMES), plain), max_size=5),
    plain,
    st.lists(st.integers(min_value=0, max_value=200), max_size=10),
)
def test_all_text_between_the_thoughts_is_spoken(
    blocks: list[tuple[str, str, str]], last: str, cuts: list[int]
) -> None:
    answer = "".join(f"{text}<{name}>{thought}</{name}>" for text, name, thought in blocks) + last
    expected = "".join(text for text, _, _ in blocks) + last
    borders = sorted({0, *(cut for cut in cuts if cut < len(answer)), len(answer)})
    fragments = [answer[start:stop] for start, stop in itertools.pairwise(borders)]
    said = spoken(*fragments)
    # What could have become a tag at the very end is not said.
    assert said == expected.lstrip() or (expected.lstrip().startswith(said) and expected[-2:] in ("</", "[/", "◁/"))


@given(st.lists(plain, max_size=8))
def test_nothing_but_the_beginning_of_a_tag_is_kept_back(fragments: list[str]) -> None:
    thoughts = Thoughts()
    for fragment in fragments:
        thoughts.leave_out(fragment)
        assert len(thoughts._held) <= MAX_TAG_LENGTH


def test_words_are_not_kept_back() -> None:
    thoughts = Thoughts()
    assert [thoughts.leave_out(word) for word in ("Hello ", "there <", "3 you")] == ["Hello ", "there ", "<3 you"]


def test_what_came_before_a_tag_that_only_closes_were_thoughts() -> None:
    thoughts = Thoughts()
    assert thoughts.leave_out("I should greet.</think>Hello.") == "Hello."
    assert thoughts.begun_unseen
