"""The stand-in for a LiveKit room: commands, events, one seat for each identity, and how it ends."""

import asyncio

import aiohttp
import pytest

from adapters.simulator import SimulatorOptions
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client
from tests.unit.simulator.conftest import Serve
from tests.unit.simulator.liveavatar import DEMO_CONTEXT, WITH_CONTEXT, Seat, end_reason, sitting, started

DUPLICATE_IDENTITY, ROOM_DELETED = 4002, 4005


async def test_a_text_is_said_as_it_is_and_told_as_it_goes(client: Client, clock: ManualClock) -> None:
    session = await started(client)
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        connected = await seat.event()
        assert (connected["event_type"], connected["state"]) == ("session.state_updated", "connected")
        await seat.command("avatar.speak_text", "one", text="Good morning to everybody who is here.")
        while not client.spoken(session["session_id"]):  # noqa: ASYNC110 - what is waited for happens in a socket
            await asyncio.sleep(0.002)
        await clock.advance(10)
        events = [await seat.event() for _ in range(5)]
    assert [event["event_type"] for event in events] == [
        "avatar.speak_started", "avatar.transcription.chunk", "avatar.transcription.chunk", "avatar.transcription",
        "avatar.speak_ended",
    ]  # fmt: skip
    assert {(event["source_event_id"], event["session_id"]) for event in events} == {("one", session["session_id"])}
    assert len({event["event_id"] for event in events}) == 5
    assert events[1]["text"] + events[2]["text"] == events[3]["text"] == "Good morning to everybody who is here."
    assert client.spoken(session["session_id"]) == [("Good morning to everybody who is here.", "spoken")]


async def spoken_count(client: Client, session: dict[str, str], count: int) -> None:
    async with asyncio.timeout(5):
        while len(client.spoken(session["session_id"])) < count:  # noqa: ASYNC110 - it happens in a socket
            await asyncio.sleep(0.002)


async def test_an_interrupt_cuts_the_speech_and_drops_what_waits(client: Client, clock: ManualClock) -> None:
    session = await started(client)
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        await seat.command("avatar.speak_text", "one", text="A long story that nobody wants to hear to its end.")
        await seat.command("avatar.speak_text", "two", text="Another one.")
        await spoken_count(client, session, 2)
        await clock.advance(1)
        await seat.command("avatar.interrupt")
        last = [await seat.event() for _ in range(4)][-1]
        assert (last["event_type"], last["source_event_id"]) == ("avatar.speak_ended", "one")
    assert [state for _, state in client.spoken(session["session_id"])] == ["interrupted", "dropped"]


async def test_a_question_is_answered_where_there_is_a_context(client: Client, clock: ManualClock) -> None:
    session = await started(client, avatar_persona=WITH_CONTEXT["avatar_persona"])
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        await seat.command("avatar.speak_response", "ask", text="Are you a bot?")
        await spoken_count(client, session, 1)
        await clock.advance(20)
        while (event := await seat.event())["event_type"] != "avatar.transcription":
            pass
    assert event["text"].startswith("I am the simulator's stand-in")
    lines = (await client.get(f"/v1/sessions/{session['session_id']}/transcript")).data
    assert [(line["role"], line["transcript"]) for line in lines["transcript_data"]] == [
        ("user", "Are you a bot?"), ("avatar", event["text"])
    ]  # fmt: skip
    later = await client.get(
        f"/v1/sessions/{session['session_id']}/transcript?start_timestamp={lines['next_timestamp']}"
    )
    assert (later.data["session_active"], later.data["transcript_data"]) == (True, [])
    await client.call("DELETE", f"/v1/sessions/{session['session_id']}/events")
    assert (await client.get(f"/v1/sessions/{session['session_id']}/transcript")).data["transcript_data"] == []


async def test_without_a_context_a_question_is_met_with_silence(client: Client, clock: ManualClock) -> None:
    session = await started(client)
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        await seat.command("avatar.speak_response", "ask", text="Are you a bot?")
        await seat.command("avatar.speak_text", "say", text="Hello.")
        await spoken_count(client, session, 1)
    assert client.spoken(session["session_id"])[0][0] == "Hello."


