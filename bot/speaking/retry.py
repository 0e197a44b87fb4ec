"""What becomes of a text that the provider did not take. Pure decisions: the speaking loop carries them out."""

from dataclasses import dataclass

from bot.core.errors import AvatarAway, ConcurrencyReached, NotReady, ProviderError, RateLimited, StreamGone, Transient
from bot.core.models import UtteranceState

BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before a text that surely was not taken goes out again; after the last one it fails."""

MAX_RATE_LIMIT_WAIT = 60.0
"""Seconds that a rate limit may keep a text, and all behind it, waiting; people are told of a longer one instead."""

VIEWER_POLL_INTERVAL = 2.0
"""Seconds between attempts while the avatar waits for somebody to watch; only trying tells."""

CLOSING_POLL_INTERVAL = 5.0
"""Seconds between attempts to open the next stream while the one before may still hold the account's only slot."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Send it again after `seconds`. `counts`: it is one attempt less; `waits_for_viewer`: tell people why."""

    seconds: float
    counts: bool = True
    waits_for_viewer: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It ends in `state`, and the channel is told."""

    state: UtteranceState


RetryDecision = RetryAfter | GiveUp


def decide(error: ProviderError, attempts: int, *, is_open: bool = True, is_closing: bool = False) -> RetryDecision:
    """Decide on a text after `attempts` earlier failures. A text that may have been taken is never sent again (rule
    5). `is_open`: there is a stream that waits; without one each attempt opens another, which costs. An avatar that
    does not come into a new stream never gets here: the session ends by it. `is_closing`: the provider has not
    confirmed yet that an earlier stream of the session is closed; where that one may be what fills the account, a text
    waits for it, as the channel has been told (`bot.announcer.Announcer.report_unconfirmed_close`)."""
    may_try = attempts < len(BACKOFF)
    match error:
        case NotReady() if is_open:
            return RetryAfter(VIEWER_POLL_INTERVAL, counts=False, waits_for_viewer=not isinstance(error, AvatarAway))
        case ConcurrencyReached() if is_closing:
            return RetryAfter(CLOSING_POLL_INTERVAL, counts=False)
        case RateLimited(retry_after=seconds) if may_try and seconds <= MAX_RATE_LIMIT_WAIT:
            return RetryAfter(max(BACKOFF[attempts], seconds))
        case StreamGone() if may_try:
            return RetryAfter(BACKOFF[attempts] if attempts else 0.0)
        case NotReady() | ConcurrencyReached() | Transient(may_have_taken_effect=False) if may_try:
            return RetryAfter(BACKOFF[attempts])
        case Transient(may_have_taken_effect=True):
            return GiveUp(UtteranceState.UNKNOWN)
        case _:
            return GiveUp(UtteranceState.FAILED)
