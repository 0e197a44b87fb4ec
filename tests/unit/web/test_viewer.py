"""The room of a session over the page's WebSocket: who gets a door, what the page with the seat carries, and what no
page can do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from adapters.web.protocol import MAX_TOPIC_LENGTH, DataReceived, parse_message
from adapters.web.seats import ANSWER_TIMEOUT, RECONNECT_TIMEOUT
from adapters.web.viewer import ACCESS_RETRY_DELAY
from bot.core.errors import AvatarAway, NotReady, ProviderError, Transient
from bot.core.models import RoomAccess
from bot.core.ports import AvatarSeen
from bot.core.views import Phase
from bot.streams.page_bridge import BridgedRoom, RoomMessage
from tests.harness.clock import ManualClock, settle
from tests.unit.web.fixtures import PATIENCE, Watching, eventually

TOKEN = "header.payload.signature"
DOOR = RoomAccess("upstream-42", "wss://rooms.example", TOKEN)
SPEAK = RoomMessage("agent-control", {"event_type": "avatar.speak_text", "text": "Good morning"})


class Page:
    """One page's end of the line."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def say(self, **message: object) -> None:
        await self.socket.send_str(json.dumps(message))

    async def next(self, kind: str) -> dict[str, Any]:
        """The next message of a kind."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = await self.socket.receive()
                assert frame.type is aiohttp.WSMsgType.TEXT, (frame, self.heard)
                message: dict[str, Any] = json.loads(frame.data)
                self.heard.append(message)
                if message["type"] == kind:
                    return message

    async def place(self, place: str) -> dict[str, Any]:
        """The next news of the seat that says `place`."""
        while (seat := await self.next("seat"))["place"] != place:
            pass
        return seat

    async def sit(self) -> None:
        """Say that both tracks play, behind the door that comes next."""
        await self.say(type="seated", room=(await self.next("door"))["room"])

    async def asked_again(self) -> None:
        """Wait until everything said so far was read, and everything told before that was heard."""
        await self.say(type="hello")
        await self.next("session")

    async def end(self) -> int | None:
        async with asyncio.timeout(PATIENCE):
            while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code


@asynccontextmanager
async def visit(
    client: aiohttp.ClientSession, watching: Watching, name: str, *, plays: bool = False
) -> AsyncIterator[Page]:
    url = f"{watching.base}/w/{watching.signed}/live"
    async with await client.ws_connect(url, origin=watching.base) as socket:
        page = Page(socket)
        await page.next("session")
        await page.say(type="visit", visitor=name.ljust(16, "_"), plays=plays)
        yield page


def open_room(watching: Watching) -> BridgedRoom:
    """A room whose commands go through a page."""
    room = watching.seats.open(DOOR.upstream_id)
    watching.open_room(DOOR)
    return room


async def test_the_first_page_gets_the_door_and_the_second_one_waits(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.open_room(DOOR)
    async with visit(client, watching, "ada") as ada, visit(client, watching, "ben") as ben:
        await ada.place("seated")
        door = await ada.next("door")
        assert (door["url"], door["token"], door["is_seat"]) == (DOOR.url, TOKEN, True)
        assert DOOR.upstream_id not in str(ada.heard)
        waiting = await ben.place("waiting")
        assert (waiting["watching"], waiting["ahead"], waiting["may_ask"]) == (2, 0, True)
        await ben.asked_again()
        assert TOKEN not in str(ben.heard)


async def test_a_page_that_does_not_say_who_it_is_gets_no_door(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.open_room(DOOR)
    url = f"{watching.base}/w/{watching.signed}/live"
    async with await client.ws_connect(url, origin=watching.base) as socket:
        page = Page(socket)
        await page.next("session")
        await page.say(type="door")
        await page.asked_again()
        assert {message["type"] for message in page.heard} == {"session", "viewers"}


async def test_doors_of_ones_own_are_for_everybody_at_once(watching: Watching, client: aiohttp.ClientSession) -> None:
    doors = [RoomAccess("upstream-42", "wss://own.example", f"token-{n}", is_seat=False) for n in range(2)]
    watching.open_room(*doors)
    async with visit(client, watching, "ada") as ada, visit(client, watching, "ben") as ben:
        tokens = [(await page.next("door"))["token"] for page in (ada, ben)]
        assert sorted(tokens) == ["token-0", "token-1"]
        assert "seat" not in {message["type"] for page in (ada, ben) for message in page.heard}


async def test_hls_goes_first(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.open_room(DOOR)
    watching.change(hls_url="https://media.example/a.m3u8")
    async with visit(client, watching, "ada") as ada:
        await ada.asked_again()
        assert [heard["has_room"] for heard in ada.heard if heard["type"] == "session"] == [False, False]


async def test_what_is_to_be_said_goes_through_the_page_with_the_seat(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        publishing = asyncio.create_task(room.publish(SPEAK))
        told = await ada.next("publish")
        assert (told["topic"], told["data"]) == (SPEAK.topic, SPEAK.data)
        assert not publishing.done()
        await ada.say(type="published", id=told["id"])
        async with asyncio.timeout(PATIENCE):
            await publishing
        await ada.say(type="heard", topic="agent-response", data={"event_type": "avatar.speak_started"})
        heard = await anext(room.messages())
        assert heard == RoomMessage("agent-response", {"event_type": "avatar.speak_started"})
    await eventually(lambda: not room.has_viewer)
    with pytest.raises(NotReady):
        await room.publish(SPEAK)


async def test_a_page_that_leaves_with_a_message_may_have_said_it(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        publishing = asyncio.create_task(room.publish(SPEAK))
        await ada.next("publish")
        await ada.say(type="left")
        with pytest.raises(Transient):
            await publishing
        assert not room.has_viewer


async def test_a_page_in_the_room_says_whether_the_avatar_is_there(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    news = room.messages()
    async with visit(client, watching, "ada") as ada:
        name = (await ada.next("door"))["room"]
        await ada.say(type="avatar", room=name, is_here=False)
        assert await anext(news) == AvatarSeen(is_here=False)
        with pytest.raises(AvatarAway):
            await room.publish(SPEAK)
        await ada.say(type="seated", room=name)
        assert await anext(news) == AvatarSeen(is_here=True)
        await ada.say(type="left")
        await ada.say(type="avatar", room=name, is_here=False)
        assert await anext(news) == AvatarSeen(is_here=False)
    # Whoever looked is gone, so nobody can say that it is missing.
    assert await anext(news) == AvatarSeen(is_here=None)
    with pytest.raises(NotReady) as nobody:
        await room.publish(SPEAK)
    assert not isinstance(nobody.value, AvatarAway)


async def test_a_page_without_the_seat_says_nothing_of_the_avatar(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada, visit(client, watching, "ben") as ben:
        name = (await ada.next("door"))["room"]
        await ben.place("waiting")
        await ben.say(type="avatar", room=name, is_here=False)
        await ben.asked_again()
        await ada.say(type="avatar", room="another", is_here=False)
        await ada.asked_again()
        with pytest.raises(NotReady) as nobody:
            await room.publish(SPEAK)
        assert not isinstance(nobody.value, AvatarAway)


async def test_who_waits_can_neither_sit_nor_report(watching: Watching, client: aiohttp.ClientSession) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada, visit(client, watching, "ben") as ben:
        door = await ada.next("door")
        await ben.place("waiting")
        await ben.say(type="seated", room=door["room"])
        await ben.say(type="heard", topic="agent-response", data={})
        await ben.asked_again()
        assert not room.has_viewer
        await ada.say(type="seated", room="another")
        await ada.asked_again()
        assert not room.has_viewer


async def test_the_seat_is_taken_over_when_nobody_answers(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada, visit(client, watching, "ben") as ben:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        await ben.place("waiting")
        await ben.say(type="ask")
        assert (await ada.place("asked"))["seconds"] == ANSWER_TIMEOUT
        await ben.place("asking")
        await clock.advance(ANSWER_TIMEOUT)
        await ada.place("waiting")
        await ben.sit()
        await eventually(lambda: room.has_viewer)
        publishing = asyncio.create_task(room.publish(SPEAK))
        told = await ben.next("publish")
        await ada.say(type="published", id=told["id"])
        await ada.asked_again()
        assert not publishing.done()
        await ben.say(type="published", id=told["id"])
        await publishing


async def test_the_seat_is_kept_with_a_word(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.open_room(DOOR)
    async with visit(client, watching, "ada") as ada, visit(client, watching, "ben") as ben:
        await ada.place("seated")
        await ben.place("waiting")
        await ben.say(type="ask")
        await ada.place("asked")
        await ada.say(type="keep")
        assert not (await ben.place("waiting"))["may_ask"]
        await ada.place("seated")


async def test_a_free_seat_comes_by_itself(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    watching.open_room(DOOR)
    async with visit(client, watching, "ben_waits_first") as first:
        await first.next("door")
        async with visit(client, watching, "ada") as ada:
            await ada.place("waiting")
            await first.socket.close()
            await eventually(lambda: watching.audiences.of(watching.view.session_id).is_there)
            await clock.advance(RECONNECT_TIMEOUT)
            assert (await ada.next("door"))["token"] == TOKEN


async def test_a_reload_gets_its_own_seat_back(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    watching.open_room(DOOR)
    async with visit(client, watching, "ada") as ada, visit(client, watching, "ben") as ben:
        await ada.next("door")
        await ben.place("waiting")
        await ada.socket.close()
        await eventually(lambda: watching.audiences.of(watching.view.session_id).is_there)
        await clock.advance(RECONNECT_TIMEOUT - 1)
        async with visit(client, watching, "ada") as again:
            await again.place("seated")
            await again.next("door")
            await clock.advance(RECONNECT_TIMEOUT + 1)
            await ben.asked_again()
            assert TOKEN not in str(ben.heard)


async def test_of_two_pages_with_one_name_the_newer_one_goes_on(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        async with visit(client, watching, "ada") as copy:
            await copy.next("door")
            await ada.place("waiting")
            await eventually(lambda: not room.has_viewer)


async def test_after_a_restart_who_plays_goes_on_although_others_were_back_earlier(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ben") as ben:
        await ben.next("door")
        async with visit(client, watching, "ada", plays=True) as ada:
            await ada.sit()
            await ben.place("waiting")
            await eventually(lambda: room.has_viewer)
            async with visit(client, watching, "cleo", plays=True) as cleo:
                await cleo.place("waiting")
                assert room.has_viewer


async def test_the_room_of_the_next_stream_is_entered_as_well(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.open_room(DOOR)
    async with visit(client, watching, "ada") as ada:
        first = await ada.next("door")
        watching.close_room()
        await ada.next("session")
        watching.open_room(RoomAccess("upstream-43", DOOR.url, "another-token"))
        await ada.place("seated")
        second = await ada.next("door")
        assert second["token"] == "another-token"
        assert second["room"] != first["room"]


async def test_a_page_that_fell_out_of_the_room_is_let_in_again(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        await ada.say(type="door")
        await ada.sit()
        await settle()
        await eventually(lambda: room.has_viewer)


async def test_a_door_that_cannot_be_had_is_asked_for_again(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    watching.lookup.closed_door = ProviderError("the stage is dark")
    watching.open_room(DOOR)
    async with visit(client, watching, "ada") as ada:
        await ada.asked_again()
        watching.lookup.closed_door = None
        await clock.advance(ACCESS_RETRY_DELAY)
        assert (await ada.next("door"))["token"] == TOKEN


async def test_the_end_of_the_session_frees_the_seat(watching: Watching, client: aiohttp.ClientSession) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        watching.change(phase=Phase.ENDED, ended="Stopped.")
        assert await ada.end() == 1000
    assert not room.has_viewer


async def test_a_page_that_carries_may_say_more_and_within_bounds(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        for _ in range(80):
            await ada.say(type="heard", topic="agent-response", data={"text": "w" * 10_000})
        for _ in range(20):
            await ada.say(type="published", id="nobody-waits-for-this")
        assert await ada.end() == 1008


async def test_a_page_that_carries_may_not_say_everything(watching: Watching, client: aiohttp.ClientSession) -> None:
    room = open_room(watching)
    async with visit(client, watching, "ada") as ada:
        await ada.sit()
        await eventually(lambda: room.has_viewer)
        await ada.say(type="heard", topic="agent-response", data={"text": "w" * 17_000})
        assert await ada.end() == 1009


@pytest.mark.parametrize(
    "message",
    [
        {"type": "visit"},
        {"type": "visit", "visitor": "x" * 16},
        {"type": "visit", "visitor": "short", "plays": True},
        {"type": "visit", "visitor": "x" * 65, "plays": True},
        {"type": "visit", "visitor": ["x" * 16], "plays": True},
        {"type": "visit", "visitor": "x" * 16, "plays": 1},
        {"type": "visit", "visitor": "x" * 16, "plays": True, "more": 1},
        {"type": "seated"},
        {"type": "seated", "room": 7},
        {"type": "avatar", "room": "x"},
        {"type": "avatar", "room": "x", "is_here": 1},
        {"type": "avatar", "room": "x" * 65, "is_here": True},
        {"type": "avatar", "room": "x", "is_here": False, "more": 1},
        {"type": "published", "id": ""},
        {"type": "published", "id": "x" * 65},
        {"type": "heard", "topic": "t"},
        {"type": "heard", "topic": "t", "data": []},
        {"type": "heard", "topic": "t" * (MAX_TOPIC_LENGTH + 1), "data": {}},
        {"type": "ask", "for": "it"},
        {"type": ["ask"]},
        {"type": "publish", "id": "x", "topic": "t", "data": {}},
    ],
)
def test_nothing_but_what_a_page_may_say_is_understood(message: dict[str, object]) -> None:
    assert parse_message(json.dumps(message)) is None


def test_half_a_character_that_the_avatar_said_is_understood() -> None:
    heard = parse_message('{"type":"heard","topic":"t","data":{"text":"\\ud83d"}}')
    assert isinstance(heard, DataReceived)
    assert heard.data == {"text": "\ud83d"}


@pytest.mark.parametrize("text", ['{"type":"heard","topic":"t","data":{"n":NaN}}', "[" * 5000, "9" * 5000, "\x00"])
def test_what_is_no_json_is_not_understood(text: str) -> None:
    assert parse_message(text) is None
