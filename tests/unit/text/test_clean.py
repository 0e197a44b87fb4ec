import string
import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from bot.text import make_speakable

# --- what becomes of what --------------------------------------------------------------------------------------------

SAID = {
    # mentions
    "hi <@123>!": "hi Ana!",
    "<@!123>'s turn": "Ana's turn",
    "<@123><@123> go": "Ana Ana go",
    "in <#55>": "in general",
    "<@999> and <@!998>": "someone and someone",
    "<@&7> meet in <#8>": "a group meet in a channel",
    "<@U1|bea> in <#C2|random>": "bea in random",
    "<!here> and <!channel>": "everyone and everyone",
    "<!subteam^S1> or <!subteam^S2|@crew>": "a group or crew",
    "@everyone look, @here too": "everyone look, everyone too",
    "thanks @bo": "thanks bo",
    "2 apples @ 3 euros": "2 apples @ 3 euros",
    "try </avatar start:42>": "try avatar start",
    "see <id:browse>": "see a channel",
    # links
    "<https://example.com/x|the plan> is here": "the plan is here",
    "<https://example.com>": "a link",
    "<https://example.com|example.com>": "a link",
    "<mailto:ana@example.com|ana@example.com>": "ana@example.com",
    "read https://example.com/a_b*c?d=e#f.": "read a link.",
    "(see https://example.com/x).": "(see a link).",
    "https://en.wikipedia.org/wiki/Foo_(bar) explains": "a link explains",
    "HTTPS://EXAMPLE.COM/X or www.example.com": "a link or a link",
    "**https://example.com**": "a link",
    "||https://example.com|| shh": "spoiler shh",
    "look:https://example.com": "look:a link",
    "lookhttps://example.com": "look a link",
    "看https://example.com/x。很好": "看 a link。很好",
    "example.com is down": "a link is down",
    "docs.example.io/start, then": "a link, then",
    "Booking.com and Node.js and readme.md and asp.net": "Booking.com and Node.js and readme.md and asp.net",
    "mail ana.b@example.com now": "mail ana.b@example.com now",
    "Yes.No.Maybe e.g. this, i.e. that": "Yes.No.Maybe e.g. this, i.e. that",
    "[the plan](https://example.com/x_(y)) is": "the plan is",
    '[plan](<https://example.com> "title")': "plan",
    "[run](javascript:alert(1)) [call](tel:123) [notes](./notes.md)": "run call notes",
    "see [the plan](https://exam": "see the plan",
    "array[0](x) stays": "array[0](x) stays",
    # code
    "run ```py\nx = 1\n``` now": "run some code now",
    "an open ``` fence": "an open fence",
    "call `make demo` first": "call make demo first",
    "call ``make demo`` first": "call make demo first",
    "`" + "x = y; " * 20 + "`": "some code",
    "don`t": "don't",
    # markdown
    "**bold** *it* _it_ __under__ ~~gone~~ ***both***": "bold it it under gone both",
    "**H**ello and s**tron**g": "Hello and strong",
    "# Title\n## Next\n-# small\n> quoted\n>>> rest": "Title Next small quoted rest",
    "- milk\n* eggs\n  - brown\n• tea": "milk eggs brown tea",
    ">quoted in Slack\n>5 people": "quoted in Slack >5 people",
    "above\n---\nbelow": "above below",
    "2 * 3 = 6 and 2*3 = 6": "2 * 3 = 6 and 2*3 = 6",
    "snake_case stays": "snake_case stays",
    "~5 minutes": "~5 minutes",
    "*their": "their",
    r"\*not bold\*": "not bold",
    # emoji
    "<:wave_hi:1> <a:x:1>": "wave hi x",
    "well done :thumbs_up: :+1::wave::skin-tone-3:": "well done thumbs up thumbs up wave",
    "at 10:30:45 we meet": "at 10:30:45 we meet",
    "ratio 1:2:3": "ratio 1:2:3",
    # times
    "starts <t:1700000000:R>": "starts a time",
    # runs
    "nooooooo!!!!!!": "nooo!",
    "what?????": "what?",
    "wait......": "wait...",
    "it costs 1000000 euros": "it costs 1000000 euros",
    "I like C++ and www": "I like C++ and www",
    "дааааааа": "дааа",
    "لاااااااا": "لااا",
    "哈哈哈哈哈哈！！！": "哈哈哈！",
    "नहींहींहींहींहीं": "नहींहींहीं",
    "e\u0301" * 9: "ééé",
    "ha " * 40: "ha ha ha ha ha",
    "buy now " * 40: " ".join(["buy now"] * 5),
    "★ " * 40 + "wow": "★ ★ ★ wow",
    # characters
    "a\u202eb\u200bc\x00d\ufeff": "abcd",
    "soft\u00adhyphen": "softhyphen",
    "a\u200db": "ab",
    "می‌خواهم": "می‌خواهم",
    "ක්‍රි": "ක්‍රි",
    "one\r\n\r\n  two\tthree": "one two three",
    "\ud83d lone": "lone",
    # tables
    "| City | Size |\n|:---|---:|\n| New York | 8 |\n| *Berlin* |  | 3.7 |": "City, Size. New York, 8. Berlin, 3.7.",
    "City | People\n--- | ---\nBerlin | 3.7": "City People Berlin 3.7",
    "yes|no": "yes no",
    # nothing
    "": "",
    " \n\t": "",
    "***": "",
    "?!": "",
    "``` ```": "",
    "\u200b\u2800": "",
    "||": "",
}


