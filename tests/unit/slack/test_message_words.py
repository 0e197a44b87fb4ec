"""Where the words of a Slack message stand, and which of them people read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.slack.message_words import own_words, shared_words, words_of
from bot.relay import MAX_MESSAGE_LENGTH

URL = "https://example.slack.com/archives/C1/p1"


def rich(*elements: dict[str, Any]) -> list[dict[str, Any]]:
    """Blocks of one rich text with these elements in its one section."""
    section = {"type": "rich_text_section", "elements": list(elements)}
    return [{"type": "rich_text", "elements": [section]}]


def share(text: str = "", **more: Any) -> dict[str, Any]:
    """A forwarded message."""
    return {"is_share": True, "is_msg_unfurl": True, "from_url": URL, "text": text, "fallback": "no", **more}


PREVIEW = {"from_url": URL, "title": "A page", "text": "what it is about", "fallback": "A page"}
LINKED = {"is_msg_unfurl": True, "from_url": URL, "text": "a linked message", "fallback": "no"}
FILE = {"name": "notes.txt", "title": "Notes", "preview": "secret", "transcription": {"preview": {"content": "hm"}}}
TEXT = {"type": "text", "text": "a < b"}
DEEP: dict[str, Any] = {"type": "rich_text_section", "elements": [TEXT]}
for _ in range(5000):
    DEEP = {"type": "rich_text_list", "elements": [DEEP]}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"text": "hello"}, "hello"),
        ({"text": "hello", "blocks": rich({"type": "text", "text": "hello"})}, "hello"),
        ({"text": "", "attachments": [share("forwarded")]}, "forwarded"),
        ({"text": "look", "attachments": [share("forwarded")]}, "look\nforwarded"),
        ({"text": "", "attachments": [share("one"), share("two")]}, "one\ntwo"),
        ({"text": "", "attachments": [share(message_blocks=[{"message": {"blocks": rich(TEXT)}}])]}, "a &lt; b"),
        ({"text": "see", "attachments": [LINKED]}, "see"),
        ({"text": "see", "attachments": [PREVIEW]}, "see"),
        ({"text": "", "attachments": [PREVIEW, LINKED]}, ""),
        ({"text": "", "files": [FILE]}, ""),
        ({"text": "caption", "files": [FILE], "subtype": "file_share"}, "caption"),
        ({"text": "", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "1 < 2"}}]}, "1 &lt; 2"),
        ({"text": "", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*so*"}}]}, "*so*"),
        (
            {"blocks": [{"type": "section", "fields": [{"type": "mrkdwn", "text": word} for word in "ab"]}]},
            "a\nb",
        ),
        ({"text": "", "blocks": [{"type": "context", "elements": [{"type": "plain_text", "text": "small"}]}]}, "small"),
        ({"text": "", "blocks": [{"type": "actions", "elements": [{"type": "button", "text": {"text": "no"}}]}]}, ""),
        ({"text": "", "blocks": rich({"type": "link", "url": URL, "text": "there"})}, "there"),
        ({"text": "", "blocks": rich({"type": "user", "user_id": "U1"}, {"type": "text", "text": " hi"})}, "<@U1> hi"),
        ({"text": "", "blocks": rich({"type": "broadcast", "range": "here"})}, "<!here>"),
        ({"text": "", "attachments": [{"pretext": "Build", "title": "failed", "text": "at 9", "fallback": "no"}]},
         "Build\nfailed\nat 9"),
        ({"text": "", "attachments": [{"fields": [{"title": "Load", "value": "high"}]}]}, "Load\nhigh"),
        ({"text": "", "attachments": [{"fallback": "in short"}]}, "in short"),
        ({"text": "said", "attachments": [{"text": "an app's"}]}, "said"),
        ({"text": None, "blocks": "no", "attachments": {"is_share": True}}, ""),
        ({"text": ["x"], "blocks": [None, 7, {"type": 3}], "attachments": [None, share(text=7)]}, ""),  # type: ignore[arg-type]
        ({"text": "", "attachments": [{**share("no"), "is_share": "true"}]}, ""),
        ({"text": "", "blocks": [{"type": "rich_text", "elements": [DEEP]}]}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_words_are_those_that_people_read(message: dict[str, Any], words: str) -> None:
    assert words_of(message) == words


def test_what_is_looked_at_is_bounded() -> None:
    long = "x" * 1_000_000
    message = {"text": long, "attachments": [share(long) for _ in range(1000)]}
    assert MAX_MESSAGE_LENGTH < len(words_of(message)) <= 8 * MAX_MESSAGE_LENGTH + 1
    assert len(shared_words(message)) > MAX_MESSAGE_LENGTH
    assert len(own_words({"blocks": [{"type": "markdown", "text": long}] * 1000})) > MAX_MESSAGE_LENGTH


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "word", "rich_text"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["text", "blocks", "attachments", "elements", "type", "is_share", "fields", "message"]),
            inner | st.sampled_from(["rich_text", "section", "context", "text", "user"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(message=st.dictionaries(st.sampled_from(["text", "blocks", "attachments"]), JSON))
def test_no_message_is_stumbled_over(message: dict[str, Any]) -> None:
    words_of(message)
