"""The operator's durations, fitted to what a provider takes (rule 3)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.avatars.heygen_realtime import provider as heygen_realtime
from adapters.avatars.heygen_streaming import provider as heygen_streaming
from adapters.avatars.liveavatar import provider as liveavatar
from bot.core.policy import MARGIN, SessionPolicy, keep_alive_every
from bot.core.ports import Capabilities, StreamRequest

V1 = heygen_streaming.CAPABILITIES
V3 = heygen_realtime.CAPABILITIES
LIVEAVATAR = liveavatar.CAPABILITIES


def request(policy: SessionPolicy, capabilities: Capabilities, remaining: float = 1000.0) -> StreamRequest:
    return policy.stream_request(
        capabilities, avatar="", voice="", quality="low", remaining=remaining, initial_text=None
    )


def test_the_providers_idle_limit_is_always_set_and_a_little_above_ours_at_the_most() -> None:
    assert request(SessionPolicy(idle_timeout=20), V1).idle_timeout == 20 + MARGIN
    assert request(SessionPolicy(idle_timeout=300), V1).idle_timeout == 90
    assert request(SessionPolicy(idle_timeout=300), V3).idle_timeout == 30


@given(idle=st.floats(5, 1e6), remaining=st.floats(0, 1e6))
def test_what_is_asked_for_is_always_within_the_providers_limits(idle: float, remaining: float) -> None:
    for capabilities in (V1, V3):
        asked = request(SessionPolicy(idle_timeout=idle), capabilities, remaining)
        shortest, longest = capabilities.idle_limit
        assert shortest <= asked.idle_timeout <= longest
        assert 0 < asked.max_duration <= capabilities.max_duration


def test_a_stream_never_outlives_its_session_by_more_than_the_margin() -> None:
    assert request(SessionPolicy(), V1, remaining=100).max_duration == 100 + MARGIN


@pytest.mark.parametrize(("idle", "asked"), [(5.0, 65.0), (30.0, 90.0), (300.0, 90.0), (604_800.0, 90.0)])
def test_what_keep_alives_can_hold_open_is_asked_to_end_soon_without_them(idle: float, asked: float) -> None:
    assert SessionPolicy(idle_timeout=idle).provider_idle_timeout(V1) == asked
    without = replace(V1, keeps_alive=False)
    assert SessionPolicy(idle_timeout=idle).provider_idle_timeout(without) == min(3600.0, idle + MARGIN)


@pytest.mark.parametrize("capabilities", [V1, LIVEAVATAR], ids=["heygen-streaming", "liveavatar"])
@pytest.mark.parametrize("idle", [5.0, 30.0, 300.0, 7200.0])
def test_one_lost_keep_alive_leaves_time_for_the_next(capabilities: Capabilities, idle: float) -> None:
    asked = SessionPolicy(idle_timeout=idle).provider_idle_timeout(capabilities)
    every = keep_alive_every(capabilities, asked)
    assert every is not None
    # Sent, lost, sent again: and still a fifth of a minute is left for it to arrive.
    assert 2 * every + 12 <= asked


def test_no_keep_alive_is_sent_to_a_provider_that_has_none() -> None:
    assert keep_alive_every(V3, 30) is None
    assert keep_alive_every(replace(V1, keeps_alive=False), 360) is None


def test_keep_alives_follow_what_the_stream_was_opened_with() -> None:
    assert keep_alive_every(V1, 360) == 120
    assert keep_alive_every(LIVEAVATAR, 300) == 100


def test_what_nobody_looked_after_is_over_by_both_idle_times() -> None:
    assert SessionPolicy(idle_timeout=300).unattended_limit(V1) == 390
    assert SessionPolicy(idle_timeout=300).unattended_limit(V3) == 30
