"""Which panels carry a card, and who is told why not."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from adapters.chat.slack.cards import Cards
from bot.core.models import Channel
from bot.settings import Settings
from tests.builders import a_session_view
from tests.platforms.running_bot import settings_with

PUBLIC = {"WEB_PUBLIC_URL": "https://avatar.example.com"}
HERE = a_session_view(channel=Channel("slack", "T1", "C1"))
ELSEWHERE = replace(HERE, channel=Channel("slack", "T2", "C2"))
DROPPED = {"ok": True, "warning": "invalid_metadata_schema"}


def wanted(**environment: str) -> Settings:
    return settings_with({"SLACK_EMBED": "auto"} | environment)


@pytest.mark.parametrize(
    ("settings", "shows_in_frames", "said"),
    [
        (settings_with(PUBLIC), True, None),
        (wanted(WEB_PUBLIC_URL="http://avatar.example.com"), False, "begins with https://"),
        (wanted(), False, "WEB_PUBLIC_URL"),
        (wanted(**PUBLIC), False, "AVATAR_WATCH"),
    ],
    ids=["not wanted", "http", "no address", "no picture"],
)
def test_no_card_where_it_is_not_wanted_or_cannot_work_and_the_log_says_why(
    settings: Settings, shows_in_frames: bool, said: str | None
) -> None:
    with capture_logs() as lines:
        cards = Cards(settings, shows_in_frames=shows_in_frames)
    assert cards.metadata_of(HERE) is None
    assert not cards.are_offered("T1")
    cards.heed("T1", DROPPED)
    assert [said in line["event"] for line in lines if said] == ([True] if said else [])


def test_workspace_that_takes_none_is_given_up_once_and_alone() -> None:
    cards, given_up = Cards(wanted(**PUBLIC), shows_in_frames=True), []
    cards.on_give_up = lambda: given_up.append(True)
    cards.heed("T1", {"ok": True})
    assert cards.metadata_of(HERE)
    with capture_logs() as lines:
        for _ in range(3):
            cards.heed("T1", DROPPED)
    assert len(given_up) == len(lines) == 1
    # What stands in a channel is taken away; the other workspace keeps its own.
    assert cards.metadata_of(HERE) == {}
    assert cards.metadata_of(ELSEWHERE)
