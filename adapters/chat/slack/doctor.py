"""What `avatar-relay doctor` looks at on Slack: tokens, scopes against the manifest, the socket, a channel. Changes
nothing: it asks for a socket's address and does not open it.
"""

from collections.abc import AsyncIterator

import aiohttp
import httpx
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters import network
from adapters.chat.slack import strings
from adapters.chat.slack.client import refusal_in, web_client
from adapters.chat.slack.frames import CLIENTS, FRAME_PATH
from adapters.chat.slack.manifest import NO_PANE_ADDRESS, manifest_of, uses_http
from adapters.network import told, trouble_of
from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.cli.doctor.http import client_for
from bot.sentences import network as network_words
from bot.sentences import network_fix
from bot.settings import EmbedChoice, Settings

MAX_NAMED = 20
"""Workspaces of an organisation that are named."""

NOT_SLACK = "what answers at SLACK_API_URL is not Slack"


async def examine_slack(examination: CheckContext) -> AsyncIterator[Check]:
    """Look at the Slack app's tokens, scopes and connection, and at a channel where one is named."""
    settings = examination.settings
    slack = settings.slack
    if slack.bot_token is None:
        why = (
            "installed by workspaces and organisations (SLACK_CLIENT_ID)"
            if slack.client_id
            else "SLACK_BOT_TOKEN is not set"
        )
        yield skipped("Slack", why)
        return
    async with network.session() as session:
        async for check in _of_token(examination, session, slack.bot_token.get_secret_value()):
            yield check


async def _of_token(examination: CheckContext, session: aiohttp.ClientSession, token: str) -> AsyncIterator[Check]:
    settings = examination.settings
    bot = web_client(token, settings.slack.api_url, session)
    try:
        about = await bot.auth_test()
    except SlackApiError as error:
        code = refusal_in(error) or NOT_SLACK
        yield failed("Slack bot token", code, strings.bot_token_trouble(code) or "Try again later.")
        return
    except (aiohttp.ClientError, OSError, ValueError) as error:
        yield _unreachable("Slack", error)
        return
    yield passed("Slack bot token", f"belongs to {about.get('user')} in {about.get('team')}")
    if about.get("is_enterprise_install"):
        yield await _organisation(bot, str(about.get("team")))
    yield _scopes(about, settings)
    yield await _connection(settings, session)
    if examination.channel is not None and not examination.channel.isdecimal():
        yield await _channel(bot, examination.channel, str(about.get("user")))
    if settings.slack.embed is EmbedChoice.AUTO:
        yield await examine_side_pane(settings)


async def _organisation(bot: AsyncWebClient, name: str) -> Check:
    """Whether a workspace of the organisation has the app: the installation alone gives it to none."""
    subject = f"Slack organisation {name}"
    try:
        teams = (await bot.auth_teams_list(limit=MAX_NAMED)).get("teams") or []
    except SlackApiError as error:
        return failed(subject, refusal_in(error) or NOT_SLACK, "Try again later.")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _unreachable(subject, error)
    if not teams:
        return failed(subject, "no workspace has the app", "Add it to one, on the admin page of the organisation.")
    return passed(subject, f"the app is in {', '.join(str(team.get('name')) for team in teams)}")


def _unreachable(subject: str, error: Exception) -> Check:
    trouble = trouble_of(error)
    found = f"{network_words('Slack', trouble)} ({told(error)})"
    return failed(subject, found, network_fix(trouble, "SLACK_API_URL"))


def _scopes(about: AsyncSlackResponse, settings: Settings) -> Check:
    granted = {scope.strip() for scope in str(about.headers.get("x-oauth-scopes", "")).split(",")}
    if granted == {""}:
        return skipped("Slack scopes", "Slack did not say")
    wanted = set(manifest_of(settings)["oauth_config"]["scopes"]["bot"])
    if lacking := sorted(wanted - granted):
        fix = "Update the app with `avatar-relay slack-manifest`, install it again, then set SLACK_BOT_TOKEN."
        return failed("Slack scopes", f"{', '.join(lacking)} missing", fix)
    return passed("Slack scopes", f"all {len(wanted)} of the manifest")


async def _connection(settings: Settings, session: aiohttp.ClientSession) -> Check:
    if uses_http(settings):
        if settings.web.public_url is None:
            return failed(
                "Slack connection", "HTTP, and WEB_PUBLIC_URL is not set", "Set it: Slack has to reach the bot."
            )
        return passed("Slack connection", f"Slack calls {settings.web.public_url}/slack/events")
    token = settings.slack.app_token
    if token is None:
        return failed("Slack connection", "SLACK_APP_TOKEN is not set", "Set it, or SLACK_SIGNING_SECRET for HTTP.")
    client = web_client("", settings.slack.api_url, session)
    try:
        await client.apps_connections_open(app_token=token.get_secret_value())
    except SlackApiError as error:
        code = refusal_in(error) or NOT_SLACK
        return failed("Slack connection", code, strings.app_token_trouble(code) or "Try again later.")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _unreachable("Slack connection", error)
    return passed("Slack connection", "Socket Mode is open to the bot")


async def _channel(bot: AsyncWebClient, channel: str, name: str) -> Check:
    subject = f"Slack channel {channel}"
    try:
        about = await bot.conversations_info(channel=channel)
    except SlackApiError as error:
        code = refusal_in(error) or NOT_SLACK
        fix = strings.place_trouble(code, name) or "Check the id: it is at the end of the channel's link."
        return failed(subject, code, fix)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _unreachable(subject, error)
    if not about["channel"].get("is_member"):
        return failed(subject, "the bot is not in it", f"Type `/invite @{name}` there.")
    return passed(subject, f"#{about['channel'].get('name')}: the bot is in it")


SIDE_PANE = "Slack side pane"
ONLY_SLACK_SHOWS = "whether the app's settings allow it, only a click in Slack shows"


async def examine_side_pane(settings: Settings) -> Check:
    """Whether Slack could frame the page, as far as that shows from outside: the address, and the headers there."""
    public_url = settings.web.public_url
    if public_url is None or not public_url.startswith("https:"):
        return failed(SIDE_PANE, NO_PANE_ADDRESS.rstrip("."), "Put HTTPS in front of it (docs/watching.md).")
    address = f"{public_url.rstrip('/')}{FRAME_PATH}"
    try:
        async with client_for(address) as client:
            answer = await client.get(address)
    except httpx.HTTPError as error:
        return failed(SIDE_PANE, f"{address} cannot be reached ({type(error).__name__})", "Check the public address.")
    policy = answer.headers.get("Content-Security-Policy", "")
    if not all(client in policy for client in CLIENTS):
        return skipped(SIDE_PANE, f"{address} is not the page of a bot with SLACK_EMBED=auto, or no bot runs now")
    if "X-Frame-Options" in answer.headers:
        fix = "Have the proxy leave X-Frame-Options out under /slack/pane."
        return warned(SIDE_PANE, f"a proxy adds X-Frame-Options at {address}", fix)
    return passed(SIDE_PANE, f"{address} lets Slack frame it; {ONLY_SLACK_SHOWS}")
