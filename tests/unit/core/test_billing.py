"""What open seconds come to on the bill: started steps, a minimum, and a day that begins in the middle of a stream."""

import math
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.avatars.heygen_realtime.provider import CAPABILITIES as REALTIME
from adapters.avatars.heygen_streaming.provider import CAPABILITIES as STREAMING
from adapters.avatars.liveavatar.provider import CAPABILITIES as LIVEAVATAR
from bot.core.billing import StreamSeconds, billed_seconds, cost_of, most_billed, seconds_of, sum_of
from bot.core.models import Channel, StreamUsage
from bot.core.ports import Capabilities
from tests.builders import NOON

PROVIDERS = st.sampled_from([REALTIME, STREAMING, LIVEAVATAR])
SECONDS = st.floats(0, 1e5)


def a_use(seconds: float | None, spoken: float | None = None, begun: float = 0.0) -> StreamUsage:
    """A stream that was open from `begun` seconds after noon, for so many; None: it still is."""
    created_at = NOON + timedelta(seconds=begun)
    closed_at = None if seconds is None else created_at + timedelta(seconds=seconds)
    return StreamUsage(Channel("discord", "guild", "general"), "session", "stream", created_at, closed_at, spoken)


@pytest.mark.parametrize(
    ("able", "open_seconds", "billed"),
    [
        (REALTIME, 0.0, 1.0),
        (REALTIME, 0.2, 1.0),
        (REALTIME, 30.0, 30.0),
        (REALTIME, 30.4, 31.0),
        (STREAMING, 3.0, 30.0),
        (STREAMING, 30.0, 30.0),
        (STREAMING, 30.4, 31.0),
        (LIVEAVATAR, 0.0, 60.0),
        (LIVEAVATAR, 59.9, 60.0),
        (LIVEAVATAR, 60.0, 60.0),
        (LIVEAVATAR, 60.1, 120.0),
        (LIVEAVATAR, 60.0 + 1e-9, 60.0),
    ],
)
def test_a_step_that_has_begun_is_paid_for(able: Capabilities, open_seconds: float, billed: float) -> None:
    assert billed_seconds(able, open_seconds) == billed


@given(PROVIDERS, SECONDS)
def test_a_bill_is_of_whole_steps_and_never_smaller_than_the_time(able: Capabilities, open_seconds: float) -> None:
    billed = billed_seconds(able, open_seconds)
    assert billed % able.billing_step == 0
    assert billed >= max(able.billing_minimum, able.billing_step)
    assert open_seconds - 0.002 <= billed <= max(open_seconds, able.billing_minimum) + able.billing_step


@given(PROVIDERS, SECONDS, st.floats(0, 1000))
def test_no_interval_of_a_stream_costs_more_than_the_most(able: Capabilities, before: float, seconds: float) -> None:
    paid = billed_seconds(able, before + seconds) - (billed_seconds(able, before) if before else 0.0)
    assert paid <= most_billed(able, seconds)


@pytest.mark.parametrize(
    ("able", "dollars"), [(REALTIME, Decimal("4.5")), (STREAMING, None), (LIVEAVATAR, Decimal("0.36"))]
)
def test_a_bill_has_a_price_where_one_is_known(able: Capabilities, dollars: Decimal | None) -> None:
    assert cost_of(able, 90.0) == dollars


def test_each_stream_begins_its_own_steps() -> None:
    uses = [a_use(10.0, 4.0), a_use(10.0, 3.0)]
    assert sum_of(uses, LIVEAVATAR, NOON) == StreamSeconds(20.0, 120.0, 7.0)


def test_a_stream_that_is_open_counts_up_to_now_and_one_of_which_nobody_wrote_as_silent() -> None:
    now = NOON + timedelta(seconds=70)
    assert seconds_of(a_use(None), LIVEAVATAR, now) == StreamSeconds(70.0, 120.0, 0.0)


def test_where_the_provider_cannot_be_asked_open_seconds_are_billed() -> None:
    assert seconds_of(a_use(10.0), None, NOON) == StreamSeconds(10.0, 10.0, 0.0)


def test_a_time_before_the_stream_began_counts_as_none() -> None:
    assert seconds_of(a_use(None, begun=60.0), REALTIME, NOON) == StreamSeconds(0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("since", "used"),
    [
        (-10.0, StreamSeconds(150.0, 180.0, 30.0)),
        (0.0, StreamSeconds(150.0, 180.0, 30.0)),
        (30.0, StreamSeconds(120.0, 120.0, 24.0)),
        (60.0, StreamSeconds(90.0, 120.0, 18.0)),
        (125.0, StreamSeconds(25.0, 0.0, 5.0)),
        (150.0, StreamSeconds(0.0, 0.0, 0.0)),
        (200.0, StreamSeconds(0.0, 0.0, 0.0)),
    ],
)
def test_a_day_has_the_steps_that_begin_in_it_and_its_share_of_the_speech(since: float, used: StreamSeconds) -> None:
    found = seconds_of(a_use(150.0, 30.0), LIVEAVATAR, NOON, since=NOON + timedelta(seconds=since))
    assert (found.open, found.billed) == (used.open, used.billed)
    assert found.spoken == pytest.approx(used.spoken)


@given(PROVIDERS, st.floats(1, 1e4), st.floats(0, 1))
def test_two_days_together_are_the_whole_stream(able: Capabilities, seconds: float, share: float) -> None:
    midnight = NOON + timedelta(seconds=seconds * share)
    use, over = a_use(seconds, seconds / 3), NOON + timedelta(seconds=seconds)
    first = seconds_of(a_use(None, seconds / 3 * share), able, midnight)
    second, whole = seconds_of(use, able, over, since=midnight), seconds_of(use, able, over)
    if midnight > NOON:
        assert first.open + second.open == pytest.approx(whole.open)
        assert first.billed + second.billed == whole.billed
    assert second.spoken <= second.open or math.isclose(second.spoken, second.open)
