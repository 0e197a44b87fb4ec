"""Real rooms on a real LiveKit server: the avatar is in them, moves, sounds, obeys and tells; for LiveAvatar and v1."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from livekit import rtc
from pydantic import SecretStr

from adapters.simulator import LiveKitServer as Server
from adapters.simulator import Simulator, SimulatorOptions
from bot.core.errors import SettingsError
from tests.harness.clock import ManualClock
from tests.harness.livekit import LiveKitServer, livekit_program, livekit_server
from tests.unit.simulator.client import Client
from tests.unit.simulator.conftest import Serve
from tests.unit.simulator.liveavatar import minted, start, started
from tests.unit.simulator.viewer import LOUD, Viewer

__all__ = ["livekit_program", "livekit_server"]

Enter = Callable[[str, str], Awaitable[Viewer]]


@pytest.fixture
async def rooms(serve: Serve, livekit_server: LiveKitServer) -> Client:
    """A simulator that makes its rooms on the server."""
    server = Server(livekit_server.url, livekit_server.api_key, SecretStr(livekit_server.api_secret))
    return await serve(SimulatorOptions(livekit=server))


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """Join rooms; everybody leaves at the end."""
    viewers: list[Viewer] = []

    async def join(url: str, token: str) -> Viewer:
        viewer = Viewer()
        viewers.append(viewer)
        await viewer.join(url, token)
        return viewer

    yield join
    for viewer in viewers:
        await viewer.leave()


async def watching(enter: Enter, session: dict[str, Any]) -> Viewer:
    return await enter(session["livekit_url"], session["livekit_client_token"])


async def test_the_avatar_is_in_the_room_and_moves(rooms: Client, enter: Enter, livekit_server: LiveKitServer) -> None:
    session = await started(rooms)
    assert (session["livekit_url"], "hls_url" in session) == (livekit_server.url, False)
    viewer = await watching(enter, session)
    await viewer.until(lambda: len(viewer.pictures) > 10)
    assert viewer.avatar == "heygen"
    assert viewer.loudest < LOUD


async def test_a_text_is_heard_and_told_in_the_room(rooms: Client, enter: Enter, clock: ManualClock) -> None:
    session = await started(rooms)
    viewer = await watching(enter, session)
    await viewer.command("avatar.speak_text", "one", text="Good morning.")
    await viewer.until(lambda: bool(rooms.spoken(session["session_id"])))
    await clock.advance(0.5)
    await viewer.until(lambda: viewer.loudest > LOUD)
    await clock.advance(5)
    await viewer.until(lambda: "avatar.speak_ended" in viewer.types("event_type"))
    own = [event["event_type"] for _, event in viewer.messages if event["source_event_id"] == "one"]
    assert own == [
        "avatar.speak_started", "avatar.transcription.chunk", "avatar.transcription", "avatar.speak_ended"
    ]  # fmt: skip
    assert {topic for topic, _ in viewer.messages} == {"agent-response"}


async def test_a_stop_is_told_and_the_room_is_gone(rooms: Client, enter: Enter) -> None:
    session = await started(rooms)
    viewer = await watching(enter, session)
    await viewer.until(lambda: "session.state_updated" in viewer.types("event_type"))
    await rooms.post("/v1/sessions/stop", {"session_id": session["session_id"], "reason": "USER_CLOSED"})
    await viewer.until(lambda: viewer.removed is not None)
    assert viewer.removed == rtc.DisconnectReason.ROOM_DELETED
    assert viewer.messages[-1][1]["end_reason"] == "USER_CLOSED"


async def test_of_two_with_the_one_identity_the_later_one_stays(rooms: Client, enter: Enter) -> None:
    session = await started(rooms)
    first = await watching(enter, session)
    second = await watching(enter, session)
    await first.until(lambda: first.removed is not None)
    assert first.removed == rtc.DisconnectReason.DUPLICATE_IDENTITY
    await second.until(lambda: len(second.pictures) > 3)


async def test_where_no_server_answers_a_start_fails_and_costs_nothing(serve: Serve) -> None:
    client = await serve(SimulatorOptions(livekit=Server("ws://127.0.0.1:9")))
    answer = await start(client, (await minted(client))["session_token"])
    assert (answer.status, answer.body["message"]) == (500, "Session start failed")
    meter = client.simulator.meter().apis["liveavatar"]
    assert (meter.open, meter.dollars) == (0, 0)


def test_without_the_package_the_option_says_what_to_install(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(SettingsError, match=r"pip install 'avatar-relay\[livekit\]'"):
        Simulator(SimulatorOptions(livekit=Server()), clock)


async def test_v1_takes_tasks_once_a_viewer_receives_both_tracks(
    rooms: Client, enter: Enter, clock: ManualClock, livekit_server: LiveKitServer
) -> None:
    new = (await rooms.post("/v1/streaming.new", {"version": "v2"})).data
    assert (new["url"], "hls_url" in new) == (livekit_server.url, False)
    session = str(new["session_id"])
    assert (await rooms.post("/v1/streaming.start", {"session_id": session})).status == 200
    assert (await rooms.task(session, "Too early.")).body["code"] == 400006
    viewer = await enter(new["url"], new["access_token"])
    await viewer.until(lambda: rooms.simulator.streams()[-1].state == "connected")
    task = await rooms.task(session, "Good morning.")
    await clock.advance(5)
    await viewer.until(lambda: "avatar_stop_talking" in viewer.types("type"))
    assert viewer.types("type") == [
        "avatar_start_talking", "avatar_talking_message", "avatar_end_message", "avatar_stop_talking"
    ]  # fmt: skip
    assert {message["task_id"] for _, message in viewer.messages} == {task.data["task_id"]}
    assert viewer.messages[1][1]["message"] == "Good morning."


async def test_v1_answers_a_text_that_a_viewer_sends(rooms: Client, enter: Enter, clock: ManualClock) -> None:
    new = (await rooms.post("/v1/streaming.new", {})).data
    session = str(new["session_id"])
    await rooms.post("/v1/streaming.start", {"session_id": session})
    viewer = await enter(new["url"], new["access_token"])
    await viewer.until(lambda: rooms.simulator.streams()[-1].state == "connected")
    await viewer.send("push_to_talk:start")
    await viewer.send("Are you a bot?")
    await viewer.until(lambda: bool(rooms.spoken(session)))
    await clock.advance(1)
    await rooms.post("/v1/streaming.interrupt", {"session_id": session})
    await viewer.until(lambda: "avatar_stop_talking" in viewer.types("type"))
    ((text, state),) = rooms.spoken(session)
    assert (text.startswith("I am the simulator's stand-in"), state) == (True, "interrupted")
    await rooms.post("/v1/streaming.stop", {"session_id": session})
    await viewer.until(lambda: viewer.removed == rtc.DisconnectReason.ROOM_DELETED)
