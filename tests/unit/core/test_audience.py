"""Who is there: as many places as there are, the first who comes and the last who leaves."""

import gc

from bot.core.audience import Audiences
from tests.harness.clock import ManualClock


async def test_who_comes_and_who_leaves_is_told_and_with_the_last_one_since_when_nobody_is_there() -> None:
    clock = ManualClock()
    audience, told, before = Audiences(clock, are_required=True).of("one"), [], clock.monotonic()
    assert audience.is_missing
    with audience.follow(lambda: told.append((audience.is_there, audience.left_at))):
        with audience.join():
            await clock.advance(5)
            with audience.join():
                assert not audience.is_missing
            assert audience.is_there
        assert told == [(True, before), (True, before), (True, before), (False, clock.monotonic())]


def test_nobody_is_missing_where_nobody_is_needed() -> None:
    audience = Audiences(ManualClock(), are_required=False).of("one")
    assert not audience.is_there
    assert not audience.is_missing


async def test_it_is_known_since_when_nobody_is_there() -> None:
    clock = ManualClock()
    audience = Audiences(clock, are_required=True).of("one")
    with audience.join():
        await clock.advance(5)
        with audience.join():
            await clock.advance(5)
        await clock.advance(5)
        left = clock.monotonic()
    await clock.advance(5)
    assert audience.left_at == left


def test_a_page_that_nobody_looks_at_or_listens_to_is_nobody() -> None:
    audience = Audiences(ManualClock(), are_required=True).of("one")
    with audience.join() as page:
        page.attend(is_there=False)
        assert audience.is_missing
        page.attend(is_there=False)
        page.attend(is_there=True)
        assert audience.is_there
        page.attend(is_there=False)
    assert audience.is_missing


def test_who_is_known_by_name_is_named_once_and_while_there() -> None:
    audience = Audiences(ManualClock(), are_required=True).of("one")
    with audience.join("ben"), audience.join("ana") as page, audience.join("ana"), audience.join():
        assert (audience.size, audience.names) == (4, ("ana", "ben"))
        page.attend(is_there=False)
        assert audience.names == ("ana", "ben")
    assert audience.names == ()


def test_who_follows_hears_of_each_who_comes_or_leaves_and_of_nothing_else() -> None:
    audience, told = Audiences(ManualClock(), are_required=True).of("one"), []
    with audience.follow(lambda: told.append(audience.size)), audience.join(), audience.join() as page:
        page.attend(is_there=True)
        page.attend(is_there=False)
        page.attend(is_there=False)
        page.attend(is_there=True)
    with audience.join():
        assert audience.size == 1
    assert told == [1, 2, 1, 2, 1, 0]


def test_sessions_have_an_audience_each_which_is_forgotten_with_them() -> None:
    audiences = Audiences(ManualClock(), are_required=True)
    one = audiences.of("one")
    with audiences.of("one").join():
        assert one.is_there
        assert not audiences.of("another").is_there
    del one
    gc.collect()
    assert not list(audiences._by_session)
