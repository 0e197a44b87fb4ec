"""Watching inside Discord: the button and the commands that launch the Activity, what its frames are shown, and what
nobody gets at by an instance that is not theirs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.chat.discord import strings
from bot import sentences
from tests.fakes.discord import FakeDiscord, Fault, Interaction
from tests.platforms.discord import TOKEN, DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ADA, ANA, BEN
from tests.platforms.running_bot import PATIENCE
from tests.scenario.discord.conftest import Open, bring_avatar
from tests.scenario.discord.frames import Framed, address_of, framed, signed

CALLBACK = "/interactions/*/callback"
INSTANCE = "/applications/{application_id}/activity-instances/{instance_id}"
BLOCKED = "You are blocked from using the avatar here."


@pytest.fixture
def twin() -> FakeDiscord:
    return FakeDiscord(token=TOKEN)


@pytest.fixture
def key(twin: FakeDiscord) -> Ed25519PrivateKey:
    """What Discord's proxy signs with, of an application with Activities."""
    return twin.enable_activities()


@pytest.fixture
async def chat(open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey) -> DiscordDriver:
    return await open_chat(twin=twin)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def press(chat: DiscordDriver, by: str = ANA) -> Interaction:
    return await chat.twin.click(chat.people[by], await chat.newest_panel(), label="Watch here")


async def watch(chat: DiscordDriver, by: str = ANA) -> Interaction:
    return await chat.slash("/avatar watch", by=by)


async def enter(chat: DiscordDriver, by: str = ANA) -> Interaction:
    return await chat.twin.launch(chat.channel, chat.people[by])


Launch = Callable[..., Awaitable[Interaction]]
WAYS = [press, watch, enter]


# --- launching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_button_command_and_entry_point_launch_at_once_and_ask_nobody(live: DiscordDriver, way: Launch) -> None:
    live.bot.simulator.faults.add("hang", times=None)
    launched = await way(live)
    acknowledged = await launched.acknowledged()
    assert (acknowledged.kind, dict(acknowledged.data)) == ("launch", {})
    assert [(attempt.body, attempt.status) for attempt in launched.attempts] == [({"type": 12}, 200)]
    assert launched.response is None
    live.bot.simulator.faults.clear()
    assert live.twin.count("GET", INSTANCE) == 0


async def test_everybody_who_launches_in_a_channel_is_in_the_same_instance(live: DiscordDriver) -> None:
    first, second = await press(live), await watch(live, by=BEN)
    await first.acknowledged()
    await second.acknowledged()
    assert first.launched is not None
    assert second.launched is first.launched
    assert {user.name for user in first.launched.users} == {ANA, BEN}


async def test_link_stays_beside_the_button(live: DiscordDriver) -> None:
    panel = await live.newest_panel()
    labels = [button["label"] for button in panel.buttons]
    assert labels[:2] == ["Watch here", "Watch"]
    assert panel.button("Watch")["url"].startswith("https://watch.example.com/w/")


@pytest.mark.parametrize("way", WAYS)
async def test_where_discord_takes_no_launch_there_is_the_link(live: DiscordDriver, way: Launch) -> None:
    live.twin.fail_next("POST", CALLBACK, Fault.refuse(50035))
    answer = await answer_of(await way(live))
    assert answer.ephemeral
    assert read(answer).startswith(f"{sentences.WATCH}\nhttps://watch.example.com/w/")


@pytest.mark.parametrize("way", WAYS)
async def test_who_may_not_use_activities_gets_the_link(live: DiscordDriver, way: Launch) -> None:
    live.twin.deny(live.channel, "use_embedded_activities", user=live.people[ANA])
    launched = await way(live)
    assert "https://watch.example.com/w/" in read(await answer_of(launched))
    assert launched.launched is None


@pytest.mark.parametrize("way", WAYS)
async def test_who_is_blocked_launches_nothing(live: DiscordDriver, way: Launch) -> None:
    await live.command("/avatar-admin block @ben", by=ADA)
    launched = await way(live, by=BEN)
    assert read(await answer_of(launched)) == BLOCKED
    assert launched.launched is None


async def test_who_is_blocked_does_not_open_the_page_of_an_empty_channel(chat: DiscordDriver) -> None:
    await chat.command("/avatar-admin block @ben", by=ADA)
    launched = await enter(chat, by=BEN)
    assert read(await answer_of(launched)) == BLOCKED
    assert launched.launched is None


