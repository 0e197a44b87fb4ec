"""The queue for a room that one page plays at a time: whose turn it is, and that nobody loses the seat by accident."""

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as some

from adapters.web.seats import ANSWER_TIMEOUT, RECONNECT_TIMEOUT, REQUEST_COOLDOWN, Place, SeatQueue
from tests.harness.clock import ManualClock


@pytest_asyncio.fixture
async def queue(clock: ManualClock) -> SeatQueue:
    return SeatQueue(clock)


def arrive(queue: SeatQueue, *visitors: str) -> None:
    for visitor in visitors:
        queue.connect(visitor, lambda: None)


async def test_the_first_one_has_the_seat_and_the_others_wait_in_order(queue: SeatQueue) -> None:
    arrive(queue, "ada", "ben", "cleo")
    assert queue.status_of("ada").place is Place.SEATED
    assert [queue.status_of(name).place for name in ("ben", "cleo")] == [Place.WAITING, Place.WAITING]
    assert [queue.status_of(name).ahead for name in ("ben", "cleo")] == [0, 1]
    assert {queue.status_of(name).watching for name in ("ada", "ben", "cleo")} == {3}


async def test_a_free_seat_goes_to_who_waits_longest(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben", "cleo")
    queue.disconnect("ada")
    await clock.advance(RECONNECT_TIMEOUT - 0.1)
    assert not queue.has_seat("ben")
    await clock.advance(0.2)
    assert queue.has_seat("ben")
    assert queue.status_of("cleo").ahead == 0


async def test_a_reload_gets_its_own_seat_back(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben")
    queue.disconnect("ada")
    await clock.advance(RECONNECT_TIMEOUT - 0.1)
    arrive(queue, "ada")
    await clock.advance(60)
    assert queue.has_seat("ada")


async def test_who_waits_and_reloads_keeps_the_place_in_the_queue(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben", "cleo")
    queue.disconnect("ben")
    assert queue.status_of("cleo").watching == 2
    arrive(queue, "ben")
    await clock.advance(60)
    queue.disconnect("ada")
    await clock.advance(RECONNECT_TIMEOUT)
    assert queue.has_seat("ben")


async def test_who_asks_gets_the_seat_when_nobody_answers(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben", "cleo")
    queue.request("cleo")
    assert queue.status_of("ada").place is Place.ASKED
    assert queue.status_of("ada").seconds == ANSWER_TIMEOUT
    await clock.advance(5)
    assert queue.status_of("cleo").seconds == ANSWER_TIMEOUT - 5
    assert queue.has_seat("ada")
    await clock.advance(10)
    assert queue.has_seat("cleo")
    assert queue.status_of("ada").place is Place.WAITING
    assert [queue.status_of(name).ahead for name in ("ben", "ada")] == [0, 1]


async def test_who_keeps_the_seat_has_peace_for_a_while(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben")
    queue.request("ben")
    queue.keep("ada")
    assert queue.status_of("ada").place is Place.SEATED
    assert not queue.status_of("ben").may_ask
    queue.request("ben")
    await clock.advance(ANSWER_TIMEOUT + 1)
    assert queue.has_seat("ada")
    await clock.advance(REQUEST_COOLDOWN)
    assert queue.status_of("ben").may_ask
    queue.request("ben")
    assert queue.status_of("ada").place is Place.ASKED


async def test_the_seat_can_be_given_at_once(queue: SeatQueue) -> None:
    arrive(queue, "ada", "ben")
    queue.request("ben")
    queue.release("ada")
    assert queue.has_seat("ben")
    assert queue.status_of("ada").place is Place.WAITING


async def test_one_request_at_a_time(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben", "cleo")
    queue.request("cleo")
    assert not queue.status_of("ben").may_ask
    queue.request("ben")
    await clock.advance(ANSWER_TIMEOUT)
    assert queue.has_seat("cleo")


async def test_only_who_has_the_seat_may_keep_or_give_it(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben", "cleo")
    queue.request("ben")
    queue.keep("cleo")
    queue.release("ben")
    assert queue.status_of("ada").place is Place.ASKED
    queue.request("ada")
    queue.request("a stranger")
    assert queue.status_of("ben").place is Place.ASKING
    assert clock.monotonic() == 0


async def test_a_request_ends_with_who_made_it(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben", "cleo")
    queue.request("ben")
    queue.disconnect("ben")
    await clock.advance(RECONNECT_TIMEOUT)
    assert queue.status_of("ada").place is Place.SEATED
    assert queue.status_of("cleo").may_ask
    await clock.advance(ANSWER_TIMEOUT)
    assert queue.has_seat("ada")


async def test_who_asked_goes_first_when_the_holder_leaves(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada", "ben", "cleo")
    queue.request("cleo")
    queue.disconnect("ada")
    await clock.advance(RECONNECT_TIMEOUT)
    assert queue.has_seat("cleo")


async def test_an_empty_line_gives_the_seat_to_the_next_one(queue: SeatQueue, clock: ManualClock) -> None:
    arrive(queue, "ada")
    queue.disconnect("ada")
    await clock.advance(RECONNECT_TIMEOUT)
    assert len(queue) == 0
    arrive(queue, "ben")
    assert queue.has_seat("ben")


async def test_everybody_who_is_there_hears_of_a_change(queue: SeatQueue, clock: ManualClock) -> None:
    heard: list[str] = []
    for name in ("ada", "ben"):
        queue.connect(name, lambda name=name: heard.append(name))
    heard.clear()
    queue.request("ben")
    assert heard == ["ada", "ben"]
    queue.close()
    await clock.advance(60)
    assert heard == ["ada", "ben"]


ACTS = some.tuples(
    some.sampled_from(["arrive", "depart", "request", "keep", "release", "wait"]),
    some.sampled_from(["ada", "ben", "cleo"]),
)


@given(some.lists(ACTS, max_size=40))
@pytest.mark.asyncio(loop_scope="function")
async def test_whatever_happens_at_most_one_plays_and_somebody_does_where_somebody_is_here(
    acts: list[tuple[str, str]],
) -> None:
    clock = ManualClock()
    queue = SeatQueue(clock)
    here: set[str] = set()
    for act, name in acts:
        if act == "arrive":
            arrive(queue, name)
            here.add(name)
        elif act == "depart":
            queue.disconnect(name)
            here.discard(name)
        elif act == "wait":
            await clock.advance(4)
        else:
            getattr(queue, act)(name)
        assert sum(queue.has_seat(each) for each in ("ada", "ben", "cleo")) <= 1
        assert all(queue.status_of(each).watching == len(here) for each in here)
    await clock.advance(60)
    assert sum(queue.has_seat(each) for each in here) == (1 if here else 0)
    assert len(queue) == len(here)
