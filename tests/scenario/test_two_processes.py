"""Two processes share a database: who watches, commands or writes at the one reaches the sessions of the other."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import urljoin

import aiohttp
import pytest

from bot.core.errors import Refused
from bot.core.models import Channel, EndReason
from bot.core.views import Phase
from tests.builders import an_actor
from tests.harness.livekit import LiveKitServer, livekit_program, livekit_server
from tests.scenario.two_processes import ADA, ANA, GENERAL, PATIENCE, TwoPrograms, WatchPage, until

__all__ = ["livekit_program", "livekit_server"]

pytestmark = pytest.mark.postgres

STORY = "Once upon a time there was a robin who could talk, and who told everybody what it had seen from above."
AWAY = 1001
SECOND = GENERAL._replace(id="second")
THIRD = GENERAL._replace(id="third")
ELSEWHERE = Channel("test", "another workspace", "lobby")
ADMIN = replace(an_actor("Mia"), role=ADA.role)
"""Of one workspace."""


@pytest.fixture
def url(new_postgres_url: Callable[[], str]) -> str:
    return new_postgres_url()


@pytest.fixture
async def two(url: str) -> AsyncIterator[TwoPrograms]:
    async with TwoPrograms(url) as two:
        yield two


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def live(two: TwoPrograms, channel: Channel = GENERAL, *, speaks: bool = True) -> None:
    """Have the first process bring an avatar, which is there when this returns, and says nothing; unless it cannot
    speak yet."""
    await two.first.type("/avatar start", channel=channel)
    session = two.first.session_in(channel)
    if speaks:
        await until(lambda: session.view().phase is Phase.LIVE and session.speaker.is_idle)
    nonce = two.first.session_in(channel).session.link_nonce
    await until(lambda: two.second.application.bot.cluster.directory.owner_of_link(nonce) == two.first.process)


# --- watch pages -----------------------------------------------------------------------------------------------------


async def test_page_at_the_other_process_shows_the_session_and_its_captions_in_order(
    two: TwoPrograms, client: aiohttp.ClientSession
) -> None:
    await live(two)
    here = await WatchPage.open(client, two.first.page_of(two.first.session_in()))
    page = await WatchPage.open(client, two.second.page_of(two.first.session_in()))
    snapshot = await page.next("session")
    assert (snapshot["phase"], snapshot["started_by"]) == ("live", "Ana")
    assert (await page.next("viewers", count=2))["count"] == 2
    await two.first.write(STORY)
    await until(lambda: STORY in two.said)
    await page.next("transcript")
    await two.first.type("/avatar stop")
    assert await page.end() == await here.end() == 1000
    assert page.words == here.words
    assert "".join(page.words).endswith(STORY.replace(" ", ""))
    assert page.heard[-1]["phase"] == "ended" or any(message.get("phase") == "ended" for message in page.heard)


async def test_picture_is_the_same_at_both_processes_and_is_made_while_somebody_watches(
    two: TwoPrograms, client: aiohttp.ClientSession
) -> None:
    await live(two)
    session = two.first.session_in()
    page = await WatchPage.open(client, two.second.page_of(session))
    picture = (await page.next("session"))["hls_url"]
    there = urljoin(two.second.page_of(session), picture)
    here = urljoin(two.first.page_of(session), picture)
    segments: dict[str, bytes] = {}
    async with asyncio.timeout(PATIENCE):
        while len(segments) < 2:
            for name in await names_in(client, there):
                if not name.endswith(".m3u8"):
                    async with client.get(urljoin(there, name)) as answer:
                        if answer.status == 200:
                            segments[name] = await answer.read()
            await asyncio.sleep(0.1)
    assert two.second.application.bot.sessions.services.pictures._open == {}
    assert len(two.first.application.bot.sessions.services.pictures._open) == 1
    for name, body in segments.items():
        async with client.get(urljoin(here, name)) as answer:
            assert await answer.read() == body
            assert len(body) > 100
    async with client.get(urljoin(there, "no-such-file.m4s")) as answer:
        assert answer.status == 404


async def names_in(client: aiohttp.ClientSession, playlist: str) -> list[str]:
    """The files that a playlist leads to, and the playlists in it."""
    async with client.get(playlist) as answer:
        if answer.status == 503:
            return []
        assert answer.status == 200
        lines = (await answer.text()).splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    found = list(names)
    for name in names:
        if name.endswith(".m3u8"):
            found += await names_in(client, urljoin(playlist, name))
    return found


async def test_page_goes_on_at_the_next_owner_when_its_owner_dies(
    two: TwoPrograms, client: aiohttp.ClientSession
) -> None:
    await live(two)
    session = two.first.session_in()
    link = two.second.page_of(session)
    page = await WatchPage.open(client, link)
    await page.next("session")
    await two.first.write("Good morning.")
    await until(lambda: "Good morning." in two.said)
    await two.first.die()
    assert await page.end() in (AWAY, 1013)
    heard = await reconnected(client, link)
    assert heard["phase"] in ("live", "starting")
    await until(lambda: two.second.application.bot.sessions.in_channel(GENERAL) is not None)
    page = await WatchPage.open(client, link)
    await page.next("session")
    await two.second.write("Good evening.")
    await until(lambda: "Good evening." in two.said)
    await two.second.type("/avatar stop")
    assert await page.end() == 1000
    assert "".join(page.words) == "Goodevening."
    assert two.said.count("Good morning.") == 1


async def reconnected(client: aiohttp.ClientSession, link: str) -> dict[str, object]:
    """What a page that tries again and again is told first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            page = await WatchPage.open(client, link)
            frame = await page.socket.receive()
            if frame.type is aiohttp.WSMsgType.TEXT:
                await page.socket.close()
                heard: dict[str, object] = json.loads(frame.data)
                return heard
            await asyncio.sleep(0.1)