async def test_button_of_a_session_that_is_over_says_so(live: DiscordDriver) -> None:
    panel = await live.newest_panel()
    custom_id = panel.button("Watch here")["custom_id"]
    await live.command("/avatar stop")
    await live.bot.until(lambda: len(live.bot.bot.sessions) == 0)
    pressed = await live.twin.click(live.people[ANA], panel, custom_id=custom_id, anyway=True)
    assert read(await answer_of(pressed)) == sentences.PANEL_OVER
    assert pressed.launched is None


async def test_entry_point_opens_the_page_also_where_no_avatar_is(chat: DiscordDriver) -> None:
    launched = await enter(chat)
    assert (await launched.acknowledged()).kind == "launch"


async def test_entry_point_in_a_direct_message_says_where_avatars_are(chat: DiscordDriver) -> None:
    launched = await chat.twin.launch(chat.twin.open_dm(chat.people[ANA]), chat.people[ANA])
    assert strings.ONLY_IN_SERVERS in read(await answer_of(launched))


OFF = [
    {"DISCORD_ACTIVITY": "false"},
    {"WEB_PUBLIC_URL": "http://watch.example.com"},
    {"AVATAR_WATCH": "direct"},
]


@pytest.mark.parametrize("environment", OFF, ids=lambda one: next(iter(one)))
async def test_where_it_cannot_work_nobody_is_offered_it(
    open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey, environment: dict[str, str]
) -> None:
    chat = await open_chat(twin=twin, environment=environment)
    await bring_avatar(chat)
    assert "Watch here" not in await chat.panel()
    assert "watch.example.com/w/" in await chat.command("/avatar watch")
    assert read(await answer_of(await enter(chat))) == strings.NO_ACTIVITY
    assert twin.activities.running == []


async def test_application_without_activities_is_as_it_was(open_chat: Open, twin: FakeDiscord) -> None:
    chat = await open_chat(twin=twin)
    await bring_avatar(chat)
    assert "Watch here" not in await chat.panel()
    assert "watch.example.com/w/" in await chat.command("/avatar watch")
    async with Framed(chat, "i-1-gc-2-3") as frame:
        assert await frame.load() == 404


# --- what a frame is shown -------------------------------------------------------------------------------------------


async def frame_of(chat: DiscordDriver, stack: AsyncExitStack, by: str = ANA, **given: object) -> Framed:
    """The frame of somebody who has launched in the channel, connected."""
    instance = chat.twin.activities.launch(chat.channel, chat.people[by])
    frame = await stack.enter_async_context(framed(chat, instance, **given))
    await frame.connect()
    return frame


async def test_frame_shows_the_session_of_its_channel_and_its_picture(
    live: DiscordDriver, stack: AsyncExitStack
) -> None:
    frame = await frame_of(live, stack)
    session = await frame.until(type="session", phase="live")
    status, playlist = await frame.fetch(session["hls_url"])
    assert (status, playlist[:7]) == (200, b"#EXTM3U")
    assert session["link"].startswith("https://watch.example.com/w/")
    assert session["elsewhere"] is False
    await live.write("hello there")
    assert [word["text"] for word in (await frame.hear("words"))["words"]]


async def test_avatar_that_needs_a_viewer_speaks_to_one_in_a_frame(
    open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey, stack: AsyncExitStack
) -> None:
    chat = await open_chat(twin=twin, environment={"SESSION_NEEDS_VIEWER": "always"})
    await chat.command("/avatar start")
    await chat.write("is anybody there")
    assert chat.bot.open_streams == 0
    frame = await frame_of(chat, stack)
    await chat.bot.until(lambda: chat.bot.spoken == ["is anybody there"])
    await frame.socket.close()
    await chat.bot.until(lambda: chat.bot.open_streams == 0)


async def test_page_says_nothing_before_its_instance_is_looked_up(live: DiscordDriver) -> None:
    instance = live.twin.activities.launch(live.channel, live.people[ANA])
    async with framed(live, instance) as frame:
        assert await frame.load() == 200
        assert live.twin.count("GET", INSTANCE) == 0


