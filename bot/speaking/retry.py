"""What becomes of a text that the provider did not take. Pure decisions: the speaking loop carries them out."""

from dataclasses import dataclass

from bot.core.errors import (
    AvatarAway,
    ConcurrencyReached,
    NotOurs,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    StreamGone,
    Transient,
)
from bot.core.models import UtteranceState

BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before a text that surely was not taken goes out again; after the last one it fails."""

MAX_RATE_LIMIT_WAIT = 60.0
"""Seconds that a rate limit may keep a text, and all behind it, waiting; people are told of a longer one instead."""

VIEWER_POLL_INTERVAL = 2.0
"""Seconds between attempts while the avatar waits for somebody to watch; only trying tells."""


FULL_BACKOFF = (5.0, 5.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds between attempts to open a stream while the account is full, also with an earlier stream of the session; the
last one repeats. Our choice: a slot is free 0.8 s to 20 s after a stop (`bot.streams.streams.OPEN_BACKOFF`)."""

OURS_AGAIN_POLL_INTERVAL = 0.5
"""Seconds between attempts while this process may not act: the next beat says that it may, or ends it."""

CREDIT_POLL_INTERVAL = 60.0
"""Seconds between attempts to open a stream while the account has no credit: somebody has to buy some. Our choice."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Send it again after `seconds`. `counts`: it is one attempt less; `waits_for_viewer`: tell people why.
    `is_refused`: no stream can be opened for it now, and all that waits stays where it is."""

    seconds: float
    counts: bool = True
    waits_for_viewer: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It ends in `state`, and the channel is told."""

    state: UtteranceState


RetryDecision = RetryAfter | GiveUp


def decide(
    error: ProviderError, attempts: int, *, refusals: int = 0, is_open: bool = True, is_closing: bool = False
) -> RetryDecision:
    """Decide on a text after `attempts` earlier failures. A text that may have been taken is never sent again (rule
    5). `is_open`: there is a stream that waits; without one each attempt opens another, which costs. An avatar that
    does not come into a new stream never gets here: the session ends by it. `is_closing`: the provider has not
    confirmed yet that an earlier stream of the session is closed; where that one may be what fills the account, the
    channel has been told already (`bot.announcer.Announcer.report_unconfirmed_close`). How long a text waits for a
    stream that cannot be opened is bounded by `bot.speaking.expiry`. `refusals`: how often that was tried in vain."""
    may_try = attempts < len(BACKOFF)
    match error:
        case NotOurs():
            return RetryAfter(OURS_AGAIN_POLL_INTERVAL, counts=False)
        case NotReady() if is_open:
            return RetryAfter(VIEWER_POLL_INTERVAL, counts=False, waits_for_viewer=not isinstance(error, AvatarAway))
        case ConcurrencyReached():
            seconds = FULL_BACKOFF[min(refusals, len(FULL_BACKOFF) - 1)]
            return RetryAfter(seconds, counts=False, is_refused=not is_closing)
        case QuotaExhausted() if not is_open:
            return RetryAfter(CREDIT_POLL_INTERVAL, counts=False, is_refused=True)
        case RateLimited(retry_after=seconds) if may_try and seconds <= MAX_RATE_LIMIT_WAIT:
            return RetryAfter(max(BACKOFF[attempts], seconds))
        case StreamGone() if may_try:
            return RetryAfter(BACKOFF[attempts] if attempts else 0.0)
        case NotReady() | Transient(may_have_taken_effect=False) if may_try:
            return RetryAfter(BACKOFF[attempts])
        case Transient(may_have_taken_effect=True):
            return GiveUp(UtteranceState.UNKNOWN)
        case _:
            return GiveUp(UtteranceState.FAILED)