async def test_the_opening_text_of_a_context_is_said_to_the_first_client(client: Client, clock: ManualClock) -> None:
    await client.call("PATCH", f"/v1/contexts/{DEMO_CONTEXT}", {"opening_text": "Welcome!"})
    session = await started(client, avatar_persona=WITH_CONTEXT["avatar_persona"])
    for _ in range(2):
        async with sitting(client, session) as socket:
            assert await Seat(socket).types(1) == ["session.state_updated"]
    await clock.advance(2)
    assert client.spoken(session["session_id"]) == [("Welcome!", "spoken")]


async def test_who_joins_with_the_same_identity_removes_who_was_there(client: Client) -> None:
    session = await started(client)
    async with sitting(client, session) as first, sitting(client, session) as second:
        assert await Seat(first).closed() == DUPLICATE_IDENTITY
        await Seat(second).command("avatar.start_listening", "ear")
        assert await Seat(second).types(2) == ["session.state_updated"] * 2


@pytest.mark.parametrize(
    ("kind", "told"),
    [("PUSH_TO_TALK", ["started", "stopped"]), ("CONVERSATIONAL", ["start_failed", "stop_failed"])],
)
async def test_push_to_talk_is_a_matter_of_the_configuration(client: Client, kind: str, told: list[str]) -> None:
    session = await started(client, interactivity_type=kind)
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        await seat.command("user.start_push_to_talk", "key")
        await seat.command("user.stop_push_to_talk", "key")
        assert (await seat.types(3))[1:] == [f"user.push_to_talk_{each}" for each in told]


@pytest.mark.parametrize("key", ["end_reason", "stop_reason"])
async def test_the_end_is_told_with_its_reason_and_closes_the_room(serve: Serve, key: str) -> None:
    client = await serve(SimulatorOptions(liveavatar_stop_key="end_reason" if key == "end_reason" else "stop_reason"))
    session = await started(client)
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        assert await seat.types(1) == ["session.state_updated"]
        await client.post("/v1/sessions/stop", {"session_id": session["session_id"], "reason": "USER_CLOSED"})
        stopped = await seat.event()
        assert (stopped["event_type"], stopped[key]) == ("session.stopped", "USER_CLOSED")
        assert await seat.closed() == ROOM_DELETED
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with sitting(client, session):
            pass
    assert refused.value.status == 404


async def test_commands_keep_a_session_from_idling_and_a_client_from_being_missed(
    client: Client, clock: ManualClock
) -> None:
    session = await started(client)
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        await seat.types(1)
        for _ in range(2):
            await clock.advance(299)
            await seat.command("avatar.stop_listening", "x")
            await seat.types(1)
        assert await end_reason(client, session["session_id"]) is None
        await clock.advance(300)
        assert (await seat.event())["end_reason"] == "IDLE_TIMEOUT"


async def test_a_token_opens_its_own_room_alone(client: Client) -> None:
    one, other = await started(client), await started(client)
    for token in (other["livekit_client_token"], "a.b.c", "", "a.b." + "\u00e9"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.http.ws_connect(one["livekit_url"], params={"token": token})
        assert refused.value.status == 401


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        "7",
        '{"topic": 7}',
        '{"topic": "agent-control"}',
        '{"topic": "agent-control", "data": {"event_type": "avatar.dance"}}',
        '{"topic": "agent-control", "data": {"event_type": "avatar.speak_text"}}',
    ],
)
async def test_what_is_no_command_has_no_effect(client: Client, frame: str) -> None:
    session = await started(client)
    async with sitting(client, session) as socket:
        seat = Seat(socket)
        await seat.types(1)
        await socket.send_str(frame)
        await seat.command("avatar.start_listening", "still here")
        assert (await seat.event())["source_event_id"] == "still here"
    assert client.spoken(session["session_id"]) == []