async def test_channel_of_the_query_is_not_believed(live: DiscordDriver, stack: AsyncExitStack) -> None:
    other = live.twin.add_channel(live.guild, "other")
    instance = live.twin.activities.launch(other, live.people[ANA])
    query = {"channel_id": str(live.channel.id), "guild_id": str(live.guild.id)}
    frame = await stack.enter_async_context(framed(live, instance, query=query))
    await frame.connect()
    assert (await frame.hear())["type"] == "nobody"


async def test_private_channel_of_a_server_shows_its_own_session_alone(
    live: DiscordDriver, stack: AsyncExitStack
) -> None:
    private = live.twin.add_channel(live.guild, "private")
    live.twin.deny(private, "view_channel", user=live.people[BEN])
    instance = live.twin.activities.launch(private, live.people[ANA])
    frame = await stack.enter_async_context(framed(live, instance))
    await frame.connect()
    assert (await frame.hear())["type"] == "nobody"
    await live.slash("/avatar start", channel=private)
    assert (await frame.until(phase="live"))["started_by"] == "Ana"
    # And the instance of the channel beside it shows nothing of this one.
    beside = await frame_of(live, stack, by=BEN)
    assert (await beside.until(phase="live"))["link"] != (await _session(frame))["link"]


async def _session(frame: Framed) -> Mapping[str, object]:
    await frame.socket.send_json({"type": "hello"})
    return await frame.hear("session")


async def test_direct_message_has_no_avatar(live: DiscordDriver, stack: AsyncExitStack) -> None:
    instance = live.twin.activities.launch(live.twin.open_dm(live.people[ANA]), live.people[ANA])
    frame = await stack.enter_async_context(framed(live, instance))
    await frame.connect()
    assert await frame.hear() == {"type": "nobody", "may_start": False, "told": None}


async def test_next_session_of_the_channel_is_followed(live: DiscordDriver, stack: AsyncExitStack) -> None:
    frame = await frame_of(live, stack)
    first = await frame.until(phase="live")
    await live.command("/avatar stop")
    assert (await frame.until(phase="ended"))["type"] == "session"
    assert (await frame.hear())["type"] == "nobody"
    await live.command("/avatar start")
    assert (await frame.hear())["type"] == "next"
    second = await frame.until(phase="live")
    assert second["link"] != first["link"]
    assert (await frame.fetch(second["hls_url"]))[0] == 200
    assert (await frame.fetch(first["hls_url"]))[0] == 404


async def test_frame_connects_again_with_the_ticket_it_has(live: DiscordDriver, stack: AsyncExitStack) -> None:
    frame = await frame_of(live, stack)
    await frame.until(phase="live")
    await frame.socket.close()
    await frame.connect()
    await frame.until(phase="live")


async def test_young_instance_is_waited_for(live: DiscordDriver, stack: AsyncExitStack) -> None:
    live.twin.activities.young = 2
    frame = await frame_of(live, stack)
    await frame.until(phase="live")
    assert live.twin.count("GET", INSTANCE) == 3


@pytest.mark.slow
async def test_two_hundred_launches_in_one_channel_are_one_question(
    open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey
) -> None:
    # They all come within the seconds for which an answer is kept, whatever the machine is busy with.
    live = await open_chat(twin=twin, speed=1.0)
    await bring_avatar(live)
    gate = asyncio.Event()
    live.twin.fail_next("GET", INSTANCE, Fault.hold(gate))
    instance = live.twin.activities.launch(live.channel, live.people[ANA])
    async with AsyncExitStack() as stack:
        frames = [await stack.enter_async_context(framed(live, instance)) for _ in range(200)]

        async def look(frame: Framed) -> str:
            await frame.connect()
            return str((await frame.hear())["type"])

        looking = [asyncio.create_task(look(frame)) for frame in frames]
        await live.twin.until(lambda: live.twin.count("GET", INSTANCE) == 1)
        gate.set()
        assert await asyncio.gather(*looking) == ["session"] * 200
    assert live.twin.count("GET", INSTANCE) == 1


