"""When a silent stream is let go: what is paid for is used, and the next step is not begun."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.avatars.heygen_realtime import provider as heygen_realtime
from adapters.avatars.heygen_streaming import provider as heygen_streaming
from adapters.avatars.liveavatar import provider as liveavatar
from bot.core.billing import billed_seconds
from bot.core.ports import Capabilities
from bot.sessions.linger import CLOSE_MARGIN, let_go_age, let_go_at
from tests.unit.speaking.providers import capabilities

V1 = heygen_streaming.CAPABILITIES
V3 = heygen_realtime.CAPABILITIES
LIVEAVATAR = liveavatar.CAPABILITIES

AGES = st.floats(0, 1e5)
STEPS = st.sampled_from([1.0, 3.0, 10.0, 60.0])
MINIMUMS = st.sampled_from([0.0, 1.0, 30.0, 90.0])


@pytest.mark.parametrize(
    ("able", "least", "age"),
    [
        (V3, 0.0, 0.0),
        (V3, 7.5, 7.5),
        (V1, 7.5, 28.0),
        (V1, 28.5, 28.5),
        (V1, 100.25, 100.25),
        (LIVEAVATAR, 0.0, 58.0),
        (LIVEAVATAR, 58.0, 58.0),
        (LIVEAVATAR, 58.5, 118.0),
        (LIVEAVATAR, 118.0, 118.0),
        (LIVEAVATAR, 119.0, 178.0),
    ],
)
def test_a_stream_is_let_go_at_the_end_of_what_is_paid_for(able: Capabilities, least: float, age: float) -> None:
    assert let_go_age(able, least) == age


@given(least=AGES, step=STEPS, minimum=MINIMUMS)
def test_it_is_kept_as_long_as_was_asked_for_and_pays_for_no_step_more(
    least: float, step: float, minimum: float
) -> None:
    able = capabilities(billing_step=step, billing_minimum=minimum)
    age = let_go_age(able, least)
    assert age >= least
    # Its close has as long as the margin to arrive; where it is kept to its least age alone, that one decides.
    assert billed_seconds(able, age) <= billed_seconds(able, least + CLOSE_MARGIN)


@given(least=AGES, step=STEPS, minimum=MINIMUMS)
def test_of_a_step_that_is_paid_for_nothing_but_the_margin_is_given_away(
    least: float, step: float, minimum: float
) -> None:
    able = capabilities(billing_step=step, billing_minimum=minimum)
    age = let_go_age(able, least)
    assert billed_seconds(able, age) - age <= CLOSE_MARGIN + 1e-6


@given(one=AGES, other=AGES)
def test_who_is_kept_longer_is_never_let_go_earlier(one: float, other: float) -> None:
    first, second = sorted((one, other))
    for able in (V1, V3, LIVEAVATAR):
        assert let_go_age(able, first) <= let_go_age(able, second)


def test_the_moment_does_not_move_while_time_passes_towards_it() -> None:
    assert {let_go_at(LIVEAVATAR, 1000.0, 1010.0, now) for now in (1001.0, 1057.9, 1058.0, 1059.9)} == {1058.0}


def test_a_moment_that_was_missed_is_followed_by_the_end_of_the_step_that_was_paid_for_meanwhile() -> None:
    assert let_go_at(LIVEAVATAR, 1000.0, 1010.0, 1061.0) == 1118.0
    assert let_go_at(V3, 1000.0, 1010.0, 1061.0) == 1061.0
