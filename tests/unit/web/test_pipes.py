"""A page that is open at one process and shown a session of another: what it sees and does there is what it would at
the session's own, and it connects again where that process changes, dies or is not heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from adapters.web.connection import VIEWER_LIMITS, Wire
from adapters.web.pipe_messages import (
    LEFT,
    MAX_WAITING,
    OPEN,
    PULSE,
    PULSE_INTERVAL,
    PULSE_TIMEOUT,
    SAID,
    TOLD,
    PipedPage,
    dump,
    dump_page,
)
from adapters.web.piped import PipedPages, PipedSocket
from adapters.web.pipes import CHECK_INTERVAL, MAX_MISSED
from adapters.web.protocol import Close
from adapters.web.seats import ANSWER_TIMEOUT
from bot.core.models import Mode, RoomAccess, UtteranceState
from bot.core.views import Phase
from tests.builders import an_utterance
from tests.fakes.processes import Processes
from tests.harness.clock import ManualClock, settle
from tests.unit.web.fixtures import CHANNEL, NONCE, MemoryHost, Watching, eventually
from tests.unit.web.test_feed import end_of, hear
from tests.unit.web.test_frames import connect as connect_frame
from tests.unit.web.test_frames import ticket_of
from tests.unit.web.test_viewer import Page

HERE, OWNER, THIRD = "here", "owner", "third"
DOOR = RoomAccess("upstream-42", "wss://rooms.example", "header.payload.signature")


class Both:
    """Two processes: the session is the `owner`'s, and the page is open `here`."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.processes = Processes(owners={NONCE: OWNER}, links={CHANNEL: NONCE})
        self.host = MemoryHost()
        self.owner = Watching(clock, cluster=self.processes.join(OWNER))
        self.here = Watching(clock, cluster=self.processes.join(HERE), hosts=[self.host])
        self.here.lookup.views.clear()
        self.here.lookup.open.clear()

    @property
    def watching(self) -> int:
        """How many pages the session knows of."""
        return self.owner.audiences.of(self.owner.view.session_id).size


@pytest.fixture
async def both(clock: ManualClock) -> AsyncIterator[Both]:
    both = Both(clock)
    await both.owner.start()
    await both.here.start()
    yield both
    await both.here.stop()
    await both.owner.stop()
    await both.processes.close()


@asynccontextmanager
async def page_at(client: aiohttp.ClientSession, watching: Watching) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"{watching.base}/w/{watching.signed}/live"
    async with await client.ws_connect(url, origin=watching.base) as socket:
        yield socket


@asynccontextmanager
async def visitor_at(client: aiohttp.ClientSession, watching: Watching, name: str) -> AsyncIterator[Page]:
    async with page_at(client, watching) as socket:
        page = Page(socket)
        await page.next("session")
        await page.say(type="visit", visitor=name.ljust(16, "_"), plays=False)
        yield page


async def test_page_sees_the_session_and_everything_after_it_in_order(
    both: Both, client: aiohttp.ClientSession
) -> None:
    async with page_at(client, both.here) as socket:
        assert (await hear(socket))["avatar"] == "Town crier"
        both.owner.change(picture="0123456789ab")
        assert (await hear(socket))["hls_url"] == f"{both.here.signed}/media/0123456789ab/index.m3u8"
        for number in range(40):
            both.owner.speak(f"word{number}")
        words: list[str] = []
        while len(words) < 40:
            words += [word["text"] for word in (await hear(socket, "words"))["words"]]
        assert words == [f"word{number}" for number in range(40)]
        both.owner.change(phase=Phase.ENDED, ended="Stopped with `/avatar stop`.")
        assert (await hear(socket, "session"))["ended"] == "Stopped with /avatar stop."
        assert await end_of(socket) == Close.ENDED
    await eventually(lambda: both.watching == 0)


