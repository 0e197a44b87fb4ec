"""The ways into a LiveAvatar room: a page with the seat, the bot itself, and the simulator's stand-in."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from livekit import api
from pydantic import SecretStr

from adapters.avatars.liveavatar.provider import LiveAvatar
from adapters.avatars.rooms.bot_transport import BotRoom, BotTransport
from adapters.avatars.rooms.factory import ChosenTransport
from adapters.avatars.rooms.page_transport import PageTransport
from adapters.avatars.rooms.transport import RoomTransport
from adapters.simulator import Effect, LiveKitServer, Simulator, SimulatorOptions
from adapters.simulator.liveavatar.catalogue import DEMO_CONTEXT, SANDBOX_AVATAR
from bot.core.clock import SystemClock
from bot.core.errors import AvatarAway, ConcurrencyReached, Invalid, NotReady, ProviderError, StreamGone, Transient
from bot.core.models import Mode, Playback
from bot.core.ports import (
    AnswerHeard,
    AvatarSeen,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    StreamEvent,
    StreamRequest,
    WordsHeard,
)
from bot.streams.page_bridge import PageBridge, RoomMessage
from tests.contract.avatars.harness import KEY, eventually, liveavatar_id
from tests.harness.livekit import LiveKitServer as Server
from tests.harness.livekit import livekit_program, livekit_server  # noqa: F401 - fixtures

REQUEST = StreamRequest(liveavatar_id("sim-robin"), liveavatar_id("sim-voice-clara"), "medium", "", 300, 600)
MakeCarrier = Callable[[PageBridge], RoomTransport]


@asynccontextmanager
async def liveavatar(
    carrier: MakeCarrier, options: SimulatorOptions | None = None, pace: float = 50.0, **account: object
) -> AsyncIterator[tuple[LiveAvatar, Simulator]]:
    """A provider with this carrier, and the simulator it talks to. `pace`: how fast the simulator's time goes by."""
    clock = SystemClock(pace)
    async with Simulator(replace(options or SimulatorOptions(), api_key=SecretStr(KEY)), clock) as simulator:
        made = LiveAvatar(SecretStr(KEY), simulator.address, clock, make_transport=carrier, **account)  # type: ignore[arg-type]
        async with made as provider:
            yield provider, simulator


async def opened(provider: LiveAvatar) -> tuple[str, Playback]:
    upstream_id = await provider.create(REQUEST)
    return upstream_id, await provider.start(upstream_id)


@asynccontextmanager
async def page(provider: LiveAvatar, upstream_id: str, playback: Playback) -> AsyncIterator[None]:
    """A watch page in the room: it publishes what it is given, and reports what it hears."""
    seat = provider.seats.attach(upstream_id)
    assert seat is not None
    url = f"{playback.livekit_url}?token={playback.livekit_token}"
    async with aiohttp.ClientSession() as client, client.ws_connect(url) as room:

        async def publish() -> None:
            async for publication in seat.publications():
                await room.send_json({"topic": publication.message.topic, "data": publication.message.data})
                seat.published(publication.id)

        async def hear() -> None:
            async for frame in room:
                heard = frame.json()
                seat.deliver(RoomMessage(heard["topic"], heard["data"]))

        tasks = [asyncio.create_task(publish()), asyncio.create_task(hear())]
        try:
            yield
        finally:
            seat.leave()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def events_until(provider: LiveAvatar, upstream_id: str, last: StreamEvent) -> list[StreamEvent]:
    """The events up to `last`; then the stream is closed."""
    events = []
    async for event in provider.events(upstream_id):
        events.append(event)
        if event == last:
            await provider.close(upstream_id)
    return events


def heard(events: list[StreamEvent]) -> str:
    return " ".join(word.text for event in events if isinstance(event, WordsHeard) for word in event.words)


# --- the page with the seat ------------------------------------------------------------------------------------------


