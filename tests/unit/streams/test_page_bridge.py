"""Seats: what a page is given to publish, what it confirms, and what becomes of the rest when it leaves."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.core.errors import NotReady, StreamGone, Transient
from bot.core.ports import AvatarSeen
from bot.streams.page_bridge import BACKLOG, OutgoingMessage, PageBridge, RoomMessage, Seat, SupportsPages, seats_of

SPEAK = RoomMessage("agent-control", {"event_type": "avatar.speak_text", "text": "Hello."})
CUT = RoomMessage("agent-control", {"event_type": "avatar.interrupt"})
STARTED = RoomMessage("agent-response", {"event_type": "avatar.speak_started"})


async def given(seat: Seat) -> OutgoingMessage:
    return await anext(aiter(seat.publications()))


async def rest(messages: AsyncIterator[RoomMessage | AvatarSeen]) -> list[RoomMessage | AvatarSeen]:
    return [message async for message in messages]


def seated(seats: PageBridge, upstream_id: str = "s") -> Seat:
    seat = seats.attach(upstream_id)
    assert seat is not None
    return seat


async def test_with_nobody_in_the_seat_nothing_can_be_said() -> None:
    room = PageBridge().open("s")

    with pytest.raises(NotReady):
        await room.publish(SPEAK)

    assert not room.has_viewer


async def test_a_room_that_no_page_carries_has_no_seat() -> None:
    assert PageBridge().attach("somebody-elses") is None


async def test_a_message_is_out_when_the_page_says_so() -> None:
    seats = PageBridge()
    room = seats.open("s")
    seat = seated(seats)
    publishing = asyncio.create_task(room.publish(SPEAK))

    publication = await given(seat)
    seat.published("another-id")
    await asyncio.sleep(0)
    assert not publishing.done()
    seat.published(publication.id)

    await publishing
    assert publication.message == SPEAK
    assert room.has_viewer


async def test_messages_are_given_in_their_order() -> None:
    seats = PageBridge()
    room = seats.open("s")
    seat = seated(seats)
    publishing = [asyncio.create_task(room.publish(message)) for message in (SPEAK, CUT)]

    first, second = await given(seat), await given(seat)
    seat.published(first.id)
    seat.published(second.id)

    await asyncio.gather(*publishing)
    assert [first.message, second.message] == [SPEAK, CUT]


async def test_what_a_leaving_page_was_not_given_was_surely_not_said() -> None:
    seats = PageBridge()
    room = seats.open("s")
    seat = seated(seats)
    with_the_page = asyncio.create_task(room.publish(SPEAK))
    await given(seat)
    waiting = asyncio.create_task(room.publish(CUT))
    await asyncio.sleep(0)

    seat.leave()

    with pytest.raises(Transient) as unknown:
        await with_the_page
    assert unknown.value.may_have_taken_effect
    with pytest.raises(NotReady):
        await waiting
    assert not room.has_viewer
    assert await asyncio.wait_for(rest_of(seat), 1) == []


async def rest_of(seat: Seat) -> list[OutgoingMessage]:
    return [publication async for publication in seat.publications()]


async def test_a_message_that_is_given_up_is_not_given_to_the_page() -> None:
    seats = PageBridge()
    room = seats.open("s")
    seat = seated(seats)
    publishing = asyncio.create_task(room.publish(SPEAK))
    await asyncio.sleep(0)

    publishing.cancel()
    await asyncio.wait([publishing])
    following = asyncio.create_task(room.publish(CUT))
    publication = await given(seat)
    seat.published(publication.id)

    await following
    assert publication.message == CUT


async def test_the_last_to_sit_has_the_seat_and_only_that_page_is_believed() -> None:
    seats = PageBridge()
    room = seats.open("s")
    first = seated(seats)
    second = seated(seats)

    first.deliver(STARTED)
    second.deliver(CUT)
    first.leave()
    room.close()

    assert await rest(room.messages()) == [CUT]
    assert await rest_of(first) == []


async def test_a_reload_finds_the_seat_free() -> None:
    seats = PageBridge()
    room = seats.open("s")
    seated(seats).leave()
    seat = seated(seats)
    publishing = asyncio.create_task(room.publish(SPEAK))

    seat.published((await given(seat)).id)

    await publishing


async def test_a_closed_room_ends_for_everybody() -> None:
    seats = PageBridge()
    room = seats.open("s")
    seat = seated(seats)
    waiting = asyncio.create_task(room.publish(SPEAK))
    await asyncio.sleep(0)

    room.close()
    seat.deliver(STARTED)

    with pytest.raises(StreamGone):
        await waiting
    with pytest.raises(StreamGone):
        await room.publish(SPEAK)
    assert await rest_of(seat) == []
    assert await rest(room.messages()) == []
    assert seats.attach("s") is None


async def test_a_page_that_floods_loses_its_own_oldest_messages() -> None:
    seats = PageBridge()
    room = seats.open("s")
    seat = seated(seats)
    for number in range(BACKLOG + 10):
        seat.deliver(RoomMessage("agent-response", {"number": number}))
    room.close()

    numbers = [message.data["number"] for message in await rest(room.messages()) if isinstance(message, RoomMessage)]

    assert numbers == list(range(10, BACKLOG + 10))


def test_a_provider_without_rooms_has_no_seats_to_fill() -> None:
    class Seated:
        seats = PageBridge()

    provider = Seated()
    assert isinstance(provider, SupportsPages)
    assert seats_of(provider) is provider.seats
    assert seats_of(object()).attach("s") is None
