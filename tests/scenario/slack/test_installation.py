"""Many workspaces: installing over OAuth, what is kept of it and how, and the end of an installation."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from tests.fakes.slack import Enterprise, FakeSlack, Team
from tests.platforms.slack import SlackDriver, local_address, text_of

BACK = "https://watch.example.com/slack/oauth_redirect"


class Browser:
    """Somebody's browser, which follows no redirect by itself."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base
        self.cookie = ""

    async def begin(self) -> str:
        """Open the installation page; where it sends to."""
        async with self._session.get(f"{self._base}/slack/install", allow_redirects=False) as answer:
            assert answer.status == 302
            self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
            assert "HttpOnly" in answer.headers["Set-Cookie"]
            return answer.headers["Location"]

    async def agree(self, location: str, team: Team | Enterprise) -> str:
        """Agree at Slack; the query it sends back with."""
        async with self._session.get(f"{location}&team={team.id}", allow_redirects=False) as answer:
            assert answer.headers["Location"].startswith(BACK)
            return urlsplit(answer.headers["Location"]).query

    async def back(self, query: str, *, cookie: str | None = None) -> tuple[int, str]:
        """Arrive at our redirect page."""
        headers = {"Cookie": self.cookie if cookie is None else cookie}
        async with self._session.get(f"{self._base}/slack/oauth_redirect?{query}", headers=headers) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    environment = {"SLACK_CLIENT_ID": "1111.2222", "SLACK_CLIENT_SECRET": "client-secret-of-the-twin"}
    async with SlackDriver(tmp_path, environment=environment) as driver:
        yield driver


@pytest.fixture
async def browser(slack: SlackDriver) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession() as session:
        yield Browser(session, local_address(slack.bot))


def kept_installations(folder: Path) -> list[tuple[object, ...]]:
    """The installations in the database, as they stand there."""
    with closing(sqlite3.connect(folder / "platform.sqlite3")) as database:
        return database.execute("select * from installations").fetchall()


async def start_in(slack: SlackDriver, team: Team) -> str:
    """Start an avatar in another workspace; what the person reads."""
    twin: FakeSlack = slack.twin
    person = twin.add_user("zoe", team=team)
    place = twin.add_channel(f"there-{team.name}", [person], team=team)
    return await slack.answer(await twin.slash(place, person, "/avatar", "start"))


async def test_another_workspace_installs_the_app_and_uses_it(slack: SlackDriver, browser: Browser) -> None:
    team = slack.twin.add_team("Elsewhere")
    status, page = await browser.back(await browser.agree(await browser.begin(), team))
    assert (status, "Elsewhere" in page) == (200, True)
    assert team.installed
    assert "Starting" in await start_in(slack, team)
    await slack.bot.until(lambda: slack.bot.open_streams == 1)


async def test_tokens_are_encrypted_in_the_database(slack: SlackDriver, browser: Browser, tmp_path: Path) -> None:
    team = slack.twin.add_team("Elsewhere")
    await browser.back(await browser.agree(await browser.begin(), team))
    rows = kept_installations(tmp_path)
    assert len(rows) == 1
    assert team.bot_token not in str(rows)


async def test_an_installation_is_found_again_after_a_restart(slack: SlackDriver, browser: Browser) -> None:
    team = slack.twin.add_team("Elsewhere")
    await browser.back(await browser.agree(await browser.begin(), team))
    await slack.restart()
    assert "Starting" in await start_in(slack, team)


async def test_a_state_that_is_foreign_missing_or_used_installs_nothing(slack: SlackDriver, browser: Browser) -> None:
    team = slack.twin.add_team("Elsewhere")
    query = await browser.agree(await browser.begin(), team)
    assert (await browser.back(query, cookie=""))[0] == 400
    assert (await browser.back(query, cookie=browser.cookie[:-1] + "x"))[0] == 400
    code = parse_qs(query)["code"][0]
    assert (await browser.back(f"code={code}"))[0] == 400
    assert (await browser.back(f"code={code}&state=é"))[0] == 400
    assert slack.twin.calls("oauth.v2.access") == []
    assert (await browser.back(query))[0] == 200
    assert (await browser.back(query))[0] == 400
    assert len(slack.twin.calls("oauth.v2.access")) == 1


async def test_somebody_who_changes_their_mind_is_told(slack: SlackDriver, browser: Browser) -> None:
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    status, page = await browser.back(f"error=access_denied&state={state}")
    assert (status, "Start again" in page) == (400, True)
    assert slack.twin.calls("oauth.v2.access") == []


@pytest.mark.parametrize("how", ["uninstall", "revoke_tokens"])
async def test_an_uninstallation_ends_the_avatars_and_forgets_the_token(
    slack: SlackDriver, browser: Browser, tmp_path: Path, how: str
) -> None:
    team = slack.twin.add_team("Elsewhere")
    await browser.back(await browser.agree(await browser.begin(), team))
    await start_in(slack, team)
    await slack.bot.until(lambda: slack.bot.open_streams == 1)
    await getattr(slack.twin, how)(team)
    await slack.bot.until(lambda: slack.bot.open_streams == 0)
    assert await slack.bot.bot.sessions.services.store.installations.workspaces("slack") == []
    assert "Starting" in await slack.command("/avatar start")


async def test_a_workspace_without_the_app_is_not_served(slack: SlackDriver) -> None:
    stranger = slack.twin.add_team("Stranger", installed=True)
    person = slack.twin.add_user("zoe", team=stranger)
    place = slack.twin.add_channel("there", [person], team=stranger)
    command = await slack.twin.slash(place, person, "/avatar", "start")
    await command.acknowledged()
    assert slack.bot.open_streams == 0
    assert not any("Starting" in text_of(seen) for seen in command.replies)


async def test_without_a_client_id_there_are_no_such_pages(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path) as slack, aiohttp.ClientSession() as session:
        for page in ("install", "oauth_redirect"):
            async with session.get(f"{local_address(slack.bot)}/slack/{page}") as answer:
                assert answer.status == 404