@pytest.mark.slow
async def test_fifty_viewers_of_one_session_are_few_questions_and_one_picture(
    open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey
) -> None:
    live = await open_chat(twin=twin, speed=1.0)
    await bring_avatar(live)
    async with AsyncExitStack() as stack:
        people = [twin.add_user(f"viewer {number}", guild=live.guild) for number in range(50)]
        instance = None
        for person in people:
            instance = twin.activities.launch(live.channel, person)
        frames = [await stack.enter_async_context(framed(live, instance)) for _ in people]
        await asyncio.gather(*(frame.connect() for frame in frames))
        sessions = await asyncio.gather(*(frame.until(phase="live") for frame in frames))
        await live.write("hello to all of you")
        words = await asyncio.gather(*(frame.hear("words") for frame in frames))
        assert all(heard["words"][0]["text"] for heard in words)
        files = await asyncio.gather(
            *(frame.fetch(session["hls_url"]) for frame, session in zip(frames, sessions, strict=True))
        )
        assert {status for status, _ in files} == {200}
        (running,) = live.bot.bot.sessions
        assert live.bot.bot.sessions.services.audiences.of(running.session.id).size == 50
    # One for all when they come, and one every few seconds while they stay.
    assert twin.count("GET", INSTANCE) < 10


# --- what a frame is not shown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("instance_id", ["i-1-gc-2-3", "x", "i-" + "9" * 190])
async def test_guessed_instance_opens_nothing(live: DiscordDriver, instance_id: str) -> None:
    async with Framed(live, instance_id) as frame:
        await frame.connect()
        assert await frame.closed() == 4410
        assert (await frame.fetch("media/x/index.m3u8"))[0] == 410


NO_INSTANCES = ["", "../../users/@me", "a/b", "a%2Fb", "x" * 201, "i-1?x=", "ä", "a b", "..", "."]


@pytest.mark.parametrize("instance_id", NO_INSTANCES)
async def test_instance_that_is_none_leads_nowhere(live: DiscordDriver, instance_id: str) -> None:
    async with Framed(live, instance_id) as frame:
        assert await frame.load() == 410
    assert [request.path for request in live.twin.requests if "activity-instances" in request.path] == []


@pytest.mark.parametrize("name", ["application_id", "instance_id"])
async def test_instance_of_another_application_opens_nothing(
    live: DiscordDriver, stack: AsyncExitStack, name: str
) -> None:
    instance = live.twin.activities.launch(live.channel, live.people[ANA])
    shape = dict(live.twin.activities.shape(instance.id) or {}) | {name: "4711"}
    live.twin.fail_next("GET", INSTANCE, Fault.nonsense(json.dumps(shape)), times=100)
    frame = await stack.enter_async_context(framed(live, instance))
    await frame.connect()
    assert await frame.closed() == 4410


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"location": 7}', "null", '"i-1"', "<html>busy</html>"], ids=lambda text: text[:8]
)
async def test_answer_that_is_not_discords_shows_nothing(live: DiscordDriver, stack: AsyncExitStack, text: str) -> None:
    live.twin.fail_next("GET", INSTANCE, Fault.nonsense(text), times=100)
    frame = await frame_of(live, stack)
    assert await frame.closed() == 1013


async def test_what_an_instance_may_see_ends_with_it(live: DiscordDriver, stack: AsyncExitStack) -> None:
    frame = await frame_of(live, stack)
    session = await frame.until(phase="live")
    live.twin.activities.leave(live.twin.activities.running[0], live.people[ANA])
    assert await frame.closed() == 4410
    assert (await frame.fetch(session["hls_url"]))[0] == 410
    await frame.connect()
    assert await frame.closed() == 4410


async def test_discord_that_is_away_for_a_while_keeps_nobody_from_watching(
    live: DiscordDriver, stack: AsyncExitStack
) -> None:
    frame = await frame_of(live, stack)
    session = await frame.until(phase="live")
    asked = live.twin.count("GET", INSTANCE)
    live.twin.fail_next("GET", INSTANCE, Fault.server_error(503), times=10_000)
    await live.twin.until(lambda: live.twin.count("GET", INSTANCE) > asked)
    assert (await frame.fetch(session["hls_url"]))[0] == 200
    await live.command("/avatar status")
    assert not frame.socket.closed


async def test_frame_of_nobody_but_blocked_people_is_shown_nothing(live: DiscordDriver, stack: AsyncExitStack) -> None:
    frame = await frame_of(live, stack, by=BEN)
    await frame.until(phase="live")
    await live.command("/avatar-admin block @ben", by=ADA)
    assert await frame.closed() == 4404


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://1.discordsays.com", "https://discord.com", "null", "https://discordsays.com"],
)
async def test_socket_of_another_origin_is_refused(live: DiscordDriver, origin: str) -> None:
    instance = live.twin.activities.launch(live.channel, live.people[ANA])
    async with framed(live, instance) as frame:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await frame.connect(origin=origin)
        assert refused.value.status == 403