@pytest.mark.parametrize(("written", "said"), SAID.items(), ids=[ascii(text)[:40] for text in SAID])
def test_message_is_said_as(written: str, said: str) -> None:
    assert make_speakable(written, {"<@123>": "Ana", "<#55>": "general"}) == said


def test_name_given_for_a_mention_is_found_in_each_of_its_forms() -> None:
    names = {"<@5>": "Eva"}
    assert make_speakable("<@5> <@!5> <@5|eva.m>", names) == "Eva Eva Eva"


def test_name_of_a_token_without_brackets_is_put_in() -> None:
    assert make_speakable("hello @ana and @anabel", {"@ana": "Ana", "@anabel": "Bel"}) == "hello Ana and Bel"


def test_markup_in_a_display_name_is_not_said_and_reaches_nothing_outside() -> None:
    assert make_speakable("<@1> a <@2>", {"<@1>": "```**x", "<@2>": "<@1>```"}) == "x a someone"


def test_name_without_a_letter_becomes_someone() -> None:
    assert make_speakable("hi <@1>", {"<@1>": "***"}) == "hi someone"


# --- no word is lost -------------------------------------------------------------------------------------------------

LETTERS = {
    "latin": "abcdefghijklmnopqrstuvwxyzäéñß",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "devanagari": "कखगचजतदनपबमयरलवसह",
    "cjk": "你好世界天地人日月山水火木金土的一是不了在有我他这",
}
SYLLABLE_ENDS = {"devanagari": ["", "ा", "ि", "ी", "ु", "े", "ो", "ं", "्"]}


def words(script: str) -> st.SearchStrategy[str]:
    """Words without three equal characters in a row."""
    syllable = st.tuples(st.sampled_from(LETTERS[script]), st.sampled_from(SYLLABLE_ENDS.get(script, [""])))
    return st.lists(syllable.map("".join), min_size=1, max_size=10, unique=True).map("".join)


MARKS = st.sampled_from(
    [" ", ", ", ". ", "! ", "? ", " - ", ": ", "; ", "\n", "  ", '" ', " (", ") ", "... ", "。", "؟ ", "। "]
)


