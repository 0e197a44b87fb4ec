"""How words look on Discord: escaped, cut at good places, within Discord's limits."""

from datetime import UTC, datetime

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.discord.render import MAX_MESSAGE_LENGTH, embed_of, escape, pieces_of, pieces_of_answer, split
from bot.core.views import Reply
from bot.sessions.panel import Panel

WORDS = st.text(st.sampled_from("ab .\n`*_"), max_size=9000)


@given(WORDS)
def test_pieces_fit_and_no_visible_character_is_lost(text: str) -> None:
    pieces = split(text)
    assert all(0 < len(piece) <= MAX_MESSAGE_LENGTH for piece in pieces)
    # Fences are added, never taken away, so only what is no fence has to be the same.
    letters = [character for character in text if character in "ab.*_"]
    assert [character for character in "".join(pieces) if character in "ab.*_"] == letters


@given(st.integers(1, 400), st.sampled_from(["", "python"]))
def test_code_block_over_several_messages_is_closed_and_opened_again(lines: int, language: str) -> None:
    code = "\n".join(f"line {number} of the code" for number in range(lines))
    pieces = split(f"Look:\n```{language}\n{code}\n```\nThat was it.")
    assert all(piece.count("```") % 2 == 0 for piece in pieces)
    for piece in pieces[1:]:
        if "of the code" in piece:
            assert piece.startswith(f"```{language}\n")


def test_text_is_cut_between_sentences() -> None:
    text = "A sentence of some length. " * 100
    assert all(piece.endswith("length.") for piece in (piece.rstrip() for piece in split(text)))


def test_commands_in_backquotes_stay_code() -> None:
    assert escape("Start one with `/avatar start`.") == "Start one with `/avatar start`."


@pytest.mark.parametrize("name", ["**bold**", "_soft_", "||hidden||", "# heading", "> quote", "~~gone~~", "`"])
def test_formatting_in_names_is_shown_as_it_is_written(name: str) -> None:
    assert escape(f"{name} wrote") != f"{name} wrote"
    assert discord.utils.remove_markdown(escape(name)).replace("\\", "").strip() in name


@pytest.mark.parametrize("token", ["@everyone", "@here", "<@123456789012345678>", "<@&123456789012345678>"])
def test_mentions_in_text_are_broken(token: str) -> None:
    assert token not in escape(f"hello {token}")


def test_long_list_is_cut_and_says_how_much_is_missing() -> None:
    fields = tuple((f"name {number}", "x" * 100) for number in range(500))
    pieces = pieces_of(Reply("Many:", fields=fields))
    assert len(pieces) <= 3
    shown = "\n".join(pieces).count("**name ")
    assert pieces[-1].endswith(f"and {500 - shown} more")


def test_link_too_long_for_a_button_is_in_the_text() -> None:
    link = "https://watch.example.com/" + "x" * 600
    assert pieces_of(Reply("Here:", link=link)) == [f"Here:\n{link}"]
    assert pieces_of(Reply("Here:", link="https://watch.example.com/w/1")) == ["Here:"]


def test_panel_fits_an_embed_whatever_the_names_are() -> None:
    panel = Panel("t" * 900, (("n" * 900, "v" * 9000),), (), None, "javascript:x", datetime.now(UTC), "e" * 9000)
    embed = embed_of(panel)
    assert len(embed) <= 6000
    assert embed.thumbnail.url is None
    assert embed.description is not None


@pytest.mark.parametrize("around", [10, 1000])
def test_no_half_of_what_is_hidden_is_shown_in_an_answer_of_several_messages(around: int) -> None:
    words = "word " * around
    pieces = pieces_of_answer(f"{words}||{'the butler, ' * 100}||{words}")
    assert (len(pieces) == 1) is (around == 10)
    assert all(piece.count("||") % 2 == 0 for piece in pieces)
    assert any("butler" in piece for piece in pieces) is (around == 10)
