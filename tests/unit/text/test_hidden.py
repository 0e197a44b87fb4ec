"""What somebody hid is not said, whatever stands around it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.text import make_speakable

SAID = {
    "the killer is ||the butler||!": "the killer is spoiler!",
    "||all of it||": "spoiler",
    "x||y||z": "x spoiler z",
    "||one||||two||": "spoiler spoiler",
    "**||bold||** and ||*it*||": "spoiler and spoiler",
    "|||odd|||": "spoiler",
    "a ||line one\nline two\n\n> quoted|| b": "a spoiler b",
    "> ||quoted||\n- ||listed||": "spoiler spoiler",
    "[||the link||](https://example.com)": "spoiler",
    "||[the plan](https://example.com/a)|| and ||https://example.com||": "spoiler and spoiler",
    "||`code`|| ||```\nmore\n```||": "spoiler spoiler",
    "||<@123> did it||": "spoiler",
    "||🔪|| it was": "spoiler it was",
    "|| spaced ||": "spoiler",
    # nothing is hidden
    "a || b": "a b",
    "||open": "open",
    "closed||": "closed",
    "|| ||": "",
    "||||": "",
    "`a || b` or `c || d`": "a b or c d",
    "``x || y`` || z": "x y z",
    "```\nif (a || b || c)\n```": "some code",
    r"\|\|shown\|\|": "shown",
    r"\||shown||": "shown",
    # one of them has no partner
    "||hid|| and ||not": "spoiler and not",
    "an open ``` fence ||hid|| here": "an open fence spoiler here",
    "don`t tell ||who|| can`t": "don't tell spoiler can't",
}


@pytest.mark.parametrize(("written", "said"), SAID.items(), ids=[ascii(text)[:40] for text in SAID])
def test_spoiler_is_said_as(written: str, said: str) -> None:
    assert make_speakable(written, {"<@123>": "Ana"}) == said


def test_display_name_opens_and_closes_no_spoiler() -> None:
    names = {"<@1>": "Ana||", "<@2>": "||Ben"}
    assert make_speakable("<@1> and <@2> are here", names) == "Ana and Ben are here"


AROUND = st.lists(
    st.sampled_from(
        [
            "*",
            "**",
            "_",
            "~~",
            "`",
            "```",
            "\\",
            "[",
            "](http://x.org)",
            "<",
            ">",
            "# ",
            "\n",
            "a ",
            "é",
            "🎉",
            "|",
            "7",
        ]
    ),
    max_size=8,
).map("".join)


@given(AROUND, AROUND, AROUND)
@settings(max_examples=400, deadline=None)
def test_hidden_word_is_never_said_unless_it_is_code_or_escaped(before: str, within: str, after: str) -> None:
    if any(sign in before for sign in ("`", "\\", "|")):
        return
    assert "butler" not in make_speakable(f"{before}||{within.replace('|', '')}butler||{after}")