async def test_page_counts_as_a_viewer_of_the_session_until_it_leaves(
    both: Both, client: aiohttp.ClientSession
) -> None:
    async with page_at(client, both.here) as socket:
        assert (await hear(socket, "viewers"))["count"] == 1
        async with page_at(client, both.owner) as other:
            await hear(other)
            await settle()
            await both.clock.advance(1.0)
            assert (await hear(socket, "viewers"))["count"] == 2
        await socket.send_json({"type": "attention", "is_there": False})
        await eventually(lambda: both.watching == 0)
        await socket.send_json({"type": "attention", "is_there": True})
        await eventually(lambda: both.watching == 1)
    await eventually(lambda: both.watching == 0)


async def test_what_was_said_is_told_from_where_it_was_said(both: Both, client: aiohttp.ClientSession) -> None:
    from bot.core.events import UtteranceChanged

    utterance = an_utterance(
        session_id=both.owner.view.session_id, text="Good morning", state=UtteranceState.SPEAKING, mode=Mode.REPEAT
    )
    both.owner.event_bus.publish(UtteranceChanged(CHANNEL, utterance))
    await settle()
    async with page_at(client, both.here) as socket:
        assert [entry["text"] for entry in (await hear(socket, "transcript"))["entries"]] == ["Good morning"]


async def test_seat_is_one_for_the_pages_of_both_processes(both: Both, client: aiohttp.ClientSession) -> None:
    both.owner.open_room(DOOR)
    async with visitor_at(client, both.here, "ada") as ada, visitor_at(client, both.owner, "ben") as ben:
        await ada.place("seated")
        assert (await ada.next("door"))["token"] == DOOR.token
        await ben.place("waiting")
        await ben.say(type="ask")
        await ada.place("asked")
        await ada.say(type="keep")
        await ben.place("waiting")
        await both.clock.advance(61.0)
        await ben.say(type="ask")
        await ada.place("asked")
        await both.clock.advance(ANSWER_TIMEOUT)
        await ben.place("seated")
        await ben.next("door")
        await ada.place("waiting")
        await ada.say(type="ask")
        await ben.place("asked")
        await ben.say(type="give")
        await ada.place("seated")
        await ada.next("door")


async def test_page_with_the_seat_publishes_what_the_session_says(both: Both, client: aiohttp.ClientSession) -> None:
    from bot.streams.page_bridge import RoomMessage

    room = both.owner.seats.open(DOOR.upstream_id)
    both.owner.open_room(DOOR)
    async with visitor_at(client, both.here, "ada") as ada:
        door = await ada.next("door")
        await ada.say(type="avatar", room=door["room"], is_here=True)
        await ada.say(type="seated", room=door["room"])
        await ada.asked_again()
        sending = asyncio.create_task(room.publish(RoomMessage("agent-control", {"text": "Good morning"})))
        publish = await ada.next("publish")
        assert publish["data"] == {"text": "Good morning"}
        await ada.say(type="published", id=publish["id"])
        async with asyncio.timeout(5):
            await sending
        # A page that carries may say more, and longer things.
        for _ in range(20):
            await ada.say(type="heard", topic="agent-response", data={"text": "x" * 4000})
        await ada.asked_again()


async def test_policy_of_the_page_names_the_room_that_the_owner_knows(
    both: Both, client: aiohttp.ClientSession
) -> None:
    both.owner.open_room(DOOR)
    async with client.get(both.here.page) as response:
        assert response.status == 200
        assert "wss://rooms.example" in response.headers["Content-Security-Policy"]
    both.owner.revoke()
    async with client.get(both.here.page) as response:
        assert response.status == 410
    both.processes.silent.add(OWNER)
    async with client.get(both.here.page) as response:
        assert response.status == 200
        assert "rooms.example" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("message", "code"),
    [("nonsense", Close.MISBEHAVED), ('{"type":"hello","x":"' + "y" * 2000 + '"}', Close.TOO_LONG)],
)
async def test_page_that_says_what_it_may_not_is_closed(
    both: Both, client: aiohttp.ClientSession, message: str, code: Close
) -> None:
    async with page_at(client, both.here) as socket:
        await socket.send_str(message)
        assert await end_of(socket) == code


