"""Messages per minute and person."""

import pytest

from bot.core.errors import Refused
from bot.relay import RateLimiter
from bot.sentences import too_fast, too_much
from tests.harness.clock import ManualClock


def counts(rate: RateLimiter, person: str) -> bool:
    try:
        rate.count(person)
    except Refused:
        return False
    return True


async def test_a_person_may_write_so_many_messages_within_any_minute() -> None:
    clock = ManualClock()
    rate = RateLimiter(clock, 3, too_fast)
    assert [counts(rate, "ana") for _ in range(4)] == [True, True, True, False]
    await clock.advance(59.9)
    assert not counts(rate, "ana")
    await clock.advance(0.1)
    assert counts(rate, "ana")


async def test_refused_messages_do_not_count() -> None:
    clock = ManualClock()
    rate = RateLimiter(clock, 1, too_fast)
    assert counts(rate, "ana")
    await clock.advance(30)
    assert not counts(rate, "ana")
    await clock.advance(30)
    assert counts(rate, "ana")


def test_people_do_not_use_up_each_others_messages() -> None:
    rate = RateLimiter(ManualClock(), 1, too_fast)
    assert [counts(rate, person) for person in ("ana", "bob", "ana", "bob")] == [True, True, False, False]


def test_no_limit_is_no_limit() -> None:
    rate = RateLimiter(ManualClock(), 0, too_fast)
    assert all(counts(rate, "ana") for _ in range(1000))


async def test_people_who_are_silent_are_forgotten() -> None:
    clock = ManualClock()
    rate = RateLimiter(clock, 5, too_fast)
    for number in range(500):
        rate.count(f"person {number}")
    await clock.advance(61)
    rate.count("somebody new")
    assert len(rate._sent) == 1


def test_the_refusal_names_the_limit() -> None:
    rate = RateLimiter(ManualClock(), 1, too_fast)
    rate.count("ana")
    with pytest.raises(Refused, match="at most 1 message a minute"):
        rate.count("ana")


def test_characters_are_counted_as_messages_are() -> None:
    rate = RateLimiter(ManualClock(), 100, too_much)
    rate.count("ana", 60)
    with pytest.raises(Refused, match="more than 100 characters within a minute"):
        rate.count("ana", 41)
    rate.count("ana", 40)
    rate.count("bob", 100)