async def test_a_page_carries_words_there_and_back() -> None:
    async with liveavatar(PageTransport) as (provider, _):
        upstream_id, playback = await opened(provider)
        async with page(provider, upstream_id, playback):
            await provider.speak(upstream_id, "u1", "Hello from the page.")
            await provider.speak(upstream_id, "u2", "And once more.")
            events = await events_until(provider, upstream_id, SpeechEnded("u2"))

    assert [event for event in events if isinstance(event, SpeechStarted | SpeechEnded)] == [
        SpeechStarted("u1"), SpeechEnded("u1"), SpeechStarted("u2"), SpeechEnded("u2")
    ]  # fmt: skip
    assert heard(events) == "Hello from the page. And once more."


async def test_only_the_page_gets_the_token() -> None:
    async with liveavatar(PageTransport) as (provider, _):
        _, playback = await opened(provider)

        assert playback.livekit_token is not None
        assert playback.livekit_token not in repr(playback)
        assert playback.livekit_token not in repr(vars(provider))


async def test_with_nobody_in_the_seat_a_text_waits_and_a_cut_is_no_error() -> None:
    async with liveavatar(PageTransport) as (provider, simulator):
        upstream_id, playback = await opened(provider)

        with pytest.raises(NotReady):
            await provider.speak(upstream_id, "u", "Is anybody there?")
        await provider.interrupt(upstream_id)

        async with page(provider, upstream_id, playback):
            await provider.speak(upstream_id, "u", "There you are.")
            await eventually(lambda: len(simulator.streams()[0].spoken) == 1)
        with pytest.raises(NotReady):
            await provider.speak(upstream_id, "u", "Gone again?")


async def test_a_page_that_never_confirms_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.avatars.rooms.page_transport.CONFIRM_LIMIT", 0.05)
    async with liveavatar(PageTransport) as (provider, _):
        upstream_id, _ = await opened(provider)
        seat = provider.seats.attach(upstream_id)
        assert seat is not None

        with pytest.raises(Transient) as failure:
            await provider.speak(upstream_id, "u", "Did you say it?")

    assert failure.value.may_have_taken_effect


async def test_an_end_that_a_page_made_up_leaves_nothing_open() -> None:
    async with liveavatar(PageTransport) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        seat = provider.seats.attach(upstream_id)
        assert seat is not None

        seat.deliver(RoomMessage("agent-response", {"event_type": "session.stopped", "end_reason": "UNKNOWN"}))

        assert [event async for event in provider.events(upstream_id)] == [StreamEnded("UNKNOWN")]
        assert simulator.streams()[0].ended is not None


async def test_a_closed_stream_has_no_seat() -> None:
    async with liveavatar(PageTransport) as (provider, _):
        upstream_id, _ = await opened(provider)
        await provider.close(upstream_id)

        assert provider.seats.attach(upstream_id) is None


# --- what is said ----------------------------------------------------------------------------------------------------


async def test_a_question_is_answered_from_the_context() -> None:
    async with liveavatar(lambda seats: ChosenTransport(PageTransport(seats)), context_id=DEMO_CONTEXT) as (
        provider,
        _,
    ):
        assert provider.capabilities.chat
        upstream_id, _ = await opened(provider)
        await provider.speak(upstream_id, "u", "Who are you?", Mode.CHAT)

        events = await events_until(provider, upstream_id, SpeechEnded("u"))

    (answer,) = [event for event in events if isinstance(event, AnswerHeard)]
    assert answer.utterance_id == "u"
    assert heard(events) == answer.text


async def test_without_a_context_nothing_is_asked() -> None:
    async with liveavatar(PageTransport) as (provider, _):
        upstream_id, _ = await opened(provider)

        with pytest.raises(Invalid, match="LIVEAVATAR_CONTEXT_ID"):
            await provider.speak(upstream_id, "u", "Who are you?", Mode.CHAT)