async def test_link_that_is_revoked_closes_the_page_at_the_other_process(
    two: TwoPrograms, client: aiohttp.ClientSession
) -> None:
    await live(two)
    session = two.first.session_in()
    link = two.second.page_of(session)
    page = await WatchPage.open(client, link)
    await page.next("session")
    async with client.get(link) as answer:
        assert answer.status == 200
    registry = two.first.application.bot.sessions
    del registry._by_link[session.session.link_nonce]
    await two.first.application.bot.sessions.services.store.sessions._writer.write(
        lambda connection: connection.exec_driver_sql("UPDATE sessions SET link_nonce = 'another'")
    )
    assert await page.end() == 4404
    registry._by_link[session.session.link_nonce] = session


async def test_unwatched_session_knows_of_viewers_at_the_other_process(url: str, client: aiohttp.ClientSession) -> None:
    async with TwoPrograms(url, SESSION_NEEDS_VIEWER="always") as two:
        await two.first.type("/avatar start")
        session = two.first.session_in()
        await two.first.write("Is anybody there?")
        await until(lambda: session.view().needs_viewer)
        nonce = session.session.link_nonce
        await until(lambda: two.second.application.bot.cluster.directory.owner_of_link(nonce) is not None)
        page = await WatchPage.open(client, two.second.page_of(session))
        await until(lambda: "Is anybody there?" in two.said)
        await page.socket.close()
        await until(lambda: session.audience.size == 0)


async def test_seat_is_asked_for_kept_and_given_across_processes(
    url: str, client: aiohttp.ClientSession, livekit_server: LiveKitServer
) -> None:
    rooms = {"AVATAR_PROVIDER": "heygen-streaming", "AVATAR_WATCH": "seat", "AVATAR_CARRIER": "page"}
    async with TwoPrograms(url, livekit_server, **rooms) as two:
        await live(two, speaks=False)
        session = two.first.session_in()
        here = await WatchPage.open(client, two.first.page_of(session))
        there = await WatchPage.open(client, two.second.page_of(session))
        await there.say(type="visit", visitor="there-there-there", plays=False)
        await there.next("seat", place="seated")
        assert (await there.next("door"))["is_seat"]
        await here.say(type="visit", visitor="here-here-here-here", plays=False)
        await here.next("seat", place="waiting")
        assert "token" not in json.dumps(here.heard)
        await here.say(type="ask")
        await there.next("seat", place="asked")
        await there.say(type="give")
        await here.next("seat", place="seated")
        await here.next("door")
        await there.next("seat", place="waiting")
        await there.say(type="ask")
        await here.next("seat", place="asked")
        await here.say(type="keep")
        await there.next("seat", place="waiting", may_ask=False)
        async with (
            client.get(two.second.page_of(session)) as at_second,
            client.get(two.first.page_of(session)) as at_first,
        ):
            for answer in (at_first, at_second):
                assert livekit_server.url in answer.headers["Content-Security-Policy"].replace(";", " ").split()


# --- admins and limits -----------------------------------------------------------------------------------------------