@pytest.mark.parametrize("script", LETTERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_word_of_a_sentence_is_lost(script: str, data: st.DataObject) -> None:
    said = data.draw(st.lists(words(script), min_size=1, max_size=20, unique=True))
    text = "".join(word + data.draw(MARKS) for word in said)

    spoken = make_speakable(text)

    position = 0
    for word in said:
        found = spoken.find(word, position)
        assert found >= 0, f"{word!r} of {text!r} is missing in {spoken!r}"
        position = found + len(word)


WRAPPERS = [
    "**{}**",
    "*{}*",
    "_{}_",
    "__{}__",
    "~~{}~~",
    "`{}`",
    "> {}\n",
    "# {}\n",
    "- {}\n",
    "[{}](https://e.org)",
    "**_{}_**",
    "<https://e.org|{}>",
]


@pytest.mark.parametrize("script", LETTERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_markup_goes_and_its_words_stay(script: str, data: st.DataObject) -> None:
    said = data.draw(st.lists(words(script), min_size=1, max_size=10, unique=True))
    text = "\n".join(data.draw(st.sampled_from(WRAPPERS)).format(word) for word in said)
    assert make_speakable(text) == " ".join(said)


CLUSTERS = ["क्ष", "त्रि", "é", "ǟ̃", "가", "し", "م"]


@given(st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_marked_letters_stay_whole(clusters: list[str]) -> None:
    before = list(iter_graphemes("".join(clusters)))
    after = list(iter_graphemes(make_speakable("".join(clusters))))
    remaining = iter(before)
    assert all(cluster in remaining for cluster in after), (before, after)
    assert set(after) == set(before)


# --- the same again --------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *"*_~|`<>[]()#:@!./\\-&?,;'\" \n",
        "a",
        "b",
        "7",
        "ж",
        "好",
        "ا",
        "कि",
        "́",
        "\u200d",
        "\u200c",
        "\ufe0f",
        "😂",
        "👩",
        "1\ufe0f\u20e3",
        "\u20e3",
        "Ⓐ",
        "🅰",
        "ᵗʰ",
        "Ａ",
        "\u202e",
        "```",
        "**",
        "||",
        "<@",
        "<#",
        "<:",
        "<t:",
        "<!here>",
        "](",
        "http://",
        "www.",
        ".com",
        "x.org/",
        ":+1:",
        "\\",
        "@here",
        "a link",
        "🇩",
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join))
@settings(max_examples=800, deadline=None)
@example("<`@1>")
@example("exa*mple.com")
@example("<<<@1>@1>@1>")
@example("<" * 20 + "@1>" * 20 + " *a* b.com")
@example("\\\\\\\\*a")
@example("[[[a](http://x)](http://x)](http://x)")
@example("<:<:<:a:1>:1>:1>:a:")
@example("a_\u0301_b ._. `*`_`*`x")
def test_cleaning_again_changes_nothing(text: str) -> None:
    once = make_speakable(text)
    assert make_speakable(once) == once


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_becomes_one_clean_line(text: str) -> None:
    said = make_speakable(text)
    assert make_speakable(said) == said
    assert said == " ".join(said.split())
    assert said.isprintable() or any(ord(character) > 0x7F for character in said)
    said.encode()


# --- hostile text ----------------------------------------------------------------------------------------------------

HOSTILE = [
    *"*_~|`<>[](){}#:@!./\\-&?a7",
    *[
        "**",
        "*_",
        "||",
        "```",
        "``` ",
        "`a",
        "<@",
        "<:a",
        "<a:",
        "](",
        "[a](",
        "[a](http://",
        "[](",
        "(a",
        "http://",
        "http://a",
        "www.",
        "a.",
        "a.b.",
        "a-",
        ":a",
        ":a:",
        "::",
        "<http://a|",
        "\\*",
        "\\",
        "> ",
        "# ",
        "- ",
        "- - ",
        ">>>",
        "* ",
        "---\n",
        "\n",
        " ",
        "a ",
        "a b ",
        "\t",
        "@a",
        "@@",
        "\u200d",
        "\ufe0f",
        "\u0301",
        "a\u0301\u0323",
        "👩\u200d",
        "🇩",
        "क्",
        "\U000e0067",
        "\U0001f3f4\U000e0067",
        "<`",
        "*<",
        "|*",
        "[*](",
        "a@",
        "a@b.",
        "x://",
        "(" + "a" * 7,
        "\u0344",
    ],
]


@pytest.mark.parametrize("seed", HOSTILE, ids=ascii)
def test_long_hostile_text_is_cleaned_and_stays_clean(seed: str) -> None:
    """Quadratic work on 50,000 characters would run into the time limit of the test run; linear work does not."""
    text = seed * (50_000 // len(seed)) + "x"
    once = make_speakable(text)
    assert make_speakable(once) == once


def calls_made_by(work: Callable[[], object]) -> int:
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("seed", HOSTILE, ids=ascii)
def test_twice_the_text_is_about_twice_the_work(seed: str) -> None:
    def work(length: int) -> int:
        text = seed * (length // len(seed)) + "x"
        return calls_made_by(lambda: make_speakable(text))

    assert work(8_000) <= 2.2 * work(4_000) + 200


@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=4), st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_nested_hostile_markup_ends(seeds: list[str], depth: int) -> None:
    text = "".join(seeds) * depth + "word " + string.punctuation + "".join(reversed(seeds)) * depth
    once = make_speakable(text)
    assert make_speakable(once) == once


def test_marks_on_one_letter_are_bounded_and_those_on_none_are_dropped() -> None:
    assert len(make_speakable("\u0301 a" + "\u0301\u0323" * 5_000 + "b")) <= 1 + 30 + 1
    assert make_speakable("\u0301\u0323 b") == "b"