async def test_the_sandbox_costs_nothing_and_shows_its_own_avatar() -> None:
    async with liveavatar(PageTransport, sandbox=True) as (provider, simulator):
        await opened(provider)

        (stream,) = simulator.streams()
        assert stream.avatar == SANDBOX_AVATAR
        assert provider.capabilities.price_per_minute == 0
        assert await provider.avatar_for("another") == SANDBOX_AVATAR
        assert [avatar.name for avatar in await provider.avatars()] == ["Wayne"]


async def test_a_plan_that_allows_less_sets_its_own_limit() -> None:
    """The start tells that we asked for too much: that session is gone, and the next one does not ask."""
    async with liveavatar(PageTransport, SimulatorOptions(liveavatar_max_duration=120)) as (provider, simulator):
        upstream_id = await provider.create(REQUEST)
        with pytest.raises(StreamGone):
            await provider.start(upstream_id)
        await provider.close(upstream_id)

        await opened(provider)

        assert len(simulator.streams()) == 1


# --- trouble ---------------------------------------------------------------------------------------------------------


async def test_a_lost_connection_to_a_room_is_made_again() -> None:
    async with liveavatar(lambda seats: ChosenTransport(PageTransport(seats))) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        room = provider._streams[upstream_id].room
        following = asyncio.create_task(events_until(provider, upstream_id, SpeechEnded("u")))
        address = provider._streams[upstream_id].address
        assert address is not None
        # Somebody with the same identity comes, so that we have to leave, and leaves.
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"{address.livekit_url}?token={address.livekit_token}"),
        ):
            pass
        await eventually(lambda: provider._streams[upstream_id].room is not room)

        await provider.speak(upstream_id, "u", "Here I am again.")

        assert SpeechStarted("u") in await following
        assert len(simulator.streams()) == 1


@pytest.mark.parametrize("key", ["end_reason", "stop_reason"])
async def test_an_end_at_the_provider_is_told_and_forgotten(key: str) -> None:
    options = SimulatorOptions(liveavatar_stop_key=key, liveavatar_idle=60)  # type: ignore[arg-type]
    async with liveavatar(lambda seats: ChosenTransport(PageTransport(seats)), options) as (provider, _):
        upstream_id, _ = await opened(provider)

        events = [event async for event in provider.events(upstream_id)]

        assert events == [StreamEnded("IDLE_TIMEOUT")]
        with pytest.raises(StreamGone):
            await provider.speak(upstream_id, "u", "Too late.")


async def test_an_end_that_nobody_told_is_noticed_in_the_list() -> None:
    """With nobody in the seat no event comes."""
    async with liveavatar(PageTransport, SimulatorOptions(liveavatar_idle=60)) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        following = asyncio.create_task(events_until(provider, upstream_id, SpeechEnded("never")))
        await eventually(lambda: simulator.streams()[0].ended is not None)

        assert list(await provider.list_open()) == []

        assert await following == [StreamEnded("not in LiveAvatar's list")]


async def test_a_session_that_is_just_being_opened_counts_as_open() -> None:
    async with liveavatar(PageTransport) as (provider, _):
        upstream_id = await provider.create(REQUEST)

        assert [stream.upstream_id for stream in await provider.list_open()] == [upstream_id]


async def give_up_start(provider: LiveAvatar) -> str:
    """Cancel whoever waits for the start of a new session, while that is under way."""
    upstream_id = await provider.create(REQUEST)
    starting = asyncio.create_task(provider.start(upstream_id))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    return upstream_id


async def test_a_stop_does_not_overtake_a_start_that_was_given_up() -> None:
    async with liveavatar(PageTransport, SimulatorOptions(latency=20)) as (provider, simulator):
        upstream_id = await give_up_start(provider)

        await provider.close(upstream_id)

        (stream,) = simulator.streams()
        assert stream.ended is not None