@pytest.mark.parametrize(("apart", "code"), [(0.25, None), (0.15, Close.MISBEHAVED)])
async def test_page_says_too_much_by_when_it_said_it_and_not_by_when_it_is_heard(
    both: Both, apart: float, code: Close | None
) -> None:
    socket = PipedSocket(both.processes.buses[OWNER], HERE, "7")
    for number in range(40):
        socket.hear(number + 1, number * apart, '{"type":"hello"}')
    socket.end()
    heard = []

    async def handle(message: object) -> Close | None:
        heard.append(message)
        return None

    assert await Wire(socket, both.clock, lambda: socket.heard_at).read(handle) is code
    assert len(heard) == (40 if code is None else VIEWER_LIMITS.per_second)


async def test_page_is_not_blamed_for_what_is_late(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        both.processes.in_time.clear()
        for second in range(3):
            for _ in range(4):
                await socket.send_json({"type": "attention", "is_there": True})
            await eventually(lambda said=4 * (second + 1): len(both.processes.asked(SAID)) == said)
            await both.clock.advance(1.0)
        await socket.send_json({"type": "hello"})
        both.processes.in_time.set()
        await hear(socket, "session")


async def test_page_that_says_too_much_is_closed(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        for _ in range(VIEWER_LIMITS.per_second + 1):
            await socket.send_json({"type": "attention", "is_there": True})
        assert await end_of(socket) == Close.MISBEHAVED


async def test_flood_does_not_reach_the_owner(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        for _ in range(150):
            await socket.send_bytes(b"flood")
        assert await end_of(socket) == Close.MISBEHAVED
    assert both.processes.asked(SAID) == []


async def test_link_of_a_page_is_looked_at_where_it_is_open_and_where_its_session_is(
    both: Both, client: aiohttp.ClientSession
) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        both.owner.revoke()
        await both.clock.advance(CHECK_INTERVAL)
        assert await end_of(socket) == Close.REVOKED
    both.owner.lookup.views[NONCE] = both.owner.view
    async with page_at(client, both.here) as socket:
        await hear(socket)
        # Pulses go on, so that it is the link that ends it.
        for _ in range(1210):
            await both.clock.advance(CHECK_INTERVAL)
            if both.watching == 0:
                break
        assert await end_of(socket) == Close.EXPIRED
    assert both.clock.monotonic() >= 3600.0


async def test_forged_link_and_foreign_page_reach_no_owner(both: Both, client: aiohttp.ClientSession) -> None:
    url = f"{both.here.base}/w/{both.here.signed}x/live"
    async with await client.ws_connect(url, origin=both.here.base) as socket:
        assert await end_of(socket) == Close.REVOKED
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.ws_connect(f"{both.here.base}/w/{both.here.signed}/live", origin="https://evil.example")
    assert both.processes.sent == []


async def test_page_connects_again_when_its_session_has_another_owner(
    both: Both, client: aiohttp.ClientSession
) -> None:
    async with page_at(client, both.here) as remote, page_at(client, both.owner) as local:
        await hear(remote)
        await hear(local)
        both.processes.owners[NONCE] = THIRD
        await both.clock.advance(CHECK_INTERVAL)
        assert await end_of(remote) == Close.AWAY
        assert await end_of(local) == Close.AWAY


async def test_page_does_not_wait_for_a_former_owner_to_send_it_away(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        both.processes.silent.add(OWNER)
        both.processes.owners[NONCE] = THIRD
        await both.clock.advance(CHECK_INTERVAL)
        assert await end_of(socket) == Close.AWAY


async def test_page_connects_again_when_the_owner_is_not_heard(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        both.processes.silent.add(OWNER)
        await both.clock.advance(PULSE_INTERVAL * MAX_MISSED)
        assert await end_of(socket) == Close.AWAY
    async with page_at(client, both.here) as socket:
        assert await end_of(socket) == Close.LATER
    both.processes.silent.clear()
    async with page_at(client, both.here) as socket:
        await hear(socket)


async def test_page_connects_again_when_one_message_to_it_was_lost(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        await hear(socket, "viewers")
        both.processes.lost.add(TOLD)
        both.owner.change(queue_length=5)
        await settle()
        both.processes.lost.clear()
        both.owner.change(queue_length=6)
        assert await end_of(socket) == Close.AWAY


async def test_page_connects_again_when_one_message_of_it_was_lost(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        both.processes.lost.add(SAID)
        await socket.send_json({"type": "attention", "is_there": False})
        await eventually(lambda: both.processes.asked(SAID) != [])
        both.processes.lost.clear()
        await socket.send_json({"type": "attention", "is_there": False})
        await eventually(lambda: both.watching == 0)
        await both.clock.advance(PULSE_INTERVAL)
        assert await end_of(socket) == Close.AWAY


async def test_pages_of_a_process_that_has_died_are_forgotten(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        both.processes.lost |= {PULSE, LEFT}
        await eventually(lambda: both.watching == 1)
        await both.clock.advance(PULSE_TIMEOUT + PULSE_INTERVAL)
        await eventually(lambda: both.watching == 0)


async def test_page_that_left_unheard_is_forgotten(both: Both, client: aiohttp.ClientSession) -> None:
    both.processes.lost.add(LEFT)
    async with page_at(client, both.here) as socket:
        await hear(socket)
    await settle()
    assert both.watching == 1
    await both.clock.advance(PULSE_TIMEOUT + PULSE_INTERVAL)
    await eventually(lambda: both.watching == 0)


async def test_page_stays_as_long_as_both_live(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        for _ in range(20):
            await both.clock.advance(PULSE_INTERVAL)
        assert both.watching == 1
        both.owner.change(queue_length=9)
        while (await hear(socket, "session"))["queue"] != 9:
            pass


async def test_owner_that_stops_sends_its_pages_away(both: Both, client: aiohttp.ClientSession) -> None:
    async with page_at(client, both.here) as socket:
        await hear(socket)
        await both.owner.stop()
        assert await end_of(socket) == Close.AWAY


async def test_owner_takes_no_page_of_a_session_that_is_not_its_own(both: Both) -> None:
    pages: list[str] = []

    async def serve(socket: PipedSocket, _: object) -> Close | None:
        pages.append(socket.page_id)
        return None

    cluster = both.processes.join(THIRD)
    piped = PipedPages(cluster.bus, cluster.directory, both.clock, serve)
    asking = both.processes.buses[HERE]
    page = PipedPage("7", NONCE, "", True, True, False, None)
    assert await asking.ask(THIRD, OPEN, dump_page(page)) == "not mine"
    assert await asking.ask(THIRD, PULSE, dump("7")) == dump("7")
    assert pages == []
    assert len(piped) == 0


async def test_page_that_is_too_far_behind_is_ended(both: Both) -> None:
    socket = PipedSocket(both.processes.buses[OWNER], HERE, "7")
    for number in range(MAX_WAITING):
        socket.hear(number + 1, 0.0, "text")
    socket.hear(MAX_WAITING + 1, 0.0, "one too many")
    heard = [frame.data async for frame in socket]
    assert heard == ["text"] * MAX_WAITING
    with pytest.raises(aiohttp.ClientConnectionResetError):
        await socket.send_str("to nobody")


async def test_frame_is_shown_one_session_of_its_channel_after_the_other_wherever_they_are(
    both: Both, client: aiohttp.ClientSession
) -> None:
    ticket = await ticket_of(client, both.here)
    async with await connect_frame(client, both.here, ticket) as socket:
        first = await hear(socket, "session", "nobody")
        assert (first["type"], first["avatar"], first["link"]) == (
            "session",
            "Town crier",
            "https://watch.example/w/secret-link",
        )
        both.owner.change(phase=Phase.ENDED, ended="Stopped.")
        del both.processes.owners[NONCE], both.processes.links[CHANNEL]
        while (heard := await hear(socket, "session", "nobody"))["type"] != "nobody":
            assert heard["phase"] == "ended"
        both.owner.next_session("second", avatar="The other one")
        both.processes.owners["second"], both.processes.links[CHANNEL] = OWNER, "second"
        await both.clock.advance(1.0)
        assert (await hear(socket, "next", "session"))["type"] == "next"
        second = await hear(socket, "session")
        assert (second["avatar"], second["has_room"]) == ("The other one", False)
        both.host.grants.clear()
        await both.clock.advance(CHECK_INTERVAL)
        assert await end_of(socket) == Close.REVOKED