async def test_only_discord_frames_the_page(live: DiscordDriver) -> None:
    url = f"{address_of(live)}/?instance_id=i-1-gc-2-3"
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        policy = dict(part.partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split("; "))
        assert policy["frame-ancestors"].split() == [
            "https://discord.com",
            "https://*.discord.com",
            "https://discordapp.com",
            "https://*.discordapp.com",
        ]
        assert f"wss://{live.twin.application_id}.discordsays.com" in policy["connect-src"]
        assert "X-Frame-Options" not in response.headers
    async with aiohttp.ClientSession() as client, client.get(f"{address_of(live)}/") as response:
        assert (response.status, response.headers["X-Frame-Options"]) == (404, "DENY")


# --- who it is -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_hex", [False, True])
async def test_proof_of_the_proxy_is_taken_in_either_writing(
    live: DiscordDriver, stack: AsyncExitStack, key: Ed25519PrivateKey, as_hex: bool
) -> None:
    frame = await frame_of(live, stack, headers=signed(live, key, live.people[ANA], as_hex=as_hex))
    await frame.until(phase="live")


Forge = Callable[[DiscordDriver, Ed25519PrivateKey], Mapping[str, str]]


def other_key(chat: DiscordDriver, _key: Ed25519PrivateKey) -> Mapping[str, str]:
    return signed(chat, Ed25519PrivateKey.generate(), chat.people[ANA])