async def test_a_start_that_was_given_up_may_fail_unread(caplog: pytest.LogCaptureFixture) -> None:
    async with liveavatar(PageTransport, SimulatorOptions(latency=20)) as (provider, simulator):
        simulator.faults.add(Effect.LOST_REPLY, method="POST", path="/v1/sessions/start")
        upstream_id = await give_up_start(provider)

        await provider.close(upstream_id)

        (stream,) = simulator.streams()
        assert stream.ended is not None
    # asyncio tells of an error that nobody has read once its task is no more.
    del provider
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_a_room_that_cannot_be_entered_is_told_and_can_be_entered_later() -> None:
    async with liveavatar(lambda seats: ChosenTransport(PageTransport(seats))) as (provider, simulator):
        upstream_id = await provider.create(REQUEST)
        simulator.faults.add(Effect.STATUS, method="GET", path="/simulator/rooms/*", status=503)

        with pytest.raises(ProviderError) as failure:
            await provider.start(upstream_id)
        await provider.start(upstream_id)

        assert "token" not in str(failure.value)
        await provider.speak(upstream_id, "u", "Now it works.")
        assert len(simulator.streams()) == 1


async def test_a_slot_that_is_freed_late_is_told_as_too_many() -> None:
    options = SimulatorOptions(liveavatar_concurrency=1, liveavatar_slot_release=5)
    async with liveavatar(PageTransport, options) as (provider, _):
        first, _ = await opened(provider)
        await provider.close(first)
        second = await provider.create(REQUEST)

        with pytest.raises(ConcurrencyReached):
            await provider.start(second)


# --- the bot in a real room ------------------------------------------------------------------------------------------


@asynccontextmanager
async def on_livekit(
    server: Server, *, avatar_comes: bool = True, **account: object
) -> AsyncIterator[tuple[LiveAvatar, Simulator]]:
    livekit = LiveKitServer(server.url, server.api_key, SecretStr(server.api_secret))
    carrier: MakeCarrier = lambda _: BotTransport()  # noqa: E731
    options = SimulatorOptions(livekit=livekit, avatar_comes=avatar_comes)
    async with liveavatar(carrier, options, 1.0, **account) as made:
        yield made


async def test_the_bot_in_the_room_speaks_hears_and_is_told_the_end(livekit_server: Server) -> None:  # noqa: F811
    async with on_livekit(livekit_server, context_id=DEMO_CONTEXT) as (provider, _):
        upstream_id, playback = await opened(provider)
        assert playback == Playback()
        await provider.speak(upstream_id, "u1", "Hello.")
        await provider.speak(upstream_id, "u2", "Who?", Mode.CHAT)

        events = await events_until(provider, upstream_id, SpeechEnded("u2"))

    assert [event for event in events if isinstance(event, SpeechStarted | SpeechEnded)] == [
        SpeechStarted("u1"), SpeechEnded("u1"), SpeechStarted("u2"), SpeechEnded("u2")
    ]  # fmt: skip
    (answer,) = [event for event in events if isinstance(event, AnswerHeard)]
    assert heard(events) == f"Hello. {answer.text}"
    assert isinstance(events[-1], StreamEnded)


async def test_an_interrupt_silences_a_real_room(livekit_server: Server) -> None:  # noqa: F811
    async with on_livekit(livekit_server) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        await provider.speak(upstream_id, "u", "A long story. " * 30)
        async for event in provider.events(upstream_id):
            if event == SpeechStarted("u"):
                break

        await provider.interrupt(upstream_id)

        await eventually(lambda: simulator.streams()[0].spoken[0].state == "interrupted")


async def test_nothing_is_said_into_a_real_room_without_its_avatar(livekit_server: Server) -> None:  # noqa: F811
    async with on_livekit(livekit_server) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        following = asyncio.create_task(events_until(provider, upstream_id, SpeechEnded("u")))
        simulator.move_avatar(upstream_id, is_here=False)
        await eventually(lambda: not room_of(provider, upstream_id)._has_avatar())
        with pytest.raises(AvatarAway):
            await provider.speak(upstream_id, "u", "Is anybody there?")
        await provider.interrupt(upstream_id)

        simulator.move_avatar(upstream_id, is_here=True)
        await eventually(lambda: room_of(provider, upstream_id)._has_avatar())
        await provider.speak(upstream_id, "u", "There you are.")

        events = [event for event in await following if not isinstance(event, WordsHeard)]
        assert events[:4] == [AvatarSeen(False), AvatarSeen(True), SpeechStarted("u"), SpeechEnded("u")]
        assert [text.asked for text in simulator.streams()[0].spoken] == ["There you are."]


