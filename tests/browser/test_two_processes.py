"""A real browser at the process that does not have the session: it plays, hears and reads what the other one has, and
goes on by itself when that one dies."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Visitor
from tests.browser.test_relay import note
from tests.harness.watchers import PUBLIC_URL
from tests.scenario.test_two_processes import live
from tests.scenario.two_processes import GENERAL, TwoPrograms, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.postgres,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
]

STORY = "Once upon a time there was a robin who could talk. " * 4


async def test_picture_moves_at_the_wrong_process_and_goes_on_when_the_right_one_dies(
    new_postgres_url: Callable[[], str], visit: Visitor
) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    async with TwoPrograms(url) as two:
        await live(two)
        session = two.first.session_in()
        link = two.second.page_of(session)
        hosts: set[str] = set()
        page = await visit("about:blank")
        page.page.on("request", lambda request: note(request, hosts))
        await page.page.goto(link)
        await page.until_playing()
        assert two.second.application.bot.sessions.services.pictures._open == {}
        await two.first.write(STORY)
        said = "document.getElementById('transcript-list').innerText"
        await page.until(f"{said}.includes('Once upon a time')")
        frames = await page.ask("video.getVideoPlaybackQuality().totalVideoFrames")
        await page.until(f"video.getVideoPlaybackQuality().totalVideoFrames > {frames} + 25")
        assert hosts == {urlsplit(link).netloc}

        for status in ("404", "503"):
            page.expect(status)
        await two.first.die()
        await until(lambda: two.second.application.bot.sessions.in_channel(GENERAL) is not None)
        await two.second.write(STORY.replace("robin", "raven"))
        await page.until(f"{said}.includes('raven')")
        await page.until_playing()
        assert link.startswith(two.second.address)
        assert PUBLIC_URL not in hosts
