"""What a page reports of a v1 room. The network is replaced, the provider is real."""

import json

import httpx
import pytest
from pydantic import SecretStr

from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from bot.core.models import Mode
from bot.core.ports import AnswerHeard, SpeechEnded, SpeechStarted, StreamEnded, StreamRequest, WordsHeard
from bot.streams.page_bridge import RoomMessage, Seat, seats_of
from tests.harness.clock import ManualClock

REQUEST = StreamRequest("", "", "medium", "", 120, 600)
DATA: dict[str, object] = {"session_id": "s", "url": "wss://room.example.com", "access_token": "jwt", "token": "t",
                           "task_id": "t1", "duration_ms": 900, "sessions": []}  # fmt: skip


def v1(**data: object) -> HeyGenStreaming:
    answer = json.dumps({"code": 100, "data": {**DATA, **data}, "message": "success"}).encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=answer))
    return HeyGenStreaming(SecretStr("key"), "https://api.example.com", ManualClock(), transport=transport)


def seated(provider: HeyGenStreaming) -> Seat:
    seat = seats_of(provider).attach("s")
    assert seat is not None
    return seat


async def test_a_page_tells_what_the_avatar_says_and_answers() -> None:
    async with v1() as provider:
        await provider.create(REQUEST)
        await provider.speak("s", "u", "Who are you?", Mode.CHAT)
        events = provider.events("s")
        seat = seated(provider)
        for report in (
            {"type": "avatar_start_talking", "task_id": "t1"},
            {"type": "avatar_talking_message", "task_id": "t1", "message": "I am"},
            {"type": "avatar_talking_message", "task_id": "t1", "message": " Robin."},
            {"type": "avatar_end_message", "task_id": "t1"},
            {"type": "avatar_stop_talking", "task_id": "t1", "duration_ms": 900},
        ):
            seat.deliver(RoomMessage("", report))

        told = [await anext(events) for _ in range(5)]

    words = [word.text for event in told if isinstance(event, WordsHeard) for word in event.words]
    assert words == ["I", "am", "Robin."]
    assert [told[0], *told[3:]] == [SpeechStarted("u"), AnswerHeard("u", "I am Robin."), SpeechEnded("u")]


async def test_an_interrupt_forgets_what_was_being_said() -> None:
    async with v1() as provider:
        await provider.create(REQUEST)
        await provider.speak("s", "u", "Hello.")
        await provider.interrupt("s")
        events = provider.events("s")
        seated(provider).deliver(RoomMessage("", {"type": "avatar_start_talking", "task_id": "t1"}))
        await provider.close("s")

        assert [event async for event in events] == []


@pytest.mark.parametrize(
    "report",
    [{}, {"type": 7}, {"type": "user_start"}, {"event_type": "session.stopped"}, {"type": "session.stopped"},
     {"type": "avatar_start_talking", "task_id": "another"}],
)  # fmt: skip
async def test_what_makes_no_sense_in_a_v1_room_is_ignored(report: dict[str, object]) -> None:
    async with v1() as provider:
        await provider.create(REQUEST)
        await provider.speak("s", "u", "Hello.")
        events = aiter(provider.events("s"))
        seat = seated(provider)
        seat.deliver(RoomMessage("", report))
        seat.deliver(RoomMessage("", {"type": "avatar_start_talking", "task_id": "t1"}))

        assert await anext(events) == SpeechStarted("u")


async def test_a_stream_without_a_room_has_no_seat() -> None:
    async with v1(url=None) as provider:
        await provider.create(REQUEST)

        assert provider.seats.attach("s") is None
        assert [event async for event in provider.events("s")] == []


async def test_the_events_of_a_closed_stream_end() -> None:
    async with v1() as provider:
        await provider.create(REQUEST)
        events = provider.events("s")
        following = aiter(events)
        seated(provider).deliver(RoomMessage("", {"type": "avatar_start_talking"}))
        await provider.speak("s", "u", "Hello.")
        assert await anext(following) == SpeechStarted("u")

        await provider.close("s")

        assert [event async for event in following] == [StreamEnded("closed")]
        assert provider.seats.attach("s") is None