async def test_an_avatar_that_is_wanted_back_while_it_is_still_leaving_goes_on(livekit_server: Server) -> None:  # noqa: F811
    """As on a busy machine, where everybody in the room sees it gone before it has closed its connection."""
    async with on_livekit(livekit_server) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        events = aiter(provider.events(upstream_id))
        for is_here in (False, True, False, True):
            simulator.move_avatar(upstream_id, is_here=is_here)

        assert [await anext(events), await anext(events)] == [AvatarSeen(False), AvatarSeen(True)]
        await provider.speak(upstream_id, "u", "There you are.")
        assert await anext(events) == SpeechStarted("u")


def room_of(provider: LiveAvatar, upstream_id: str) -> BotRoom:
    room = provider._streams[upstream_id].room
    assert isinstance(room, BotRoom)
    return room


async def test_a_real_room_whose_avatar_never_comes_is_not_opened(
    livekit_server: Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.avatars.rooms.bot_transport.AVATAR_LIMIT", 0.5)
    async with on_livekit(livekit_server, avatar_comes=False) as (provider, simulator):
        upstream_id = await provider.create(REQUEST)

        with pytest.raises(AvatarAway):
            await provider.start(upstream_id)
        await provider.close(upstream_id)

        assert simulator.streams()[0].ended is not None


async def test_a_real_room_that_is_entered_again_without_its_avatar_says_so(
    livekit_server: Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with on_livekit(livekit_server) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        monkeypatch.setattr("adapters.avatars.rooms.bot_transport.AVATAR_LIMIT", 0.5)
        first = room_of(provider, upstream_id)
        simulator.move_avatar(upstream_id, is_here=False)
        await eventually(lambda: not first._has_avatar())
        events = aiter(provider.events(upstream_id))
        assert await anext(events) == AvatarSeen(False)
        async with api.LiveKitAPI(livekit_server.url, livekit_server.api_key, livekit_server.api_secret) as livekit:
            thrown_out = api.RoomParticipantIdentity(room=upstream_id, identity="client")
            await livekit.room.remove_participant(thrown_out)
        assert await anext(events) == AvatarSeen(False)
        monkeypatch.undo()

        simulator.move_avatar(upstream_id, is_here=True)

        assert await anext(events) == AvatarSeen(True)
        await provider.close(upstream_id)


async def test_a_real_room_that_the_provider_closes_ends_the_stream(livekit_server: Server) -> None:  # noqa: F811
    async with on_livekit(livekit_server) as (provider, simulator):
        upstream_id, _ = await opened(provider)
        following = asyncio.create_task(events_until(provider, upstream_id, SpeechEnded("never")))
        await asyncio.sleep(0)

        simulator.drop_stream(upstream_id, "The renderer crashed.")

        assert await following == [StreamEnded("SERVER_ERROR")]


async def test_a_room_nobody_serves_is_not_entered() -> None:
    with pytest.raises(Transient) as failure:
        await BotTransport().join("s", Playback(livekit_url="ws://127.0.0.1:9", livekit_token="eyJhbGciOi.e30.c2ln"))

    assert not failure.value.may_have_taken_effect
    assert "eyJ" not in str(failure.value)


async def test_without_the_extra_the_bot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)

    with pytest.raises(Invalid, match=r"install avatar-relay\[livekit\]"):
        await BotTransport().join("s", Playback(livekit_url="ws://127.0.0.1:9", livekit_token="t"))
