"""Setting the Activity up: the steps in Discord's portal, with the operator's own values, and what the doctor sees of
them from outside. Changes nothing."""

import base64
import binascii
from urllib.parse import urlsplit

import discord
import httpx

from adapters.chat.discord import strings
from adapters.chat.discord.frames import CLIENTS
from bot.cli.doctor.check import Check, Outcome, failed, passed, skipped, warned
from bot.cli.doctor.http import client_for
from bot.cli.doctor.public_address import is_bot_running
from bot.core.errors import SettingsError
from bot.settings import Settings

SUBJECT, MAPPING = "Discord Activity", "Discord Activity address"
NOBODY = "i-doctor"
"""The id of an instance that is none: the page of it says nothing."""
ONLY_DISCORD_KNOWS = (
    "who sees it, only Discord knows: of an application that it has not verified, testers and small servers"
)


def application_in(token: str) -> int:
    """The application's id. The first part of a bot's token is the id of its user in base64, which is the
    application's for every application made since 2016 (Discord's documentation, "Bot users"), so nobody is asked.

    Raises ValueError for what is no token.
    """
    first = token.partition(".")[0]
    try:
        return int(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except binascii.Error as error:
        raise ValueError("no token") from error


def steps(settings: Settings) -> str:
    """What to do in Discord's portal. Raises `SettingsError` if a value that belongs there is not set."""
    if settings.discord.token is None:
        raise SettingsError(strings.TOKEN_MISSING)
    if settings.web.public_url is None:
        raise SettingsError("WEB_PUBLIC_URL is not set: it is where Discord gets the page from (docs/watching.md).")
    try:
        application = application_in(settings.discord.token.get_secret_value())
    except ValueError:
        raise SettingsError(strings.TOKEN_REFUSED) from None
    target = settings.web.public_url.partition("://")[2]
    return "\n".join(
        (
            f"To watch inside Discord, open {strings.PORTAL}/{application} and:",
            "1. Activities, Settings: switch on Enable Activities. Leave Web and Desktop as they are.",
            f"2. Activities, URL Mappings: prefix /, target {target}",
            "3. Start the bot again: the panel of the next session has the button Watch here.",
            "As long as Discord has not verified the application, only you, your team, testers whom you invite, and "
            "small servers (fewer than 25 members) see it.",
            "`avatar-relay doctor` looks at what can be seen from outside.",
        )
    )


async def examine_activity(application: discord.AppInfo, settings: Settings) -> list[Check]:
    """Look at the Activity, as far as others can see it."""
    if not settings.discord.activity:
        return [skipped(SUBJECT, "switched off (DISCORD_ACTIVITY=false)")]
    if not application.flags.embedded:
        return [skipped(SUBJECT, "not switched on for the application; `avatar-relay discord-activity` says how")]
    url = settings.web.public_url or ""
    if not url.startswith("https:"):
        fix = "Set WEB_PUBLIC_URL to an address that begins with https://, and map it (docs/discord.md)."
        return [warned(SUBJECT, "is on, and Discord has nowhere to get the page from", fix)]
    checks = [passed(SUBJECT, f"is on; {ONLY_DISCORD_KNOWS}")]
    if not await is_bot_running(settings):
        return [*checks, skipped(MAPPING, "the bot does not run, so nothing answers there")]
    mapped = f"https://{application.id}.discordsays.com"
    host = urlsplit(url).netloc
    own = await _looked_at(url, application.id, "Point the proxy at WEB_HOST and WEB_PORT (docs/watching.md).")
    if own.outcome is not Outcome.PASS:
        return [*checks, own]
    fix = f"In the portal, Activities, URL Mappings: prefix /, target {host}."
    return [*checks, await _looked_at(mapped, application.id, fix)]


async def _looked_at(base: str, application: int, fix: str) -> Check:
    """The page of an instance that is none, as `base` gives it out."""
    try:
        async with client_for(base) as client:
            answer = await client.get(f"{base}/", params={"instance_id": NOBODY})
    except httpx.HTTPError as error:
        return failed(MAPPING, f"{base} cannot be reached ({type(error).__name__})", fix)
    if f'data-client-id="{application}"' not in answer.text and answer.status_code != httpx.codes.GONE:
        return failed(MAPPING, f"{base} leads to something else ({answer.status_code})", fix)
    policies = " ".join(answer.headers.get_list("Content-Security-Policy"))
    if "X-Frame-Options" in answer.headers or not all(client in policies for client in CLIENTS):
        what = f"{base} leads here, and something on the way changes the headers that let Discord frame the page"
        return failed(MAPPING, what, "Let X-Frame-Options and Content-Security-Policy pass as they are.")
    return passed(MAPPING, f"{base} leads here, and lets Discord frame the page")
