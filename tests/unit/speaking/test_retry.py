"""What becomes of a text that the provider did not take."""

import pytest

from bot.core.errors import (
    AvatarAway,
    ConcurrencyReached,
    Invalid,
    NotOurs,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    StreamGone,
    Transient,
)
from bot.core.models import UtteranceState
from bot.speaking.retry import (
    BACKOFF,
    CREDIT_POLL_INTERVAL,
    FULL_BACKOFF,
    MAX_RATE_LIMIT_WAIT,
    OURS_AGAIN_POLL_INTERVAL,
    GiveUp,
    RetryAfter,
    decide,
)

ENOUGH = len(BACKOFF)


@pytest.mark.parametrize("attempts", [0, 1, ENOUGH, 99])
def test_a_text_waits_for_as_long_as_this_process_may_not_act(attempts: int) -> None:
    for is_open in (True, False):
        assert decide(NotOurs(""), attempts, is_open=is_open) == RetryAfter(OURS_AGAIN_POLL_INTERVAL, counts=False)


@pytest.mark.parametrize("attempts", [0, 1, ENOUGH, 99])
def test_a_text_that_may_have_been_taken_is_never_sent_again(attempts: int) -> None:
    assert decide(Transient("", may_have_taken_effect=True), attempts) == GiveUp(UtteranceState.UNKNOWN)


@pytest.mark.parametrize(
    "error",
    [
        Transient("", may_have_taken_effect=False),
        StreamGone(""),
        RateLimited("", retry_after=0),
    ],
)
def test_a_text_that_surely_was_not_taken_is_sent_again_a_few_times_with_growing_pauses(error: ProviderError) -> None:
    verdicts = [decide(error, attempts) for attempts in range(ENOUGH)]
    pauses = [verdict.seconds for verdict in verdicts if isinstance(verdict, RetryAfter)]
    assert len(pauses) == ENOUGH
    assert pauses == sorted(pauses)
    assert decide(error, ENOUGH) == GiveUp(UtteranceState.FAILED)


def test_a_stream_that_is_gone_costs_no_time_at_first() -> None:
    assert decide(StreamGone(""), 0) == RetryAfter(0.0)


def test_a_rate_limit_is_kept_to() -> None:
    assert decide(RateLimited("", retry_after=20), 0) == RetryAfter(20)


def test_a_rate_limit_that_nobody_would_wait_for_is_told_at_once() -> None:
    assert decide(RateLimited("", retry_after=MAX_RATE_LIMIT_WAIT + 1), 0) == GiveUp(UtteranceState.FAILED)


def test_a_missing_viewer_is_waited_for_as_long_as_the_session_lives() -> None:
    verdict = decide(NotReady(""), 1000)
    assert isinstance(verdict, RetryAfter)
    assert verdict.waits_for_viewer
    assert not verdict.counts


@pytest.mark.parametrize("attempts", [0, ENOUGH, 1000])
@pytest.mark.parametrize("is_closing", [False, True])
def test_a_full_account_is_waited_for_and_told_unless_a_stream_of_ours_may_be_what_fills_it(
    attempts: int, is_closing: bool
) -> None:
    pauses = []
    for refusals in range(20):
        verdict = decide(ConcurrencyReached(""), attempts, refusals=refusals, is_open=False, is_closing=is_closing)
        assert isinstance(verdict, RetryAfter)
        assert not verdict.counts
        assert verdict.is_refused is not is_closing
        pauses.append(verdict.seconds)
    assert pauses == sorted(pauses)
    assert set(pauses) == set(FULL_BACKOFF)


@pytest.mark.parametrize("attempts", [0, ENOUGH, 1000])
def test_credit_for_another_stream_is_waited_for(attempts: int) -> None:
    verdict = decide(QuotaExhausted(""), attempts, is_open=False)
    assert verdict == RetryAfter(CREDIT_POLL_INTERVAL, counts=False, is_refused=True)


def test_no_other_trouble_is_waited_for_longer_because_a_stream_is_being_closed() -> None:
    for error in (StreamGone(""), RateLimited("", retry_after=0), Invalid("", parameter="text")):
        assert decide(error, ENOUGH, is_open=False, is_closing=True) == GiveUp(UtteranceState.FAILED)


@pytest.mark.parametrize("error", [Invalid("", parameter="text"), QuotaExhausted("")])
def test_what_will_not_get_better_fails_at_once(error: ProviderError) -> None:
    assert decide(error, 0) == GiveUp(UtteranceState.FAILED)


def test_an_avatar_that_is_away_is_waited_for_and_no_viewer_is_asked_for() -> None:
    verdict = decide(AvatarAway(""), 1000)
    assert isinstance(verdict, RetryAfter)
    assert not verdict.waits_for_viewer
    assert not verdict.counts


def test_without_a_stream_that_waits_each_attempt_counts() -> None:
    error = NotReady("")
    verdicts = [decide(error, attempts, is_open=False) for attempts in range(ENOUGH)]
    assert [verdict.counts for verdict in verdicts if isinstance(verdict, RetryAfter)] == [True] * ENOUGH
    assert decide(error, ENOUGH, is_open=False) == GiveUp(UtteranceState.FAILED)
