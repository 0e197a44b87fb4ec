"""The operator's durations, fitted to what a provider takes (rule 3)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.avatars import heygen_realtime, heygen_streaming
from bot.policy import MARGIN, SessionPolicy
from bot.ports import Capabilities, StreamRequest

V1 = heygen_streaming.CAPABILITIES
V3 = heygen_realtime.CAPABILITIES


def request(policy: SessionPolicy, capabilities: Capabilities, remaining: float = 1000.0) -> StreamRequest:
    return policy.stream_request(
        capabilities, avatar="", voice="", quality="low", remaining=remaining, first_words=None
    )


def test_the_providers_idle_limit_is_always_set_and_a_little_above_ours() -> None:
    assert request(SessionPolicy(idle_timeout=300), V1).idle_timeout == 300 + MARGIN
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


@pytest.mark.parametrize(("idle", "every"), [(300.0, None), (3540.0, None), (3541.0, 1200.0), (7200.0, 1200.0)])
def test_keep_alives_are_sent_only_where_our_idle_time_outlasts_the_providers(idle: float, every: float | None) -> None:
    policy = SessionPolicy(idle_timeout=idle)
    assert policy.keep_alive_every(V1, policy.asked_idle_timeout(V1)) == every


def test_no_keep_alive_is_sent_to_a_provider_that_has_none() -> None:
    assert SessionPolicy(idle_timeout=7200).keep_alive_every(V3, 30) is None
    assert SessionPolicy(idle_timeout=7200).keep_alive_every(replace(V1, keeps_alive=False), 360) is None


def test_keep_alives_follow_what_the_stream_was_opened_with() -> None:
    assert SessionPolicy(idle_timeout=900).keep_alive_every(V1, 360) == 120
    assert SessionPolicy(idle_timeout=300).keep_alive_every(V1, 360) is None
