"""Slack's text: decoded once on the way in, escaped once on the way out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.slack.blocks import CommandRenamer, message_of
from adapters.chat.slack.mrkdwn import (
    MAX_LOOKED_UP,
    command_line,
    decode,
    escape,
    mentions,
    shorten,
    unescape,
    without_mention,
)
from bot.commands.parser import ADMIN, AVATAR, Usage
from bot.core.views import Reply
from bot.text import make_speakable

USAGES = {
    (AVATAR, "start"): Usage(AVATAR, "start", "", options=("avatar", "mode"), not_offered=("speed",)),
    (AVATAR, "say"): Usage(AVATAR, "say", "", "TEXT", required=True),
    (AVATAR, "stop"): Usage(AVATAR, "stop", ""),
    (AVATAR, "help"): Usage(AVATAR, "help", ""),
    (ADMIN, "sessions"): Usage(ADMIN, "sessions", ""),
}


async def person(user_id: str) -> str:
    return {"U1": "Ana", "U2": "<b>Ben & Co</b>"}[user_id]


async def group(group_id: str) -> str:
    return {"S1": "crew"}[group_id]


async def read(raw: str) -> tuple[str, dict[str, str]]:
    decoded = await decode(raw, person=person, group=group)
    return decoded.text, decoded.names


async def test_a_message_that_names_everybody_has_only_some_of_them_looked_up() -> None:
    asked: list[str] = []

    async def look_up(each: str) -> str:
        asked.append(each)
        return f"name of {each}"

    decoded = await decode("".join(f"<@U{number}>" for number in range(1000)), person=look_up, group=look_up)
    assert len(asked) == MAX_LOOKED_UP
    assert decoded.names["<@U0>"] == "name of U0"
    assert decoded.names["<@U999>"] == "somebody"


@given(st.text())
async def test_what_is_escaped_reads_as_it_stood(text: str) -> None:
    assert await read(escape(text)) == (text, {})
    assert unescape(escape(text)) == text


@given(st.text(alphabet="<>&;|@#!ltgamp"))
async def test_text_made_of_signs_survives_the_round_trip_too(text: str) -> None:
    assert await read(escape(text)) == (text, {})


@given(st.text(alphabet="<>&@#!^|SUCW01here channel*_`~:/", max_size=200))
def test_nothing_that_is_quoted_can_ping(text: str) -> None:
    message = message_of(Reply(text, fields=((text, text),)), CommandRenamer("avatar"))
    shown = [message["text"]]
    for block in message["blocks"]:
        for part in [*block.get("fields", ()), *([block["text"]] if "text" in block else [])]:
            assert part["verbatim"] is True
            shown.append(part["text"])
    assert not re.search("[<>]", "".join(shown))


@given(st.text(alphabet="<>&ab", max_size=60), st.integers(1, 60))
def test_a_cut_never_goes_through_an_entity(text: str, limit: int) -> None:
    cut = shorten(escape(text), limit)
    assert len(cut) <= limit
    assert not re.search(r"&(?!amp;|lt;|gt;)", cut)


@pytest.mark.parametrize(
    ("raw", "text", "names"),
    [
        ("hi <@U1>", "hi <@U1>", {"<@U1>": "Ana"}),
        ("hi <@U7|ana.b>", "hi <@U7>", {"<@U7>": "ana.b"}),
        ("see <#C1|general>", "see <#C1>", {"<#C1>": "general"}),
        ("see <#C1>", "see <#C1>", {"<#C1>": "private channel"}),
        ("<!subteam^S1> there", "<!subteam^S1> there", {"<!subteam^S1>": "crew"}),
        ("<!subteam^S2|@ops> there", "<!subteam^S2> there", {"<!subteam^S2>": "ops"}),
        ("<!here> <!channel>", "<!here> <!channel>", {"<!here>": "here", "<!channel>": "channel"}),
        ("<!date^1392734382^{date}|Feb 18>", "Feb 18", {}),
        ("<https://example.com/a?b=1&amp;c=2|the page>", "the page", {}),
        ("<https://example.com/a?b=1&amp;c=2>", "https://example.com/a?b=1&c=2", {}),
        ("<mailto:ana@example.com|ana@example.com>", "ana@example.com", {}),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2", {}),
        ("&amp;lt;b&amp;gt;", "&lt;b&gt;", {}),
    ],
)
async def test_each_form_is_decoded_once(raw: str, text: str, names: dict[str, str]) -> None:
    assert await read(raw) == (text, names)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("falcon :grinning::tada: great", "falcon great"),
        (":+1: :wave::skin-tone-3: ok :woman-shrugging: :flag-de:", "ok"),
        (":smile:", ""),
        ("well :party_parrot: done", "well party parrot done"),
        ("at 10:30:45, ratio 1:100:1", "at 10:30:45, ratio 1:100:1"),
    ],
)
async def test_pictures_are_pictures_by_name_too_and_a_workspaces_own_keep_theirs(raw: str, said: str) -> None:
    text, names = await read(raw)
    assert make_speakable(text, names) == said


async def test_names_are_said_and_ids_are_not() -> None:
    text, names = await read("morning <@U1>, meet <!subteam^S1> in <#C1|general>")
    assert make_speakable(text, names) == "morning Ana, meet crew in general"


def test_the_mention_that_addresses_the_avatar_is_taken_off() -> None:
    assert mentions("hello <@UBOT>", "UBOT")
    assert not mentions("hello &lt;@UBOT&gt;", "UBOT")
    assert without_mention("<@UBOT> say hi <@U1>", "UBOT") == "say hi <@U1>"
    assert without_mention("<@UBOT|avatar>: stop", "UBOT") == "stop"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", (AVATAR, "")),
        ("stop", (AVATAR, "stop")),
        ("STOP", (AVATAR, "STOP")),
        ("say good morning", (AVATAR, "say good morning")),
        ("say", (AVATAR, "say")),
        ("start mode=chat", (AVATAR, "start mode=chat")),
        ("start speed=1.1", (AVATAR, "start speed=1.1")),
        ("admin sessions", (ADMIN, "sessions")),
        ("stop it please", None),
        ("help me with this", None),
        ("start now", None),
        ("good morning", None),
        ("admin", None),
        ("admin people are kind", None),
    ],
)
def test_a_command_is_told_from_talk(words: str, found: tuple[str, str] | None) -> None:
    assert command_line(words, USAGES) == found


def test_sentences_name_the_command_that_is_configured() -> None:
    wording = CommandRenamer("robot")
    assert wording("Type `/avatar start` or `/avatar-admin stop`.") == "Type `/robot start` or `/robot-admin stop`."
    assert wording("https://example.com/avatar/x") == "https://example.com/avatar/x"
