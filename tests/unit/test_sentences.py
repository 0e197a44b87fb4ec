"""What people read: every failure has a sentence of its own, with a reference and nothing secret."""

import inspect
import re
from datetime import timedelta
from decimal import Decimal

import pytest

from bot import sentences
from bot.core import errors
from bot.core.billing import StreamSeconds
from bot.core.models import EndReason, Role
from bot.core.views import Phase
from tests.builders import a_session_view

SECRET = "sk-very-secret"
FAILURES = [
    errors.AuthenticationFailed(SECRET),
    errors.QuotaExhausted(SECRET),
    errors.ConcurrencyReached(SECRET),
    errors.RateLimited(SECRET, retry_after=7),
    errors.NotOurs(SECRET),
    errors.NotReady(SECRET),
    errors.AvatarAway(SECRET),
    errors.StreamGone(SECRET),
    errors.Sunset(SECRET),
    errors.Invalid(SECRET, parameter="voice"),
    errors.AuthenticationFailed(SECRET, is_known=True),
    errors.Invalid(SECRET, parameter=errors.Invalid.ADDRESS),
    *(
        errors.Transient(SECRET, may_have_taken_effect=taken, trouble=trouble)
        for taken in (True, False)
        for trouble in errors.Trouble
    ),
    errors.AnswerError(SECRET),
    errors.AnswerError(SECRET, why=errors.AnswerTrouble.TIME),
    errors.AnswerError(SECRET, why=errors.AnswerTrouble.LENGTH),
    errors.AnswerError(SECRET, why=errors.AnswerTrouble.FILTER),
    errors.StoreUnavailable(SECRET),
]


def test_every_provider_error_is_among_the_failures_tested_here() -> None:
    kinds = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ProviderError) and kind is not errors.ProviderError
    }
    assert kinds <= {type(error) for error in FAILURES}


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failure_says_what_to_do_and_carries_its_reference_but_not_the_error_text(
    error: errors.AvatarRelayError,
) -> None:
    sentence, reference = sentences.failure(error)
    assert SECRET not in sentence
    assert sentence.endswith(f"(ref {reference})")
    assert re.fullmatch(r"[2-9a-z]{8}", reference)
    assert not sentence.startswith("Something went wrong")


def test_an_answer_that_broke_off_is_told_with_its_reason_and_reference_but_not_the_error_text() -> None:
    kinds = (errors.AnswerTrouble.TIME, errors.AnswerTrouble.LENGTH, errors.AnswerTrouble.FILTER)
    said = [sentences.answer_broke_off(errors.AnswerError(SECRET, why=why)) for why in kinds]
    assert all(SECRET not in sentence and sentence.endswith(f"(ref {reference})") for sentence, reference in said)
    assert len({sentence.partition(" (ref ")[0] for sentence, _ in said}) == len(kinds)


def test_no_two_failures_share_a_sentence() -> None:
    said = [re.sub(r" \(ref .*", "", sentences.failure(error)[0]) for error in FAILURES]
    assert len(set(said)) == len(said)


def test_the_sunset_names_the_alternatives() -> None:
    sentence, _ = sentences.failure(errors.Sunset("x"))
    assert "heygen-realtime" in sentence
    assert "simulator" in sentence


def test_an_unknown_error_still_has_a_sentence() -> None:
    assert sentences.failure(errors.AvatarRelayError("?"))[0].startswith("Something went wrong.")


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_end_has_a_sentence_that_says_how_to_come_back(reason: EndReason) -> None:
    sentence = sentences.ended(reason, timedelta(seconds=65), None, StreamSeconds(60, 60, 9), Decimal("1.2"))
    assert "`/avatar start`" in sentence


def test_the_price_in_a_farewell_is_rounded_up() -> None:
    sentence = sentences.ended(
        EndReason.STOPPED, timedelta(minutes=14), None, StreamSeconds(180.0, 300.0, 49.6), Decimal("1.201")
    )
    assert sentence == (
        "The avatar has left after 14 min. Open 3 min, spoken 50 s, about $1.21. Bring it back with `/avatar start`."
    )


def test_a_farewell_without_a_price_tells_the_times_alone_and_without_a_stream_nothing() -> None:
    used, none = StreamSeconds(24.0, 24.0, 10.0), StreamSeconds()
    assert [
        sentences.ended(EndReason.STOPPED, timedelta(seconds=65), None, seconds, cost)
        for seconds, cost in ((used, None), (none, Decimal(0)))
    ] == [
        "The avatar has left after 65 s. Open 24 s, spoken 10 s. Bring it back with `/avatar start`.",
        "The avatar has left after 65 s. Bring it back with `/avatar start`.",
    ]


def test_a_farewell_at_a_limit_tells_what_was_used_too() -> None:
    used = StreamSeconds(60.0, 60.0, 10.0)
    sentence = sentences.ended(EndReason.MAX_DURATION, timedelta(seconds=65), "Used up.", used, Decimal(3))
    assert sentence == "Used up. The avatar has left after 65 s. Open 60 s, spoken 10 s, about $3.00."


def test_every_phase_and_every_role_has_words() -> None:
    assert set(sentences.PHASES) == set(Phase)
    assert all(sentences.not_allowed(role) for role in Role)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"phase": Phase.STARTING}, "starting"),
        ({"phase": Phase.LIVE}, "live"),
        ({"phase": Phase.WAITING_FOR_TEXT}, "asleep; the next message wakes it"),
        ({"phase": Phase.WAITING_FOR_TEXT, "wakes_in": 4}, "asleep; the next message wakes it (about 4 s)"),
        ({"phase": Phase.STARTING, "is_waking": True}, "waking up"),
        ({"phase": Phase.STARTING, "is_waking": True, "wakes_in": 4}, "waking up (about 4 s)"),
    ],
)
def test_who_sleeps_and_who_wakes_up_is_told_with_the_time_that_usually_takes(
    view: dict[str, object], words: str
) -> None:
    assert sentences.state(a_session_view(**view)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "60 s"), (99, "99 s"), (300, "5 min"), (3600, "1 h"), (3900, "1 h 5 min"), (-3, "0 s")],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert sentences.duration(seconds) == words


@pytest.mark.parametrize(("number", "words"), [(0, "no messages"), (1, "1 message"), (4, "4 messages")])
def test_things_are_counted_in_words(number: int, words: str) -> None:
    assert sentences.count(number, "message") == words