def late(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    return signed(chat, key, chat.people[ANA], created_at=1, expires_at=2)


def from_the_future(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    then = int(chat.bot.clock.now().timestamp()) + 86_400
    return signed(chat, key, chat.people[ANA], created_at=then, expires_at=then + 60)


def other_application(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    return signed(chat, key, chat.people[ANA], application_id="4711")


def nobody(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    return signed(chat, key, chat.people[ANA], user_id=None)


def half(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    headers = signed(chat, key, chat.people[ANA])
    del headers["X-Signature-Ed25519"]
    return headers


def other_time(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    return signed(chat, key, chat.people[ANA]) | {"X-Signature-Timestamp": "1"}


def no_base64(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    return signed(chat, key, chat.people[ANA]) | {"X-Discord-Proxy-Payload": "{}"}


def huge(chat: DiscordDriver, key: Ed25519PrivateKey) -> Mapping[str, str]:
    return signed(chat, key, chat.people[ANA]) | {"X-Discord-Proxy-Payload": "A" * 5_000}


@pytest.mark.parametrize(
    "forge", [other_key, late, from_the_future, other_application, nobody, half, other_time, no_base64, huge]
)
async def test_forged_proof_opens_nothing_although_none_would(
    live: DiscordDriver, key: Ed25519PrivateKey, forge: Forge
) -> None:
    instance = live.twin.activities.launch(live.channel, live.people[ANA])
    async with framed(live, instance, headers=forge(live, key)) as frame:
        assert await frame.load() == 410
    async with framed(live, instance) as frame:
        await frame.connect(headers=forge(live, key))
        assert await frame.closed() == 4404


async def test_who_is_proven_to_be_blocked_is_shown_nothing_among_others(
    live: DiscordDriver, stack: AsyncExitStack, key: Ed25519PrivateKey
) -> None:
    live.twin.activities.launch(live.channel, live.people[ANA])
    frame = await frame_of(live, stack, by=BEN, headers=signed(live, key, live.people[BEN]))
    await frame.until(phase="live")
    await live.command("/avatar-admin block @ben", by=ADA)
    assert await frame.closed() == 4404
    await frame.connect()
    assert await frame.closed() == 4404
    other = await frame_of(live, stack, headers=signed(live, key, live.people[ANA]))
    await other.until(phase="live")


async def test_instance_that_somebody_is_not_in_opens_nothing_for_them(
    live: DiscordDriver, stack: AsyncExitStack, key: Ed25519PrivateKey
) -> None:
    instance = live.twin.activities.launch(live.channel, live.people[ANA])
    frame = await stack.enter_async_context(framed(live, instance, headers=signed(live, key, live.people[BEN])))
    await frame.connect()
    assert await frame.closed() == 4404


async def test_ticket_of_one_person_opens_nothing_for_another(
    live: DiscordDriver, stack: AsyncExitStack, key: Ed25519PrivateKey
) -> None:
    live.twin.activities.launch(live.channel, live.people[BEN])
    frame = await frame_of(live, stack, headers=signed(live, key, live.people[ANA]))
    await frame.until(phase="live")
    thief = await stack.enter_async_context(
        framed(live, live.twin.activities.running[0], headers=signed(live, key, live.people[BEN]), ticket=frame.ticket)
    )
    await thief.connect()
    assert await thief.closed() == 4404


async def test_proof_can_be_demanded(
    open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey, stack: AsyncExitStack
) -> None:
    chat = await open_chat(twin=twin, environment={"DISCORD_ACTIVITY_SIGNED": "true"})
    await bring_avatar(chat)
    instance = twin.activities.launch(chat.channel, chat.people[ANA])
    async with framed(chat, instance) as bare:
        assert await bare.load() == 410
    frame = await frame_of(chat, stack, headers=signed(chat, key, chat.people[ANA]))
    session = await frame.until(phase="live")
    assert (await frame.fetch(session["hls_url"]))[0] == 200
    frame.headers = {}
    assert (await frame.fetch(session["hls_url"]))[0] == 404
    await frame.connect()
    assert await frame.closed() == 4404


# --- bringing an avatar from the frame -------------------------------------------------------------------------------


async def test_who_is_proven_and_may_brings_an_avatar_from_the_frame(
    chat: DiscordDriver, stack: AsyncExitStack, key: Ed25519PrivateKey
) -> None:
    frame = await frame_of(chat, stack, headers=signed(chat, key, chat.people[ANA]))
    assert (await frame.hear())["may_start"] is True
    await frame.socket.send_json({"type": "start"})
    session = await frame.until(phase="live")
    assert session["started_by"] == "Ana"
    assert "live" in (await chat.panel())


async def test_who_is_not_proven_reads_how_to_bring_one(chat: DiscordDriver, stack: AsyncExitStack) -> None:
    frame = await frame_of(chat, stack)
    assert (await frame.hear())["may_start"] is False
    await frame.socket.send_json({"type": "start"})
    assert await frame.hear() == {"type": "nobody", "may_start": False, "told": None}
    assert len(chat.bot.bot.sessions) == 0


async def test_who_may_not_start_an_avatar_does_not_from_the_frame(
    open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey, stack: AsyncExitStack
) -> None:
    chat = await open_chat(twin=twin, environment={"ACCESS_HOSTS": "discord:4711"})
    frame = await frame_of(chat, stack, headers=signed(chat, key, chat.people[ANA]))
    assert (await frame.hear())["may_start"] is False
    hidden = twin.add_channel(chat.guild, "hidden")
    twin.deny(hidden, "send_messages")
    instance = twin.activities.launch(hidden, chat.people[ADA])
    other = await stack.enter_async_context(framed(chat, instance, headers=signed(chat, key, chat.people[ADA])))
    await other.connect()
    assert (await other.hear())["may_start"] is False
    twin.allow(hidden, "send_messages")

    async def may_start() -> bool:
        await other.socket.send_json({"type": "hello"})
        return bool((await other.hear())["may_start"])

    async with asyncio.timeout(PATIENCE):
        while not await may_start():  # noqa: ASYNC110 - Discord tells the bot when it wants to
            await asyncio.sleep(0.05)


async def test_limit_that_keeps_an_avatar_away_is_told_in_the_frame(
    open_chat: Open, twin: FakeDiscord, key: Ed25519PrivateKey, stack: AsyncExitStack
) -> None:
    chat = await open_chat(twin=twin, environment={"LIMIT_WORKSPACE_SESSIONS": "1"})
    elsewhere = twin.add_channel(chat.guild, "elsewhere")
    await chat.slash("/avatar start", channel=elsewhere)
    await chat.bot.until(lambda: len(chat.bot.bot.sessions) == 1)
    frame = await frame_of(chat, stack, headers=signed(chat, key, chat.people[ANA]))
    await frame.hear()
    await frame.socket.send_json({"type": "start"})
    assert "avatar" in str((await frame.hear())["told"])
    assert len(chat.bot.bot.sessions) == 1
