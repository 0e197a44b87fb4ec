"""The page's WebSocket over a real connection: who may connect, what comes, and how it ends."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from bot.core.errors import StoreUnavailable
from bot.core.events import BACKLOG, SessionChanged, UtteranceChanged, WordsSpoken
from bot.core.models import Mode, UtteranceState, Word
from bot.core.views import Phase
from tests.builders import an_utterance
from tests.harness.clock import ManualClock, settle
from tests.unit.web.fixtures import CHANNEL, NONCE, PATIENCE, Watching, eventually


async def connect(
    client: aiohttp.ClientSession, watching: Watching, *, signed: str | None = None, origin: str | None = None
) -> aiohttp.ClientWebSocketResponse:
    return await client.ws_connect(
        f"{watching.base}/w/{signed or watching.signed}/live", origin=origin or watching.base, autoping=True
    )


async def hear(socket: aiohttp.ClientWebSocketResponse, *kinds: str) -> dict[str, Any]:
    """The next message; of `kinds`, or what is of the session itself."""
    while True:
        async with asyncio.timeout(PATIENCE):
            message = await socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        heard = json.loads(message.data)
        assert isinstance(heard, dict)
        if heard["type"] in kinds if kinds else heard["type"] not in ("viewers", "transcript"):
            return heard


async def end_of(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read to the end and return the close code."""
    async with asyncio.timeout(PATIENCE):
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    return socket.close_code