async def test_admin_sees_and_stops_the_sessions_of_both_processes_from_either(two: TwoPrograms) -> None:
    await live(two)
    await live(two, SECOND)
    await two.second.type("/avatar start", channel=THIRD)
    await two.second.type("/avatar start", channel=ELSEWHERE)
    await until(lambda: two.second.session_in(THIRD).view().phase is Phase.LIVE)
    await two.first.write(STORY)
    at_first = await two.first.type("/avatar-admin sessions", ADMIN)
    at_second = await two.second.type("/avatar-admin sessions", ADMIN)
    assert sorted(name for name, _ in at_first.fields) == sorted(name for name, _ in at_second.fields)
    assert len(at_first.fields) == 3
    assert len((await two.second.type("/avatar-admin sessions", ADA)).fields) == 4
    line = dict(at_second.fields)[two.first.session_in().session.id]
    assert "general" in line
    assert "live" in line
    assert "by Ana since" in line

    mine = two.first.session_in(SECOND)
    with_another = await two.second.type(f"/avatar-admin stop {mine.session.id}", ADMIN, ELSEWHERE)
    assert "no open session" in with_another.text.lower() or mine.session.id in with_another.text
    assert not mine.stop.is_set
    await two.second.type(f"/avatar-admin stop {mine.session.id}", ADMIN)
    await until(mine.closed.is_set)
    ended = await two.second.application.bot.sessions.services.store.sessions.get(mine.session.id)
    assert ended is not None
    assert ended.end_reason is EndReason.ADMIN

    stopping = await two.second.type("/avatar-admin stop-all", ADMIN)
    assert "2" in stopping.text
    await until(lambda: len(two.first.application.bot.sessions) == 0)
    await until(lambda: len(two.second.application.bot.sessions) == 1)
    await two.first.type("/avatar-admin stop-all", ADA)
    await until(lambda: two.open_streams == 0)


@pytest.mark.slow
async def test_usage_counts_what_is_said_at_the_other_process(two: TwoPrograms) -> None:
    await live(two)
    await two.first.write(STORY)
    await until(lambda: STORY in two.said)
    await until(lambda: any(seconds > 3 for seconds in two.first.application.bot.sessions.spoken.values()))
    replies = [await each.type("/avatar-admin usage", ADMIN) for each in (two.first, two.second)]
    at_first, at_second = [re.findall(r"spoken ([^,]*)", reply.fields[0][1]) for reply in replies]
    assert at_first == at_second != ["0 s"]


async def test_clean_up_ends_what_is_silent_at_either_process(
    two: TwoPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.commands import cleanup

    monkeypatch.setattr(cleanup, "UNUSED_AFTER", 0.0)
    await live(two)
    await two.second.type("/avatar start", channel=ELSEWHERE)
    there = two.second.session_in(ELSEWHERE)
    await until(lambda: there.view().phase is Phase.LIVE and there.speaker.is_idle)
    assert "Closed 1 session" in (await two.second.type("/avatar-admin cleanup", ADMIN)).text
    assert len(two.first.application.bot.sessions) == 0
    assert "Closed 1 session" in (await two.first.type("/avatar-admin cleanup", ADA)).text
    assert two.open_streams == 0


async def test_somebody_blocked_at_one_process_is_blocked_at_the_other_at_once(two: TwoPrograms) -> None:
    await live(two)
    bo = an_actor("Bo")
    await two.first.write("Hello.", bo)
    await two.second.type("/avatar-admin block test:bo", ADA)

    def is_blocked() -> bool:
        try:
            two.first.application.bot.commands.require(bo, GENERAL, ("avatar", "say"))
        except Refused:
            return True
        return False

    # Not with the next look at the database, five seconds later at the most.
    await until(is_blocked, within=2.0)
    await two.second.type("/avatar-admin unblock test:bo", ADA)
    await until(lambda: not is_blocked(), within=2.0)


async def test_workspace_limit_counts_the_sessions_of_both_processes(url: str) -> None:
    async with TwoPrograms(url, LIMIT_WORKSPACE_SESSIONS="3") as two:
        channels = [GENERAL._replace(id=f"channel-{number}") for number in range(12)]
        programs = [two.first, two.second] * 6
        replies = await asyncio.gather(
            *(
                program.type("/avatar start", channel=channel)
                for program, channel in zip(programs, channels, strict=True)
            )
        )
        assert sum(reply.link is not None for reply in replies) == 3
        assert len(two.first.application.bot.sessions) + len(two.second.application.bot.sessions) == 3
        (share,) = [
            value for name, value in (await two.second.type("/avatar-admin limits", ADMIN)).fields if "once" in name
        ]
        assert share == "3 sessions"
        assert (await two.second.type("/avatar start", channel=ELSEWHERE)).link is not None


async def test_person_writes_so_many_messages_a_minute_to_both_processes_together(url: str) -> None:
    async with TwoPrograms(url, USER_RATE="5") as two:
        await live(two)
        await two.second.type("/avatar start", channel=SECOND)
        # A minute that turns would let five more through.
        await until(lambda: two.clock.now().second < 50)
        refused = 0
        for number in range(10):
            program, channel = [(two.first, GENERAL), (two.second, SECOND)][number % 2]
            try:
                await program.write("Hello.", ANA, channel)
            except Refused:
                refused += 1
        assert refused == 5


async def test_old_entries_and_streams_of_nobody_are_one_process_s_business(two: TwoPrograms) -> None:
    directories = [program.application.bot.cluster.directory for program in (two.first, two.second)]
    assert sorted(directory.is_first for directory in directories) == [False, True]
