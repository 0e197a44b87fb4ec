"""HTTP mode and OAuth of the local Slack, with Bolt's own web server."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth.installation_store import FileInstallationStore
from slack_sdk.oauth.state_store import FileOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.fakes.slack.apps import Connect, Serve
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.http_delivery import Malformed


async def test_signed_requests_reach_the_app_and_others_get_401(twin: FakeSlack, app: AsyncApp, serve: Serve) -> None:
    heard: list[Any] = []

    @app.event("app_mention")
    async def hear(event: Any) -> None:
        heard.append(event)

    @app.event("message")
    async def ignore() -> None: ...

    @app.command("/avatar")
    async def avatar(ack: Any) -> None:
        await ack("started")

    await serve(app)
    assert (await twin.verify_url()).status == 200
    for answer in (await twin.send_forged(), await twin.send_old(), await twin.send_unsigned()):
        assert answer.status == 401
    assert heard == []
    await twin.write("general", "ana", "@Avatar hello")
    await twin.until(lambda: heard)
    command = await twin.slash("general", "ana", "/avatar", "start")
    assert await command.acknowledged() == {"text": "started"}
    assert twin.ephemerals("general", "ana")[0].text == "started"


@pytest.mark.parametrize("what", ["timestamp", "signature", "half a body", "bytes"])
async def test_bolt_alone_answers_a_malformed_request_with_500(
    twin: FakeSlack, app: AsyncApp, serve: Serve, what: Malformed
) -> None:
    await serve(app)
    assert (await twin.send_malformed(what)).status == 500


async def test_an_event_that_http_does_not_take_comes_again_with_number_and_reason(
    twin: FakeSlack, app: AsyncApp, serve: Serve
) -> None:
    retries: list[tuple[list[str], list[str]]] = []

    @app.middleware
    async def fail_once(req: Any, next: Any) -> Any:  # noqa: A002
        retries.append((req.headers.get("x-slack-retry-num", []), req.headers.get("x-slack-retry-reason", [])))
        if len(retries) == 1:
            raise RuntimeError("not now")
        return await next()

    @app.event("message")
    async def hear() -> None: ...

    await serve(app)
    (delivery,) = (await twin.write("general", "ana", "hello")).deliveries
    await delivery.acknowledged()
    assert retries == [([], []), (["1"], ["http_error"])]


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")  # slack_sdk 3.47 with aiohttp 3.14
async def test_oauth_gives_each_workspace_its_own_token(twin: FakeSlack, client: AsyncWebClient) -> None:
    other = twin.add_team("Other")
    twin.add_user("olga", team=other)
    code = twin.authorize(other, "olga")
    asked = {"client_id": twin.client_id, "client_secret": twin.client_secret, "code": code}
    granted = await AsyncWebClient(base_url=twin.api_url).oauth_v2_access(**asked)
    assert granted["team"]["id"] == other.id
    theirs = AsyncWebClient(token=granted["access_token"], base_url=twin.api_url)
    assert (await theirs.auth_test())["team_id"] == other.id
    assert (await client.auth_test())["team_id"] == twin.team.id
    with pytest.raises(SlackApiError, match="code_already_used"):
        await AsyncWebClient(base_url=twin.api_url).oauth_v2_access(**asked)
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await theirs.chat_postMessage(channel=twin.channel("general").id, text="not mine")


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")  # slack_sdk 3.47 with aiohttp 3.14
async def test_bolt_installs_itself_into_a_second_workspace(twin: FakeSlack, serve: Serve, tmp_path: Path) -> None:
    store = FileInstallationStore(base_dir=str(tmp_path / "installations"), client_id=twin.client_id)
    settings = AsyncOAuthSettings(
        client_id=twin.client_id,
        client_secret=twin.client_secret,
        scopes=["chat:write", "commands"],
        authorization_url=f"{twin.url}oauth/v2/authorize",
        state_store=FileOAuthStateStore(expiration_seconds=600, base_dir=str(tmp_path / "states")),
        installation_store=store,
        install_page_rendering_enabled=False,
    )
    anonymous = AsyncWebClient(base_url=twin.api_url)
    flow = AsyncOAuthFlow(client=anonymous, settings=settings)
    installable = AsyncApp(client=anonymous, signing_secret=twin.signing_secret, oauth_flow=flow)

    @installable.command("/avatar")
    async def avatar(ack: Any, client: Any, command: Any) -> None:
        await ack()
        await client.chat_postMessage(channel=command["channel_id"], text="here")

    app_url = await serve(installable)
    other = twin.installing = twin.add_team("Other")
    twin.oauth_redirect_url = f"{app_url}/slack/oauth_redirect"
    twin.add_user("olga", team=other)
    lounge = twin.add_channel("lounge", [twin.user("olga", other)], team=other)
    async with aiohttp.ClientSession() as browser:
        async with browser.get(f"{app_url}/slack/install", allow_redirects=False) as install:
            to_slack, cookie = install.headers["Location"], install.headers["Set-Cookie"].split(";")[0]
        async with browser.get(to_slack, allow_redirects=False) as agreed:
            back = agreed.headers["Location"]
        async with browser.get(back) as forged:
            assert forged.status == 400
        async with browser.get(back, headers={"Cookie": cookie}) as done:
            assert done.status == 200
    await (await twin.slash(lounge, twin.user("olga", other), "/avatar", "start")).acknowledged()
    await twin.until(lambda: [message.text for message in twin.messages(lounge)] == ["here"])
    assert other.scopes == {"chat:write", "commands"}


async def test_the_authorize_page_leads_back_with_code_and_state(twin: FakeSlack) -> None:
    other = twin.add_team("Other")
    back = "http://app.example.com/slack/oauth_redirect"
    query = {"client_id": twin.client_id, "redirect_uri": back, "state": "s", "team": other.id, "scope": "chat:write"}
    url = f"{twin.url}oauth/v2/authorize"
    async with aiohttp.ClientSession() as session, session.get(url, params=query, allow_redirects=False) as page:
        assert page.status == 302
        assert page.headers["Location"].startswith(f"{back}?code=code-")
        assert page.headers["Location"].endswith("&state=s")


async def test_uninstalling_ends_the_tokens_and_tells_the_app(
    twin: FakeSlack, app: AsyncApp, client: AsyncWebClient, connect: Connect
) -> None:
    heard: set[str] = set()

    @app.event("tokens_revoked")
    @app.event("app_uninstalled")
    async def hear(event: Any) -> None:
        heard.add(event["type"])

    other = twin.add_team("Other", installed=True)
    await connect(app)
    await twin.uninstall(other)
    theirs = AsyncWebClient(token=other.bot_token, base_url=twin.api_url)
    with pytest.raises(SlackApiError, match="token_revoked"):
        await theirs.auth_test()
    assert [delivery.event["type"] for delivery in twin.deliveries] == ["tokens_revoked", "app_uninstalled"]
