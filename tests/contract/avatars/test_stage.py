"""A LiveKit server of the operator's own: everybody watches one session at once, and nobody can do more than watch."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from livekit import api, rtc
from pydantic import SecretStr

from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from adapters.avatars.liveavatar.provider import LiveAvatar
from adapters.avatars.rooms.bot_transport import BotTransport
from adapters.avatars.rooms.broadcast.room import BroadcastRoom
from adapters.avatars.rooms.broadcast.server import BroadcastServer
from adapters.simulator import LiveKitServer, Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from bot.core.errors import StreamGone, Transient
from bot.core.models import Playback, RoomAccess
from bot.core.ports import SpeechStarted, StreamRequest
from bot.streams.page_bridge import SupportsBroadcast
from tests.contract.avatars.harness import KEY, liveavatar_id
from tests.harness.livekit import LiveKitServer as Server
from tests.harness.livekit import livekit_program, livekit_server  # noqa: F401 - fixtures
from tests.unit.simulator.viewer import LOUD, Viewer

# Real rooms, real encoders, and perhaps two busy cores.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

STORY = "Once upon a time there was a robin. " * 8
REQUEST = StreamRequest("sim-robin", "sim-voice-clara", "medium", "", 300, 600)
LIVEAVATAR = StreamRequest(liveavatar_id("sim-robin"), liveavatar_id("sim-voice-clara"), "medium", "", 300, 600)

Provider = LiveAvatar | HeyGenStreaming


def stage_server(server: Server, url: str | None = None) -> BroadcastServer:
    return BroadcastServer(url or server.url, server.api_key, SecretStr(server.api_secret), 600)


@asynccontextmanager
async def provider_with_stage(
    server: Server, kind: str = "liveavatar", stages: BroadcastServer | None = None
) -> AsyncIterator[tuple[Provider, Simulator]]:
    """A provider, its rooms on a real server, and stages on the same one."""
    clock = SystemClock()
    livekit = LiveKitServer(server.url, server.api_key, SecretStr(server.api_secret))
    bot = BotTransport(partial(BroadcastRoom, stages or stage_server(server), clock))
    async with Simulator(SimulatorOptions(livekit=livekit, api_key=SecretStr(KEY)), clock) as simulator:
        made: Provider
        if kind == "liveavatar":
            made = LiveAvatar(SecretStr(KEY), simulator.address, clock, make_transport=lambda _: bot)
        else:
            made = HeyGenStreaming(SecretStr(KEY), simulator.address, clock, bot=bot)
        async with made as provider:
            yield provider, simulator


async def opened(provider: Provider) -> str:
    upstream_id = await provider.create(LIVEAVATAR if provider.name == "liveavatar" else REQUEST)
    assert await provider.start(upstream_id) == Playback(is_broadcast=True)
    return upstream_id


async def door_of(provider: Provider, upstream_id: str) -> RoomAccess:
    assert isinstance(provider, SupportsBroadcast)
    door = await provider.door(upstream_id)
    assert door is not None
    return door


async def said(provider: Provider, upstream_id: str) -> None:
    """Have it tell a story; once it has begun."""
    await provider.speak(upstream_id, "u", STORY)
    async for event in provider.events(upstream_id):
        if event == SpeechStarted("u"):
            return


@pytest.fixture
async def enter() -> AsyncIterator[Callable[[RoomAccess], Awaitable[Viewer]]]:
    """Go through doors; everybody leaves at the end."""
    viewers: list[Viewer] = []

    async def join(door: RoomAccess) -> Viewer:
        viewer = Viewer()
        viewers.append(viewer)
        await viewer.join(door.url, door.token)
        return viewer

    yield join
    for viewer in viewers:
        await viewer.leave()


Enter = Callable[[RoomAccess], Awaitable[Viewer]]


async def rooms_of(server: Server) -> set[str]:
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
        return {room.name for room in (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms}


@pytest.mark.parametrize("kind", ["liveavatar", "heygen-streaming"])
async def test_three_watch_one_session_at_once(livekit_server: Server, kind: str, enter: Enter) -> None:  # noqa: F811
    async with provider_with_stage(livekit_server, kind) as (provider, simulator):
        upstream_id = await opened(provider)
        viewers = [await enter(await door_of(provider, upstream_id)) for _ in range(3)]
        await said(provider, upstream_id)

        for viewer in viewers:
            await viewer.until(lambda v=viewer: v.loudest > LOUD and len(v.pictures) > 20)

        assert {viewer.avatar for viewer in viewers} == {"stage"}
        assert len(simulator.streams()) == 1


async def test_no_token_is_logged(
    livekit_server: Server,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    async with provider_with_stage(livekit_server) as (provider, _):
        upstream_id = await opened(provider)
        await door_of(provider, upstream_id)
    with suppress(Transient):
        await BotTransport().join("s", Playback(livekit_url="ws://127.0.0.1:9", livekit_token="eyJhbGciOi.e30.c2ln"))

    said_so = capsys.readouterr()
    assert "a broadcast room is open" in said_so.out
    assert "eyJ" not in caplog.text + said_so.out + said_so.err


async def test_v1_speaks_with_nobody_watching(livekit_server: Server) -> None:  # noqa: F811
    """The bot subscribes to both tracks, which is what v1 waits for (400006)."""
    async with provider_with_stage(livekit_server, "heygen-streaming") as (provider, _):
        upstream_id = await opened(provider)

        await said(provider, upstream_id)


async def test_every_door_is_another_and_shows_nothing_of_itself(livekit_server: Server) -> None:  # noqa: F811
    async with provider_with_stage(livekit_server) as (provider, _):
        upstream_id = await opened(provider)
        doors = [await door_of(provider, upstream_id) for _ in range(2)]

        verifier = api.TokenVerifier(livekit_server.api_key, livekit_server.api_secret)
        first, second = (verifier.verify(door.token) for door in doors)
        assert first.video is not None
        assert second.video is not None
        assert first.identity != second.identity
        assert first.video.room == second.video.room
        assert upstream_id not in first.video.room
        assert (first.video.can_publish, first.video.can_publish_data, first.video.hidden) == (False, False, True)
        assert not any(door.is_seat or door.token in repr(door) for door in doors)


async def test_a_viewer_sees_nobody_and_sends_nothing(livekit_server: Server, enter: Enter) -> None:  # noqa: F811
    async with provider_with_stage(livekit_server) as (provider, _):
        upstream_id = await opened(provider)
        first, second = [await enter(await door_of(provider, upstream_id)) for _ in range(2)]
        await first.until(lambda: bool(first.pictures) and bool(second.pictures))

        publishing = asyncio.create_task(publish_a_picture(first._room))
        await first.send({"event_type": "avatar.speak_text", "text": "I am the avatar"}, "agent-control")
        seen = len(second.pictures)
        await second.until(lambda: len(second.pictures) > seen + 10)
        publishing.cancel()

        stage, *viewers = await participants_of(livekit_server, first._room.name)
        assert (stage.identity, len(stage.tracks)) == ("stage", 2)
        assert [len(viewer.tracks) for viewer in viewers] == [0, 0]
        assert not any(viewer.permission.can_publish or viewer.permission.can_publish_data for viewer in viewers)
        assert set(first._room.remote_participants) == {"stage"} == set(second._room.remote_participants)
        assert second.messages == []


async def publish_a_picture(room: rtc.Room) -> None:
    """The server does not even answer who may not."""
    track = rtc.LocalVideoTrack.create_video_track("mine", rtc.VideoSource(320, 180))
    with suppress(rtc.participant.PublishTrackError):
        await room.local_participant.publish_track(track)


async def participants_of(server: Server, room: str) -> list[api.ParticipantInfo]:
    """Those of a room, its stage first."""
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
        found = (await livekit.room.list_participants(api.ListParticipantsRequest(room=room))).participants
    return sorted(found, key=lambda participant: participant.identity != "stage")


async def test_nothing_is_opened_before_somebody_wants_to_watch(livekit_server: Server) -> None:  # noqa: F811
    async with provider_with_stage(livekit_server) as (provider, _):
        upstream_id = await opened(provider)
        before = await rooms_of(livekit_server)
        await door_of(provider, upstream_id)

        (stage,) = await rooms_of(livekit_server) - before
        assert stage.startswith("stage-")
        assert upstream_id in before


async def test_a_stop_closes_both_rooms(livekit_server: Server, enter: Enter) -> None:  # noqa: F811
    async with provider_with_stage(livekit_server) as (provider, _):
        before = await rooms_of(livekit_server)
        upstream_id = await opened(provider)
        viewer = await enter(await door_of(provider, upstream_id))
        await viewer.until(lambda: bool(viewer.pictures))
        assert isinstance(provider, SupportsBroadcast)

        await provider.close(upstream_id)

        assert await provider.door(upstream_id) is None
        await viewer.until(lambda: viewer.removed == rtc.DisconnectReason.ROOM_DELETED)
        async with asyncio.timeout(20):
            while await rooms_of(livekit_server) - before:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.05)


async def test_the_stage_comes_back_when_its_room_is_taken_away(
    livekit_server: Server,  # noqa: F811
    enter: Enter,
) -> None:
    async with provider_with_stage(livekit_server) as (provider, _):
        upstream_id = await opened(provider)
        before = await rooms_of(livekit_server) - {upstream_id}
        door = await door_of(provider, upstream_id)
        (stage,) = await rooms_of(livekit_server) - before - {upstream_id}
        first = await enter(door)
        await first.until(lambda: bool(first.pictures))

        async with api.LiveKitAPI(livekit_server.url, livekit_server.api_key, livekit_server.api_secret) as livekit:
            await livekit.room.delete_room(api.DeleteRoomRequest(room=stage))
        await first.until(lambda: first.removed is not None)
        again = await enter(await door_of(provider, upstream_id))

        await again.until(lambda: len(again.pictures) > 10)


async def test_a_bot_that_was_thrown_out_comes_back_with_another_stage(
    livekit_server: Server,  # noqa: F811
    enter: Enter,
) -> None:
    async with provider_with_stage(livekit_server) as (provider, simulator):
        upstream_id = await opened(provider)
        following = asyncio.ensure_future(anext(aiter(provider.events(upstream_id))))
        first = await enter(await door_of(provider, upstream_id))
        await first.until(lambda: bool(first.pictures))

        async with api.LiveKitAPI(livekit_server.url, livekit_server.api_key, livekit_server.api_secret) as livekit:
            thrown_out = api.RoomParticipantIdentity(room=upstream_id, identity="client")
            await livekit.room.remove_participant(thrown_out)
        await first.until(lambda: first.removed is not None)

        again = await enter(await next_door_of(provider, upstream_id))
        await again.until(lambda: len(again.pictures) > 10)
        assert len(simulator.streams()) == 1
        following.cancel()


async def next_door_of(provider: Provider, upstream_id: str) -> RoomAccess:
    """Ask, as a page does, until there is one again."""
    assert isinstance(provider, SupportsBroadcast)
    async with asyncio.timeout(20):
        while True:
            with suppress(StreamGone, Transient):
                if (door := await provider.door(upstream_id)) is not None:
                    return door
            await asyncio.sleep(0.05)


async def test_a_stage_nobody_serves_is_told_and_hurts_nothing(livekit_server: Server) -> None:  # noqa: F811
    nowhere = stage_server(livekit_server, "ws://127.0.0.1:9")
    async with provider_with_stage(livekit_server, stages=nowhere) as (provider, simulator):
        upstream_id = await opened(provider)
        assert isinstance(provider, SupportsBroadcast)

        with pytest.raises(Transient) as failure:
            await provider.door(upstream_id)

        assert "eyJ" not in str(failure.value)
        await said(provider, upstream_id)
        await provider.close(upstream_id)
        assert simulator.streams()[0].ended is not None


async def test_a_stage_that_breaks_leaves_the_session_closable(
    livekit_server: Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with provider_with_stage(livekit_server) as (provider, simulator):
        upstream_id = await opened(provider)
        broke = asyncio.Event()

        async def breaks(_: object) -> None:
            broke.set()
            raise RuntimeError("a panic in Rust")

        monkeypatch.setattr("adapters.avatars.rooms.broadcast.tracks.TrackForwarder.run", breaks)
        await door_of(provider, upstream_id)
        await broke.wait()

        await said(provider, upstream_id)
        await provider.close(upstream_id)

        assert simulator.streams()[0].ended is not None


async def test_a_closed_stage_opens_no_door(livekit_server: Server) -> None:  # noqa: F811
    stage = BroadcastRoom(stage_server(livekit_server), SystemClock(), "s", rtc.Room())
    await stage.close()

    with pytest.raises(StreamGone):
        await stage.door()
