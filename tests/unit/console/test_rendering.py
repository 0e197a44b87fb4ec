"""What the console shows, as lines and on a terminal."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from adapters.chat.console.render import (
    MAX_ECHO_LENGTH,
    Line,
    Tone,
    completions,
    countdown,
    echo,
    lines_of_event,
    lines_of_reply,
    status_line,
)
from adapters.chat.console.terminal import dress, shows_colour
from bot.commands.parser import Usage
from bot.core.events import Notice, SessionChanged, UtteranceChanged
from bot.core.models import UtteranceState
from bot.core.views import Phase, Reply
from tests.builders import CHANNEL, NOON, a_session_view, an_utterance
from tests.harness.clock import ManualClock

VIEW = a_session_view(queue_length=2, ends_at=NOON + timedelta(minutes=10), watch_url=None, price_per_minute=Decimal(3))


def utterance(state: UtteranceState, text: str = "hello") -> UtteranceChanged:
    changed = an_utterance(text=text, author="console:you", author_name="you", state=state)
    return UtteranceChanged(CHANNEL, changed)


# --- lines -----------------------------------------------------------------------------------------------------------


def test_facts_of_a_reply_are_aligned_and_its_link_has_a_line_of_its_own() -> None:
    reply = Reply("The avatar:\nhere", fields=(("State", "live"), ("Leaves in", "5 min")), link="https://x.test/w/1")
    assert lines_of_reply(reply) == [
        Line("The avatar:"),
        Line("here"),
        Line("  State      live"),
        Line("  Leaves in  5 min"),
        Line("  Watch: https://x.test/w/1", Tone.LINK),
    ]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (UtteranceState.SPEAKING, Line("  saying: hello", Tone.QUIET)),
        (UtteranceState.SPOKEN, Line("  said: hello", Tone.QUIET)),
        (UtteranceState.INTERRUPTED, Line("  cut: hello", Tone.QUIET)),
        (UtteranceState.DROPPED, Line("  dropped: hello", Tone.QUIET)),
        (UtteranceState.FAILED, Line("  failed: hello", Tone.TROUBLE)),
        (UtteranceState.UNKNOWN, Line("  not sure it was said: hello", Tone.TROUBLE)),
    ],
)
def test_fate_of_a_message_is_shown(state: UtteranceState, line: Line) -> None:
    assert lines_of_event(utterance(state)) == [line]


def test_message_that_only_waits_is_not_shown_again() -> None:
    assert lines_of_event(utterance(UtteranceState.QUEUED)) == []
    assert lines_of_event(utterance(UtteranceState.SENDING)) == []
    assert lines_of_event(SessionChanged(VIEW)) == []


def test_nothing_from_outside_can_steer_the_terminal() -> None:
    hostile = "a\x1b[2Jb\x07c\x9bd\rE"
    shown = [
        *lines_of_event(utterance(UtteranceState.SPOKEN, hostile)),
        *lines_of_event(Notice(CHANNEL, "abc234", Reply(hostile, fields=((hostile, hostile),), link=hostile))),
        echo(hostile),
    ]
    assert len(shown) >= 5
    for line in shown:
        assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in line.text)


def test_long_piped_line_is_repeated_in_part() -> None:
    assert echo("x" * MAX_ECHO_LENGTH).text == "> " + "x" * MAX_ECHO_LENGTH
    assert echo("x" * (MAX_ECHO_LENGTH + 1)).text == "> " + "x" * MAX_ECHO_LENGTH + "…"


# --- the status line -------------------------------------------------------------------------------------------------


async def test_status_line_counts_down() -> None:
    clock = ManualClock(NOON)
    assert status_line(VIEW, clock) == " live · mode repeat · 2 messages waiting · 10:00 left · $3.00/min "
    await clock.advance(61)
    assert status_line(VIEW, clock) == " live · mode repeat · 2 messages waiting · 8:59 left · $3.00/min "


def test_status_line_names_no_price_where_nothing_is_open() -> None:
    idle = replace(VIEW, phase=Phase.WAITING_FOR_TEXT, queue_length=0, price_per_minute=None)
    assert status_line(idle, ManualClock(NOON)) == " asleep · mode repeat · no messages waiting · 10:00 left "


def test_status_line_without_an_avatar_says_how_to_get_one() -> None:
    assert "/avatar start" in status_line(None, ManualClock(NOON))


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0:00"), (0.9, "0:00"), (9, "0:09"), (61, "1:01"), (3599.9, "59:59"), (3661, "1:01:01")]
)
def test_countdown_reads_like_a_clock(seconds: float, shown: str) -> None:
    assert countdown(seconds) == shown


# --- the terminal ----------------------------------------------------------------------------------------------------


def test_tab_offers_every_command_and_its_choices() -> None:
    usages = [Usage("avatar", "mode", "", "repeat|chat"), Usage("avatar", "say", "", "TEXT", required=True)]
    assert completions(usages) == ["/help", "/avatar mode", "/avatar mode repeat", "/avatar mode chat", "/avatar say"]


def test_long_line_is_broken_between_words_and_keeps_its_indent() -> None:
    line = Line("  saying: " + "word " * 20 + "end")
    shown = dress(line, columns=50, colour=False).splitlines()
    assert len(shown) == 3
    assert all(part.startswith("  ") and len(part) <= 50 for part in shown)
    assert " ".join(shown).split() == line.text.split()


def test_link_is_never_broken() -> None:
    link = Line("  Watch: https://watch.test/w/" + "x" * 100, Tone.LINK)
    assert dress(link, columns=50, colour=False) == link.text


def test_colour_is_used_where_it_is_wanted() -> None:
    assert dress(Line("hello"), columns=80, colour=True) == "hello"
    assert dress(Line("hello", Tone.QUIET), columns=80, colour=True) == "\x1b[2mhello\x1b[0m"
    assert dress(Line("hello", Tone.QUIET), columns=80, colour=False) == "hello"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_no_color_and_dumb_terminals_are_respected(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert shows_colour() is wanted
