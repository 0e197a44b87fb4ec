"""Letters in fancy dress are read, pictures are not."""

import unicodedata

import pytest
from emoji import EMOJI_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.text import make_speakable
from bot.text.pictures import without_pictures

READ = {
    "𝓗𝓮𝓵𝓵𝓸": "Hello",
    "Ｈｅｌｌｏ": "Hello",
    "Ⓐⓑⓒ": "Abc",
    "𝐁𝐨𝐥𝐝 𝘐𝘵 𝔉𝔯 𝔻𝕓 𝚖𝚘𝚗𝚘 𝟙𝟚𝟛 ℋℯ ℂ": "Bold It Fr Db mono 123 He C",
    "🅐🅑 🅷🅸 🄷🄸 🄐🄑 ⒣⒠⒴": "AB HI HI AB hey",
    "🅰🅱 Ⓜonday": "AB Monday",
    "① ⑳ ❶ ➓ ⓵ ⑴ ⒈ ㊿": "1 20 1 10 1 1 1. 50",
    "ˢᵐᵃˡˡ 4ᵗʰ": "small 4th",
    "Ⅳ ⅷ": "IV viii",
    "ﬁne ﬂow oﬃce": "fine flow office",
    "𝛂𝛃": "αβ",
    "５ ㎞ ２ ㎡": "5 km 2 m²",
    "１０時にＡ社": "10時にA社",
    "🇭🇪🇱🇱🇴": "HELLO",
    "𝗱𝗼𝗻'𝘁 ❗ 𝗲́": "don't é",
    # what means more than its letters, and other scripts
    "m² x³ H₂O xⁿ": "m² x³ H₂O xⁿ",
    "½ cup at 20 ℃, № 5, 3 µm": "½ cup at 20 ℃, № 5, 3 µm",
    "Acme™ 1º 2ª": "Acme™ 1º 2ª",
    "ｶﾀｶﾅ！ ㅋㅋㅋ ㊙ ㌔": "ｶﾀｶﾅ！ ㅋㅋㅋ ㊙ ㌔",
    "ﷺ ﻼ": "ﷺ ﻼ",
    "Ελλάδα Привет שלום": "Ελλάδα Привет שלום",
}

SHOWN = {
    "falcon 😀🎉 great": "falcon great",
    "falcon😀great": "falcon great",
    "great 😀!": "great!",
    "great😀, really": "great, really",
    "(😀 hi 🎉)": "(hi)",
    "*great 😀* and **😀 more**": "great and more",
    "**Berlin**😀 is great": "Berlin is great",
    "she said «😀 hi» and «😀 bye»": "she said «hi» and «bye»",
    "a«😀 b": "a« b",
    "👍🏽👍 👩‍👩‍👧 👨🏿‍🚀 ok": "ok",
    "👩‍🦖 nobody's family": "nobody's family",
    "🇩🇪 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿 and 🏳️‍🌈": "and and",
    "❤️ ❤ ❤︎ ☀ ✅ love": "love",
    "vote 1️⃣ or 2⃣ or #️⃣": "vote or or",
    "room #5, 2*3, 10 #tags": "room #5, 2*3, 10 #tags",
    "© 2026 Acme™ ®️ wow‼": "© 2026 Acme™ ® wow‼",
    "ℹ️ news 🆕 🅰️ ㊗️": "news",
    "\U0001faef\U0001f6dd newer": "newer",
    "- 😀 milk\n- 🥚 eggs": "milk eggs",
    "好😀的": "好 的",
    "→ ★ ✓ stay": "→ ★ ✓ stay",
    # a message of pictures alone has no words
    "😀": "",
    "😂 " * 40: "",
    "👍🏽": "",
    "1️⃣": "",
    "🇩🇪🇫🇷": "",
    "❤️‍🔥!!!": "",
    "™️": "",
    "★": "",
    "🏽": "",
}


@pytest.mark.parametrize(("written", "said"), READ.items(), ids=[ascii(text)[:40] for text in READ])
def test_compatibility_forms_are_read_as(written: str, said: str) -> None:
    assert make_speakable(written) == unicodedata.normalize("NFC", said)


@pytest.mark.parametrize(("written", "said"), SHOWN.items(), ids=[ascii(text)[:40] for text in SHOWN])
def test_pictures_leave(written: str, said: str) -> None:
    assert make_speakable(written) == said


LETTERS_TOO = set("©®™‼⁉Ⓜ🅰🅱🅾🅿㊗㊙")


def test_every_picture_that_the_package_knows_goes_whole() -> None:
    left = {picture for picture in EMOJI_DATA if make_speakable(f"a {picture} b") != "a b"}
    assert {picture.rstrip("\ufe0f") for picture in left} == LETTERS_TOO
    assert {picture for picture in left if len(picture) > 1} == {f"{sign}\ufe0f" for sign in "©®™‼⁉"}


def test_nothing_is_a_picture_that_the_package_does_not_know() -> None:
    known = {picture[0] for picture in EMOJI_DATA}
    of_newer_versions = {*range(0x1F000, 0x1F100), *range(0x1F300, 0x1FB00)}
    others = {chr(point) for point in {*range(0x20000)} - of_newer_versions} - known
    assert {sign for sign in others if without_pictures(f"a {sign} b") != f"a {sign} b"} == set()


def test_letters_are_a_flag_where_the_package_knows_the_country() -> None:
    letters = [chr(0x1F1E6 + place) for place in range(26)]
    pairs = {first + second for first in letters for second in letters}
    assert {pair for pair in pairs if without_pictures(f"a {pair} b") == "a b"} == pairs & EMOJI_DATA.keys()


@given(st.lists(st.sampled_from([*EMOJI_DATA, " "]), min_size=1, max_size=20).map("".join))
@settings(max_examples=200, deadline=None)
def test_only_flag_letters_that_lost_their_partner_are_left_of_pictures(text: str) -> None:
    said = make_speakable(text)
    assert not any(ord(character) >= 0x1F000 or character in "\u200d\ufe0f\u20e3" for character in said)


@given(st.text(st.characters(min_codepoint=0x370, max_codepoint=0xABFF, categories=["Lo", "Lu", "Ll"]), max_size=20))
@settings(max_examples=200, deadline=None)
def test_ordinary_letters_of_any_script_stay(text: str) -> None:
    letters = "".join(one for one in text if not unicodedata.decomposition(one).startswith("<"))
    known = unicodedata.normalize("NFC", letters)
    said = make_speakable(known)
    assert set(said) <= set(known)
    assert bool(said) == bool(known)
