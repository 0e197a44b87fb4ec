"""A text that is still being written is cleaned like one that is there, wherever it is cut into fragments."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.text import SpeakableStream, close_open_markup, make_speakable, mask_spoilers
from bot.text.stream import MAX_HELD_LENGTH
from tests.fuzz.growth import grows_linearly
from tests.unit.text.test_clean import PIECES, SAID
from tests.unit.text.test_hidden import SAID as HIDDEN
from tests.unit.text.test_letters_and_pictures import READ, SHOWN

ANSWER = """# Berlin

**Berlin** is the [capital](https://example.com/c "the page") of Germany, _really_, ~~no~~ yes. See https://example.com/x.

| City | People |
|------|-------:|
| New York | 8 million |
| Berlin | 3.7 million |

1. First, `make demo` 🎉
2. Then <@123> says "good morning"
   - the killer is ||the butler||!

> 你好世界。**很好**吗? `a || b` or c

```py
x = [1, 2]
```
That is ***all*** of it, 𝓻𝓮𝓪𝓵𝓵𝔂 1️⃣!"""

SPOKEN = (
    "Berlin Berlin is the capital of Germany, really, no yes. See a link. City, People. New York, 8 million. "
    'Berlin, 3.7 million. 1. First, make demo 2. Then someone says "good morning" the killer is spoiler! '
    "你好世界。很好吗? a b or c some code That is all of it, really!"
)


def streamed(fragments: list[str]) -> list[str]:
    """What is said after each fragment, and at the end."""
    stream = SpeakableStream()
    return [*(stream.add(fragment) for fragment in fragments), stream.finish()]


def cut(text: str, places: list[int]) -> list[str]:
    borders = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(borders)]


PLACES = st.lists(st.integers(0, 10_000), max_size=40)


def test_answer_is_spoken_as_a_message_would_be() -> None:
    assert make_speakable(ANSWER) == SPOKEN
    assert "".join(streamed(list(ANSWER))) == SPOKEN


@given(PLACES)
@settings(max_examples=200, deadline=None)
def test_answer_is_spoken_alike_wherever_it_is_cut(places: list[int]) -> None:
    assert "".join(streamed(cut(ANSWER, places))) == SPOKEN


TABLES = {**SAID, **HIDDEN, **READ, **SHOWN}


@pytest.mark.parametrize("written", TABLES, ids=[ascii(text)[:40] for text in TABLES])
def test_each_rule_for_messages_holds_for_answers(written: str) -> None:
    text = f"well then {written} and so on"
    assert "".join(streamed(list(text))) == make_speakable(text)


PARTS = st.sampled_from(
    [
        "word ",
        "and ",
        "**bold words** ",
        "*it* ",
        "_so_, ",
        "~~gone~~ ",
        "||hidden thing|| ",
        "`code || here` ",
        "[a label](https://example.com/x_(y)) ",
        "https://example.com/a?b=c. ",
        "example.com, ",
        "(see [x] and y) ",
        "1 < 2 ",
        "<@1> ",
        "2 * 3 ",
        "a || b ",
        "- ",
        "\n",
        "\n\n",
        "\n# Title\n",
        "\n- item one\n",
        "\n> quoted\n",
        "\n---\n",
        "\n| A b | c |\n|---|---|\n| d e | f |\n",
        "\n```py\nx = 1 | 2\n```\n",
        "😀 ",
        "1️⃣ ",
        "🇩🇪",
        "Ｈｅ ",
        "你好世界。",
        "吗 ",
        ":wave: ",
        '"quoted" ',
        "no! ",
        "ha ",
    ]
)


@given(st.lists(PARTS, max_size=30).map("".join), PLACES)
@settings(max_examples=500, deadline=None)
def test_what_models_write_is_said_as_if_it_were_whole(text: str, places: list[int]) -> None:
    assert "".join(streamed(cut(text, places))) == make_speakable(text)


@given(st.one_of(st.lists(PIECES, max_size=60).map("".join), st.text(max_size=80)), PLACES)
@settings(max_examples=500, deadline=None)
def test_any_text_at_all_is_said_alike_wherever_it_is_cut(text: str, places: list[int]) -> None:
    said = streamed(cut(text, places))
    assert "".join(said) == "".join(streamed([text]))
    assert bool(said[-1]) == bool("".join(said)), "the end of an answer must be known to be its end"


BROKEN_OFF = {
    "the killer is ||the but": ("the killer is spoiler", "the killer is ||the but||"),
    "the killer is ||the butler|": ("the killer is spoiler", "the killer is ||the butler||"),
    "the killer is ||the butler||": ("the killer is spoiler", "the killer is ||the butler||"),
    "the killer is ||": ("the killer is", "the killer is"),
    "||a|| and ||b": ("spoiler and spoiler", "||a|| and ||b||"),
    "`a || b` is ||c\\": ("a b is spoiler", "`a || b` is ||c||"),
    "see [the capital](https://exa": ("see the capital", "see the capital"),
    "see [the cap": ("see the cap", "see the cap"),
    "who? ||`the` butler ||": ("who? spoiler", "who? ||`the` butler ||"),
    "who? ||`the` butl": ("who? spoiler", "who? ||`the` butl||"),
    "so:\n```py\nx = [1": ("so: some code", "so:\n```py\nx = [1\n```"),
    "**Berlin** is": ("Berlin is", "**Berlin** is"),
}


@pytest.mark.parametrize("written", BROKEN_OFF)
@given(places=PLACES)
@settings(max_examples=20, deadline=None)
def test_what_an_answer_breaks_off_in_is_neither_said_nor_shown_open(written: str, places: list[int]) -> None:
    stream = SpeakableStream()
    said = "".join(map(stream.add, cut(written, places))) + stream.finish(is_whole=False)
    assert (said, close_open_markup(written)) == BROKEN_OFF[written]


HIDDEN_PART = st.sampled_from(["||secret secret|| ", "||secret, **secret**|| ", "||`secret`\n> secret|| "])


@given(st.lists(st.one_of(PARTS, HIDDEN_PART), max_size=20).map("".join), PLACES, st.integers(0, 10_000))
@settings(max_examples=300, deadline=None)
def test_what_is_hidden_stays_hidden_wherever_an_answer_breaks_off(text: str, places: list[int], end: int) -> None:
    if "secret" in mask_spoilers(text):
        return  # a stray pair of bars has turned inside and outside around
    text = text[: end % (len(text) + 1)]
    stream = SpeakableStream()
    said = "".join(map(stream.add, cut(text, places))) + stream.finish(is_whole=False)
    assert "sec" not in f"{said} {mask_spoilers(close_open_markup(text))}"


@given(st.integers(1, 4), st.integers(1, 12))
def test_model_that_repeats_itself_is_bounded_as_people_are(length: int, times: int) -> None:
    text = "so " + " ".join(["one two three four".rsplit(" ", 4 - length)[0]] * times) + " there"
    assert "".join(streamed(re.findall(r"\S+\s*|\s+", text))) == make_speakable(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello there ", "Hello "),
        ("Hello there everybody", "Hello there "),
        ("**Hello** *there* you", "Hello there "),
        ("see [the plan", "see "),
        ("see [the plan](https://exa", "see "),
        ("see [the plan](https://example.com) now", "see the plan "),
        ("it was ||the", "it "),
        ("1 < 2 and so", "1 < 2 and "),
    ],
)
def test_only_what_can_still_become_something_else_waits(text: str, said: str) -> None:
    assert SpeakableStream().add(text) == said


@pytest.mark.parametrize("opener", ["[", "<", "`", "\n| ", "[x]("])
def test_what_is_never_closed_is_held_for_so_long_and_no_longer(opener: str) -> None:
    stream = SpeakableStream()
    stream.add(f"well then {opener}word ")
    waited = 0
    while not stream.add("word "):
        waited += len("word ")
        assert waited <= MAX_HELD_LENGTH + 20
    assert waited > MAX_HELD_LENGTH / 2


@pytest.mark.parametrize("part", ["[", "<a", "[a](", "\n|", "😀 "])
def test_cleaning_a_stream_takes_work_in_proportion_to_its_length(part: str) -> None:
    def work(text: str) -> None:
        streamed([text[at : at + 50] for at in range(0, len(text), 50)])

    assert grows_linearly(work, lambda size: part * (size // 4 // len(part)))
