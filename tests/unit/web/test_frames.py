"""The page in a frame of a chat client: who may frame it, whose socket is taken, what a ticket is worth, how long."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from yarl import URL

from adapters.web.tickets import MAX_TICKET_LENGTH, SignedTickets
from bot.core.embeds import ChannelGrant, SessionGrant
from bot.core.errors import EmbedUnavailable, LinkInvalid
from bot.core.models import Channel, RoomAccess
from bot.core.pictures import PLAYLIST, MediaFile
from bot.core.views import Phase
from tests.harness.clock import ManualClock, settle
from tests.unit.web.fixtures import CHANNEL, NONCE, MemoryHost, Watching, eventually
from tests.unit.web.test_feed import end_of, hear

ORIGIN = "https://frames.example"
PICTURE = "0123456789ab"
FRAME = "/frame?of=channel"


@pytest.fixture
def host() -> MemoryHost:
    return MemoryHost()


@pytest.fixture
async def watching(clock: ManualClock, host: MemoryHost) -> AsyncIterator[Watching]:
    watching = Watching(clock, hosts=[host])
    await watching.start()
    yield watching
    await watching.stop()


async def ticket_of(client: aiohttp.ClientSession, watching: Watching, path: str = FRAME) -> str:
    """The ticket in the page that a frame loads."""
    async with client.get(watching.base + path) as response:
        assert response.status == 200
        found = re.search(r'data-feed="(?:\./|(?:\.\./)+)embed/([^/"]+)/live"', await response.text())
    assert found is not None
    return found[1]


async def connect(
    client: aiohttp.ClientSession, watching: Watching, ticket: str, *, origin: str = ORIGIN, prefix: str = ""
) -> aiohttp.ClientWebSocketResponse:
    return await client.ws_connect(f"{watching.base}{prefix}/embed/{ticket}/live", origin=origin)


async def first(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    return await hear(socket, "session", "nobody", "next")


async def kinds_until_silence(socket: aiohttp.ClientWebSocketResponse) -> list[str]:
    """What comes before the answer to a hello."""
    await socket.send_json({"type": "hello"})
    kinds: list[str] = []
    while (heard := await hear(socket, "session", "door", "seat", "publish"))["type"] != "session":
        kinds.append(heard["type"])
    return kinds


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/.proxy"])
async def test_page_may_be_framed_by_exactly_the_hosts_of_its_client(
    watching: Watching, client: aiohttp.ClientSession, prefix: str
) -> None:
    async with client.get(watching.base + prefix + FRAME) as response:
        policy = dict(part.partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split("; "))
        assert policy["frame-ancestors"].split() == ["https://client.example", "https://*.client.example"]
        assert "X-Frame-Options" not in response.headers
        assert "Set-Cookie" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"
        # What it reaches is here, under whichever name the browser knows this place.
        assert policy["connect-src"].split() == [
            "'self'",
            f"wss://{watching.base.removeprefix('http://')}",
            "wss://frames.example",
        ]
        assert policy["media-src"].split() == ["'self'", "blob:"]
        assert policy["img-src"].split() == ["'self'"]
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        html = await response.text()
        assert 'data-embed="example"' in html
        assert 'data-client-id="4711"' in html
        assert "Sound on" in html
        for secret in (NONCE, CHANNEL.id, watching.view.session_id):
            assert secret not in html


async def test_what_a_frame_cannot_open_is_said_in_the_frame(
    watching: Watching, client: aiohttp.ClientSession, host: MemoryHost
) -> None:
    host.grants["closed"] = LinkInvalid("expired")
    host.grants["unsure"] = EmbedUnavailable("the platform is away")
    for path, status, words in (
        ("/frame?of=closed", 410, "open it again from the channel"),
        ("/frame?of=never", 410, "open it again from the channel"),
        ("/frame?of=unsure", 503, "Wait a moment"),
    ):
        async with client.get(watching.base + path) as response:
            assert response.status == status
            assert words in await response.text()
            assert "frame-ancestors https://client.example" in response.headers["Content-Security-Policy"]
            assert "X-Frame-Options" not in response.headers
            assert "away" not in str(response.headers)


async def test_request_that_no_frame_makes_is_answered_as_any_other(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{watching.base}/frame") as response:
        assert response.status == 404
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/w/{signed}", "/w/{signed}/live", "/w/{signed}/media/x/index.m3u8", "/nothing"])
async def test_the_ordinary_page_is_as_strict_as_without_frames(
    watching: Watching, client: aiohttp.ClientSession, path: str
) -> None:
    plain = Watching(watching.clock)
    await plain.start()
    try:
        async with client.get(watching.base + path.format(signed=watching.signed)) as response:
            found = response.headers
        async with client.get(plain.base + path.format(signed=plain.signed)) as response:
            expected = response.headers
    finally:
        await plain.stop()

    def comparable(headers: Any, base: str) -> dict[str, str]:
        names = {name.lower() for name in headers} - {"date", "content-length"}
        return {name: headers[name].replace(base.removeprefix("http://"), "HOST") for name in names}

    assert comparable(found, watching.base) == comparable(expected, plain.base)
    assert found["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in found["Content-Security-Policy"]
    assert found["Cross-Origin-Opener-Policy"] == found["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in found


async def test_frames_without_an_origin_may_use_the_scripts_and_their_own_picture_alone(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "application/vnd.apple.mpegurl", False)
    ticket = await ticket_of(client, watching)
    for path, is_shared in (
        ("/static/x/watch.js", True),
        ("/.proxy/static/x/watch.css", True),
        (f"/embed/{ticket}/media/{PICTURE}/{PLAYLIST}", True),
        (f"/w/{watching.signed}/media/{PICTURE}/{PLAYLIST}", False),
        (f"/w/{watching.signed}", False),
        ("/healthz", False),
    ):
        async with client.get(watching.base + path, headers={"Origin": "null"}) as response:
            assert response.status == 200, path
            assert response.headers.get("Access-Control-Allow-Origin") == ("*" if is_shared else None)


TRICKS = [
    "/.proxy/w/{signed}",
    "/.proxy/.proxy/frame?of=channel",
    "/.proxy/../frame/../w/{signed}/../../metrics",
    "/.proxy/metrics",
    "/.proxy/readyz",
    "/.proxy/healthz",
    "//frame?of=channel",
    "/embed/{ticket}",
    "/embed/{ticket}/live/",
    "/embed/{ticket}/media/x/../../../healthz",
    "/embed/{ticket}/media/x/%2e%2e%2f%2e%2e%2fhealthz",
    "/embed/{ticket}%2flive",
    "/frame/?of=channel",
]


@pytest.mark.parametrize("path", TRICKS)
async def test_other_paths_under_the_mapping_lead_nowhere(
    watching: Watching, client: aiohttp.ClientSession, path: str
) -> None:
    ticket = await ticket_of(client, watching)
    url = URL(watching.base + path.format(signed=watching.signed, ticket=ticket), encoded=True)
    async with client.get(url) as response:
        assert response.status == 404
        assert "data-embed" not in await response.text()


async def test_frame_that_can_open_no_link_is_told_none(
    watching: Watching, host: MemoryHost, client: aiohttp.ClientSession
) -> None:
    host.opens_links = False
    async with await connect(client, watching, await ticket_of(client, watching)) as socket:
        assert (await first(socket))["link"] is None


# --- the socket ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/.proxy"])
async def test_frame_is_shown_the_session_of_its_channel_with_nothing_from_elsewhere(
    watching: Watching, client: aiohttp.ClientSession, prefix: str
) -> None:
    watching.open_room(RoomAccess("upstream-42", "wss://rooms.example", "a-secret-token"))
    watching.change(hls_url="https://media.example/a.m3u8", avatar_picture="https://media.example/a.jpg")
    async with await connect(client, watching, await ticket_of(client, watching), prefix=prefix) as socket:
        snapshot = await first(socket)
        assert (snapshot["type"], snapshot["phase"]) == ("session", "live")
        # Nothing that is not served here: no provider, no room, no picture of the avatar.
        assert (snapshot["hls_url"], snapshot["has_room"], snapshot["picture"]) == (None, False, None)
        assert snapshot["link"] == "https://watch.example/w/secret-link"
        watching.change(picture=PICTURE)
        assert (await first(socket))["hls_url"] == f"media/{PICTURE}/{PLAYLIST}"


async def test_frame_gets_no_access_to_a_room_and_takes_nobodys_seat(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.open_room(RoomAccess("upstream-42", "wss://rooms.example", "a-secret-token"))
    async with await connect(client, watching, await ticket_of(client, watching)) as socket:
        assert (await first(socket))["has_room"] is False
        await socket.send_json({"type": "visit", "visitor": "a-visitor-of-some-length", "plays": False})
        await settle()
        assert await kinds_until_silence(socket) == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://client.example", "null", "", "http://frames.example"]
)
async def test_socket_of_another_origin_is_refused(
    watching: Watching, client: aiohttp.ClientSession, origin: str
) -> None:
    ticket = await ticket_of(client, watching)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(f"{watching.base}/embed/{ticket}/live", headers={"Origin": origin} if origin else {})
    assert refused.value.status == 403


async def test_frame_without_an_origin_is_taken_with_a_good_ticket_alone(
    clock: ManualClock, client: aiohttp.ClientSession
) -> None:
    watching = Watching(clock, hosts=[MemoryHost(origins=("null",))])
    await watching.start()
    try:
        ticket = await ticket_of(client, watching)
        async with await connect(client, watching, ticket, origin="null") as socket:
            assert (await first(socket))["type"] == "session"
        for bad in (ticket[:-1] + "~", "x", ticket.partition(".")[0]):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await connect(client, watching, bad, origin="null")
            assert refused.value.status == 403
        await clock.advance(601)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await connect(client, watching, ticket, origin="null")
    finally:
        await watching.stop()


def forged(ticket: str) -> list[str]:
    content, _, signature = ticket.partition(".")
    return [
        f"{content}.{signature[::-1]}",
        f"x{content[1:]}.{signature}",
        content,
        f".{signature}",
        "x" * (MAX_TICKET_LENGTH + 1),
        "%2e%2e%2fw",
        "..",
    ]


async def test_forged_ticket_opens_nothing(watching: Watching, client: aiohttp.ClientSession, host: MemoryHost) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "text/plain", False)
    ticket = await ticket_of(client, watching)
    # What signs links signs no tickets, and the other way round.
    others = SignedTickets(SecretStr("another secret of some length"), watching.clock)
    asked = len(host.asked)
    for text in (*forged(ticket), watching.signed, others.make("example", "channel", 600)):
        async with client.get(f"{watching.base}/embed/{text}/media/{PICTURE}/{PLAYLIST}") as response:
            assert response.status == 404, text
    assert len(host.asked) == asked
    async with await connect(client, watching, forged(ticket)[0]) as socket:
        assert await end_of(socket) == 4404
    async with client.get(f"{watching.base}/w/{ticket}") as response:
        assert response.status == 404


async def test_ticket_of_a_platform_that_is_gone_opens_nothing(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    ticket = watching.tickets.make("another", "channel", 600)
    async with await connect(client, watching, ticket) as socket:
        assert await end_of(socket) == 4404


async def test_late_ticket_opens_nothing_and_closes_who_has_it(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "text/plain", False)
    ticket = await ticket_of(client, watching)
    async with await connect(client, watching, ticket) as socket:
        await first(socket)
        await clock.advance(604)
        assert await end_of(socket) == 4410
    async with client.get(f"{watching.base}/embed/{ticket}/media/{PICTURE}/{PLAYLIST}") as response:
        assert response.status == 410
    async with await connect(client, watching, ticket) as socket:
        assert await end_of(socket) == 4410


async def test_what_a_platform_takes_back_ends_within_seconds(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock, host: MemoryHost
) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "text/plain", False)
    ticket = await ticket_of(client, watching)
    media = f"{watching.base}/embed/{ticket}/media/{PICTURE}/{PLAYLIST}"
    async with await connect(client, watching, ticket) as socket:
        await first(socket)
        async with client.get(media) as response:
            assert (response.status, await response.read()) == (200, b"#EXTM3U")
        host.grants["channel"] = LinkInvalid("expired")
        await clock.advance(3)
        assert await end_of(socket) == 4410
    async with client.get(media) as response:
        assert response.status == 410
    host.grants["channel"] = EmbedUnavailable("the platform is away")
    async with client.get(media) as response:
        assert response.status == 503


async def test_ticket_is_worth_its_own_channel_alone(
    watching: Watching, client: aiohttp.ClientSession, host: MemoryHost
) -> None:
    watching.pictures.files[NONCE, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "text/plain", False)
    host.grants["elsewhere"] = ChannelGrant(Channel("console", "home", "another channel"))
    ticket = await ticket_of(client, watching, "/frame?of=elsewhere")
    async with await connect(client, watching, ticket) as socket:
        assert await first(socket) == {"type": "nobody", "may_start": False, "told": None}
    async with client.get(f"{watching.base}/embed/{ticket}/media/{PICTURE}/{PLAYLIST}") as response:
        assert response.status == 404


async def test_what_proves_something_of_a_request_is_asked_for_with_that_request_alone(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock, host: MemoryHost
) -> None:
    ticket = await ticket_of(client, watching)
    headers = {"Origin": ORIGIN, "X-Proof": "of this request"}
    async with client.ws_connect(f"{watching.base}/embed/{ticket}/live", headers=headers) as socket:
        await first(socket)
        await clock.advance(3)
        assert [request.headers.get("x-proof") for request in host.asked] == [None, "of this request", None]
        assert host.asked[-1].headers == {}


# --- a channel, from one session to the next -------------------------------------------------------------------------


async def test_frame_of_a_channel_goes_on_with_its_next_session(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching, await ticket_of(client, watching)) as socket:
        assert (await first(socket))["avatar"] == "Town crier"
        watching.leave_channel()
        over = await first(socket)
        assert (over["phase"], over["ended"]) == ("ended", "Stopped with /avatar stop.")
        assert (await first(socket))["type"] == "nobody"
        watching.next_session("the next", avatar="Robin")
        await clock.advance(1)
        assert (await first(socket))["type"] == "next"
        assert (await first(socket))["avatar"] == "Robin"
        watching.speak("Good morning")
        assert [word["text"] for word in (await hear(socket, "words"))["words"]] == ["Good", "morning"]


async def test_frame_whose_session_is_still_closing_waits_for_another_one(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching, await ticket_of(client, watching)) as socket:
        await first(socket)
        watching.change(phase=Phase.ENDED)
        assert (await first(socket))["phase"] == "ended"
        assert (await first(socket))["type"] == "nobody"
        await clock.advance(5)
        watching.next_session("the next")
        await clock.advance(1)
        assert (await first(socket))["type"] == "next"


async def test_frame_that_misses_the_end_of_a_session_goes_on_too(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching, await ticket_of(client, watching)) as socket:
        await first(socket)
        watching.next_session("the next", avatar="Robin")
        await clock.advance(3)
        assert (await first(socket))["type"] == "next"
        assert (await first(socket))["avatar"] == "Robin"


async def test_frame_counts_among_those_who_watch_until_it_leaves(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    audience = watching.audiences.of(watching.view.session_id)
    ticket = await ticket_of(client, watching)
    async with await connect(client, watching, ticket) as socket, await connect(client, watching, ticket) as other:
        await first(socket)
        await first(other)
        assert audience.size == 2
    await eventually(lambda: audience.size == 0)


async def test_frame_of_one_session_ends_with_it(
    watching: Watching, client: aiohttp.ClientSession, host: MemoryHost
) -> None:
    host.grants["one"] = SessionGrant(watching.view.session_id)
    async with await connect(client, watching, await ticket_of(client, watching, "/frame?of=one")) as socket:
        await first(socket)
        watching.leave_channel()
        assert (await first(socket))["phase"] == "ended"
        assert await end_of(socket) == 1000
    host.grants["never"] = SessionGrant("never was")
    async with await connect(client, watching, watching.tickets.make("example", "never", 600)) as socket:
        assert await end_of(socket) == 4404


async def test_who_may_brings_an_avatar_from_the_frame_and_others_may_not(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock, host: MemoryHost
) -> None:
    watching.leave_channel()
    ticket = await ticket_of(client, watching)
    async with await connect(client, watching, ticket) as socket:
        assert (await first(socket))["may_start"] is False
    host.starters.add("channel")
    host.refusal = "No more avatars today: type `/avatar help`."
    async with await connect(client, watching, ticket) as socket:
        assert (await first(socket))["may_start"] is True
        await socket.send_json({"type": "start"})
        assert (await first(socket))["told"] == "No more avatars today: type /avatar help."
        host.refusal = None
        await socket.send_json({"type": "start"})
        await eventually(lambda: len(host.started) == 2)
        watching.next_session("the next")
        await clock.advance(1)
        assert (await first(socket))["type"] == "session"


async def test_start_that_fails_is_told_with_a_reference(
    watching: Watching, client: aiohttp.ClientSession, host: MemoryHost
) -> None:
    watching.leave_channel()

    async def fail(_claim: str) -> str | None:
        raise EmbedUnavailable("inner workings")

    host.start = fail  # type: ignore[method-assign,assignment]
    async with await connect(client, watching, await ticket_of(client, watching)) as socket:
        await first(socket)
        await socket.send_json({"type": "start"})
        told = (await first(socket))["told"]
        assert re.search(r"\(ref [2-9a-z]{8}\)$", told)
        assert "inner workings" not in told


async def test_page_that_cannot_show_the_picture_says_so_and_is_nobody_who_watches(
    clock: ManualClock, client: aiohttp.ClientSession
) -> None:
    watching = Watching(clock, hosts=[MemoryHost()], shows_in_frames=False)
    await watching.start()
    try:
        async with await connect(client, watching, await ticket_of(client, watching)) as socket:
            snapshot = await first(socket)
            assert (snapshot["elsewhere"], snapshot["link"]) == (True, "https://watch.example/w/secret-link")
            await socket.send_json({"type": "attention", "is_there": True})
            await socket.send_json({"type": "hello"})
            await first(socket)
            assert watching.audiences.of(watching.view.session_id).size == 0
    finally:
        await watching.stop()


async def test_frames_are_closed_with_the_server(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.leave_channel()
    async with await connect(client, watching, await ticket_of(client, watching)) as socket:
        await first(socket)
        stopping = asyncio.create_task(watching.stop())
        assert await end_of(socket) == 1001
        await stopping