async def test_a_viewer_gets_the_whole_session_first_and_nothing_that_is_not_theirs(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.change(hls_url="https://media.example/a.m3u8", avatar_picture="https://media.example/a.jpg")
    async with await connect(client, watching) as socket:
        assert await hear(socket) == {
            "type": "session",
            "now": watching.clock.now().timestamp(),
            "phase": "live",
            "mode": "repeat",
            "avatar": "Town crier",
            "language": None,
            "picture": "https://media.example/a.jpg",
            "started_by": "The host",
            "queue": 2,
            "held": False,
            "speaking": None,
            "ends_at": watching.view.ends_at.timestamp(),
            "hls_url": "https://media.example/a.m3u8",
            "has_room": False,
            "waking": False,
            "wakes_in": None,
            "refused": False,
            "heard_in": None,
            "ended": None,
        }


async def test_a_picture_that_is_served_here_is_at_an_address_beside_the_page(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.change(hls_url="https://media.example/a.m3u8?token=secret", picture="0123456789ab", has_room=True)
    async with await connect(client, watching) as socket:
        snapshot = await hear(socket)
        assert snapshot["hls_url"] == f"{watching.signed}/media/0123456789ab/index.m3u8"
        assert snapshot["has_room"] is False
        assert "media.example" not in str(snapshot)


async def test_addresses_that_are_not_of_the_web_are_left_out(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.change(hls_url="file:///etc/passwd", avatar_picture="javascript:alert(1)")
    async with await connect(client, watching) as socket:
        snapshot = await hear(socket)
        assert snapshot["hls_url"] is None
        assert snapshot["picture"] is None


async def test_changes_and_words_follow_the_snapshot(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        watching.change(mode=Mode.CHAT, queue_length=7)
        changed = await hear(socket)
        assert (changed["mode"], changed["queue"]) == ("chat", 7)
        watching.speak("Good morning")
        now = watching.clock.now().timestamp()
        assert await hear(socket) == {
            "type": "words",
            "words": [
                {"text": "Good", "at": now, "until": now + 0.25},
                {"text": "morning", "at": now + 0.25, "until": now + 0.5},
            ],
        }


async def test_what_looks_to_a_page_as_before_is_not_sent_again(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        for price, queue in [(Decimal(1), 2), (Decimal(2), 7), (None, 7), (None, 2)]:
            watching.change(price_per_minute=price, queue_length=queue)
            await settle()
        assert [(await hear(socket))["queue"] for _ in range(2)] == [7, 2]


async def test_another_session_is_not_heard(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        watching.event_bus.publish(WordsSpoken("another", (Word("secret", 0, 1),)))
        watching.event_bus.publish(SessionChanged(replace(watching.view, session_id="another", queue_length=99)))
        watching.change(queue_length=3)
        assert (await hear(socket))["queue"] == 3


async def test_an_interruption_cuts_the_captions_to_come(watching: Watching, client: aiohttp.ClientSession) -> None:
    utterance = an_utterance(session_id="session-815", state=UtteranceState.SPEAKING)
    async with await connect(client, watching) as socket:
        await hear(socket)
        watching.event_bus.publish(UtteranceChanged(CHANNEL, utterance))
        watching.event_bus.publish(UtteranceChanged(CHANNEL, utterance._replace(state=UtteranceState.INTERRUPTED)))
        assert await hear(socket) == {"type": "cut", "at": watching.clock.now().timestamp()}


async def test_half_a_character_breaks_nothing(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        watching.change(speaking="broken \ud83d here")
        assert (await hear(socket))["speaking"] == "broken \ud83d here"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "https://watch.example.evil"])
async def test_another_site_may_not_connect(watching: Watching, client: aiohttp.ClientSession, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await connect(client, watching, origin=origin)
    assert caught.value.status == 403


async def test_without_an_origin_nobody_connects(watching: Watching, client: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.ws_connect(f"{watching.base}/w/{watching.signed}/live")
    assert caught.value.status == 403


async def test_the_public_address_may_connect(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching, origin="https://watch.example") as socket:
        assert (await hear(socket))["type"] == "session"


async def test_hello_brings_the_snapshot_again(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        await socket.send_str('{"type": "hello"}')
        assert (await hear(socket))["type"] == "session"


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"type":"stop"}', '{"type":"hello","x":1}', "[" * 1000])
async def test_a_page_that_says_anything_else_is_shut_out(
    watching: Watching, client: aiohttp.ClientSession, text: str
) -> None:
    async with await connect(client, watching) as socket:
        await socket.send_str(text)
        assert await end_of(socket) == 1008


async def test_binary_is_shut_out(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await socket.send_bytes(b"\x00\x01")
        assert await end_of(socket) == 1008


async def test_a_message_over_a_kibibyte_is_shut_out(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await socket.send_str('{"type":"hello"' + " " * 2000 + "}")
        assert await end_of(socket) == 1009


async def test_a_flood_is_shut_out(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        for _ in range(6):
            await socket.send_str('{"type":"hello"}')
        assert await end_of(socket) == 1008
        assert watching.lookup.asked < 10


async def test_the_end_of_the_session_is_the_last_thing_heard(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        watching.change(phase=Phase.ENDED, ended="Stopped with the command.")
        assert (await hear(socket))["ended"] == "Stopped with the command."
        assert await end_of(socket) == 1000


async def test_a_session_that_had_ended_before_is_told_and_closed(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.change(phase=Phase.ENDED, ended="Nobody wrote for 5 minutes.")
    async with await connect(client, watching) as socket:
        assert (await hear(socket))["ended"] == "Nobody wrote for 5 minutes."
        assert await end_of(socket) == 1000


async def test_a_mistake_in_looking_at_links_is_not_the_end_of_looking(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        with monkeypatch.context() as patch:
            patch.setattr(watching.lookup, "view_by_link", lambda _nonce: {}["a mistake of ours"])  # type: ignore[index]
            await clock.advance(5)
        watching.revoke()
        await clock.advance(10)
        assert await end_of(socket) == 4404


async def test_a_link_revoked_while_watching_closes_within_seconds(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        watching.revoke()
        await clock.advance(5)
        assert await end_of(socket) == 4404


async def test_a_link_that_expires_while_watching_closes_within_seconds(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        await clock.advance(3605)
        assert await end_of(socket) == 4410


async def test_bad_links_are_told_by_a_code_that_a_script_can_see(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    old = watching.signed
    async with await connect(client, watching, signed="forged") as socket:
        assert await end_of(socket) == 4404
    watching.revoke()
    async with await connect(client, watching) as socket:
        assert await end_of(socket) == 4404
    await clock.advance(3700)
    async with await connect(client, watching, signed=old) as socket:
        assert await end_of(socket) == 4410


async def test_a_store_that_is_down_does_not_dismiss_who_watches(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        watching.lookup.failure = StoreUnavailable("locked")
        await clock.advance(10)
        watching.speak("still here")
        assert (await hear(socket))["type"] == "words"


async def test_a_store_that_is_down_asks_newcomers_to_come_back(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.lookup.failure = StoreUnavailable("locked")
    async with await connect(client, watching) as socket:
        assert await end_of(socket) == 1013


async def test_a_mistake_of_ours_closes_with_a_code(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.lookup.failure = RuntimeError("inner workings")
    async with await connect(client, watching) as socket:
        assert await end_of(socket) == 1011


async def test_the_page_sees_that_the_line_is_alive(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        await clock.advance(15)
        assert await hear(socket) == {"type": "time", "now": clock.now().timestamp()}


async def test_a_slow_viewer_slows_nobody_and_is_caught_up_with_a_snapshot(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    long_word = (Word("w" * 20_000, 0, 1),)
    async with await connect(client, watching) as slow, await connect(client, watching) as quick:
        await hear(slow)
        await hear(quick)
        for _ in range(BACKLOG * 2):  # some 10 MB: more than sockets hold
            watching.event_bus.publish(WordsSpoken(watching.view.session_id, long_word))
            await hear(quick)
        for number in range(BACKLOG + 10):
            watching.change(queue_length=number)
        watching.view = replace(watching.view, started_by_name="the newest there is")
        watching.lookup.views[NONCE] = watching.view
        while True:
            heard = await hear(slow)
            if heard["type"] == "session" and heard["started_by"] == "the newest there is":
                break


async def test_who_leaves_is_forgotten(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        assert watching.audiences.of(watching.view.session_id).is_there
    await eventually(lambda: not watching.audiences.of(watching.view.session_id).is_there)


async def test_who_vanishes_without_a_word_is_forgotten(watching: Watching, client: aiohttp.ClientSession) -> None:
    socket = await connect(client, watching)
    await hear(socket)
    await client.close()
    await eventually(lambda: not watching.audiences.of(watching.view.session_id).is_there)


async def test_viewers_are_counted(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket, client.get(f"{watching.base}/metrics") as response:
        await hear(socket)
        assert "avatar_relay_web_viewers 1.0" in await response.text()


async def test_a_server_that_stops_says_goodbye(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with await connect(client, watching) as socket:
        await hear(socket)
        stopping = asyncio.create_task(watching.stop())
        assert await end_of(socket) == 1001
        await stopping


async def test_a_server_stops_although_a_viewer_does_not_answer(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    socket = await connect(client, watching)  # never read from again
    async with asyncio.timeout(15):
        await watching.stop()
    await socket.close()


async def test_a_link_that_lasts_is_looked_at_once_for_all_its_viewers(
    watching: Watching, client: aiohttp.ClientSession, clock: ManualClock
) -> None:
    async with await connect(client, watching) as one, await connect(client, watching) as two:
        await hear(one)
        await hear(two)
        asked = watching.lookup.asked
        await clock.advance(3)
        assert watching.lookup.asked == asked + 1
        assert watching.view.ends_at > clock.now() + timedelta(minutes=1)


async def test_a_page_says_whether_anybody_is_in_front_of_it(watching: Watching, client: aiohttp.ClientSession) -> None:
    audience = watching.audiences.of(watching.view.session_id)
    async with await connect(client, watching) as socket:
        await hear(socket)
        assert audience.is_there
        await socket.send_json({"type": "attention", "is_there": False})
        await eventually(lambda: not audience.is_there)
        await socket.send_json({"type": "attention", "is_there": True})
        await eventually(lambda: audience.is_there)
    await eventually(lambda: not audience.is_there)
