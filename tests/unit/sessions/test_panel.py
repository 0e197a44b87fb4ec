"""What a panel shows, drawn from a view alone."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.announcer import KEEP
from bot.core.views import Phase, SessionView
from bot.sentences import PHASES
from bot.sessions import panel
from bot.sessions.panel import panel_of
from tests.builders import NOON, a_session_view

VIEW = a_session_view(
    avatar="juno",
    avatar_picture="https://example.com/juno.png",
    queue_length=2,
    speaking="hello",
    hls_url="https://example.com/stream.m3u8",
    price_per_minute=Decimal(3),
)
ENDED = replace(VIEW, phase=Phase.ENDED, ended="The avatar has left after 5 min.")
LEAVING = replace(VIEW, phase=Phase.ENDED)


def test_an_open_session_is_shown_with_its_facts() -> None:
    shown = panel_of(VIEW)
    assert shown.title == "Juno: live"
    assert shown.fields == (
        ("Mode", "repeat (it says what you write)"),
        ("Waiting", "2 messages"),
        ("Started by", "Ana"),
        ("Cost", "up to $3.00 a minute"),
    )
    assert shown.link == "https://watch.test/w/nonce"
    assert shown.picture == "https://example.com/juno.png"
    assert shown.ends_at == NOON
    assert not VIEW.is_last


def test_an_open_session_can_be_watched_interrupted_skipped_and_stopped() -> None:
    assert [button.verb for button in panel_of(VIEW).buttons] == ["watch", "interrupt", "skip", "stop"]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ENDED])
def test_every_phase_is_in_the_title(phase: Phase) -> None:
    assert panel_of(replace(VIEW, phase=phase)).title == f"Juno: {PHASES[phase]}"


@pytest.mark.parametrize("price", [None, Decimal(0)])
def test_no_cost_is_shown_where_there_is_none_or_nobody_knows(price: Decimal | None) -> None:
    assert "Cost" not in dict(panel_of(replace(VIEW, price_per_minute=price)).fields)


@pytest.mark.parametrize(
    ("waiting", "held", "shown"),
    [
        (0, False, "no messages"),
        (1, False, "1 message"),
        (2, True, "2 messages, held back by an interrupt"),
    ],
)
def test_what_waits_is_counted_and_a_queue_that_is_held_says_so(waiting: int, held: bool, shown: str) -> None:
    assert dict(panel_of(replace(VIEW, queue_length=waiting, held=held)).fields)["Waiting"] == shown


def test_without_a_link_watching_is_a_command_like_the_others() -> None:
    shown = panel_of(replace(VIEW, watch_url=None))
    assert shown.link is None
    assert panel.WATCH in shown.buttons


def test_an_avatar_that_has_no_name_begins_with_a_capital_all_the_same() -> None:
    assert panel_of(replace(VIEW, avatar="the avatar")).title == "The avatar: live"


def test_a_session_that_is_over_says_why_and_has_nothing_to_press() -> None:
    shown = panel_of(ENDED)
    assert ENDED.is_last
    assert shown.ended == "The avatar has left after 5 min."
    assert shown.title == "Juno: ended"
    assert (shown.buttons, shown.link, shown.ends_at) == ((), None, None)
    assert shown.fields == (("Started by", "Ana"),)


def test_a_session_that_is_being_closed_has_nothing_to_press_and_is_drawn_once_more() -> None:
    shown = panel_of(LEAVING)
    assert shown.title == "Juno: leaving…"
    assert shown.buttons == ()
    assert not LEAVING.is_last


@pytest.mark.parametrize("view", [VIEW, ENDED, LEAVING], ids=["open", "over", "leaving"])
def test_no_address_of_the_provider_is_on_a_panel(view: SessionView) -> None:
    assert "stream.m3u8" not in str(panel_of(view))


def test_who_watches_in_the_chat_is_named_and_of_many_only_some() -> None:
    assert "Watching here" not in dict(panel_of(VIEW).fields)
    assert dict(panel_of(replace(VIEW, watched_by=("ana", "ben"))).fields)["Watching here"] == "ana and ben"
    many = tuple(f"person {number}" for number in range(40))
    assert dict(panel_of(replace(VIEW, watched_by=many)).fields)["Watching here"].endswith(" others")


def test_every_button_is_a_command_with_a_label_of_its_own() -> None:
    buttons = (panel.WATCH, panel.INTERRUPT, panel.SKIP, panel.STOP, KEEP)
    assert len({button.verb for button in buttons}) == len({button.label for button in buttons}) == len(buttons)


def test_where_it_is_heard_is_told_and_can_be_left() -> None:
    panel = panel_of(a_session_view(heard_in="Lounge"), offers_voice=True)
    assert ("Heard in", "Lounge") in panel.fields
    assert [button.verb for button in panel.buttons] == ["watch", "interrupt", "skip", "voice leave", "stop"]


def test_a_channel_with_a_voice_of_its_own_has_a_button_for_it() -> None:
    panel = panel_of(a_session_view(), offers_voice=True)
    assert [button.label for button in panel.buttons] == ["Watch", "Interrupt", "Skip", "Join voice", "Stop"]
    assert panel_of(a_session_view()).buttons == tuple(one for one in panel.buttons if one.verb != "voice join")
