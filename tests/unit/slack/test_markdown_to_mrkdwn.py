"""What a chat model writes, as Slack shows it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.chat.slack.blocks import MAX_TEXT_LENGTH, message_of_answer
from adapters.chat.slack.markdown_to_mrkdwn import mrkdwn_of
from tests.fuzz.growth import grows_linearly

SHOWN = {
    "**Berlin** is the [capital](https://example.com/c)": "*Berlin* is the <https://example.com/c|capital>",
    # emphasis
    "***all*** ~~gone~~ __b__ _i_ *j*": "*_all_* ~gone~ *b* _i_ _j_",
    "**a *b* c** and **[x](https://e.org)**": "*a _b_ c* and *<https://e.org|x>*",
    "s**tron**g, 重要**です**よ": "strong, 重要ですよ",
    "2 * 3 * 4, 2**3, snake_case_name": "2 * 3 * 4, 2**3, snake_case_name",
    r"\*as it stands\*": "*as it stands*",
    # blocks
    "# Title **x**\ntext": "*Title x*\ntext",
    "- one\n* *two*\n  + three\n1. four": "• one\n• _two_\n  • three\n1. four",
    "> quoted **b**\nand not": "&gt; quoted *b*\nand not",
    "above\n\n---\n\nbelow": "above\n\n\n\nbelow",
    "so:\n| a | b |\n|---|---|\n| 1 | <@U1> |\nend": "so:\n```\n| a | b |\n|---|---|\n| 1 | &lt;@U1&gt; |\n```\nend",
    # code
    "call `make *demo* <x>`": "call `make *demo* &lt;x&gt;`",
    "```py\nx = **1** < 2 || y\n```\ndone": "```\nx = **1** &lt; 2 || y\n```\n\ndone",
    "broken off ```\nx": "broken off \n```\nx\n```",
    # links
    "see https://e.org/a_b_(c)?d=1&e=2.": "see <https://e.org/a_b_(c)?d=1&amp;e=2>.",
    "(<https://e.org>)": "(<https://e.org>)",
    "![a picture](https://e.org/a.png 'title')": "<https://e.org/a.png|a picture>",
    "[**the** `plan`](<https://e.org/a|b>)": "<https://e.org/a%7Cb|the plan>",
    "[https://good.example.com](https://evil.example.com)": "<https://evil.example.com>",
    "[run](javascript:alert(1)) [write](mailto:a@e.org) [file](file:///etc/passwd)": "run write file",
    "[](https://e.org)": "<https://e.org>",
    # nobody is called, nothing is a command
    "<!here> <@U1> <#C1> <!subteam^S1>": "&lt;!here&gt; &lt;@U1&gt; &lt;#C1&gt; &lt;!subteam^S1&gt;",
    "[<!here>](https://e.org)": "<https://e.org|&lt;!here&gt;>",
    "[x](https://e.org/<!here>)": "[x](<https://e.org/>&lt;!here&gt;)",
    "a & b &amp; c": "a &amp; b &amp;amp; c",
    # what is hidden
    "the killer is ||the butler||! `a || b || c`": "the killer is spoiler! `a || b || c`",
}


@pytest.mark.parametrize(("written", "shown"), SHOWN.items(), ids=[ascii(text)[:40] for text in SHOWN])
def test_answer_is_shown_as(written: str, shown: str) -> None:
    assert mrkdwn_of(written) == shown


MARKDOWN = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *["**", "*", "_", "~~", "`", "```", "[", "](", ")", "https://e.org/", "<", ">", "&", "|", "\n", "# "],
                *[
                    "<!here>",
                    "<@U1>",
                    "\\",
                    "javascript:",
                    "||",
                    "\x00",
                    "\x01",
                    "word ",
                    "(",
                    '"',
                    "&lt;!here&gt;",
                    "- ",
                ],
            ]
        ),
        st.text(max_size=5),
    ),
    max_size=40,
).map("".join)


@given(MARKDOWN)
@settings(max_examples=500, deadline=None)
def test_nothing_but_links_is_ever_left_to_slack(markdown: str) -> None:
    message = message_of_answer(markdown)
    for text in [message["text"], *(block["text"]["text"] for block in message["blocks"])]:
        without_links = re.sub(r"<https?://[^\s<>|]+(\|[^<>|]*)?>", "", text)
        assert not re.search("[<>\x00-\x08]", without_links)
        assert not re.search("&(?!amp;|lt;|gt;)", text)


@given(
    st.integers(1, 60),
    st.sampled_from(["&" * 90, "[x](https://e.org/a?b&c) ", "```\n<a>\n```\n", "word & word\n", "<"]),
)
@settings(max_examples=60, deadline=None)
def test_long_answer_is_cut_between_links_and_entities(times: int, part: str) -> None:
    message = message_of_answer(part * times * 4)
    for block in message["blocks"]:
        text = block["text"]["text"]
        assert 0 < len(text) <= MAX_TEXT_LENGTH
        assert not re.search("&(?!amp;|lt;|gt;)", text)
        assert len(re.findall("<https", text)) == text.count(">")
        assert text.count("```") % 2 == 0
        assert block["text"]["verbatim"] is True


@pytest.mark.parametrize(
    "part", ["*", "**", "_", "~~", "`", "```", "[", "[a](", "](", "> ", "- ", "|", "\n|a|", "<", "||", "(", "***a"]
)
def test_showing_an_answer_takes_work_in_proportion_to_its_length(part: str) -> None:
    assert grows_linearly(mrkdwn_of, lambda size: part * (size // len(part)))


def test_what_is_hidden_is_hidden_in_an_answer_of_several_parts_too() -> None:
    hidden = f"||{'the butler, ' * 200}||"
    message = message_of_answer(f"{'& ' * 700}\n{hidden}\n{'& ' * 700}")
    assert len(message["blocks"]) > 1
    assert "butler" not in str(message)
