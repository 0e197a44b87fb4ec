from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from bot.text import split

EXAMPLES = [
    ("One. Two. Three.", 10, ["One. Two.", "Three."]),
    ("Wow! Really? Yes… maybe.", 12, ["Wow! Really?", "Yes… maybe."]),
    ('He said "no." Then he left.', 18, ['He said "no."', "Then he left."]),
    ("Ask Mr. Smith about it. He knows.", 26, ["Ask Mr. Smith about it.", "He knows."]),
    ("Take a fruit, e.g. an apple now", 20, ["Take a fruit,", "e.g. an apple now"]),
    ("Pi is 3.14 and more than that", 12, ["Pi is 3.14", "and more", "than that"]),
    ("I met J. R. R. Tolkien there", 14, ["I met J. R. R.", "Tolkien there"]),
    ("See no. 5 here. I said no. Why?", 26, ["See no. 5 here. I said no.", "Why?"]),
    ("We have etc. and more. Good.", 22, ["We have etc. and more.", "Good."]),
    ("We have it all, etc. Then more.", 22, ["We have it all, etc.", "Then more."]),
    ("Am 3. Oktober ist frei. Gut so.", 25, ["Am 3. Oktober ist frei.", "Gut so."]),
    ("It was 1999. Then came 2000.", 20, ["It was 1999.", "Then came 2000."]),
    ("first, second, third and fourth", 16, ["first, second,", "third and fourth"]),
    ("this – that and something else", 12, ["this –", "that and", "something", "else"]),
    ("plain words without any mark", 12, ["plain words", "without any", "mark"]),
    ("你好。我很好。他也好。", 8, ["你好。我很好。", "他也好。"]),
    ("「你好。」他说，很好。", 6, ["「你好。」", "他说，很好。"]),
    ("一二三，四五六七八九十", 6, ["一二三，", "四五六七八九", "十"]),
    ("真的？！是的。", 4, ["真的？！", "是的。"]),
    ("كيف حالك؟ أنا بخير.", 12, ["كيف حالك؟", "أنا بخير."]),
    ("यह अच्छा है। वह भी।", 13, ["यह अच्छा है।", "वह भी।"]),
    ("Это т.е. пример. Вот так.", 18, ["Это т.е. пример.", "Вот так."]),
    ("a abcdefghij b", 4, ["a", "abcd", "efgh", "ij b"]),
    ("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 11, ["👩‍👩‍👧👩‍👩‍👧", "👩‍👩‍👧"]),
    ("👩‍👩‍👧", 2, ["👩\u200d", "👩\u200d", "👧"]),
    ("it all fits. Here.", 900, ["it all fits. Here."]),
    ("  spaces \n are\tfolded ", 900, ["spaces are folded"]),
    ("", 10, []),
    (" \n ", 10, []),
]


@pytest.mark.parametrize(("text", "limit", "pieces"), EXAMPLES, ids=[ascii(text)[:40] for text, _, _ in EXAMPLES])
def test_text_is_cut_into(text: str, limit: int, pieces: list[str]) -> None:
    assert split(text, limit) == pieces


def test_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        split("a", 0)


WORDS = st.one_of(
    st.text("abcdefgh", min_size=1, max_size=12),
    st.text("абвгд", min_size=1, max_size=12),
    st.text("ابتثج", min_size=1, max_size=12),
    st.text("कखगिा्", min_size=1, max_size=12),
    st.text("你好世界。，？", min_size=1, max_size=12),
    st.lists(st.sampled_from(["😂", "👩‍👩‍👧", "👍🏽", "🇩🇪", "❤️"]), min_size=1, max_size=2).map("".join),
    st.sampled_from(["Mr.", "e.g.", "3.14", "J.", "-", "…", ")", '"', "好。」", "no.", "5"]),
)
MARKS = st.sampled_from(["", "", "", ".", ",", "!", "?", ";", "...", "。", "؟", "।", '."', ".)"])
TEXTS = st.lists(st.tuples(WORDS, MARKS).map("".join), max_size=40).map(" ".join)


@given(TEXTS, st.integers(1, 60))
@settings(max_examples=400, deadline=None)
def test_no_piece_is_longer_than_the_limit_and_nothing_is_lost(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(0 < len(piece) <= limit for piece in pieces)
    assert all(piece == piece.strip() for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@given(TEXTS, st.integers(24, 60))
@settings(max_examples=400, deadline=None)
def test_pieces_joined_are_the_text_where_every_word_fits(text: str, limit: int) -> None:
    folded = " ".join(text.split())
    if max(map(len, folded.split()), default=0) <= limit:
        assert " ".join(split(text, limit)) == folded


@given(TEXTS, st.integers(1, 60))
@settings(max_examples=400, deadline=None)
def test_two_neighbours_never_fit_into_one_piece_unless_a_better_border_parts_them(text: str, limit: int) -> None:
    assume(max(map(len, text.split()), default=0) <= limit)  # a word that must be cut begins a piece of its own
    for before, after in pairwise(split(text, limit)):
        first_word = after.split()[0]
        room = limit - len(before) - 1
        ends_well = before[-1] in ".!?…؟।。？,;:，\"')」-" or not before[-1].isalnum()
        assert room < len(first_word) or ends_well


@given(
    st.lists(
        st.sampled_from(["😂", "👩‍👩‍👧", "👍🏽", "🇩🇪", "❤️", "e\u0301\u0323", "क्षि", "a", "好"]), min_size=1, max_size=40
    ),
    st.integers(12, 30),
)
@settings(max_examples=300, deadline=None)
def test_long_word_is_never_cut_inside_a_grapheme_cluster(clusters: list[str], limit: int) -> None:
    word = "".join(clusters)
    pieces = split(word, limit)
    assert "".join(pieces) == word
    assert [cluster for piece in pieces for cluster in iter_graphemes(piece)] == list(iter_graphemes(word))


@given(st.lists(st.text("abcdefg", min_size=1, max_size=8), min_size=1, max_size=40), st.integers(20, 60))
@settings(max_examples=200, deadline=None)
def test_plain_words_fill_as_few_pieces_as_possible(words: list[str], limit: int) -> None:
    fewest = 1
    room = limit
    for word in words:
        if len(word) + (room < limit) > room:
            fewest += 1
            room = limit
        room -= len(word) + (room < limit)
    assert len(split(" ".join(words), limit)) == fewest


@pytest.mark.parametrize(
    "seed", ["a", "a ", "a. ", "a, ", "。", "，好", ". ", ") ", "」", "\u0301", "👩\u200d", "कि्", "a. bcdefgh, ijk "]
)
@pytest.mark.parametrize("limit", [1, 7, 900])
def test_long_hostile_text_is_cut_whole(seed: str, limit: int) -> None:
    """Quadratic work on 100,000 characters would run into the time limit of the test run; linear work does not."""
    text = seed * (100_000 // len(seed))
    assert "".join("".join(split(text, limit)).split()) == "".join(text.split())
