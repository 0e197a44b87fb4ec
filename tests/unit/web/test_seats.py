"""The line for a room that one page plays at a time: whose turn it is, and that nobody loses the seat by accident."""

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as some

from adapters.web.seats import ANSWER, GRACE, REQUEST_COOLDOWN, Place, SeatQueue
from tests.harness.clock import ManualClock


@pytest_asyncio.fixture
async def line(clock: ManualClock) -> SeatQueue:
    return SeatQueue(clock)


def arrive(line: SeatQueue, *visitors: str) -> None:
    for visitor in visitors:
        line.connect(visitor, lambda: None)


async def test_the_first_one_has_the_seat_and_the_others_wait_in_order(line: SeatQueue) -> None:
    arrive(line, "ada", "ben", "cleo")
    assert line.standing("ada").place is Place.SEATED
    assert [line.standing(name).place for name in ("ben", "cleo")] == [Place.WAITING, Place.WAITING]
    assert [line.standing(name).ahead for name in ("ben", "cleo")] == [0, 1]
    assert {line.standing(name).watching for name in ("ada", "ben", "cleo")} == {3}


async def test_a_free_seat_goes_to_who_waits_longest(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben", "cleo")
    line.disconnect("ada")
    await clock.advance(GRACE - 0.1)
    assert not line.has_seat("ben")
    await clock.advance(0.2)
    assert line.has_seat("ben")
    assert line.standing("cleo").ahead == 0


async def test_a_reload_gets_its_own_seat_back(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben")
    line.disconnect("ada")
    await clock.advance(GRACE - 0.1)
    arrive(line, "ada")
    await clock.advance(60)
    assert line.has_seat("ada")


async def test_who_waits_and_reloads_keeps_the_place_in_the_line(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben", "cleo")
    line.disconnect("ben")
    assert line.standing("cleo").watching == 2
    arrive(line, "ben")
    await clock.advance(60)
    line.disconnect("ada")
    await clock.advance(GRACE)
    assert line.has_seat("ben")


async def test_who_asks_gets_the_seat_when_nobody_answers(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben", "cleo")
    line.ask("cleo")
    assert line.standing("ada").place is Place.ASKED
    assert line.standing("ada").seconds == ANSWER
    await clock.advance(5)
    assert line.standing("cleo").seconds == ANSWER - 5
    assert line.has_seat("ada")
    await clock.advance(10)
    assert line.has_seat("cleo")
    assert line.standing("ada").place is Place.WAITING
    assert [line.standing(name).ahead for name in ("ben", "ada")] == [0, 1]


async def test_who_keeps_the_seat_has_peace_for_a_while(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben")
    line.ask("ben")
    line.keep("ada")
    assert line.standing("ada").place is Place.SEATED
    assert not line.standing("ben").may_ask
    line.ask("ben")
    await clock.advance(ANSWER + 1)
    assert line.has_seat("ada")
    await clock.advance(REQUEST_COOLDOWN)
    assert line.standing("ben").may_ask
    line.ask("ben")
    assert line.standing("ada").place is Place.ASKED


async def test_the_seat_can_be_given_at_once(line: SeatQueue) -> None:
    arrive(line, "ada", "ben")
    line.ask("ben")
    line.give("ada")
    assert line.has_seat("ben")
    assert line.standing("ada").place is Place.WAITING


async def test_one_request_at_a_time(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben", "cleo")
    line.ask("cleo")
    assert not line.standing("ben").may_ask
    line.ask("ben")
    await clock.advance(ANSWER)
    assert line.has_seat("cleo")


async def test_only_who_has_the_seat_may_keep_or_give_it(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben", "cleo")
    line.ask("ben")
    line.keep("cleo")
    line.give("ben")
    assert line.standing("ada").place is Place.ASKED
    line.ask("ada")
    line.ask("a stranger")
    assert line.standing("ben").place is Place.ASKING
    assert clock.monotonic() == 0


async def test_a_request_ends_with_who_made_it(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben", "cleo")
    line.ask("ben")
    line.disconnect("ben")
    await clock.advance(GRACE)
    assert line.standing("ada").place is Place.SEATED
    assert line.standing("cleo").may_ask
    await clock.advance(ANSWER)
    assert line.has_seat("ada")


async def test_who_asked_goes_first_when_the_holder_leaves(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada", "ben", "cleo")
    line.ask("cleo")
    line.disconnect("ada")
    await clock.advance(GRACE)
    assert line.has_seat("cleo")


async def test_an_empty_line_gives_the_seat_to_the_next_one(line: SeatQueue, clock: ManualClock) -> None:
    arrive(line, "ada")
    line.disconnect("ada")
    await clock.advance(GRACE)
    assert len(line) == 0
    arrive(line, "ben")
    assert line.has_seat("ben")


async def test_everybody_who_is_there_hears_of_a_change(line: SeatQueue, clock: ManualClock) -> None:
    heard: list[str] = []
    for name in ("ada", "ben"):
        line.connect(name, lambda name=name: heard.append(name))  # type: ignore[misc]  # a lambda with a default
    heard.clear()
    line.ask("ben")
    assert heard == ["ada", "ben"]
    line.close()
    await clock.advance(60)
    assert heard == ["ada", "ben"]


ACTS = some.tuples(
    some.sampled_from(["arrive", "depart", "ask", "keep", "give", "wait"]), some.sampled_from(["ada", "ben", "cleo"])
)


@given(some.lists(ACTS, max_size=40))
@pytest.mark.asyncio(loop_scope="function")
async def test_whatever_happens_at_most_one_plays_and_somebody_does_where_somebody_is_here(
    acts: list[tuple[str, str]],
) -> None:
    clock = ManualClock()
    line = SeatQueue(clock)
    here: set[str] = set()
    for act, name in acts:
        if act == "arrive":
            arrive(line, name)
            here.add(name)
        elif act == "depart":
            line.disconnect(name)
            here.discard(name)
        elif act == "wait":
            await clock.advance(4)
        else:
            getattr(line, act)(name)
        assert sum(line.has_seat(each) for each in ("ada", "ben", "cleo")) <= 1
        assert all(line.standing(each).watching == len(here) for each in here)
    await clock.advance(60)
    assert sum(line.has_seat(each) for each in here) == (1 if here else 0)
    assert len(line) == len(here)
